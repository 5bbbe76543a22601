use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use serde_json::json;

use super::bench_model::{self, ModelBench};
use super::options::{DenoiseOptions, GlobalOptions};
use super::session::Session;
use super::{CliError, Door, bench_parts, bench_plans, bench_rerender};
use crate::engine::{EventKind, FinishedRun, PartsRequest, RunRequest, peak_rss_bytes};
use crate::media::{self, EncodeOptions};
use crate::models::TransformerConfig;
use crate::project::RunSettings;
use crate::schedule::ModelRole;

/// Options of `flowblend bench`.
#[derive(Debug, Args)]
pub(super) struct BenchOptions {
    #[command(flatten)]
    denoise: DenoiseOptions,
    /// Whole runs, of each plan with --plans; medians are reported.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=1000))]
    runs: u16,
    /// Measure the window instead: opens it on the bundled pair, renders and drags with 50 runs in the
    /// gallery, closes it.
    #[arg(long, conflicts_with = "plans")]
    window: bool,
    /// Predict the seconds of so many random plans, measure each, and say how near the predictions were.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    plans: Option<u16>,
    /// Seed of the random plans.
    #[arg(long, value_name = "SEED", default_value_t = 1, requires = "plans")]
    plans_seed: u64,
    /// Measure one pass of a published transformer at its full size instead, with random weights and without
    /// any file: wan-1.3b, wan-14b, ltx-2b or ltx-13b. Goes with --size, --frames, --runs, --device and --dtype.
    #[arg(
        long,
        value_name = "NAME",
        value_parser = TransformerConfig::PUBLISHED,
        conflicts_with_all = [
            "window", "plans", "pair", "large", "small", "plan", "boundaries", "steps", "shift",
            "solver", "history", "cfg", "negative", "seed", "fps",
        ]
    )]
    model: Option<String>,
    /// Measure each part of one model instead: a pass of its transformer over random latents, a decode, a prompt.
    /// Goes with --size, --frames, --runs, --device and --dtype.
    #[arg(
        long,
        value_name = "DIR",
        conflicts_with_all = [
            "window", "plans", "model", "pair", "large", "small", "plan", "boundaries", "steps", "shift",
            "solver", "history", "cfg", "negative", "seed", "fps",
        ]
    )]
    parts: Option<PathBuf>,
    /// What the text encoder reads.
    #[arg(
        long,
        value_name = "TEXT",
        requires = "parts",
        default_value = "a red circle"
    )]
    prompt: String,
    /// Write what went in and what came out there, as safetensors.
    #[arg(long, value_name = "FILE", requires = "parts")]
    tensors: Option<PathBuf>,
    /// Replace that file if it exists.
    #[arg(long, requires = "tensors")]
    overwrite: bool,
}

/// A figure that was measured at least once.
#[derive(Clone, Debug)]
pub struct Figure {
    name: &'static str,
    unit: &'static str,
    count: usize,
    median: f64,
    /// The smallest, where there are too few values for a percentile.
    min: Option<f64>,
    /// The largest.
    max: Option<f64>,
    /// 99 of 100 are no larger, where there are so many.
    p99: Option<f64>,
}

impl Figure {
    /// `None` where nothing was measured.
    pub fn new(name: &'static str, unit: &'static str, mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        Some(Self {
            name,
            unit,
            count: values.len(),
            median: *values.get(values.len() / 2)?,
            min: values.first().copied(),
            max: values.last().copied(),
            p99: None,
        })
    }

    /// Of frames, by median and 99th percentile.
    pub fn of_frames(name: &'static str, count: usize, median_ms: f64, p99_ms: f64) -> Self {
        Self {
            name,
            unit: "ms",
            count,
            median: median_ms,
            min: None,
            max: None,
            p99: Some(p99_ms),
        }
    }
}

