//! The headless program: subcommands over the same engine the window uses.

mod auto;
mod bench;
mod bench_model;
mod bench_parts;
mod bench_plans;
mod clips;
mod compare;
mod compare_report;
mod distilled;
mod export;
mod features;
mod frechet;
mod generate;
mod models;
mod models_check;
mod models_pull;
mod option_values;
mod options;
mod plan;
mod probe;
mod progress;
mod session;
mod sweep;
mod table;

use std::fmt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::{Parser, Subcommand};

use crate::engine::PipelineFactory;
use crate::project::paths;
pub use bench::Figure;
use options::{DenoiseOptions, GlobalOptions};

/// Text-to-video with a large and a small diffusion model, blended by stage.
///
/// Without a command the window opens.
#[derive(Debug, Parser)]
#[command(name = "flowblend", version)]
pub struct Cli {
    /// A project, or a clip that flowblend wrote: the window opens with its settings.
    file: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    global: GlobalOptions,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Denoise, decode, write the clip.
    Generate(generate::GenerateOptions),
    /// Write a finished clip again, as another format, size or rate. Its recipe goes along.
    Export(export::ExportOptions),
    /// What a run would cost: the model of each step, sigmas, FLOPs, predicted seconds and memory. Runs
    /// nothing.
    Plan(DenoiseOptions),
    /// How far the small model is from the large one, step by step, and the boundaries that follow.
    Probe(probe::ProbeOptions),
    /// Many plans, one table: how like the large model alone each is, and what it costs. The same command
    /// goes on where it was stopped.
    Sweep(Box<sweep::SweepOptions>),
    /// How alike clips are to a reference, frame by frame: PSNR, SSIM, flicker, sharpness, and what DINOv2
    /// and CLIP see where their weights are given.
    Compare(compare::CompareOptions),
    /// Pairs known here: what each needs and whether it is whole; add one, or download one.
    Models(models::ModelsOptions),
    /// Speed of the parts, one line each.
    Bench(bench::BenchOptions),
}

/// Why a command ended without doing its work.
#[derive(Debug)]
enum CliError {
    /// Wrong usage: exit code 2.
    Usage(String),
    /// Failed on the way: exit code 1.
    Failed(String),
    /// Stopped by Ctrl+C: exit code 130, as shells expect.
    Interrupted,
    /// Stopped by Ctrl+C where the next try goes on, with the word for what is kept: exit code 130 as well.
    Paused(&'static str),
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(why) | Self::Failed(why) => f.write_str(why),
            Self::Interrupted => f.write_str("stopped; nothing was written"),
            Self::Paused(done) => write!(
                f,
                "stopped; what was {done} is kept, and the same command goes on from there"
            ),
        }
    }
}

/// The window, as the command line may open it without knowing it.
pub struct Door {
    /// Opens the window, for when there is no command, with a file where one was given.
    pub open: fn(PipelineFactory, Option<PathBuf>) -> anyhow::Result<()>,
    /// Opens it, renders a number of clips, closes it and tells what was measured.
    pub bench: fn(PipelineFactory, Instant, usize) -> anyhow::Result<Vec<Figure>>,
}

/// Opens the window, with a file where one is given.
fn open(window: &Door, global: &GlobalOptions, file: Option<PathBuf>) -> Result<(), CliError> {
    if let Some(file) = file.as_ref().filter(|file| !file.exists()) {
        return Err(CliError::Usage(format!(
            "{} is neither a command nor a file; flowblend --help lists the commands",
            file.display()
        )));
    }
    (window.open)(global.pipeline(), file).map_err(|why| CliError::Failed(format!("{why:#}")))
}

/// Runs the command line. `started` is when the program began.
pub fn main(started: Instant, window: &Door) -> ExitCode {
    crate::engine::share_memory();
    let cli = Cli::parse();
    let global = match cli.command {
        Some(_) => cli.global,
        None => cli.global.or_set_in(paths::settings_file()),
    };
    global.apply_threads();
    let result = match &cli.command {
        None => open(window, &global, cli.file),
        Some(_) if cli.file.is_some() => Err(CliError::Usage(
            "a file opens in the window and goes with no command; leave one of the two out"
                .to_owned(),
        )),
        Some(Command::Generate(options)) => generate::generate(options, &global),
        Some(Command::Export(options)) => export::export(options, &global),
        Some(Command::Plan(options)) => plan::plan(options, &global),
        Some(Command::Probe(options)) => probe::probe(options, &global),
        Some(Command::Sweep(options)) => sweep::sweep(options, &global),
        Some(Command::Compare(options)) => compare::compare(options, &global),
        Some(Command::Models(options)) => models::models(options, &global),
        Some(Command::Bench(options)) => bench::bench(options, &global, started, window),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("flowblend: {why}");
            ExitCode::from(match why {
                CliError::Usage(_) => 2,
                CliError::Failed(_) => 1,
                CliError::Interrupted | CliError::Paused(_) => 130,
            })
        }
    }
}
