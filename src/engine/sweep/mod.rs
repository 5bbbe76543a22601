//! Many plans at the same noise, each held against the large model alone.

mod summary;
mod times;

use crate::analysis::{Similarity, Wish};
use crate::project::RunSettings;
use crate::schedule::{ModelRole, Plan, StepPlan, shared_steps, sharing_order, steps_to_compute};

pub use summary::{Criterion, PlanResult, Quality, SweepSummary};
pub use times::SweepTimes;

/// Plans to be tried, for one or more prompts and seeds.
#[derive(Clone, Debug, PartialEq)]
pub struct SweepRequest {
    /// What all runs have in common: everything but prompt, seed and plan. Its plan lends its stages to the
    /// reference.
    pub settings: RunSettings,
    /// The runs, each with its plans.
    pub runs: Vec<SweptRun>,
    /// What the best plan is remembered for; `None` where none is.
    pub wish: Option<Wish>,
}

/// A prompt and a seed, and the plans to try for them.
#[derive(Clone, Debug, PartialEq)]
pub struct SweptRun {
    /// What the clips show.
    pub prompt: String,
    /// Seed of the noise they start from.
    pub seed: u64,
    /// The plans beside the reference. Guidance is the run's throughout.
    pub plans: Vec<Plan>,
}

impl SweepRequest {
    /// What is rendered for one of its runs: the reference, which is the large model alone, then the plans,
    /// in the order that shares the most steps. Of plans that do the same the first counts.
    pub fn renders(&self, run: &SweptRun) -> Vec<RunSettings> {
        let with = |plan| RunSettings {
            prompt: run.prompt.clone(),
            seed: run.seed,
            plan,
            // What is held against one another are the models.
            cache: None,
            ..self.settings.clone()
        };
        let reference = with(self.settings.plan.all(ModelRole::Large));
        let first = reference.step_plans();
        let mut all = vec![reference];
        all.extend(run.plans.iter().cloned().map(with));
        let mut all: Vec<_> = all.into_iter().map(|run| (run.step_plans(), run)).collect();
        all.sort_by(|(a, _), (b, _)| sharing_order(&first, a, b));
        all.dedup_by(|(a, _), (b, _)| shared_steps(a, b) == b.len());
        all.into_iter().map(|(_, settings)| settings).collect()
    }

    /// Clips that are rendered in all, the references among them.
    pub fn clips(&self) -> usize {
        self.runs.iter().map(|run| self.renders(run).len()).sum()
    }

    /// The steps that are computed in all where none is known before.
    pub fn steps_to_compute(&self) -> Vec<StepPlan> {
        let of_run = |run| {
            let renders = self.renders(run);
            let plans: Vec<_> = renders.iter().map(RunSettings::step_plans).collect();
            steps_to_compute(&plans)
        };
        self.runs.iter().flat_map(of_run).collect()
    }

    /// The models that its plans and their references take.
    pub fn models(&self) -> Vec<ModelRole> {
        let plans = || self.runs.iter().flat_map(|run| &run.plans);
        let is_used =
            |role: &ModelRole| *role == ModelRole::Large || plans().any(|plan| plan.has(*role));
        ModelRole::ALL.into_iter().filter(is_used).collect()
    }

    /// What is left of it where some rows are known. A run that is not complete renders its reference again,
    /// to hold the rest against.
    #[must_use]
    pub fn without(&self, known: &[SweepRow]) -> Self {
        let is_left = |settings: &RunSettings| known.iter().all(|row| row.settings != *settings);
        let runs = self.runs.iter().map(|run| {
            let left = self.renders(run).into_iter().filter(is_left);
            SweptRun {
                plans: left.map(|settings| settings.plan).collect(),
                ..run.clone()
            }
        });
        Self {
            // A part of a sweep does not know the best of all.
            wish: None,
            settings: self.settings.clone(),
            runs: runs.filter(|run| !run.plans.is_empty()).collect(),
        }
    }
}

