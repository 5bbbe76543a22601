//! `flowblend`: a window by default, headless with a subcommand.

use std::process::ExitCode;
use std::time::Instant;

use flowblend::app;
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
    let figures = app::bench(factory, started, runs)?;
    let mut rows = vec![
        Figure::new(
            "window on screen after program start",
            "s",
            figures.first_frame_secs.into_iter().collect(),
        ),
        Figure::new(
            "window: first preview after Generate",
            "s",
            figures.first_preview_secs,
        ),
        Figure::new("window: clip after Generate", "s", figures.clip_secs),
    ];
    for (name, times) in [
        ("own work of a frame, render", figures.render.own),
        ("own work of a frame, drag", figures.drag.own),
        ("own work, drag in a render", figures.drag_in_render.own),
        ("whole frame, render", figures.render.whole),
        ("whole frame, drag", figures.drag.whole),
        (
            "whole frame, drag in a render",
            figures.drag_in_render.whole,
        ),
    ] {
        rows.push(times.map(|t| Figure::of_frames(name, t.frames, t.median_ms, t.p99_ms)));
    }
    Ok(rows.into_iter().flatten().collect())
}
