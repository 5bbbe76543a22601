use super::SweepRow;
use crate::analysis::mean;
use crate::engine::eta::Eta;
use crate::engine::event::PairSummary;
use crate::project::RunSettings;
use crate::schedule::{ModelRole, Plan, StepPlan};

/// The times that the seconds of every plan of a sweep are predicted from, the same for all. What a single
/// plan took says little: most of its steps may have been taken for another.
#[derive(Clone, Debug)]
pub struct SweepTimes {
    eta: Eta,
    /// Passes of a step, and steps that were measured, by the index of their model.
    passes: [usize; 3],
    measured_steps: [usize; 3],
    decode_secs: f64,
}

impl SweepTimes {
    /// What the rows measured, and what is known of the pair where they measured nothing. `None` of no rows.
    pub fn of(rows: &[SweepRow], pair: &PairSummary) -> Option<Self> {
        let settings = &rows.first()?.settings;
        let decode_secs = mean(rows.iter().map(|row| row.work.decode_secs));
        let cost = |role| pair.model_cost(role, settings.size());
        let mut eta = Eta::new(cost, Some(decode_secs));
        let passes = ModelRole::ALL.map(|role| {
            let alone = settings.with_plan(Plan::only(role)).step_plans();
            alone.first().map_or(1, StepPlan::passes)
        });
        let mut measured_steps = [0; 3];
        for (row, role) in rows
            .iter()
            .flat_map(|row| ModelRole::ALL.map(|role| (row, role)))
        {
            let (steps, secs) = row.work.of(role);
            eta.record_passes(role, steps * passes[role.index()], secs);
            measured_steps[role.index()] += steps;
        }
        Some(Self {
            eta,
            passes,
            measured_steps,
            decode_secs,
        })
    }

    /// Seconds of one step of a model; `None` where nothing is known of any.
    pub fn step_secs(&self, role: ModelRole) -> Option<f64> {
        self.eta
            .pass_secs(role)
            .map(|secs| secs * self.passes[role.index()] as f64)
    }

    /// Steps of the sweep that this stands on; of 0 it was remembered, or told by another model's and the
    /// FLOPs.
    pub fn measured_steps(&self, role: ModelRole) -> usize {
        self.measured_steps[role.index()]
    }

    /// Seconds of one decode, the mean of the sweep's.
    pub fn decode_secs(&self) -> f64 {
        self.decode_secs
    }

    /// Predicted seconds of a whole run of the sweep: every step, and the decode.
    pub fn predict(&self, settings: &RunSettings) -> Option<f64> {
        // By number, not step by step: plans with as many large steps take the very same time, to the last bit.
        let steps = settings.step_plans();
        let of = |role: ModelRole| match steps.iter().filter(|step| step.model == role).count() {
            0 => Some(0.0),
            count => Some(count as f64 * self.step_secs(role)?),
        };
        let denoise: Option<f64> = ModelRole::ALL.into_iter().map(of).sum();
        Some(denoise? + self.decode_secs)
    }
}
