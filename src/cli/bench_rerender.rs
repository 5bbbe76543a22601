use super::CliError;
use super::bench::{Figure, timed_run};
use super::session::Session;
use crate::engine::RunRequest;
use crate::project::RunSettings;

/// How far the last boundary is moved, as a part of all steps.
const MOVED: f64 = 0.1;

/// What a person waits for who moves the last boundary of a clip that is there, beside a whole run: `runs` times the clip with a seed of
/// its own, the boundary moved earlier, and moved later from there on; then the first of these from nothing. None for a plan of one stage.
pub(super) fn measure(
    session: &mut Session,
    settings: &RunSettings,
    runs: u16,
) -> Result<Vec<Option<Figure>>, CliError> {
    let Some(last) = settings.plan.boundaries().len().checked_sub(1) else {
        return Ok(Vec::new());
    };
    let boundary = settings.plan.boundaries()[last];
    let (mut earlier, mut from_nothing, mut later) = (Vec::new(), Vec::new(), Vec::new());
    for round in 1..=u64::from(runs) {
        let mut secs = |by: f64, reuse_steps: bool| {
            let settings = RunSettings {
                seed: settings.seed.wrapping_add(round),
                plan: settings.plan.with_boundary(last, boundary + by),
                ..settings.clone()
            };
            let request = RunRequest {
                reuse_steps,
                ..settings.into()
            };
            timed_run(session, request).map(|run| run.clip_secs)
        };
        let whole = secs(0.0, true)?;
        let moved = secs(-MOVED, true)?;
        earlier.push(100.0 * moved / whole);
        later.push(100.0 * secs(MOVED, true)? / whole);
        from_nothing.push(100.0 * moved / secs(-MOVED, false)?);
    }
    Ok(vec![
        Figure::new("boundary 10 % earlier, of the run before", "%", earlier),
        Figure::new("the same, of the same run from nothing", "%", from_nothing),
        Figure::new("boundary 10 % later, of the run before", "%", later),
    ])
}
