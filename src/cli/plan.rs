use std::sync::Arc;

use serde_json::json;

use super::options::{DenoiseOptions, GlobalOptions};
use super::session::Session;
use super::{CliError, auto};
use crate::engine::{PairSummary, published_pair};
use crate::project::RunSettings;
use crate::schedule::{CacheRule, Course, ModelRole, Plan, PlanCost, Stage};

/// `flowblend plan`: what a run would cost. Runs nothing. Of a public pair that is not on disk its published
/// configuration tells, as far as it goes.
pub(super) fn plan(options: &DenoiseOptions, global: &GlobalOptions) -> Result<(), CliError> {
    options.check()?;
    let published = published_pair(&options.pair(), &global.engine()).map_err(CliError::Failed)?;
    let is_on_disk = published.is_none();
    let pair = match published {
        Some(pair) => Arc::new(pair),
        None => Session::start(global)?.describe(options.pair())?,
    };
    let mut settings = options.settings(&pair, &pair.defaults.prompt)?;
    if options.finds_boundaries() {
        let known = auto::remembered(&pair, &settings).ok_or_else(|| {
            CliError::Failed(
                "no boundaries of this pair were found yet, and a plan measures nothing; \
                 `flowblend generate --boundaries auto` or `flowblend probe` finds them"
                    .to_owned(),
            )
        })?;
        eprintln!("{}", known.told());
        settings = known.of(settings);
    } else {
        options.check_boundaries_given()?;
    }
    if options.spares_guidance() {
        settings.guidance.interval = pair.guided_between(&settings);
        if settings.guidance.interval.is_none() {
            return Err(CliError::Failed(
                "it is not known yet where guidance shows in these models, and a plan measures nothing; \
                 `flowblend generate --cfg-interval auto` finds it"
                    .to_owned(),
            ));
        }
    }
    let reference = all_large(&settings);
    let (cost, full) = (pair.cost(&settings), pair.cost(&reference));
    if global.json {
        let mut told = to_json(&pair, &settings, &cost, &full);
        told["on_disk"] = is_on_disk.into();
        println!("{told}");
    } else {
        if !is_on_disk {
            println!(
                "{name} is not on disk: all figures are those of its published configuration, and no time was \
                 measured; `flowblend models pull {name}` fetches it",
                name = pair.name
            );
        }
        print(&pair, &settings, &cost, &full);
    }
    Ok(())
}

/// The same run with the large model throughout: what blending is measured against.
fn all_large(settings: &RunSettings) -> RunSettings {
    let stages = settings
        .plan
        .stages()
        .iter()
        .map(|stage| Stage {
            model: ModelRole::Large,
            cfg: stage.cfg,
        })
        .collect();
    let plan = Plan::new(stages, settings.plan.boundaries().to_vec());
    RunSettings {
        plan: plan.unwrap_or_else(|_| settings.plan.clone()),
        cache: None,
        ..settings.clone()
    }
}

