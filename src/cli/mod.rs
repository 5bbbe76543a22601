//! The headless program: subcommands over the same engine the window uses.

mod bench;
mod generate;
mod options;
mod plan;
mod progress;
mod session;

use std::fmt;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use options::{DenoiseOptions, GlobalOptions};

/// Text-to-video with a large and a small diffusion model, blended by stage.
///
/// Without a command the window opens.
#[derive(Debug, Parser)]
#[command(name = "flowblend", version)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    global: GlobalOptions,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Denoise, decode, write the clip.
    Generate(generate::GenerateOptions),
    /// What a run would cost: the model of each step, sigmas, FLOPs, predicted seconds and memory. Runs
    /// nothing.
    Plan(DenoiseOptions),
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
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(why) | Self::Failed(why) => f.write_str(why),
            Self::Interrupted => f.write_str("stopped; nothing was written"),
        }
    }
}

/// Runs the command line. `window` opens the window, for when there is no command.
pub fn main(window: impl FnOnce(crate::engine::PipelineFactory) -> anyhow::Result<()>) -> ExitCode {
    let cli = Cli::parse();
    cli.global.apply_threads();
    let result = match &cli.command {
        None => window(cli.global.pipeline()).map_err(|why| {
            CliError::Failed(format!(
                "the window cannot open ({why:#}); on a machine without a display use 'flowblend generate'"
            ))
        }),
        Some(Command::Generate(options)) => generate::generate(options, &cli.global),
        Some(Command::Plan(options)) => plan::plan(options, &cli.global),
        Some(Command::Bench(options)) => bench::bench(options, &cli.global),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("flowblend: {why}");
            ExitCode::from(match why {
                CliError::Usage(_) => 2,
                CliError::Failed(_) => 1,
                CliError::Interrupted => 130,
            })
        }
    }
}
