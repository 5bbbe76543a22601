use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::CliError;
use super::options::{DenoiseOptions, GlobalOptions};
use super::progress::ProgressLine;
use super::session::{Session, warn_of_unknown_words};
use crate::analysis::{EARLY_RIM, LATE_RIM, Measure};
use crate::engine::{EventKind, Probe, ProbeRequest, write_divergence_maps};
use crate::plot::{Axis, Colour, Figure, Form, Panel, PlotError, PlotFormat, Point, Series, Span};
use crate::project::AtomicFile;
use crate::schedule::SigmaGrid;

#[derive(Debug, Args)]
pub(super) struct ProbeOptions {
    /// What the clips show; each prompt is measured [default: the pair's own].
    prompts: Vec<String>,
    /// Seeds for each prompt, counted up from the first.
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    seeds: u16,
    /// Draw the curve into this file, which ends in .png or .svg.
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
    /// Write where in frames and space the velocities differ, for every step of the first run, into this
    /// safetensors file, as the tensor `maps`.
    #[arg(long, value_name = "FILE")]
    maps: Option<PathBuf>,
    /// Replace existing files.
    #[arg(long)]
    overwrite: bool,
    #[command(flatten)]
    denoise: DenoiseOptions,
}

/// `flowblend probe`: how far the small model's velocity is from the large one's along runs of the large
/// model, and between which steps the two are most alike.
pub(super) fn probe(options: &ProbeOptions, global: &GlobalOptions) -> Result<(), CliError> {
    options.denoise.check()?;
    options.denoise.check_boundaries_given()?;
    if let Some(file) = &options.plot {
        PlotFormat::check_target(file, options.overwrite).map_err(failed)?;
    }
    if let Some(file) = &options.maps {
        // What cannot be written is refused now and not after the run.
        let target = AtomicFile::create(file, options.overwrite);
        target.map_err(|why| CliError::Failed(why.to_string()))?;
    }
    let mut session = Session::start(global)?;
    let pair = session.describe(options.denoise.pair())?;
    let own = [pair.defaults.prompt.clone()];
    let prompts = match &options.prompts[..] {
        [] => &own[..],
        given => given,
    };
    let settings = options.denoise.settings(&pair, &prompts[0])?;
    warn_of_unknown_words(&pair, prompts);
    let seeds = (0..u64::from(options.seeds)).map(|i| settings.seed.wrapping_add(i));
    let runs = seeds.flat_map(|seed| prompts.iter().map(move |prompt| (prompt.clone(), seed)));
    let request = ProbeRequest {
        more: runs.skip(1).collect(),
        few_steps: None,
        settings,
    };
    let runs = request.more.len() + 1;
    let probe = wait_for_probe(&mut session, request, runs)?;
    let grid = probe.settings.grid();
    if let Some(file) = &options.plot {
        let drawn = figure(&probe).write(file, options.overwrite);
        drawn.map_err(failed)?;
    }
    if let Some(file) = &options.maps {
        write_divergence_maps(file, &probe.maps, options.overwrite).map_err(CliError::Failed)?;
    }
    match global.json {
        true => println!("{}", to_json(&probe, &grid, options)),
        false => print(&probe, &grid),
    }
    Ok(())
}

fn failed(why: PlotError) -> CliError {
    CliError::Failed(why.to_string())
}

pub(super) fn wait_for_probe(
    session: &mut Session,
    request: ProbeRequest,
    runs: usize,
) -> Result<Probe, CliError> {
    // Every step is taken by both models.
    let steps = request.reference().steps;
    let progress = ProgressLine::new(steps);
    let run = session.engine.probe(request).map_err(CliError::Failed)?;
    let mut measured = 0_usize;
    let result = loop {
        match session.event_of(run)? {
            EventKind::Phase(phase) => progress.phase(phase),
            EventKind::Loaded { done, total } => progress.loaded(done, total),
            EventKind::Step(step) => progress.step(&step),
            EventKind::Divergence(found) => {
                measured += 1;
                let (of, at) = (
                    measured.div_ceil(steps.max(1)),
                    (measured - 1) % steps.max(1),
                );
                progress.measured(at, steps, &format!("run {of} of {runs}"), &found);
            }
            EventKind::Probed(probe) => break Ok(*probe),
            EventKind::Cancelled => break Err(CliError::Interrupted),
            EventKind::Failed(why) => break Err(CliError::Failed(why)),
            _ => {}
        }
    };
    progress.finish();
    result
}