/// Measures what a person waits for, and prints it.
pub(super) fn bench(
    options: &BenchOptions,
    global: &GlobalOptions,
    started: Instant,
    door: &Door,
) -> Result<(), CliError> {
    if let Some(name) = &options.model {
        let (size, frames) = options.denoise.clip();
        let what = ModelBench {
            name,
            size,
            frames,
            passes: usize::from(options.runs),
        };
        return bench_model::bench(&what, global);
    }
    if let Some(model) = &options.parts {
        let request = PartsRequest {
            model: model.clone(),
            size: options.denoise.clip(),
            runs: usize::from(options.runs),
            prompt: options.prompt.clone(),
        };
        let tensors = options.tensors.as_deref();
        return bench_parts::bench(&request, tensors, options.overwrite, global);
    }
    options.denoise.check()?;
    options.denoise.check_boundaries_given()?;
    if options.window {
        let figures = (door.bench)(global.pipeline(), started, usize::from(options.runs))
            .map_err(|why| CliError::Failed(format!("{why:#}")))?;
        print(
            &figures,
            "the window on the bundled pair, frames with 50 runs in the gallery",
            global.json,
        );
        return Ok(());
    }
    let mut session = Session::with(global.measuring_pipeline())?;
    let pair = session.describe(options.denoise.pair())?;
    let settings = options.denoise.settings(&pair, &pair.defaults.prompt)?;
    let (width, height, frames) = settings.size();
    if let Some(count) = options.plans {
        let plans = bench_plans::random_plans(usize::from(count), options.plans_seed);
        let forecasts =
            bench_plans::measure(&mut session, &settings, plans, options.runs, !global.json)?;
        let heading = format!(
            "{} on {}: {} steps, {width}x{height}, {frames} frames; clips with the models in memory",
            pair.name, pair.device, settings.steps
        );
        bench_plans::print(&forecasts, options.runs, &heading, global.json);
        return Ok(());
    }
    let figures = headless(&mut session, &settings, started, options.runs)?;
    let heading = format!(
        "{} on {}: {} of {} steps, {width}x{height}, {frames} frames",
        pair.name,
        pair.device,
        settings.plan.letters(),
        settings.steps
    );
    print(&figures, &heading, global.json);
    Ok(())
}

/// Runs the clip several times and cancels several more. The first run, which loads the models, counts
/// as such and not among the warm ones.
fn headless(
    session: &mut Session,
    settings: &RunSettings,
    started: Instant,
    runs: u16,
) -> Result<Vec<Figure>, CliError> {
    let cold = timed_run(session, settings.clone())?;
    let offset = cold.asked.duration_since(started).as_secs_f64();
    let first_preview_secs = offset + cold.first_preview_secs;
    let clip_secs = offset + cold.clip_secs + cold.write_secs;
    let mut warm = Vec::new();
    for _ in 0..runs {
        warm.push(timed_run(session, settings.clone())?);
    }
    let mut figures = vec![
        Figure::new(
            "first preview after program start",
            "s",
            vec![first_preview_secs],
        ),
        Figure::new("MP4 written after program start", "s", vec![clip_secs]),
    ];
    figures.extend(of_runs(&warm));
    figures.push(Figure::new(
        "cancel answered",
        "ms",
        cancels(session, settings)?,
    ));
    let memory = peak_rss_bytes().map(|bytes| bytes as f64 / 1e6);
    figures.push(Figure::new(
        "peak memory",
        "MB",
        memory.into_iter().collect(),
    ));
    figures.extend(bench_rerender::measure(session, settings, runs)?);
    Ok(figures.into_iter().flatten().collect())
}

/// A run and what a person waits for in it.
pub(super) struct TimedRun {
    asked: Instant,
    first_preview_secs: f64,
    /// Until the clip was there.
    pub(super) clip_secs: f64,
    write_secs: f64,
    finished: FinishedRun,
}

/// Renders a clip and writes it to a folder that goes again.
pub(super) fn timed_run(
    session: &mut Session,
    request: impl Into<RunRequest>,
) -> Result<TimedRun, CliError> {
    let asked = Instant::now();
    let run = session.engine.start(request).map_err(CliError::Failed)?;
    let mut first_preview_secs = None;
    let finished = loop {
        match session.event_of(run)? {
            EventKind::Step(_) if session.engine.take_preview().is_some() => {
                first_preview_secs.get_or_insert(asked.elapsed().as_secs_f64());
            }
            EventKind::Finished(finished) => break *finished,
            EventKind::Cancelled | EventKind::Paused(_) => return Err(CliError::Interrupted),
            EventKind::Failed(why) => return Err(CliError::Failed(why)),
            _ => {}
        }
    };
    let clip_secs = asked.elapsed().as_secs_f64();
    let write_start = Instant::now();
    let folder = tempfile::tempdir().map_err(|why| {
        CliError::Failed(format!(
            "no temporary folder can be made ({why}); set TMPDIR to one you may write to"
        ))
    })?;
    media::encode(
        finished.clip.as_ref(),
        &folder.path().join("clip.mp4"),
        &EncodeOptions::default(),
        false,
        &mut |_, _| {},
        &|| false,
    )
    .map_err(|why| CliError::Failed(why.to_string()))?;
    Ok(TimedRun {
        asked,
        first_preview_secs: first_preview_secs.unwrap_or(clip_secs),
        clip_secs,
        write_secs: write_start.elapsed().as_secs_f64(),
        finished,
    })
}

