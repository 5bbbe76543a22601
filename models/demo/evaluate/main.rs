//! `evaluate-demo`: measures the bundled pair, or another one of its world, for the model card.

mod auto;
mod bars;
mod economy;
mod options;
mod prompts;
mod runs;
mod sheet;
mod speed;
mod study;
mod summary;
mod tables;
mod ways;
mod work;

use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Result, anyhow};
use clap::Parser as _;
use flowblend::analysis::{AnalysisError, Reader};
use flowblend::engine::{
    DeviceChoice, EngineOptions, LoadedPair, OpenDevice, PairPipeline, Pipeline as _,
};
use flowblend::project::{AtomicFile, write_bytes_atomic};
use flowblend::sampler::Cancel;
use flowblend::schedule::ModelRole;
use serde_json::json;

use auto::Contest;
use bars::{Bar, bars};
use economy::Economies;
use options::{Options, PLANS, Setup};
use prompts::{Asked, Attribute, Prompt, read_prompts};
use sheet::Sheets;
use speed::Speed;
use study::{Studio, Study};
use summary::Summary;

fn main() -> ExitCode {
    flowblend::engine::share_memory();
    match evaluate(&Options::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(why) => {
            eprintln!("evaluate-demo: {why:#}");
            ExitCode::from(2)
        }
    }
}

/// Measures and prints all; whether every bar that was measured holds.
fn evaluate(options: &Options) -> Result<bool> {
    let setup = options.setup()?;
    let prompts = read_prompts(
        &Options::folder().join("prompts.json"),
        options.skip,
        options.prompts,
    )?;
    let reader = open_reader(options, &setup, &prompts)?;
    let sheets = options.clips.as_ref().map(|folder| Sheets {
        folder: folder.clone(),
        count: options.sheets,
        overwrite: options.overwrite,
    });
    // What cannot be written is refused now and not after hours.
    if let Some(file) = &options.json {
        AtomicFile::create(file, options.overwrite)?;
    }
    if let Some(sheets) = &sheets {
        sheets.prepare()?;
    }

    let cpu = EngineOptions {
        device: DeviceChoice::Cpu,
        ..EngineOptions::default()
    };
    // Nothing that earlier runs left may save time, nor be left behind.
    let mut pipeline = PairPipeline::with_cache_in(cpu, None);
    let pair = pipeline
        .describe(&setup.settings.pair)
        .map_err(|why| anyhow!(why))?;
    pair.rules
        .check_size(setup.settings.size())
        .map_err(|why| anyhow!(why))?;
    if let Some(count) = options.economy {
        let prompts = &prompts[..prompts.len().min(usize::from(count))];
        return evaluate_economy(options, &setup, prompts, reader.as_ref(), pipeline);
    }
    // Before the heavy part, while the process does nothing else.
    let speed = Speed::measure(&mut pipeline, &setup, options.runs, |round| {
        eprintln!("timing: round {round} of {}", options.runs);
    })?;
    if let Some(count) = options.auto {
        let speed = speed
            .ok_or_else(|| anyhow!("--auto needs the time of a step; give --runs 1 or more"))?;
        let contest = Contest::new(&mut pipeline, &setup, &speed)?;
        drop(pipeline);
        let prompts = &prompts[..prompts.len().min(usize::from(count))];
        return evaluate_auto(options, &setup, prompts, reader.as_ref(), &contest, &speed);
    }
    drop(pipeline);

    let studio = Studio {
        setup: &setup,
        pair: &load(&setup, &prompts)?,
        reader: reader.as_ref(),
        prompts: &prompts,
        grid: options.grid,
        probe: options.probe,
        sheets,
    };
    let studies = on_each_prompt(&studio, |index| studio.study(index))?;
    let summary = Summary::new(&setup, &pair, &studies, speed.as_ref());
    let bars = bars(&summary, speed.as_ref());
    let spec = reader.as_ref().map(Reader::spec);
    let report = tables::report(&setup, prompts.len(), spec, &summary, speed.as_ref(), &bars);
    print!("{report}");
    if let Some(file) = &options.json {
        let json = everything(&setup, &prompts, &studies, &summary, speed.as_ref(), &bars)?;
        write_json(file, options.overwrite, &json)?;
    }
    Ok(bars.iter().all(|bar| bar.holds != Some(false)))
}

/// Measures and prints what plans that are found by themselves are worth; whether its bars hold.
fn evaluate_auto(
    options: &Options,
    setup: &Setup,
    prompts: &[Prompt],
    reader: Option<&Reader>,
    contest: &Contest,
    speed: &Speed,
) -> Result<bool> {
    let studio = Studio {
        setup,
        pair: &load(setup, prompts)?,
        reader,
        prompts,
        grid: 0,
        probe: 0,
        sheets: None,
    };
    let trials = on_each_prompt(&studio, |index| contest.trial(&studio, speed, index))?;
    let standings = auto::standings(contest, setup, speed, &trials);
    let bars = auto::bars(&standings);
    let cost = auto::cost(contest);
    let report = tables::auto_report(setup, prompts.len(), &cost, &standings, speed, &bars);
    print!("{report}");
    if let Some(file) = &options.json {
        let json =
            json!({ "standings": standings, "bars": bars, "speed": speed, "trials": trials });
        write_json(file, options.overwrite, &json)?;
    }
    Ok(bars.iter().all(|bar| bar.holds != Some(false)))
}

