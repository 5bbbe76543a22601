//! A pipeline without models: it renders a known picture, as slowly as a test lets it.

#![allow(clippy::expect_used, reason = "a test that cannot go on should say so")]

pub mod models;
mod pictures;
pub mod pipeline;
pub mod timeline;
pub mod window;

use crossbeam_channel::{Sender, bounded};
use flowblend::engine::{
    FinishedRun, PairSummary, Pipeline, PipelineFactory, Progress, RunError, RunRequest,
};
use flowblend::project::{PairRef, Preset, RunSettings};
use flowblend::sampler::Cancel;
use flowblend::schedule::{Guidance, History, Plan, Solver};

use pipeline::Fake;

/// Lets the fake go on: one token a step, and one for the decode.
pub struct Pace(Sender<()>);

impl Pace {
    /// Lets `steps` steps happen.
    pub fn allow(&self, steps: usize) {
        for _ in 0..steps {
            self.0.send(()).expect("the fake is alive");
        }
    }
}

/// A factory of fakes and what paces them.
pub fn fake() -> (PipelineFactory, Pace) {
    paced(false, false)
}

/// [`fake`], whose pair has a distilled model of eight steps.
pub fn distilled_fake() -> (PipelineFactory, Pace) {
    paced(false, true)
}

/// [`fake`], whose clips are a level darker for every step of the small model.
pub fn telling_fake() -> (PipelineFactory, Pace) {
    paced(true, false)
}

fn paced(tells_plans: bool, is_distilled: bool) -> (PipelineFactory, Pace) {
    let (sender, tokens) = bounded(10_000);
    let factory: PipelineFactory =
        Box::new(move || Box::new(Fake::new(tokens.clone(), tells_plans, is_distilled)));
    (factory, Pace(sender))
}

/// A factory of pipelines that know no pair.
pub fn no_pair() -> PipelineFactory {
    struct NoPair;
    impl Pipeline for NoPair {
        fn describe(&mut self, _: &PairRef) -> Result<PairSummary, String> {
            Err("the demo pair is missing; install it again".to_owned())
        }

        fn run(
            &mut self,
            _: &RunRequest,
            _: &Cancel,
            _: &mut dyn FnMut(Progress),
        ) -> Result<FinishedRun, RunError> {
            Err(RunError::Failed("there is no pair".to_owned()))
        }
    }
    Box::new(|| Box::new(NoPair))
}

/// The settings of a fresh document.
pub fn defaults() -> RunSettings {
    RunSettings {
        pair: PairRef::default(),
        prompt: "a red circle bouncing over a blue background".to_owned(),
        negative: String::new(),
        seed: 48_151_623,
        plan: Plan::parse("LSL", &[0.4, 0.8]).expect("a plan"),
        steps: 30,
        shift: 3.0,
        solver: Solver::Euler,
        history: History::default(),
        distilled_sigmas: None,
        cfg: 4.0,
        guidance: Guidance::default(),
        cache: None,
        width: 64,
        height: 64,
        frames: 17,
        fps: 12.0,
    }
}

/// The pair's presets; the first is what a fresh document holds.
pub fn presets() -> Vec<Preset> {
    let preset = |name: &str, prompt: &str, seed| Preset {
        name: name.to_owned(),
        prompt: prompt.to_owned(),
        seed,
    };
    let RunSettings { prompt, seed, .. } = defaults();
    vec![
        preset("Red circle bouncing", &prompt, seed),
        preset(
            "Yellow star orbiting",
            "a yellow star orbiting over a red background",
            1_024,
        ),
        preset(
            "Blue circle",
            "a blue circle over a yellow background",
            u64::MAX,
        ),
    ]
}
