use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::CliError;
use super::distilled::DistilledOptions;
use super::option_values::{Boundaries, BoundaryAt, CacheOption, IntervalOption, parse_size};
use crate::analysis::Wish;
use crate::engine::{DeviceChoice, EngineOptions, PairPipeline, PairSummary, PipelineFactory};
use crate::project::{PairRef, Preferences, RunSettings};
use crate::sampler::OnlineRule;
use crate::schedule::{Guidance, History, Plan, Solver};

/// Number formats that can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum DtypeOption {
    F32,
    Bf16,
    F16,
}

/// Options every command takes.
#[derive(Debug, Args)]
pub(super) struct GlobalOptions {
    /// Where to compute: cpu, cuda, cuda:N or metal [default: best present].
    #[arg(long, global = true, value_name = "DEVICE")]
    device: Option<DeviceChoice>,
    /// Number format of weights and, on a GPU, of activations [default: f32 on a CPU, bf16 on a GPU]. A CPU computes in f32, but where
    /// f32 is not asked for, a transformer's products with large matrices are made in integers of 14 bits, which is faster and takes half the memory.
    #[arg(long, global = true)]
    dtype: Option<DtypeOption>,
    /// CPU threads [default: all cores].
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// One JSON object on stdout and nothing else there.
    #[arg(long, global = true)]
    pub(super) json: bool,
}

impl GlobalOptions {
    /// With device and threads as the window's settings have them, where the command line has none. Only for
    /// the window: a script shall not depend on what was clicked.
    pub(super) fn or_set_in(mut self, file: Option<PathBuf>) -> Self {
        // What cannot be read the window tells.
        let set = file
            .map(|file| Preferences::read(&file).0)
            .unwrap_or_default();
        self.device = self.device.or(Some(set.device));
        self.threads = self.threads.or(set.threads);
        self
    }

    /// Fixes the number of threads of every library, before the first of them looks.
    pub(super) fn apply_threads(&self) {
        if let Some(threads) = self.threads {
            crate::engine::set_threads(usize::from(threads));
        }
    }

    /// What makes the real pipeline on the engine's thread.
    pub(super) fn pipeline(&self) -> PipelineFactory {
        let options = self.engine();
        Box::new(move || Box::new(PairPipeline::new(options)))
    }

    /// The same for measurements: their steps are kept in memory alone, so that a person's own stay on disk, and none of an
    /// earlier measurement is taken for work of this one.
    pub(super) fn measuring_pipeline(&self) -> PipelineFactory {
        let options = self.engine();
        Box::new(move || Box::new(PairPipeline::new(options).with_steps_in_memory()))
    }

    /// How the engine is set up.
    pub(super) fn engine(&self) -> EngineOptions {
        EngineOptions {
            device: self.device.unwrap_or_default(),
            dtype: self.dtype.map(|dtype| match dtype {
                DtypeOption::F32 => candle_core::DType::F32,
                DtypeOption::Bf16 => candle_core::DType::BF16,
                DtypeOption::F16 => candle_core::DType::F16,
            }),
            memory_bytes: None,
        }
    }
}

/// The plan where none is given: FlowBlending's.
const DEFAULT_PLAN: &str = "LSL";

/// More steps than any run may have.
const MOST_STEPS: usize = 10_000;

