use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use clap::{Args, Parser};
use flowblend::models::PairSpec;
use flowblend::project::{PairRef, RunSettings};
use flowblend::schedule::{Guidance, History, Plan, Solver};

use crate::ways::Combination;

/// The folder of the bundled pair in the sources.
const BUNDLED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/models/demo");

/// Measures a pair of the demo's world on prompts that ask for combinations no training clip shows: what
/// the clips of each plan show, how like those of the large model alone they are, and what they cost.
///
/// Computes on the CPU in float32. Tables go to stdout, progress to stderr. Ends with 1 where a bar fails.
#[derive(Debug, Parser)]
#[command(name = "evaluate-demo")]
pub struct Options {
    /// A folder with a pair.json [default: the bundled pair].
    #[arg(long, value_name = "DIR")]
    pair: Option<PathBuf>,
    /// This many prompts [default: all].
    #[arg(long, value_name = "N")]
    pub prompts: Option<usize>,
    /// Leave out the first N prompts.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub skip: usize,
    /// Prompts that the grid of boundaries is run on; 0 leaves it out.
    #[arg(long, value_name = "N", default_value_t = 48)]
    pub grid: usize,
    /// The grid's shares of the steps that the large model takes first.
    #[arg(
        long,
        value_name = "F,F",
        value_delimiter = ',',
        default_value = "0.1,0.2,0.3,0.4,0.5,0.6,0.7"
    )]
    early: Vec<f64>,
    /// The grid's shares that it takes last.
    #[arg(
        long,
        value_name = "F,F",
        value_delimiter = ',',
        default_value = "0,0.1,0.2,0.3,0.4"
    )]
    late: Vec<f64>,
    /// Prompts on which the two models' velocities are compared; 0 leaves it out.
    #[arg(long, value_name = "N", default_value_t = 48)]
    pub probe: usize,
    /// Timed runs of each of LLL, LSL and SSS, after one to warm up; 0 leaves them out.
    #[arg(long, value_name = "N", default_value_t = 7)]
    pub runs: usize,
    /// Instead of all that, hold plans that are found by themselves against the best of an exhaustive search over
    /// --early and --late, on the first N prompts.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub auto: Option<u16>,
    /// Instead of all that, hold what comes on top of blending, such as few-step solvers, distilled stages and caches, against LLL and LSL,
    /// on the first N prompts.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..), conflicts_with = "auto")]
    pub economy: Option<u16>,
    /// Of those ways LLL, LSL and what is put together alone.
    #[arg(long, requires = "economy")]
    pub together: bool,
    /// In place of what is put together there, this: options of `flowblend generate`, such as
    /// "--plan LDL --solver unipc --steps 16 --cfg-interval 0.3,1". May be given more than once.
    #[arg(
        long,
        value_name = "OPTIONS",
        requires = "economy",
        allow_hyphen_values = true
    )]
    pub way: Vec<Combination>,
    /// Threads that render prompts side by side, the cores shared out among them [default: one a core].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    workers: Option<u16>,
    /// Leave out what the reader tells: attributes and embedding distances.
    #[arg(long)]
    pub no_reader: bool,
    /// Write every figure of every prompt here, as JSON.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write contact sheets into this folder: a PNG a prompt, rows LLL, LSL and SSS, every third frame.
    #[arg(long, value_name = "DIR")]
    pub clips: Option<PathBuf>,
    /// Prompts that sheets are made of.
    #[arg(long, value_name = "N", default_value_t = 12)]
    pub sheets: usize,
    /// Replace files that exist.
    #[arg(long)]
    pub overwrite: bool,
    #[command(flatten)]
    over: Over,
    /// Width and height in pixels [default: the pair's].
    #[arg(long, value_name = "WxH", value_parser = size)]
    size: Option<(usize, usize)>,
    /// Frames of the clips [default: the pair's].
    #[arg(long)]
    frames: Option<usize>,
}

/// What is laid over the pair's own settings, in the words of `flowblend generate`.
#[derive(Clone, Debug, Args)]
pub struct Over {
    /// Denoising steps [default: the pair's].
    #[arg(long)]
    steps: Option<usize>,
    /// Flow shift of the sigma grid [default: the pair's].
    #[arg(long)]
    shift: Option<f64>,
    /// How the velocity is integrated [default: euler].
    #[arg(long)]
    solver: Option<Solver>,
    /// What becomes of older estimates where the model changes: keep or reset [default: reset].
    #[arg(long)]
    history: Option<History>,
    /// Guidance scale [default: the pair's].
    #[arg(long)]
    cfg: Option<f64>,
    /// Where the second and the third stage start, as fractions of the steps [default: the pair's].
    #[arg(long, value_name = "F,F", value_delimiter = ',')]
    boundaries: Option<Vec<f64>>,
}

