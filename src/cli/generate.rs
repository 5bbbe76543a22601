use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::export::FileOptions;
use super::options::{DenoiseOptions, GlobalOptions, LimitOptions};
use super::progress::ProgressLine;
use super::session::{Session, warn_of_unknown_words};
use super::{CliError, auto};
use crate::engine::{EventKind, FinishedRun, RunRequest, StepReport, peak_rss_bytes};
use crate::media::{self, ClipShape, EncodeOptions, Format};
use crate::project::{Recipe, RunSettings};

/// Options of `flowblend generate`.
#[derive(Debug, Args)]
pub(super) struct GenerateOptions {
    /// What the clip should show.
    prompt: String,
    #[command(flatten)]
    denoise: DenoiseOptions,
    /// The clip; its ending chooses the format: .mp4 .webm .mov .mkv .gif, .png for one frame, or a
    /// folder for PNGs [default: a dated name].
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    file: FileOptions,
    #[command(flatten)]
    limit: LimitOptions,
    /// Start from the tensor `latents` (f32, NCTHW, unit noise) of a safetensors file.
    #[arg(long, value_name = "FILE")]
    init_latents: Option<PathBuf>,
    /// Write the final latents, normalised, as the transformer sees them.
    #[arg(long, value_name = "FILE")]
    save_latents: Option<PathBuf>,
    /// Write x after every step, the velocity and run.json.
    #[arg(long, value_name = "DIR")]
    save_trajectory: Option<PathBuf>,
}

pub(super) fn generate(options: &GenerateOptions, global: &GlobalOptions) -> Result<(), CliError> {
    options.denoise.check()?;
    let sweeps = options.denoise.sweeps();
    if options.limit.is_given() && !sweeps {
        return Err(CliError::Usage(
            "a limit is kept by the plan of a sweep; give --boundaries auto:sweep with it"
                .to_owned(),
        ));
    }
    if sweeps && options.init_latents.is_some() {
        return Err(CliError::Usage(
            "a sweep starts from the seed's noise; leave --init-latents or auto:sweep out"
                .to_owned(),
        ));
    }
    let online = options.denoise.online();
    // Everything that can be refused is refused before the first second of computing.
    let file = &options.file;
    let check = |out: &Path| {
        let encode_options = file.encode_options(out)?;
        media::check_target(out, encode_options.format, file.overwrite)
            .map(|()| encode_options)
            .map_err(|why| CliError::Failed(why.to_string()))
    };
    if let Some(out) = &options.out {
        check(out)?;
    }
    let mut session = Session::start(global)?;
    let pair = session.describe(options.denoise.pair())?;
    let mut settings = options.denoise.settings(&pair, &options.prompt)?;
    let mut choice = None;
    let out = match &options.out {
        Some(out) => out.clone(),
        None => dated_path(&settings, file.chosen().unwrap_or(Format::H264)),
    };
    let encode_options = check(&out)?;
    let shape = ClipShape {
        width: settings.width,
        height: settings.height,
        fps: settings.fps,
        frames: settings.frames,
    };
    media::check_written(&out, &encode_options, shape)
        .map_err(|why| CliError::Failed(why.to_string()))?;
    warn_of_unknown_words(&pair, std::slice::from_ref(&options.prompt));
    if options.denoise.seed_is_random() && !global.json {
        eprintln!("seed {}", settings.seed);
    }
    if options.denoise.finds_boundaries() || sweeps {
        let found = match sweeps {
            true => auto::find_by_sweep(&mut session, &pair, &settings, options.limit.wish())?,
            false => auto::find(&mut session, &pair, &settings)?,
        };
        eprintln!("{}", found.told());
        settings = found.of(settings);
        choice = Some(found);
    }
    let request = RunRequest {
        settings,
        online,
        spare_guidance: options.denoise.spares_guidance(),
        init_latents: options.init_latents.clone(),
        save_latents: options.save_latents.clone(),
        save_trajectory: options.save_trajectory.clone(),
        overwrite: file.overwrite,
        keep_latents: true,
        // The sweep has taken the steps of its best plan.
        reuse_steps: sweeps,
        preview_every: 1,
        pause_after: None,
    };
    let finished = wait_for_clip(&mut session, request)?;
    if let Some(told) = told_cache(&finished) {
        eprintln!("{told}");
    }
    if let Some(rule) = online {
        eprintln!("{}", auto::told_online(rule, &pair, &finished));
    }
    let encode_start = std::time::Instant::now();
    write_clip(&session, &finished, &out, file, encode_options)?;
    let encode_secs = encode_start.elapsed().as_secs_f64();
    finished.clip_is_written();
    if finished.report.steps.is_empty() && finished.report.reused_steps == 0 {
        eprintln!("only decoded: an earlier run of the same had left its latents");
    }
    if global.json {
        let mut summary = summary(&finished, &out, encode_secs);
        if let Some(choice) = choice {
            summary["auto"] = json!(choice);
        }
        println!("{summary}");
    } else {
        println!("{}", out.display());
    }
    Ok(())
}