/// What one plan gave at one prompt and seed.
#[derive(Clone, Debug, PartialEq)]
pub struct SweepRow {
    /// The run.
    pub settings: RunSettings,
    /// Likeness of its clip to that of the reference.
    pub similarity: Similarity,
    /// Sharpness of its clip, where it is large enough to have one.
    pub sharpness: Option<f64>,
    /// Flicker of its clip, where it is long enough to have one.
    pub flicker: Option<f64>,
    /// What was computed for it.
    pub work: Work,
}

/// What was computed for one row of a sweep; other steps of it were known already.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Work {
    /// Steps of the large model.
    pub large_steps: usize,
    /// Seconds of these.
    pub large_secs: f64,
    /// Steps of the small model.
    pub small_steps: usize,
    /// Seconds of these.
    pub small_secs: f64,
    /// Steps of the distilled model.
    pub distilled_steps: usize,
    /// Seconds of these.
    pub distilled_secs: f64,
    /// Seconds of the decode.
    pub decode_secs: f64,
}

impl Work {
    /// Steps computed.
    pub fn steps(&self) -> usize {
        self.large_steps + self.small_steps + self.distilled_steps
    }

    /// Steps of one model and their seconds.
    pub fn of(&self, role: ModelRole) -> (usize, f64) {
        match role {
            ModelRole::Large => (self.large_steps, self.large_secs),
            ModelRole::Small => (self.small_steps, self.small_secs),
            ModelRole::Distilled => (self.distilled_steps, self.distilled_secs),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project::PairRef;
    use crate::schedule::{Guidance, History, Solver};

    fn settings() -> RunSettings {
        RunSettings {
            pair: PairRef::default(),
            prompt: String::new(),
            negative: String::new(),
            seed: 0,
            plan: Plan::parse("LSL", &[0.4, 0.8]).unwrap(),
            steps: 10,
            shift: 3.0,
            solver: Solver::Euler,
            history: History::default(),
            distilled_sigmas: None,
            cfg: 5.0,
            guidance: Guidance::default(),
            cache: None,
            width: 16,
            height: 16,
            frames: 5,
            fps: 8.0,
        }
    }

    #[test]
    fn the_reference_leads_and_what_does_the_same_is_rendered_once() {
        let plan = |letters, boundaries: &[f64]| Plan::parse(letters, boundaries).unwrap();
        let run = SweptRun {
            prompt: "a dot".to_owned(),
            seed: 7,
            plans: vec![
                plan("S", &[]),
                plan("LS", &[0.4]),
                // The same to the nearest step, and the reference in other words.
                plan("LS", &[0.41]),
                plan("LSL", &[1.0, 1.0]),
                plan("LSL", &[0.4, 0.8]),
            ],
        };
        let request = SweepRequest {
            wish: None,
            settings: settings(),
            runs: vec![run.clone(), SweptRun { seed: 8, ..run }],
        };
        let renders = request.renders(&request.runs[1]);
        let specs: Vec<_> = renders.iter().map(|run| run.plan.spec()).collect();
        assert_eq!(specs, ["LLL", "LSL@0.4/0.8", "LS@0.4", "S"]);
        assert!(renders.iter().all(|r| r.seed == 8 && r.prompt == "a dot"));
        assert_eq!(request.clips(), 8);
        let steps = request.steps_to_compute();
        assert_eq!(steps.len(), 2 * (10 + 6 + 2 + 10));

        // With the first run's blended plan known it is not rendered again, but its reference is.
        let known = |settings: &RunSettings| SweepRow {
            settings: settings.clone(),
            similarity: Similarity::of_psnr(30.0, None),
            sharpness: None,
            flicker: None,
            work: Work::default(),
        };
        let first = request.renders(&request.runs[0]);
        let left = request.without(&[known(&first[0]), known(&first[1])]);
        assert_eq!(left.clips(), 3 + 4);
        let all: Vec<_> = first.iter().map(known).collect();
        let left = request.without(&all);
        assert_eq!(
            (left.runs.len(), left.runs[0].seed, left.clips()),
            (1, 8, 4)
        );
    }
}