impl Over {
    /// These options over `own`, the stages those of `letters`.
    pub fn lay(&self, own: &RunSettings, letters: &str) -> Result<RunSettings> {
        let boundaries = self.boundaries.as_deref();
        let settings = RunSettings {
            plan: Plan::parse(letters, boundaries.unwrap_or(own.plan.boundaries()))?,
            steps: self.steps.unwrap_or(own.steps),
            shift: self.shift.unwrap_or(own.shift),
            solver: self.solver.unwrap_or(own.solver),
            history: self.history.unwrap_or(own.history),
            cfg: self.cfg.unwrap_or(own.cfg),
            ..own.clone()
        };
        settings.check()?;
        Ok(settings)
    }
}

fn size(text: &str) -> Result<(usize, usize), String> {
    let numbers = text
        .split_once('x')
        .and_then(|(width, height)| Some((width.parse().ok()?, height.parse().ok()?)));
    numbers.ok_or_else(|| format!("'{text}' is not a size; write for example 96x96"))
}

/// A point of the grid: LSL with its boundaries.
#[derive(Clone, Debug)]
pub struct Cell {
    /// Share of the steps that the large model takes first.
    pub early: f64,
    /// Share that it takes last.
    pub late: f64,
    /// The plan.
    pub plan: Plan,
}

/// The plans that are compared, LLL first.
pub const PLANS: [&str; 5] = ["LLL", "SSS", "LSS", "SLL", "LSL"];
/// The large model alone, in [`PLANS`].
pub const LLL: usize = 0;
/// The small model alone.
pub const SSS: usize = 1;
/// Large until the first boundary.
pub const LSS: usize = 2;
/// Small until the first boundary.
pub const SLL: usize = 3;
/// Small between the boundaries.
pub const LSL: usize = 4;

/// What is measured.
#[derive(Debug)]
pub struct Setup {
    /// The pair.
    pub spec: PairSpec,
    /// The settings of all runs, but for plan, prompt and seed.
    pub settings: RunSettings,
    /// [`PLANS`] at the boundaries.
    pub plans: Vec<Plan>,
    /// The grid.
    pub cells: Vec<Cell>,
    /// Threads that render prompts side by side, and the compute threads of each.
    pub threads: (usize, usize),
}

impl Options {
    /// Reads the pair and lays these options over its own settings.
    pub fn setup(&self) -> Result<Setup> {
        let folder = self.pair.as_deref().unwrap_or(Path::new(BUNDLED));
        let spec = PairSpec::read(folder)?;
        let own = &spec.defaults;
        let boundaries = self.over.boundaries.as_ref().unwrap_or(&own.boundaries);
        let plans = PLANS
            .iter()
            .map(|letters| Plan::parse(letters, boundaries))
            .collect::<Result<Vec<_>, _>>()
            .context(
                "LSL and the plans it is compared with have two boundaries; give --boundaries F,F",
            )?;
        let (width, height) = self.size.unwrap_or((own.width, own.height));
        let own = RunSettings {
            pair: PairRef::Folders {
                large: spec.large.clone(),
                small: spec.small.clone(),
                distilled: spec.distilled.clone(),
            },
            prompt: own.prompt.clone(),
            negative: own.negative.clone(),
            seed: own.seed,
            plan: plans[LSL].clone(),
            steps: own.steps,
            shift: own.shift,
            solver: Solver::default(),
            history: History::default(),
            distilled_sigmas: own.distilled_sigmas.clone(),
            cfg: own.cfg,
            guidance: Guidance::default(),
            cache: None,
            width,
            height,
            frames: self.frames.unwrap_or(own.frames),
            fps: own.fps,
        };
        let settings = self.over.lay(&own, PLANS[LSL])?;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let workers = self.workers.map_or(cores, usize::from);
        Ok(Setup {
            spec,
            settings,
            plans,
            cells: if self.grid > 0 || self.auto.is_some() {
                self.cells()?
            } else {
                Vec::new()
            },
            threads: (workers, (cores / workers).max(1)),
        })
    }

    fn cells(&self) -> Result<Vec<Cell>> {
        let mut cells = Vec::new();
        for &early in &self.early {
            for &late in &self.late {
                // Decimal shares do not add up to exactly 1.
                if early + late > 1.0 + 1e-9 {
                    continue;
                }
                let plan = Plan::parse("LSL", &[early, (1.0 - late).max(early)])?;
                cells.push(Cell { early, late, plan });
            }
        }
        if cells.is_empty() {
            bail!(
                "no --early and --late leave room for a step; give shares that add up to 1 at most"
            );
        }
        Ok(cells)
    }

    /// The folder of prompts.json and of the reader.
    pub fn folder() -> PathBuf {
        Path::new(BUNDLED).join("evaluate")
    }
}