fn of_runs(runs: &[TimedRun]) -> Vec<Option<Figure>> {
    let of = |name, unit, value: &dyn Fn(&TimedRun) -> f64| {
        Figure::new(name, unit, runs.iter().map(value).collect())
    };
    let mut figures = vec![
        of("first preview, models loaded", "s", &|run| {
            run.first_preview_secs
        }),
        of("clip, models loaded", "s", &|run| run.clip_secs),
        of("denoise", "s", &|run| run.finished.report.denoise_secs),
        of("decode", "s", &|run| run.finished.report.decode_secs),
        of("write MP4", "s", &|run| run.write_secs),
        of("denoise beyond the sum of its steps", "%", &|run| {
            let report = &run.finished.report;
            let steps: f64 = report.steps.iter().map(|step| step.secs).sum();
            (report.denoise_secs / steps - 1.0) * 100.0
        }),
    ];
    for (role, name) in [
        (ModelRole::Large, "large step"),
        (ModelRole::Small, "small step"),
    ] {
        let secs = runs
            .iter()
            .flat_map(|run| &run.finished.report.steps)
            .filter(|step| step.model == role)
            .map(|step| step.secs)
            .collect();
        figures.push(Figure::new(name, "s", secs));
    }
    figures
}

/// Cancels a run at several points and times the answer.
fn cancels(session: &mut Session, settings: &RunSettings) -> Result<Vec<f64>, CliError> {
    let mut millis = Vec::new();
    let points = [
        0,
        settings.steps / 4,
        settings.steps / 2,
        settings.steps - 1,
    ];
    for point in points {
        let run = session
            .engine
            .start(settings.clone())
            .map_err(CliError::Failed)?;
        let mut asked = None;
        while let Some(event) = session.engine.wait() {
            if event.run != run {
                continue;
            }
            match event.kind {
                // The last step's event is answered in the decode.
                EventKind::Step(step) if step.step == point => {
                    session.engine.cancel_all();
                    asked = Some(Instant::now());
                }
                EventKind::Cancelled | EventKind::Finished(_) => {
                    millis.extend(asked.map(|asked: Instant| asked.elapsed().as_secs_f64() * 1e3));
                    break;
                }
                EventKind::Failed(why) => return Err(CliError::Failed(why)),
                _ => {}
            }
        }
    }
    Ok(millis)
}

fn print(figures: &[Figure], heading: &str, as_json: bool) {
    if as_json {
        let rows: Vec<_> = figures
            .iter()
            .map(|f| {
                let mut row =
                    json!({ "name": f.name, "unit": f.unit, "median": f.median, "count": f.count });
                for (key, value) in [("min", f.min), ("max", f.max), ("p99", f.p99)] {
                    if let Some(value) = value {
                        row[key] = json!(value);
                    }
                }
                row
            })
            .collect();
        println!("{}", json!({ "bench": heading, "figures": rows }));
        return;
    }
    let cell = |value: Option<f64>| value.map_or_else(String::new, |v| format!("{v:.3}"));
    println!("{heading}");
    let heads = ["", "median", "p99", "min", "max"];
    println!(
        "{:<40} {:>9} {:>9} {:>9} {:>9}",
        heads[0], heads[1], heads[2], heads[3], heads[4]
    );
    for f in figures {
        println!(
            "{:<40} {:>9} {:>9} {:>9} {:>9} {:<2}  n={}",
            f.name,
            cell(Some(f.median)),
            cell(f.p99),
            cell(f.min),
            cell(f.max),
            f.unit,
            f.count
        );
    }
}