/// Measures and prints what comes on top of blending; whether its bars hold.
fn evaluate_economy(
    options: &Options,
    setup: &Setup,
    prompts: &[Prompt],
    reader: Option<&Reader>,
    mut pipeline: PairPipeline,
) -> Result<bool> {
    let ways = ways::ways(setup, options.together, &options.way)?;
    let told = |round| eprintln!("timing: round {round} of {}", options.runs);
    let economies = Economies::new(&mut pipeline, ways, options.runs, told)?;
    let profiles = pipeline
        .describe(&setup.settings.pair)
        .map_err(|why| anyhow!(why))?
        .profiles;
    drop(pipeline);
    let mut pair = load(setup, prompts)?;
    if setup.spec.distilled.is_some() {
        pair.load_transformer(ModelRole::Distilled, &Cancel::new(), &mut |_, _| ())?;
    }
    for role in ModelRole::ALL {
        pair.set_profile(
            role,
            profiles[role.index()].at(setup.settings.size()).cloned(),
        );
    }
    let studio = Studio {
        setup,
        pair: &pair,
        reader,
        prompts,
        grid: 0,
        probe: 0,
        sheets: None,
    };
    let trials = on_each_prompt(&studio, |index| economies.trial(&studio, index))?;
    let standings = economy::standings(&economies, &trials);
    let bars = economy::bars(&standings);
    print!(
        "{}",
        tables::economy_report(setup, prompts.len(), &standings, &bars)
    );
    if let Some(file) = &options.json {
        let json = json!({ "standings": standings, "bars": bars, "trials": trials });
        write_json(file, options.overwrite, &json)?;
    }
    Ok(bars.iter().all(|bar| bar.holds != Some(false)))
}

/// The reader, which knows the size of the clips and all words of the prompts.
fn open_reader(options: &Options, setup: &Setup, prompts: &[Prompt]) -> Result<Option<Reader>> {
    if options.no_reader {
        return Ok(None);
    }
    let or_without =
        |why: AnalysisError| anyhow!("{why}, or leave out what it tells with --no-reader");
    let reader = Reader::load(&Options::folder()).map_err(or_without)?;
    reader
        .check_size(setup.settings.size())
        .map_err(or_without)?;
    for prompt in prompts {
        Asked::new(prompt, reader.spec())?;
    }
    Ok(Some(reader))
}

/// All parts of the pair in memory, all prompts encoded.
fn load(setup: &Setup, prompts: &[Prompt]) -> Result<LoadedPair> {
    eprintln!("reading {} prompts", prompts.len());
    let device = OpenDevice::open(DeviceChoice::Cpu, None).map_err(|why| anyhow!(why))?;
    let cancel = Cancel::new();
    let mut pair = LoadedPair::open(setup.spec.clone(), device)?;
    for role in [ModelRole::Large, ModelRole::Small] {
        pair.load_transformer(role, &cancel, &mut |_, _| ())?;
    }
    pair.load_vae(&cancel, &mut |_, _| ())?;
    let mut texts: Vec<&str> = prompts.iter().map(|row| row.prompt.as_str()).collect();
    texts.push(&setup.settings.negative);
    pair.encode_texts(&texts, &cancel, &mut |_, _| ())?;
    Ok(pair)
}

/// Does a job for each prompt and tells how far it is.
fn on_each_prompt<T: Send>(
    studio: &Studio<'_>,
    job: impl Fn(usize) -> Result<T> + Sync,
) -> Result<Vec<T>> {
    let (count, start) = (studio.prompts.len(), Instant::now());
    work::side_by_side(count, studio.setup.threads, job, |done| {
        eprintln!(
            "prompt {done} of {count}, {:.0} s",
            start.elapsed().as_secs_f64()
        )
    })
}

fn everything(
    setup: &Setup,
    prompts: &[Prompt],
    studies: &[Study],
    summary: &Summary,
    speed: Option<&Speed>,
    bars: &[Bar],
) -> Result<serde_json::Value> {
    let rows: Vec<_> = prompts
        .iter()
        .zip(studies)
        .map(|(prompt, study)| json!({ "asked": prompt, "study": study }))
        .collect();
    // Folders are this machine's own affair; the name is what the figures belong to.
    let mut settings = serde_json::to_value(&setup.settings)?;
    settings["pair"] = json!(setup.spec.name);
    Ok(json!({
        "settings": settings,
        "plans": PLANS,
        "attributes": Attribute::ALL.map(Attribute::name),
        "summary": summary,
        "speed": speed,
        "bars": bars,
        "prompts": rows,
    }))
}

fn write_json(file: &Path, overwrite: bool, json: &serde_json::Value) -> Result<()> {
    let mut bytes = serde_json::to_vec_pretty(json)?;
    bytes.push(b'\n');
    Ok(write_bytes_atomic(file, overwrite, &bytes)?)
}