fn print(pair: &PairSummary, settings: &RunSettings, cost: &PlanCost, full: &PlanCost) {
    let Course { grid, steps, .. } = settings.course();
    let (width, height, frames) = settings.size();
    let taken = match steps.len() {
        count if count == settings.steps => String::new(),
        count => format!(", with the distilled model's own {count}"),
    };
    println!(
        "{} on {}: plan {}, {} steps{taken}, shift {}, {} · {width}x{height}, {frames} frames at {} fps",
        pair.name,
        pair.device,
        settings.plan.letters(),
        settings.steps,
        settings.shift,
        settings.solver,
        settings.fps
    );
    println!(
        "{:>4}  {:<9} {:>8} {:>9} {:>5}  {:>9}  {:>8}",
        "step", "model", "sigma", "timestep", "cfg", "GFLOP", "seconds"
    );
    let skips = pair.expected_skips(settings);
    for ((i, step), is_spared) in steps.iter().enumerate().zip(&skips) {
        let model = pair.model_cost(step.model, settings.size());
        let passes = match is_spared {
            true => 0.0,
            false => step.passes() as f64,
        };
        println!(
            "{:>4}  {:<9} {:>8.4} {:>9.2} {:>5.1}  {:>9.2}  {:>8}",
            i + 1,
            step.model.name(),
            grid.sigma(i),
            grid.timestep(i),
            step.cfg,
            model.flops.full() * passes / 1e9,
            match model.pass_secs {
                _ if *is_spared => "spared".to_owned(),
                Some(secs) => format!("{:.3}", secs * passes),
                None => "-".to_owned(),
            },
        );
    }
    if let Some(cache) = settings.cache {
        println!("{}", cache_line(pair, settings, cache, &skips));
    }
    let seconds = |secs: Option<f64>| {
        secs.map_or_else(
            || "not measured yet; run it once".to_owned(),
            |s| format!("{s:.2} s"),
        )
    };
    let convention = pair
        .model_cost(ModelRole::Large, settings.size())
        .flops
        .paper;
    println!(
        "large model's share of the steps: {:.0} %",
        cost.large_share * 100.0
    );
    println!(
        "FLOPs, paper convention ({}): {:.4} T, LLL {:.4} T",
        convention.words(),
        cost.paper_flops / 1e12,
        full.paper_flops / 1e12
    );
    println!(
        "FLOPs, full (attention, both passes): {:.4} T, LLL {:.4} T",
        cost.full_flops / 1e12,
        full.full_flops / 1e12
    );
    println!(
        "denoise: {}, LLL {}",
        seconds(cost.denoise_secs),
        seconds(full.denoise_secs)
    );
    println!("decode: {}", seconds(pair.decode_secs(settings)));
    println!(
        "text, where a prompt is new: {}",
        seconds(pair.timings.text.secs())
    );
    println!("memory: {}", pair.memory_plan(settings).describe());
}

/// What a cache is expected to spare.
fn cache_line(
    pair: &PairSummary,
    settings: &RunSettings,
    cache: CacheRule,
    skips: &[bool],
) -> String {
    let name = cache.method.words();
    let course = settings.course();
    let mut cached = course.steps.iter().filter(|step| step.cache.is_some());
    match cached.all(|step| {
        pair.profiles[step.model.index()]
            .at(settings.size())
            .is_some()
    }) {
        true => format!(
            "{name} at {}: {} of {} steps spared, as far as the models' profiles tell",
            cache.threshold,
            skips.iter().filter(|is_spared| **is_spared).count(),
            skips.len()
        ),
        false => format!(
            "{name} at {}: it is not known yet how many steps it spares, all are counted; TeaCache or MagCache measure the \
             models at their first run",
            cache.threshold
        ),
    }
}

fn to_json(
    pair: &PairSummary,
    settings: &RunSettings,
    cost: &PlanCost,
    full: &PlanCost,
) -> serde_json::Value {
    let (course, memory) = (settings.course(), pair.memory_plan(settings));
    let grid = &course.grid;
    let skips = pair.expected_skips(settings);
    let steps: Vec<_> = course
        .steps
        .iter()
        .enumerate()
        .map(|(i, step)| {
            let model = pair.model_cost(step.model, settings.size());
            let is_spared = skips[i];
            let passes = match is_spared {
                true => 0.0,
                false => step.passes() as f64,
            };
            json!({
                "step": i,
                "stage": step.stage,
                "model": step.model,
                "sigma": grid.sigma(i),
                "timestep": grid.timestep(i),
                "cfg": step.cfg,
                "spared": is_spared,
                "paper_flops": if is_spared { 0.0 } else { model.flops.paper.of_step(step.passes()) },
                "full_flops": model.flops.full() * passes,
                "secs": model.pass_secs.map(|secs| secs * passes),
            })
        })
        .collect();
    json!({
        "pair": pair.name,
        "device": pair.device,
        "plan": settings.plan.letters(),
        "boundaries": settings.plan.boundaries(),
        "settings": settings,
        "sigmas": grid.sigmas(),
        "steps": steps,
        "cost": cost,
        "all_large": full,
        "decode_secs": pair.decode_secs(settings),
        "text_secs": pair.timings.text.secs(),
        "memory_bytes": memory.peak,
        "memory_available_bytes": memory.available,
        "memory_plan": {
            "fits": memory.fit.is_some(),
            "decoded_in_tiles": memory.fit.is_some_and(|fit| fit.in_tiles),
            "loads": memory.loads,
            "bytes_read": memory.read,
            "load_secs": memory.load_secs,
        },
    })
}
