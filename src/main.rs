//! `flowblend`: a window by default, headless with a subcommand.

use std::process::ExitCode;
use std::time::Instant;

use flowblend::app::{self, WindowFigures};
use flowblend::cli::{self, Door, Figure};
use flowblend::engine::PipelineFactory;

fn main() -> ExitCode {
    cli::main(
        Instant::now(),
        &Door {
            open: app::run,
            bench: bench_window,
        },
    )
}

fn bench_window(
    factory: PipelineFactory,
    started: Instant,
    runs: usize,
) -> anyhow::Result<Vec<Figure>> {
    let WindowFigures {
        first_frame_secs,
        first_preview_secs,
        clip_secs,
        frames,
    } = app::bench(factory, started, runs)?;
    let frame = |value: fn(app::FrameTimes) -> f64| frames.map(value).into_iter().collect();
    Ok([
        Figure::new(
            "window on screen after program start",
            "s",
            first_frame_secs.into_iter().collect(),
        ),
        Figure::new(
            "window: first preview after Generate",
            "s",
            first_preview_secs,
        ),
        Figure::new("window: clip after Generate", "s", clip_secs),
        Figure::new(
            "window: own frame during runs, median",
            "ms",
            frame(|f| f.median_ms),
        ),
        Figure::new(
            "window: own frame during runs, p95",
            "ms",
            frame(|f| f.p95_ms),
        ),
    ]
    .into_iter()
    .flatten()
    .collect())
}
