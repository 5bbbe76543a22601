use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::schedule::{Plan, SigmaGrid, Solver, StepPlan};

/// Which two models a run uses.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PairRef {
    /// A pair the program knows by name; `demo` is the bundled one.
    Named(String),
    /// Two model folders in diffusers layout; VAE and text encoder come from the large one.
    Folders {
        /// The large model's folder.
        large: PathBuf,
        /// The small model's folder.
        small: PathBuf,
    },
}

impl Default for PairRef {
    fn default() -> Self {
        Self::Named("demo".to_owned())
    }
}

/// Everything that decides what a run produces: the same settings give the same bytes on the same
/// device with the same number of threads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunSettings {
    /// The two models.
    pub pair: PairRef,
    /// What the clip should show.
    pub prompt: String,
    /// What it should not show: the text of the unconditional pass.
    #[serde(default)]
    pub negative: String,
    /// Seed of the initial noise.
    pub seed: u64,
    /// Which model denoises which part of the steps.
    pub plan: Plan,
    /// Number of denoising steps.
    pub steps: usize,
    /// Flow shift of the sigma grid.
    pub shift: f64,
    /// How the velocity is integrated.
    pub solver: Solver,
    /// Guidance scale of every stage that has none of its own; 1 switches guidance off.
    pub cfg: f64,
    /// Width of the clip in pixels.
    pub width: usize,
    /// Height of the clip in pixels.
    pub height: usize,
    /// Number of frames.
    pub frames: usize,
    /// Frames a second at playback.
    pub fps: f64,
}

impl RunSettings {
    /// The noise levels of the run.
    pub fn grid(&self) -> SigmaGrid {
        self.solver.grid(self.steps, self.shift)
    }

    /// The model and guidance of every step.
    pub fn step_plans(&self) -> Vec<StepPlan> {
        self.plan.steps(self.steps, self.cfg)
    }
}
