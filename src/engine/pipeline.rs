use std::path::PathBuf;
use std::sync::Arc;

use super::EngineSetup;
use super::event::{FinishedRun, PairSummary, Phase, StepReport};
use super::paused::PausedRun;
use super::probe::{Probe, ProbeRequest};
use super::step_cache::KeptSteps;
use super::sweep::{SweepRequest, SweepRow};
use crate::analysis::Divergence;
use crate::preview::LatentFrames;
use crate::project::{PairRef, RunSettings};
use crate::sampler::{Cancel, OnlineRule};
use crate::schedule::{ModelRole, Plan};

/// One run and where its by-products go.
#[derive(Clone, Debug)]
pub struct RunRequest {
    /// What to render.
    pub settings: RunSettings,
    /// Decide as the run goes on which model takes each step, instead of by the plan. What comes back has
    /// the plan that came out.
    pub online: Option<OnlineRule>,
    /// Leave guidance out where it does not show, by what was measured of the models or is first. What comes back has the
    /// interval.
    pub spare_guidance: bool,
    /// Start from the tensor `latents` of this safetensors file instead of the seed's noise.
    pub init_latents: Option<PathBuf>,
    /// Write the final latents here.
    pub save_latents: Option<PathBuf>,
    /// Write x after every step, the velocity and `run.json` into this folder.
    pub save_trajectory: Option<PathBuf>,
    /// Whether those files may replace existing ones.
    pub overwrite: bool,
    /// Keep the final latents until the clip is safely written, and take those that an earlier start
    /// of the program left of the same run: then only the decode is done again.
    pub keep_latents: bool,
    /// Take the steps that an earlier run of this process has in common with this one from there.
    pub reuse_steps: bool,
    /// Tell an estimate of the clip after every so many steps; 0 tells none.
    pub preview_every: usize,
    /// Rest once so many steps are taken.
    pub pause_after: Option<usize>,
}

impl RunRequest {
    /// The settings, with the large model for every step until it is decided which takes which.
    pub fn whole_settings(&self) -> RunSettings {
        let mut settings = self.settings.clone();
        if self.online.is_some() {
            settings.plan = Plan::only(ModelRole::Large);
        }
        settings
    }
}

impl From<RunSettings> for RunRequest {
    fn from(settings: RunSettings) -> Self {
        Self {
            settings,
            online: None,
            spare_guidance: false,
            init_latents: None,
            save_latents: None,
            save_trajectory: None,
            overwrite: false,
            keep_latents: false,
            reuse_steps: false,
            preview_every: 1,
            pause_after: None,
        }
    }
}

/// What a pipeline tells while it runs.
#[derive(Debug)]
pub enum Progress {
    /// A phase began.
    Phase(Phase),
    /// A step ended.
    Step(StepReport),
    /// The x0 estimate after a step. May be dropped when the window is behind.
    Preview(LatentFrames),
    /// `done` of `total` bytes of the weights that are being loaded are there.
    Loaded {
        /// Bytes read.
        done: u64,
        /// Bytes of the part that is loaded.
        total: u64,
    },
    /// The first steps come from an earlier run: how many.
    StepsReused(usize),
    /// What is kept of earlier runs changed.
    StepsKept(Arc<KeptSteps>),
    /// The VAE has done `done` of `total` parts of its work.
    Decoded {
        /// Parts done.
        done: usize,
        /// Parts of the whole.
        total: usize,
        /// The frames that came of it, in order, each of packed RGB, 8 bits a channel: none where the VAE makes
        /// all at once, or where nobody wants to see estimates either.
        frames: Vec<Vec<u8>>,
    },
    /// How far the small model is from the large one at the next step of a probe.
    Divergence(Divergence),
    /// A plan of a sweep was rendered and measured.
    SweepRow(Box<SweepRow>),
    /// A pair's summary changed, for instance its measured times.
    Pair(Arc<PairSummary>),
}

/// How a run can end without a clip.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Somebody asked to stop.
    #[error("cancelled")]
    Cancelled,
    /// Somebody asked to rest after a step.
    #[error("paused")]
    Paused(Box<PausedRun>),
    /// A sentence with cause and next step.
    #[error("{0}")]
    Failed(String),
}

/// What the engine's thread runs: the real models, or a fake in tests.
pub trait Pipeline {
    /// Looks a pair up, without running it.
    fn describe(&mut self, pair: &PairRef) -> Result<PairSummary, String>;

    /// What is kept of earlier runs, as far as it is of use to the pairs that were looked up.
    fn kept_steps(&self) -> Option<Arc<KeptSteps>> {
        None
    }

    /// Goes by another setup from the next run on.
    fn configure(&mut self, setup: EngineSetup) {
        let _ = setup;
    }

    /// Runs that rest since an earlier start of the program, the oldest first.
    fn paused_runs(&self) -> Vec<PausedRun> {
        Vec::new()
    }

    /// Renders one clip, telling `progress` on the way and looking at `cancel` often.
    fn run(
        &mut self,
        request: &RunRequest,
        cancel: &Cancel,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<FinishedRun, RunError>;

    /// Measures how far the pair's models are from one another, telling `progress` on the way.
    fn probe(
        &mut self,
        _: &ProbeRequest,
        _: &Cancel,
        _: &mut dyn FnMut(Progress),
    ) -> Result<Probe, RunError> {
        Err(RunError::Failed(
            "there are no two models here to hold against one another".to_owned(),
        ))
    }

    /// Renders many plans and holds each against the large model alone, telling `progress` every row.
    fn sweep(
        &mut self,
        _: &SweepRequest,
        _: &Cancel,
        _: &mut dyn FnMut(Progress),
    ) -> Result<(), RunError> {
        Err(RunError::Failed(
            "there are no two models here to try plans with".to_owned(),
        ))
    }
}

/// Makes the pipeline on the engine's own thread, and a fresh one after a panic.
pub type PipelineFactory = Box<dyn Fn() -> Box<dyn Pipeline> + Send>;