/// What the run's cache spared, and why it was given up where it was.
fn told_cache(finished: &FinishedRun) -> Option<String> {
    let cache = finished.settings.cache?;
    let origins = &finished.report.origins;
    let spared = finished.report.spared().iter().filter(|s| **s).count();
    let mut told = format!(
        "{} spared {spared} of {} steps",
        cache.method.words(),
        origins.len()
    );
    for why in finished
        .report
        .steps
        .iter()
        .filter_map(StepReport::why_given_up)
    {
        told.push_str("; ");
        told.push_str(&why);
    }
    (!origins.is_empty()).then_some(told)
}

/// `flowblend-20260102-030405-SEED.mp4`, in local time.
fn dated_path(settings: &RunSettings, format: Format) -> PathBuf {
    let now = jiff::ZonedDateTime::now();
    let stem = format!(
        "flowblend-{}-{}",
        now.strftime("%Y%m%d-%H%M%S"),
        settings.seed
    );
    match format.ending() {
        Some(ending) => format!("{stem}.{ending}").into(),
        None => stem.into(),
    }
}

fn wait_for_clip(session: &mut Session, request: RunRequest) -> Result<FinishedRun, CliError> {
    let progress = ProgressLine::new(request.whole_settings().steps_taken());
    let run = session.engine.start(request).map_err(CliError::Failed)?;
    let result = loop {
        match session.event_of(run)? {
            EventKind::Phase(phase) => progress.phase(phase),
            EventKind::Loaded { done, total } => progress.loaded(done, total),
            EventKind::Step(step) => progress.step(&step),
            EventKind::Finished(finished) => break Ok(*finished),
            EventKind::Cancelled | EventKind::Paused(_) => break Err(CliError::Interrupted),
            EventKind::Failed(why) => break Err(CliError::Failed(why)),
            EventKind::Decoded { .. }
            | EventKind::Divergence(_)
            | EventKind::Probed(_)
            | EventKind::SweepRow(_)
            | EventKind::Swept
            | EventKind::Pair(_)
            | EventKind::PairFailed(..)
            | EventKind::StepsReused(_)
            | EventKind::StepsKept(_)
            | EventKind::LeftPaused(_) => {}
        }
    };
    progress.finish();
    result
}

fn write_clip(
    session: &Session,
    finished: &FinishedRun,
    out: &Path,
    file: &FileOptions,
    options: EncodeOptions,
) -> Result<(), CliError> {
    let recipe = Recipe::new(
        finished.settings.clone(),
        finished.report.model_hashes.clone(),
    );
    let recipe = recipe
        .to_json()
        .map_err(|why| CliError::Failed(why.to_string()))?;
    let options = EncodeOptions {
        comment: file.comment(Some(recipe)),
        ..options
    };
    let result = media::encode(
        finished.clip.as_ref(),
        out,
        &options,
        file.overwrite,
        &mut |_, _| {},
        &|| session.is_interrupted(),
    );
    match result {
        Ok(()) => Ok(()),
        Err(_) if session.is_interrupted() => Err(CliError::Interrupted),
        Err(why) => Err(CliError::Failed(match rescue(finished, &options) {
            Some(kept) => format!("{why}; the finished clip was kept as {}", kept.display()),
            None => why.to_string(),
        })),
    }
}

/// A finished clip is not lost because its target turned out unusable, for instance full: it goes to
/// the system's temporary folder instead, if that can take it.
fn rescue(finished: &FinishedRun, options: &EncodeOptions) -> Option<PathBuf> {
    let format = options.format.unwrap_or(Format::H264);
    let kept = std::env::temp_dir().join(dated_path(&finished.settings, format));
    media::encode(
        finished.clip.as_ref(),
        &kept,
        options,
        false,
        &mut |_, _| {},
        &|| false,
    )
    .ok()?;
    Some(kept)
}

fn summary(finished: &FinishedRun, out: &Path, encode_secs: f64) -> serde_json::Value {
    let FinishedRun {
        settings,
        clip,
        report,
        unwritten: _,
    } = finished;
    let hashes: serde_json::Map<_, _> = report
        .model_hashes
        .iter()
        .map(|(role, hash)| (role.name().to_owned(), json!(hash)))
        .collect();
    json!({
        "plan": settings.plan.letters(),
        "boundaries": settings.plan.boundaries(),
        "seed": settings.seed,
        "settings": settings,
        "steps": report.steps,
        "load_secs": report.load_secs,
        "text_secs": report.encode_secs,
        "denoise_secs": report.denoise_secs,
        "decode_secs": report.decode_secs,
        "decoded_in_tiles": report.decoded_in_tiles,
        "write_secs": encode_secs,
        "peak_memory_bytes": peak_rss_bytes(),
        "flops": { "paper": report.paper_flops, "full": report.full_flops },
        "device": report.device,
        "models": hashes,
        "frames": clip.frames.len(),
        "files": std::iter::once(out).chain(report.files.iter().map(PathBuf::as_path)).collect::<Vec<_>>(),
    })
}
