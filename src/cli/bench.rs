use std::time::Instant;

use clap::Args;
use serde_json::json;

use super::CliError;
use super::options::{DenoiseOptions, GlobalOptions};
use super::session::Session;
use crate::engine::{EventKind, FinishedRun, peak_rss_bytes};
use crate::media::{self, EncodeOptions};
use crate::project::RunSettings;
use crate::schedule::ModelRole;

/// Options of `flowblend bench`.
#[derive(Debug, Args)]
pub(super) struct BenchOptions {
    #[command(flatten)]
    denoise: DenoiseOptions,
    /// Whole runs; medians are reported.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=1000))]
    runs: u16,
}

/// One measured figure.
struct Figure {
    name: &'static str,
    unit: &'static str,
    values: Vec<f64>,
}

impl Figure {
    fn new(name: &'static str, unit: &'static str, values: Vec<f64>) -> Self {
        let mut values = values;
        values.sort_by(f64::total_cmp);
        Self { name, unit, values }
    }

    fn median(&self) -> f64 {
        self.values[self.values.len() / 2]
    }
}

/// Runs the pair's default clip several times and cancels several more, and prints what a person waits
/// for. The first run, which loads the models, counts as such and not among the warm ones.
pub(super) fn bench(options: &BenchOptions, global: &GlobalOptions) -> Result<(), CliError> {
    options.denoise.check()?;
    let start = Instant::now();
    let mut session = Session::start(global)?;
    let pair = session.describe(options.denoise.pair())?;
    let settings = options.denoise.settings(&pair, &pair.defaults.prompt)?;
    let cold = timed_run(&mut session, &settings)?;
    let cold_offset = cold.asked.duration_since(start).as_secs_f64();
    let mut figures = vec![
        Figure::new(
            "first preview after program start",
            "s",
            vec![cold_offset + cold.first_preview_secs],
        ),
        Figure::new(
            "clip after program start",
            "s",
            vec![cold_offset + cold.clip_secs],
        ),
    ];
    let mut warm = Vec::new();
    for _ in 0..options.runs {
        warm.push(timed_run(&mut session, &settings)?);
    }
    figures.extend(of_runs(&warm));
    figures.push(cancels(&mut session, &settings)?);
    if let Some(bytes) = peak_rss_bytes() {
        figures.push(Figure::new("peak memory", "MB", vec![bytes as f64 / 1e6]));
    }
    print(&figures, &settings, &pair.device, global.json);
    Ok(())
}

struct TimedRun {
    asked: Instant,
    first_preview_secs: f64,
    clip_secs: f64,
    write_secs: f64,
    finished: FinishedRun,
}

fn timed_run(session: &mut Session, settings: &RunSettings) -> Result<TimedRun, CliError> {
    let asked = Instant::now();
    let run = session
        .engine
        .start(settings.clone())
        .map_err(CliError::Failed)?;
    let mut first_preview_secs = None;
    let finished = loop {
        let Some(event) = session.engine.wait() else {
            return Err(CliError::Failed(
                "the engine stopped without a word; please report this".to_owned(),
            ));
        };
        if event.run != run {
            continue;
        }
        match event.kind {
            EventKind::Step(_) if session.engine.take_preview().is_some() => {
                first_preview_secs.get_or_insert(asked.elapsed().as_secs_f64());
            }
            EventKind::Finished(finished) => break *finished,
            EventKind::Cancelled => return Err(CliError::Interrupted),
            EventKind::Failed(why) => return Err(CliError::Failed(why)),
            _ => {}
        }
    };
    let clip_secs = asked.elapsed().as_secs_f64();
    let write_start = Instant::now();
    let folder = tempfile::tempdir().map_err(|why| {
        CliError::Failed(format!(
            "no temporary folder can be made ({why}); set TMPDIR to one you may write to"
        ))
    })?;
    media::encode(
        &finished.clip,
        &folder.path().join("clip.mp4"),
        &EncodeOptions::default(),
        false,
        &mut |_, _| {},
        &|| false,
    )
    .map_err(|why| CliError::Failed(why.to_string()))?;
    Ok(TimedRun {
        asked,
        first_preview_secs: first_preview_secs.unwrap_or(clip_secs),
        clip_secs,
        write_secs: write_start.elapsed().as_secs_f64(),
        finished,
    })
}