fn print(probe: &Probe, grid: &SigmaGrid) {
    let runs = probe.curve.runs();
    let lengths = probe.curve.mean_and_spread(Measure::RelativeL2);
    let turns = probe.curve.mean_and_spread(Measure::OneMinusCosine);
    println!("small against large along the large model's run, guided, {runs} run(s)");
    println!(
        "{:>4}  {:>8}  {:>11} {:>8}  {:>9} {:>9}",
        "step", "sigma", "relative l2", "spread", "1 - cos", "spread"
    );
    for (i, (length, turn)) in lengths.iter().zip(&turns).enumerate() {
        println!(
            "{:>4}  {:>8.4}  {:>11.4} {:>8.4}  {:>9.5} {:>9.5}",
            i + 1,
            grid.sigma(i),
            length.0,
            length.1,
            turn.0,
            turn.1
        );
    }
    match probe.curve.boundaries(Measure::RelativeL2) {
        Some([early, late]) => println!(
            "suggested: --plan LSL --boundaries {early:.4},{late:.4} (from where the models differ by \
             {EARLY_RIM} times the least to where they differ by {LATE_RIM} times that)"
        ),
        None => println!(
            "suggested: nothing; the curve does not fall from {EARLY_RIM} times its valley and rise to \
             {LATE_RIM} times that, so it names no stage for the small model"
        ),
    }
}

fn to_json(probe: &Probe, grid: &SigmaGrid, options: &ProbeOptions) -> serde_json::Value {
    let lengths = probe.curve.mean_and_spread(Measure::RelativeL2);
    let turns = probe.curve.mean_and_spread(Measure::OneMinusCosine);
    let steps: Vec<_> = lengths
        .iter()
        .zip(&turns)
        .enumerate()
        .map(|(i, (length, turn))| {
            json!({
                "step": i,
                "sigma": grid.sigma(i),
                "relative_l2": length.0,
                "relative_l2_spread": length.1,
                "one_minus_cosine": turn.0,
                "one_minus_cosine_spread": turn.1,
            })
        })
        .collect();
    json!({
        "settings": probe.settings,
        "runs": probe.curve.runs(),
        "steps": steps,
        "suggested_boundaries": probe.curve.boundaries(Measure::RelativeL2),
        "plot": options.plot,
        "maps": options.maps,
    })
}

/// Both measures over the steps, with the stretch that is suggested for the small model.
fn figure(probe: &Probe) -> Figure {
    let (settings, runs, steps) = (&probe.settings, probe.curve.runs(), probe.curve.steps());
    let note = match runs {
        1 => format!("prompt “{}”, seed {}", settings.prompt, settings.seed),
        _ => format!("mean of {runs} runs; the band is the standard deviation to both sides"),
    };
    // A step is drawn at its number, so that a boundary lies between two of them.
    let at = |fraction: f64| fraction * steps as f64 + 0.5;
    let suggested = probe.curve.boundaries(Measure::RelativeL2);
    let spans: Vec<Span> = suggested
        .iter()
        .map(|[early, late]| Span {
            range: at(*early)..at(*late),
            label: format!("suggested for the small model: {early:.2} to {late:.2}"),
            colour: Colour::Small,
        })
        .collect();
    let panel = |measure: Measure, label: &str| {
        let found = probe.curve.mean_and_spread(measure).into_iter().enumerate();
        let points = found.map(|(step, (y, spread))| Point {
            x: (step + 1) as f64,
            y,
            spread,
            name: None,
        });
        Panel {
            x: Axis {
                label: "step".to_owned(),
                least: Some(at(0.0)..at(1.0)),
                is_whole: true,
            },
            y: Axis {
                least: Some(0.0..0.0),
                ..Axis::new(label)
            },
            series: vec![Series {
                form: Form::Curve,
                colour: Colour::Measured,
                points: points.collect(),
            }],
            spans: spans.clone(),
        }
    };
    Figure {
        title: "Where the small model's velocity leaves the large one's".to_owned(),
        note,
        panels: vec![
            panel(Measure::RelativeL2, "relative l2"),
            panel(Measure::OneMinusCosine, "1 − cos"),
        ],
    }
}
