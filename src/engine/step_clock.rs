use std::time::Instant;

use super::eta::Eta;
use super::event::{PairSummary, StepReport};
use crate::project::RunSettings;
use crate::sampler::{Origin, StepView};
use crate::schedule::StepPlan;

/// Times the steps and predicts what is left.
pub(super) struct StepClock {
    pub(super) eta: Eta,
    started: Instant,
    pub(super) steps: Vec<StepReport>,
}

impl StepClock {
    pub(super) fn new(summary: &PairSummary, settings: &RunSettings) -> Self {
        let cost = |role| summary.model_cost(role, settings.size());
        Self {
            eta: Eta::new(cost, summary.decode_secs(settings)),
            started: Instant::now(),
            steps: Vec::with_capacity(settings.steps),
        }
    }

    /// The next step starts now: what came before was no part of one.
    pub(super) fn resume(&mut self) {
        self.started = Instant::now();
    }

    pub(super) fn step(&mut self, view: &StepView<'_>, plans: &[StepPlan]) -> StepReport {
        let secs = self.started.elapsed().as_secs_f64();
        self.started = Instant::now();
        if view.origin != Origin::Skipped {
            self.eta.record(&view.plan, secs);
        }
        let report = StepReport {
            step: view.step,
            of: plans.len(),
            model: view.plan.model,
            sigma: view.sigma,
            cfg: view.plan.cfg,
            origin: view.origin,
            off: view.off,
            secs,
            eta_secs: self.eta.remaining_secs(&plans[view.step + 1..]),
        };
        self.steps.push(report);
        report
    }
}