fn of_runs(runs: &[TimedRun]) -> Vec<Figure> {
    let of = |name, unit, value: &dyn Fn(&TimedRun) -> f64| {
        Figure::new(name, unit, runs.iter().map(value).collect())
    };
    let mut figures = vec![
        of("first preview, models loaded", "s", &|run| {
            run.first_preview_secs
        }),
        of("clip, models loaded", "s", &|run| run.clip_secs),
        of("denoise", "s", &|run| run.finished.report.denoise_secs),
        of("decode", "s", &|run| run.finished.report.decode_secs),
        of("write MP4", "s", &|run| run.write_secs),
        of("denoise beyond the sum of its steps", "%", &|run| {
            let report = &run.finished.report;
            let steps: f64 = report.steps.iter().map(|step| step.secs).sum();
            (report.denoise_secs / steps - 1.0) * 100.0
        }),
    ];
    for (role, name) in [
        (ModelRole::Large, "large step"),
        (ModelRole::Small, "small step"),
    ] {
        let secs: Vec<f64> = runs
            .iter()
            .flat_map(|run| &run.finished.report.steps)
            .filter(|step| step.model == role)
            .map(|step| step.secs)
            .collect();
        if !secs.is_empty() {
            figures.push(Figure::new(name, "s", secs));
        }
    }
    figures
}

/// Cancels a run at several points and times the answer.
fn cancels(session: &mut Session, settings: &RunSettings) -> Result<Figure, CliError> {
    let mut millis = Vec::new();
    let points = [
        0,
        settings.steps / 4,
        settings.steps / 2,
        settings.steps - 1,
    ];
    for point in points {
        let run = session
            .engine
            .start(settings.clone())
            .map_err(CliError::Failed)?;
        let mut asked = None;
        while let Some(event) = session.engine.wait() {
            if event.run != run {
                continue;
            }
            match event.kind {
                // The last step's event is answered in the decode.
                EventKind::Step(step) if step.step == point => {
                    session.engine.cancel_all();
                    asked = Some(Instant::now());
                }
                EventKind::Cancelled | EventKind::Finished(_) => {
                    millis.extend(asked.map(|asked: Instant| asked.elapsed().as_secs_f64() * 1e3));
                    break;
                }
                EventKind::Failed(why) => return Err(CliError::Failed(why)),
                _ => {}
            }
        }
    }
    Ok(Figure::new("cancel answered", "ms", millis))
}

fn print(figures: &[Figure], settings: &RunSettings, device: &str, as_json: bool) {
    if as_json {
        let rows: Vec<_> = figures
            .iter()
            .map(|f| json!({ "name": f.name, "unit": f.unit, "median": f.median(), "min": f.values[0], "max": f.values[f.values.len() - 1], "count": f.values.len() }))
            .collect();
        println!(
            "{}",
            json!({ "device": device, "settings": settings, "figures": rows })
        );
        return;
    }
    let (width, height, frames) = settings.size();
    println!(
        "{device}, {} of {} steps, {width}x{height}, {frames} frames",
        settings.plan.letters(),
        settings.steps
    );
    println!("{:<38} {:>10} {:>10} {:>10}  n", "", "median", "min", "max");
    for f in figures {
        println!(
            "{:<38} {:>10.3} {:>10.3} {:>10.3}  {} ({})",
            f.name,
            f.median(),
            f.values[0],
            f.values[f.values.len() - 1],
            f.values.len(),
            f.unit
        );
    }
}
