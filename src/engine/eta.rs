use crate::schedule::{ModelCost, ModelRole, StepPlan};

/// What is known of a model's speed: measured in this run, remembered from earlier ones, or guessed
/// from another model by FLOPs. Large and small steps differ, so each model has its own.
#[derive(Clone, Copy, Debug, Default)]
struct Speed {
    measured_secs: f64,
    measured_passes: f64,
    remembered: Option<f64>,
    flops: f64,
}

impl Speed {
    fn pass_secs(&self) -> Option<f64> {
        if self.measured_passes > 0.0 {
            Some(self.measured_secs / self.measured_passes)
        } else {
            self.remembered
        }
    }
}

/// Predicts how long a run still takes.
#[derive(Clone, Debug)]
pub struct Eta {
    /// By the index of their role.
    speeds: [Speed; 3],
    decode_secs: Option<f64>,
}

impl Eta {
    /// `cost` are operations of one pass of a model and its seconds from earlier runs, `decode_secs` the decode's time
    /// from earlier runs.
    pub fn new(cost: impl Fn(ModelRole) -> ModelCost, decode_secs: Option<f64>) -> Self {
        let speed = |role| {
            let ModelCost { flops, pass_secs } = cost(role);
            Speed {
                remembered: pass_secs,
                flops: flops.full(),
                ..Speed::default()
            }
        };
        Self {
            speeds: ModelRole::ALL.map(speed),
            decode_secs,
        }
    }

    /// Takes in a step that took `secs`.
    pub fn record(&mut self, step: &StepPlan, secs: f64) {
        self.record_passes(step.model, step.passes(), secs);
    }

    /// Takes in passes of a model that took `secs` together.
    pub fn record_passes(&mut self, role: ModelRole, passes: usize, secs: f64) {
        let speed = &mut self.speeds[role.index()];
        speed.measured_secs += secs;
        speed.measured_passes += passes as f64;
    }

    /// Seconds of one pass of a model, as well as it is known.
    pub fn pass_secs(&self, role: ModelRole) -> Option<f64> {
        let own = self.speeds[role.index()];
        own.pass_secs().or_else(|| {
            // The nearest in size says the most.
            let known = self.speeds.iter().filter_map(|other| {
                let share = own.flops / other.flops;
                Some((share, other.pass_secs()? * share))
                    .filter(|(share, _)| share.is_finite() && *share > 0.0)
            });
            known
                .min_by(|(a, _), (b, _)| a.ln().abs().total_cmp(&b.ln().abs()))
                .map(|(_, secs)| secs)
        })
    }

    /// What this run measured of a model's pass, if it took any.
    pub fn measured_pass_secs(&self, role: ModelRole) -> Option<f64> {
        let speed = &self.speeds[role.index()];
        (speed.measured_passes > 0.0).then(|| speed.measured_secs / speed.measured_passes)
    }

    /// Seconds until the clip is there, given the steps still to take.
    pub fn remaining_secs(&self, steps: &[StepPlan]) -> Option<f64> {
        let denoise: Option<f64> = steps
            .iter()
            .map(|step| Some(self.pass_secs(step.model)? * step.passes() as f64))
            .sum();
        Some(denoise? + self.decode_secs.unwrap_or(0.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::{Flops, Plan};

    #[test]
    fn large_and_small_steps_are_told_apart() {
        let steps = Plan::parse("LSL", &[0.4, 0.8]).unwrap().steps(10, 4.0);
        let cost = |role| ModelCost {
            flops: Flops {
                linear: if role == ModelRole::Large {
                    100.0
                } else {
                    10.0
                },
                ..Flops::default()
            },
            pass_secs: None,
        };
        let mut eta = Eta::new(cost, Some(3.0));
        assert_eq!(eta.remaining_secs(&steps), None);
        // One large step of 2 s: a pass is 1 s, so a small one should be 0.1 s.
        eta.record(&steps[0], 2.0);
        let left = eta.remaining_secs(&steps[1..]).unwrap();
        assert!((left - (3.0 * 2.0 + 4.0 * 0.2 + 2.0 * 2.0 + 3.0)).abs() < 1e-9);
        // The small model turns out slower than its FLOPs say, and is believed.
        eta.record(&steps[4], 1.0);
        let left = eta.remaining_secs(&steps[5..]).unwrap();
        assert!((left - (3.0 * 1.0 + 2.0 * 2.0 + 3.0)).abs() < 1e-9);
        // A distilled model of its size is foretold from it, until it has a time of its own.
        assert_eq!(eta.pass_secs(ModelRole::Distilled), Some(0.5));
        eta.record_passes(ModelRole::Distilled, 2, 0.6);
        assert_eq!(eta.pass_secs(ModelRole::Distilled), Some(0.3));
        assert_eq!(eta.pass_secs(ModelRole::Small), Some(0.5));
    }
}
