//! `flowblend`: a window by default, headless with a subcommand.

use std::process::ExitCode;

fn main() -> ExitCode {
    flowblend::cli::main(flowblend::app::run)
}
