use crate::schedule::{ModelRole, StepPlan};

/// What is known of a model's speed: measured in this run, remembered from earlier ones, or guessed
/// from the other model by FLOPs. Large and small steps differ, so each model has its own.
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
    speeds: [Speed; 2],
    decode_secs: Option<f64>,
}

fn slot(role: ModelRole) -> usize {
    usize::from(role != ModelRole::Large)
}

impl Eta {
    /// `remembered` are seconds of one pass of the large and the small model from earlier runs, `flops`
    /// the operations of one pass, `decode_secs` the decode's time from earlier runs.
    pub fn new(remembered: [Option<f64>; 2], flops: [f64; 2], decode_secs: Option<f64>) -> Self {
        let speed = |i: usize| Speed {
            remembered: remembered[i],
            flops: flops[i],
            ..Speed::default()
        };
        Self {
            speeds: [speed(0), speed(1)],
            decode_secs,
        }
    }

    /// Takes in a step that took `secs`.
    pub fn record(&mut self, step: &StepPlan, secs: f64) {
        self.record_passes(step.model, step.passes(), secs);
    }

    /// Takes in passes of a model that took `secs` together.
    pub fn record_passes(&mut self, role: ModelRole, passes: usize, secs: f64) {
        let speed = &mut self.speeds[slot(role)];
        speed.measured_secs += secs;
        speed.measured_passes += passes as f64;
    }

    /// Seconds of one pass of a model, as well as it is known.
    pub fn pass_secs(&self, role: ModelRole) -> Option<f64> {
        let own = slot(role);
        self.speeds[own].pass_secs().or_else(|| {
            let other = self.speeds[1 - own];
            other
                .pass_secs()
                .map(|secs| secs * self.speeds[own].flops / other.flops)
        })
    }

    /// What this run measured of a model's pass, if it took any.
    pub fn measured_pass_secs(&self, role: ModelRole) -> Option<f64> {
        let speed = &self.speeds[slot(role)];
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
    use crate::schedule::Plan;

    #[test]
    fn large_and_small_steps_are_told_apart() {
        let steps = Plan::parse("LSL", &[0.4, 0.8]).unwrap().steps(10, 4.0);
        let mut eta = Eta::new([None, None], [100.0, 10.0], Some(3.0));
        assert_eq!(eta.remaining_secs(&steps), None);
        // One large step of 2 s: a pass is 1 s, so a small one should be 0.1 s.
        eta.record(&steps[0], 2.0);
        let left = eta.remaining_secs(&steps[1..]).unwrap();
        assert!((left - (3.0 * 2.0 + 4.0 * 0.2 + 2.0 * 2.0 + 3.0)).abs() < 1e-9);
        // The small model turns out slower than its FLOPs say, and is believed.
        eta.record(&steps[4], 1.0);
        let left = eta.remaining_secs(&steps[5..]).unwrap();
        assert!((left - (3.0 * 1.0 + 2.0 * 2.0 + 3.0)).abs() < 1e-9);
    }
}