/// Options of everything that runs or plans a denoise. What is left out, the pair decides.
#[derive(Debug, Args)]
pub(super) struct DenoiseOptions {
    /// A known pair; the bundled one is demo.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["large", "small"])]
    pair: Option<String>,
    /// Folder of the large model, in diffusers layout; it brings the VAE and the text encoder.
    #[arg(long, value_name = "DIR", requires = "small")]
    large: Option<PathBuf>,
    /// Folder of the small model, in diffusers layout.
    #[arg(long, value_name = "DIR", requires = "large")]
    small: Option<PathBuf>,
    #[command(flatten)]
    distilled: DistilledOptions,
    /// Stage letters, any number: L (large), S (small), D (distilled), or names split by commas.
    #[arg(long, default_value = DEFAULT_PLAN)]
    plan: String,
    /// Where each next stage starts, as fractions of the steps; `sigma:0.875` is the first step below
    /// that noise level. `auto` takes what is remembered, or else measures it in a few steps; `auto:sweep`
    /// tries plans and takes the best, see --at-least-ssim and --at-most-secs; `auto:online` decides in the run itself which model takes the next step, `auto:srdiffusion` so by SRDiffusion's
    /// rule.
    #[arg(long, value_name = "F,F|auto", allow_hyphen_values = true)]
    boundaries: Option<Boundaries>,
    /// Denoising steps.
    #[arg(long)]
    steps: Option<usize>,
    /// Flow shift of the sigma grid.
    #[arg(long, allow_negative_numbers = true)]
    shift: Option<f64>,
    /// How the velocity is integrated: euler, heun, unipc-1, unipc, unipc-3, dpm++2m, dpm++3m, euler-linspace,
    /// euler-stretched or euler-quadratic [default: the family's].
    #[arg(long)]
    solver: Option<Solver>,
    /// What unipc and dpm++ do with older estimates where the model changes: keep or reset [default: reset].
    #[arg(long)]
    history: Option<History>,
    /// Guidance scale: one value, or one a stage. Distilled stages have none unless a stage's own is given.
    #[arg(long, value_delimiter = ',', allow_negative_numbers = true)]
    cfg: Option<Vec<f64>>,
    /// Noise levels, the lower one first, between which there is guidance; elsewhere a step takes one pass. `auto` takes those
    /// between which it moves the velocity by a hundredth or more, which a first run measures.
    #[arg(long, value_name = "LO,HI|auto", allow_hyphen_values = true)]
    cfg_interval: Option<IntervalOption>,
    /// How far the guided velocity is scaled back to the deviation of the one without guidance, 0 to 1 [default: 0].
    #[arg(long, value_name = "F", allow_negative_numbers = true)]
    cfg_rescale: Option<f64>,
    /// Spares steps that would change little: teacache, magcache, easycache or first-block, with a threshold after a colon, or
    /// off [default: off].
    #[arg(long, value_name = "METHOD[:F]")]
    cache: Option<CacheOption>,
    /// What the clip should not show.
    #[arg(long)]
    negative: Option<String>,
    /// Seed of the initial noise [default: random, and printed].
    #[arg(long)]
    seed: Option<u64>,
    /// Width and height in pixels.
    #[arg(long, value_name = "WxH", value_parser = parse_size)]
    size: Option<(usize, usize)>,
    /// Frames of the clip.
    #[arg(long)]
    frames: Option<usize>,
    /// Frames a second.
    #[arg(long, allow_negative_numbers = true)]
    fps: Option<f64>,
}

/// The limit under which the best plan of a sweep is looked for; without one it is the knee.
#[derive(Debug, Args)]
pub(super) struct LimitOptions {
    /// The fastest plan whose clips reach this SSIM to the large model's own.
    #[arg(long, value_name = "F", conflicts_with = "at_most_secs")]
    at_least_ssim: Option<f64>,
    /// The plan most like the large model's own that takes at most so many predicted seconds.
    #[arg(long, value_name = "F")]
    at_most_secs: Option<f64>,
}

impl LimitOptions {
    /// Whether one is given.
    pub(super) fn is_given(&self) -> bool {
        self.at_least_ssim.is_some() || self.at_most_secs.is_some()
    }

    /// What is asked of the best plan.
    pub(super) fn wish(&self) -> Wish {
        match (self.at_least_ssim, self.at_most_secs) {
            (Some(ssim), _) => Wish::AtLeast(ssim),
            (None, Some(secs)) => Wish::AtMostSecs(secs),
            (None, None) => Wish::Knee,
        }
    }
}

impl DenoiseOptions {
    /// The pair asked for.
    pub(super) fn pair(&self) -> PairRef {
        match (&self.large, &self.small) {
            (Some(large), Some(small)) => PairRef::Folders {
                large: large.clone(),
                small: small.clone(),
                distilled: self.distilled.model().cloned(),
            },
            _ => self
                .pair
                .clone()
                .map_or_else(PairRef::default, PairRef::Named),
        }
    }

