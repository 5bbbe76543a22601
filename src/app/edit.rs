use crate::project::{Preset, RunSettings};
use crate::schedule::{CacheRule, DistilledGrid, Guidance, History, Plan, Solver};

/// One edit of the document. Widgets return these; only [`Document`] carries them out.
#[derive(Clone, Debug, PartialEq)]
pub enum DocCommand {
    /// What the clip should show.
    Prompt(String),
    /// What it should not show.
    Negative(String),
    /// Width and height in pixels.
    Size(usize, usize),
    /// Number of frames.
    Frames(usize),
    /// Frames a second at playback.
    Fps(f64),
    /// Number of denoising steps.
    Steps(usize),
    /// Flow shift.
    Shift(f64),
    /// How the velocity is integrated.
    Solver(Solver),
    /// What a multistep solver does with older estimates where the model changes.
    History(History),
    /// The run's guidance scale.
    Cfg(f64),
    /// How steps are spared.
    Cache(Option<CacheRule>),
    /// Where guidance counts, and how it is held back.
    Guidance(Guidance),
    /// Seed of the initial noise.
    Seed(u64),
    /// Prompt and seed together, as a preset of the pair has them.
    Preset(Preset),
    /// Boundary `index` of the plan to a fraction of the steps.
    Boundary {
        /// Which boundary, from 0.
        index: usize,
        /// Where to, 0..=1; the plan keeps it between its neighbours.
        fraction: f64,
    },
    /// Another plan, for instance one of the usual ones.
    Plan(Plan),
    /// The noise levels of distilled stages.
    Distilled(DistilledGrid),
    /// Another pair of models, with the settings that suit it.
    Pair(Box<RunSettings>),
    /// Everything, as a finished run had it.
    Restore(Box<RunSettings>),
}

/// What an edit touches: edits of the same target in quick succession are one undo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Prompt,
    Negative,
    Size,
    Frames,
    Fps,
    Steps,
    Shift,
    Solver,
    History,
    Cfg,
    Cache,
    Guidance,
    Seed,
    Preset,
    Boundary(usize),
    Plan,
    Distilled,
    Pair,
    All,
}

impl DocCommand {
    pub(super) fn target(&self) -> Target {
        match self {
            Self::Prompt(_) => Target::Prompt,
            Self::Negative(_) => Target::Negative,
            Self::Size(..) => Target::Size,
            Self::Frames(_) => Target::Frames,
            Self::Fps(_) => Target::Fps,
            Self::Steps(_) => Target::Steps,
            Self::Shift(_) => Target::Shift,
            Self::Solver(_) => Target::Solver,
            Self::History(_) => Target::History,
            Self::Cfg(_) => Target::Cfg,
            Self::Cache(_) => Target::Cache,
            Self::Guidance(_) => Target::Guidance,
            Self::Seed(_) => Target::Seed,
            Self::Preset(_) => Target::Preset,
            Self::Boundary { index, .. } => Target::Boundary(*index),
            Self::Plan(_) => Target::Plan,
            Self::Distilled(_) => Target::Distilled,
            Self::Pair(_) => Target::Pair,
            Self::Restore(_) => Target::All,
        }
    }

    pub(super) fn carry_out(self, settings: &mut RunSettings) {
        match self {
            Self::Prompt(text) => settings.prompt = text,
            Self::Negative(text) => settings.negative = text,
            Self::Size(width, height) => (settings.width, settings.height) = (width, height),
            Self::Frames(frames) => settings.frames = frames,
            Self::Fps(fps) => settings.fps = fps,
            Self::Steps(steps) => settings.steps = steps,
            Self::Shift(shift) => settings.shift = shift,
            Self::Solver(solver) => settings.solver = solver,
            Self::History(history) => settings.history = history,
            Self::Cfg(cfg) => settings.cfg = cfg,
            Self::Cache(cache) => settings.cache = cache,
            Self::Guidance(guidance) => settings.guidance = guidance,
            Self::Seed(seed) => settings.seed = seed,
            Self::Preset(preset) => {
                (settings.prompt, settings.seed) = (preset.prompt, preset.seed);
            }
            Self::Boundary { index, fraction } => {
                settings.plan = settings.plan.with_boundary(index, fraction);
            }
            Self::Plan(plan) => settings.plan = plan,
            Self::Distilled(grid) => settings.distilled_sigmas = Some(grid),
            Self::Pair(all) | Self::Restore(all) => *settings = *all,
        }
    }
}

impl Target {
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Prompt => "prompt",
            Self::Negative => "negative prompt",
            Self::Size => "size",
            Self::Frames => "frame count",
            Self::Fps => "frame rate",
            Self::Steps => "step count",
            Self::Shift => "shift",
            Self::Solver => "solver",
            Self::History => "solver's history",
            Self::Cfg => "guidance",
            Self::Cache => "cache",
            Self::Guidance => "guidance interval and rescale",
            Self::Seed => "seed",
            Self::Preset => "preset",
            Self::Boundary(_) => "boundary",
            Self::Plan => "plan",
            Self::Distilled => "distilled steps",
            Self::Pair => "model pair",
            Self::All => "restored run",
        }
    }
}
