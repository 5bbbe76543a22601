use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::schedule::{
    CacheRule, CacheRuleError, Course, DistilledGrid, Guidance, GuidanceError, History, ModelRole,
    Plan, SigmaGrid, Solver, Span, StepPlan,
};

/// Which models a run uses.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PairRef {
    /// A pair the program knows by name; `demo` is the bundled one.
    Named(String),
    /// Model folders in diffusers layout; VAE and text encoder come from the large one.
    Folders {
        /// The large model's folder.
        large: PathBuf,
        /// The small model's folder.
        small: PathBuf,
        /// The distilled model's folder, where there is one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        distilled: Option<PathBuf>,
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
    /// The models.
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
    /// Number of denoising steps, but for distilled stages, which take those of their own grid.
    pub steps: usize,
    /// Flow shift of the sigma grid.
    pub shift: f64,
    /// How the velocity is integrated.
    pub solver: Solver,
    /// What a multistep solver does with older estimates where the model changes.
    #[serde(default)]
    pub history: History,
    /// Noise levels that distilled stages step through; `None` where the pair has no distilled model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub distilled_sigmas: Option<DistilledGrid>,
    /// Guidance scale of every stage that has none of its own, but for distilled ones; 1 switches guidance off.
    pub cfg: f64,
    /// Where guidance counts, and how it is held back.
    #[serde(default, skip_serializing_if = "Guidance::is_plain")]
    pub guidance: Guidance,
    /// How steps are spared by what earlier ones found; `None` computes each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<CacheRule>,
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
    /// `(width, height, frames)`.
    pub fn size(&self) -> (usize, usize, usize) {
        (self.width, self.height, self.frames)
    }

    /// Whether two runs are the same but for their plans, guidance, cache and distilled stages' levels included: as long as
    /// their steps do the same, both take the same way.
    pub fn differs_only_in_plan(&self, other: &Self) -> bool {
        let Self {
            pair,
            prompt,
            negative,
            seed,
            plan: _,
            steps,
            shift,
            solver,
            history,
            distilled_sigmas: _,
            cfg: _,
            guidance: _,
            cache: _,
            width,
            height,
            frames,
            fps,
        } = self;
        (*seed, *steps, *width, *height, *frames)
            == (
                other.seed,
                other.steps,
                other.width,
                other.height,
                other.frames,
            )
            && (*shift, *fps, *solver, *history)
                == (other.shift, other.fps, other.solver, other.history)
            && *pair == other.pair
            && *prompt == other.prompt
            && *negative == other.negative
    }

    /// The solver's own noise levels, on whose steps the boundaries lie. Distilled stages go through others, see
    /// [`course`](Self::course).
    pub fn grid(&self) -> SigmaGrid {
        self.solver.grid(self.steps, self.shift)
    }

    /// The model and guidance of every step that the run takes.
    pub fn step_plans(&self) -> Vec<StepPlan> {
        self.course().steps
    }

    /// Steps that the run takes: as many as `steps`, unless it has a distilled stage.
    pub fn steps_taken(&self) -> usize {
        self.course().steps.len()
    }

    /// What the run is held against: the large model throughout, every step computed.
    pub fn reference(&self) -> Self {
        Self {
            plan: self.plan.all(ModelRole::Large),
            cache: None,
            ..self.clone()
        }
    }

    /// The same run along another plan.
    pub fn with_plan(&self, plan: Plan) -> Self {
        Self {
            plan,
            ..self.clone()
        }
    }

    /// What the run's way depends on beside its noise, models and text.
    pub fn course(&self) -> Course {
        let own = self.grid();
        let distilled = self.distilled_sigmas.as_ref();
        let (grid, mut steps) = self.plan.along(&own, self.cfg, distilled);
        for (i, step) in steps.iter_mut().enumerate() {
            if let Span::Own(at) = step.span {
                step.evaluations = self.solver.evaluations(self.steps, at);
            }
            step.cfg = self.guidance.cfg_at(step.cfg, grid.sigma(i));
            step.rescale = self.guidance.rescale;
        }
        if let Some(cache) = self.cache {
            cache.mark(&mut steps, self.steps);
        }
        Course {
            grid,
            steps,
            own_steps: self.steps,
            solver: self.solver,
            history: self.history,
        }
    }
}

/// Why settings cannot be run, whatever the models. Each is a whole sentence for the user.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SettingsError {
    /// No step, or so many that it must be a slip.
    #[error("{0} steps cannot be run; give 1 to 1000, for example 30")]
    Steps(usize),
    /// A shift that leaves no grid.
    #[error("a shift of {0} leaves no sigma grid; give a number above 0, up to 100")]
    Shift(f64),
    /// Guidance that is no number.
    #[error("a CFG of {0} cannot be used; give a number from 0 to 100, 1 switches guidance off")]
    Cfg(f64),
    /// A frame rate no player has.
    #[error("{0} frames a second cannot be played; give a number from 1 to 240")]
    Fps(f64),
    /// An interval or a rescale of guidance that is none.
    #[error(transparent)]
    Guidance(#[from] GuidanceError),
    /// A threshold that is none.
    #[error(transparent)]
    Cache(#[from] CacheRuleError),
    /// A solver whose steps no cache can spare.
    #[error(
        "heun evaluates the model at two states a step, which no cache can spare; choose another solver or leave the cache out"
    )]
    CachedHeun,
}

impl RunSettings {
    /// Refuses what no family of models can run.
    pub fn check(&self) -> Result<(), SettingsError> {
        if !(1..=1000).contains(&self.steps) {
            return Err(SettingsError::Steps(self.steps));
        }
        if !(self.shift > 0.0 && self.shift <= 100.0) {
            return Err(SettingsError::Shift(self.shift));
        }
        let stage_cfgs = self.plan.stages().iter().filter_map(|stage| stage.cfg);
        if let Some(bad) = stage_cfgs
            .chain([self.cfg])
            .find(|cfg| !(0.0..=100.0).contains(cfg))
        {
            return Err(SettingsError::Cfg(bad));
        }
        if !(1.0..=240.0).contains(&self.fps) {
            return Err(SettingsError::Fps(self.fps));
        }
        self.guidance.check()?;
        if let Some(cache) = self.cache {
            cache.check()?;
            if self.solver == Solver::Heun {
                return Err(SettingsError::CachedHeun);
            }
        }
        Ok(())
    }
}