    /// Width and height of the clip, and its frames, where they were given.
    pub(super) fn clip(&self) -> (Option<(usize, usize)>, Option<usize>) {
        (self.size, self.frames)
    }

    /// What can be refused before any file is opened.
    pub(super) fn check(&self) -> Result<(), CliError> {
        let stages = Plan::count_stages(&self.plan).map_err(usage)?;
        if let Some(Boundaries::At(boundaries)) = &self.boundaries {
            // Where a noise level lies is known once the pair's steps and shift are.
            let fraction = |at: &BoundaryAt| match at {
                BoundaryAt::Fraction(fraction) => Some(*fraction),
                BoundaryAt::Sigma(_) => None,
            };
            let fractions: Option<Vec<_>> = boundaries.iter().map(fraction).collect();
            if let Some(fractions) = fractions {
                Plan::parse(&self.plan, &fractions).map_err(usage)?;
            }
        }
        let is_found = matches!(
            self.boundaries,
            Some(Boundaries::Auto | Boundaries::Sweep | Boundaries::Online(_))
        );
        let has_stages =
            self.plan != DEFAULT_PLAN || self.cfg.as_ref().is_some_and(|c| c.len() > 1);
        if is_found && has_stages {
            return Err(usage(
                "--boundaries auto finds the stages too; leave --plan out and give one --cfg",
            ));
        }
        self.distilled.sigmas()?;
        if let Some(cfgs) = &self.cfg
            && cfgs.len() != 1
            && cfgs.len() != stages
        {
            return Err(usage(crate::schedule::PlanError::CfgCount {
                given: cfgs.len(),
                stages,
            }));
        }
        Ok(())
    }

    /// The settings of the run: these options over the pair's own.
    pub(super) fn settings(
        &self,
        pair: &PairSummary,
        prompt: &str,
    ) -> Result<RunSettings, CliError> {
        let defaults = &pair.defaults;
        let cfgs = self.cfg.clone().unwrap_or_else(|| vec![defaults.cfg]);
        let given = match &self.boundaries {
            Some(Boundaries::At(given)) => Some(given.as_slice()),
            // Those that are found come later, in the place of the pair's own.
            Some(Boundaries::Auto | Boundaries::Sweep | Boundaries::Online(_)) | None => None,
        };
        let plan = self
            .plan_of(pair, &self.plan, given)?
            .with_stage_cfgs(&cfgs)
            .map_err(usage)?;
        let (width, height) = self.size.unwrap_or((defaults.width, defaults.height));
        let settings = RunSettings {
            pair: self.pair(),
            prompt: prompt.to_owned(),
            negative: self
                .negative
                .clone()
                .unwrap_or_else(|| defaults.negative.clone()),
            seed: self.seed.unwrap_or_else(random_seed),
            plan,
            steps: self.steps.unwrap_or(defaults.steps),
            shift: self.shift(pair),
            solver: self.solver.unwrap_or(defaults.solver),
            history: self.history.unwrap_or_default(),
            distilled_sigmas: self
                .distilled
                .sigmas()?
                .or_else(|| defaults.distilled_sigmas.clone()),
            cfg: cfgs.first().copied().unwrap_or(defaults.cfg),
            guidance: Guidance {
                interval: match self.cfg_interval {
                    Some(IntervalOption::Between(levels)) => Some(levels),
                    Some(IntervalOption::Auto) | None => None,
                },
                rescale: self.cfg_rescale.unwrap_or_default(),
            },
            cache: self.cache.and_then(|cache| cache.0),
            width,
            height,
            frames: self.frames.unwrap_or(defaults.frames),
            fps: self.fps.unwrap_or(defaults.fps),
        };
        settings.check().map_err(usage)?;
        pair.rules
            .check_size(settings.size())
            .map_err(CliError::Usage)?;
        pair.check_models(&settings).map_err(CliError::Failed)?;
        Ok(settings)
    }

