use anyhow::Result;
use flowblend::analysis::median;
use flowblend::engine::{PairPipeline, Pipeline as _, RunRequest};
use flowblend::project::RunSettings;
use flowblend::sampler::Cancel;
use flowblend::schedule::{ModelRole, Plan};
use serde::Serialize;

use crate::options::{LLL, LSL, PLANS, SSS, Setup};

/// The plans that are timed. They take turns, so that what else the machine does meets all alike.
const TIMED: [usize; 3] = [LLL, LSL, SSS];

/// Seconds of whole runs through the program's own pipeline, with all that a run does there.
#[derive(Clone, Debug, Serialize)]
pub struct Speed {
    /// Seconds of each run's denoise, by plan.
    pub denoise: Vec<Timed>,
    /// Median seconds of a step of the large model, in runs of LLL.
    pub large_step: f64,
    /// Median seconds of a step of the small model, in runs of SSS.
    pub small_step: f64,
    /// Median seconds of a decode.
    pub decode: f64,
    /// The device, as people name it.
    pub device: String,
}

/// The denoise of one plan.
#[derive(Clone, Debug, Serialize)]
pub struct Timed {
    /// The plan, in [`PLANS`].
    pub plan: &'static str,
    /// Seconds, a run each.
    pub secs: Vec<f64>,
}

impl Speed {
    /// Runs each plan `runs` times, after once to load the models and warm up; `said` hears of each
    /// round. None where `runs` is 0.
    pub fn measure(
        pipeline: &mut PairPipeline,
        setup: &Setup,
        runs: usize,
        mut said: impl FnMut(usize),
    ) -> Result<Option<Self>> {
        let mut speed = Self {
            denoise: TIMED
                .map(|plan| Timed {
                    plan: PLANS[plan],
                    secs: Vec::new(),
                })
                .into(),
            large_step: 0.0,
            small_step: 0.0,
            decode: 0.0,
            device: String::new(),
        };
        let (mut large, mut small, mut decodes) = (Vec::new(), Vec::new(), Vec::new());
        if runs == 0 {
            return Ok(None);
        }
        for round in 0..=runs {
            said(round);
            for (timed, plan) in speed.denoise.iter_mut().zip(TIMED) {
                let settings = RunSettings {
                    plan: setup.plans[plan].clone(),
                    ..setup.settings.clone()
                };
                let run = pipeline.run(&RunRequest::from(settings), &Cancel::new(), &mut |_| {})?;
                if round == 0 {
                    continue;
                }
                let steps = run.report.steps.iter().map(|step| step.secs);
                match plan {
                    LLL => large.extend(steps),
                    SSS => small.extend(steps),
                    _ => {}
                }
                timed.secs.push(run.report.denoise_secs);
                decodes.push(run.report.decode_secs);
                speed.device = run.report.device;
            }
        }
        speed.large_step = median(large);
        speed.small_step = median(small);
        speed.decode = median(decodes);
        Ok(Some(speed))
    }

    /// Median seconds of a timed plan's denoise; `None` for the plans that are not timed.
    pub fn denoise_secs(&self, plan: usize) -> Option<f64> {
        let timed = self
            .denoise
            .iter()
            .find(|timed| timed.plan == PLANS[plan])?;
        Some(median(timed.secs.iter().copied()))
    }

    /// Seconds of a plan's denoise as the medians of the steps predict them.
    pub fn predicted_secs(&self, settings: &RunSettings, plan: &Plan) -> f64 {
        settings
            .with_plan(plan.clone())
            .step_plans()
            .iter()
            .map(|step| match step.model {
                ModelRole::Large => self.large_step,
                ModelRole::Small | ModelRole::Distilled => self.small_step,
            })
            .sum()
    }

    /// How many times faster than LLL a plan is by that prediction.
    pub fn predicted_speed_up(&self, setup: &Setup, plan: &Plan) -> f64 {
        let secs = |plan| self.predicted_secs(&setup.settings, plan);
        secs(&setup.plans[LLL]) / secs(plan)
    }

    /// How many times faster than LLL the denoise of LSL is, by the medians of whole runs.
    pub fn speed_up(&self) -> f64 {
        let secs = |plan| self.denoise_secs(plan).unwrap_or(f64::NAN);
        secs(LLL) / secs(LSL)
    }
}
