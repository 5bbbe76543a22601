//! How near the cost model's predictions are: random plans, each predicted and then measured.

use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};
use serde::Serialize;
use serde_json::json;

use super::CliError;
use super::bench::timed_run;
use super::session::Session;
use crate::analysis::median;
use crate::project::RunSettings;
use crate::schedule::{ModelRole, Plan, Stage};

/// Most stages of a random plan.
const MOST_STAGES: usize = 4;
/// How far a measured time may be from the predicted one, either way.
const NEAR: f64 = 0.1;

/// Runs of both models before the first plan is predicted. The first loads them and is slower for it; what a person
/// waits for from then on is told by the second.
const WARM_UPS: usize = 2;

/// A plan, what it was said to take and what it took: medians over the rounds.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Forecast {
    plan: String,
    /// Seconds from the first step to the clip.
    predicted_secs: f64,
    measured_secs: f64,
}

impl Forecast {
    /// Measured over predicted.
    fn ratio(&self) -> f64 {
        self.measured_secs / self.predicted_secs
    }

    fn is_near(&self) -> bool {
        (self.ratio() - 1.0).abs() <= NEAR
    }
}

/// Plans of one to four stages whose models change at each of their boundaries, which lie anywhere.
pub(super) fn random_plans(count: usize, seed: u64) -> Vec<Plan> {
    let mut rng = ChaCha12Rng::seed_from_u64(seed);
    let mut below = |n: usize| rng.next_u64() as usize % n;
    let mut plan = || {
        let stages = 1 + below(MOST_STAGES);
        let first = below(2);
        let model = |stage: usize| [ModelRole::Large, ModelRole::Small][(first + stage) % 2];
        let mut boundaries: Vec<f64> = (1..stages).map(|_| below(10_000) as f64 / 1e4).collect();
        boundaries.sort_by(f64::total_cmp);
        let stages = (0..stages).map(|stage| Stage {
            model: model(stage),
            cfg: None,
        });
        Plan::new(stages.collect(), boundaries).ok()
    };
    std::iter::repeat_with(&mut plan)
        .flatten()
        .take(count)
        .collect()
}

/// Warms up, then goes through all plans `rounds` times, so that what else the machine does for a while meets all of them:
/// each run is predicted by all that was measured before it, and measured.
pub(super) fn measure(
    session: &mut Session,
    settings: &RunSettings,
    plans: Vec<Plan>,
    rounds: u16,
    is_told: bool,
) -> Result<Vec<Forecast>, CliError> {
    let run = |plan: &Plan| RunSettings {
        plan: plan.clone(),
        ..settings.clone()
    };
    // All that a machine which never ran the pair has to go by.
    let both = Plan::parse("LS", &[0.5]).map_err(|why| CliError::Failed(why.to_string()))?;
    for _ in 0..WARM_UPS {
        timed_run(session, run(&both))?;
    }
    let mut secs: Vec<(Vec<f64>, Vec<f64>)> = vec![Default::default(); plans.len()];
    for round in 1..=rounds {
        for (plan, (predicted, measured)) in plans.iter().zip(&mut secs) {
            let run = run(plan);
            let told = session.describe(run.pair.clone())?.clip_secs(&run);
            predicted.push(told.ok_or_else(|| {
                CliError::Failed(
                    "the run that calibrates left a part unmeasured; give more --steps".to_owned(),
                )
            })?);
            measured.push(timed_run(session, run)?.clip_secs);
        }
        if is_told {
            eprintln!("round {round} of {rounds}");
        }
    }
    let forecast = |(plan, (predicted, measured)): (&Plan, (Vec<f64>, Vec<f64>))| Forecast {
        plan: plan.words(),
        predicted_secs: median(predicted),
        measured_secs: median(measured),
    };
    Ok(plans.iter().zip(secs).map(forecast).collect())
}

/// A line a plan, then how many were near.
pub(super) fn print(forecasts: &[Forecast], rounds: u16, heading: &str, as_json: bool) {
    let heading = format!("{heading}, medians of {rounds}, after {WARM_UPS} runs to warm up");
    let near = forecasts.iter().filter(|one| one.is_near()).count();
    let middle = |secs: fn(&Forecast) -> f64| median(forecasts.iter().map(secs));
    let of_medians = middle(|one| one.measured_secs) / middle(|one| one.predicted_secs);
    if as_json {
        println!(
            "{}",
            json!({
                "bench": heading,
                "plans": forecasts,
                "near": near,
                "ratio_of_medians": of_medians,
            })
        );
        return;
    }
    println!("{heading}");
    println!(
        "{:<26} {:>12} {:>12} {:>7}",
        "plan", "predicted, s", "measured, s", "ratio"
    );
    for one in forecasts {
        println!(
            "{:<26} {:>12.3} {:>12.3} {:>7.3}{}",
            one.plan,
            one.predicted_secs,
            one.measured_secs,
            one.ratio(),
            if one.is_near() { "" } else { "  far" }
        );
    }
    println!(
        "{near} of {} within {:.0} %; the medians' ratio is {of_medians:.3}",
        forecasts.len(),
        NEAR * 100.0
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_names_its_plans_and_they_differ() {
        let words = |seed| -> Vec<_> {
            let plans = random_plans(20, seed);
            plans.iter().map(Plan::words).collect()
        };
        let plans = words(7);
        assert_eq!((plans.len(), &plans), (20, &words(7)));
        assert_ne!(plans, words(8));
        let stages = |n: usize| random_plans(200, 1).iter().any(|p| p.stages().len() == n);
        assert!((1..=MOST_STAGES).all(stages) && !stages(MOST_STAGES + 1));
    }
}