    /// Stages by their letters, with boundaries for the run that these options describe; those left out
    /// are the pair's own.
    pub(super) fn plan_of(
        &self,
        pair: &PairSummary,
        letters: &str,
        boundaries: Option<&[BoundaryAt]>,
    ) -> Result<Plan, CliError> {
        let defaults = &pair.defaults;
        let boundaries = match boundaries {
            Some(given) => {
                // An absurd number of steps is refused elsewhere; until then it must not be believed.
                let steps = self.steps.unwrap_or(defaults.steps).min(MOST_STEPS);
                let solver = self.solver.unwrap_or(defaults.solver);
                let grid = solver.grid(steps, self.shift(pair));
                given.iter().map(|at| at.fraction(&grid)).collect()
            }
            None => {
                let stages = Plan::count_stages(letters).map_err(usage)?;
                default_boundaries(stages, &defaults.plan)
            }
        };
        Plan::parse(letters, &boundaries).map_err(usage)
    }

    /// The shift that was given, else the models' own at the clip's size.
    fn shift(&self, pair: &PairSummary) -> f64 {
        let defaults = &pair.defaults;
        let (width, height) = self.size.unwrap_or((defaults.width, defaults.height));
        let size = (width, height, self.frames.unwrap_or(defaults.frames));
        self.shift.unwrap_or_else(|| pair.own_shift(size))
    }

    /// Whether guidance is left out where it does not show.
    pub(super) fn spares_guidance(&self) -> bool {
        self.cfg_interval == Some(IntervalOption::Auto)
    }

    /// Guidance scales that were given.
    pub(super) fn cfgs(&self) -> usize {
        self.cfg.as_ref().map_or(0, Vec::len)
    }

    /// Whether the boundaries are to be found.
    pub(super) fn finds_boundaries(&self) -> bool {
        self.boundaries == Some(Boundaries::Auto)
    }

    /// Whether the plan is to be the best of a sweep.
    pub(super) fn sweeps(&self) -> bool {
        self.boundaries == Some(Boundaries::Sweep)
    }

    /// The rule that decides on the plan in the course of the run, if it is to be decided there.
    pub(super) fn online(&self) -> Option<OnlineRule> {
        match self.boundaries {
            Some(Boundaries::Online(rule)) => Some(rule),
            _ => None,
        }
    }

    /// Refuses a plan that is only found by computing, for commands that want it as given.
    pub(super) fn check_boundaries_given(&self) -> Result<(), CliError> {
        match self.boundaries {
            Some(Boundaries::Auto | Boundaries::Sweep | Boundaries::Online(_)) => Err(usage(
                "boundaries are found by `flowblend generate` only; give them as fractions here, for \
                 example 0.4,0.8",
            )),
            _ => Ok(()),
        }
    }

    /// Whether the seed was left to chance.
    pub(super) fn seed_is_random(&self) -> bool {
        self.seed.is_none()
    }
}

fn usage(why: impl std::fmt::Display) -> CliError {
    CliError::Usage(why.to_string())
}

/// The pair's boundaries where the plan has as many; else stages of equal length.
fn default_boundaries(stages: usize, defaults: &Plan) -> Vec<f64> {
    if stages == defaults.stages().len() {
        defaults.boundaries().to_vec()
    } else {
        (1..stages).map(|i| i as f64 / stages as f64).collect()
    }
}

/// A seed short enough to read aloud.
fn random_seed() -> u64 {
    use std::hash::{BuildHasher as _, RandomState};
    // The standard library keys each RandomState with the system's randomness.
    RandomState::new().hash_one("seed") % 1_000_000_000
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project::write_bytes_atomic;

    #[test]
    fn what_the_window_has_set_counts_where_the_command_line_says_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("settings.json");
        let set = br#"{"device": "cpu", "threads": 3}"#;
        write_bytes_atomic(&file, true, set).unwrap();
        let given = |device, threads| {
            let global = GlobalOptions {
                device,
                dtype: None,
                threads,
                json: false,
            };
            let global = global.or_set_in(Some(file.clone()));
            (global.engine().device, global.threads)
        };
        assert_eq!(given(None, None), (DeviceChoice::Cpu, Some(3)));
        let cuda = DeviceChoice::Cuda(1);
        assert_eq!(given(Some(cuda), Some(2)), (cuda, Some(2)));
    }
}
