//! One plan of a sweep: a clip from the longest beginning that is known.

use super::Job;
use crate::engine::pipeline::{Progress, RunError};
use crate::engine::step_clock::StepClock;
use crate::engine::sweep::Work;
use crate::media::Clip;
use crate::sampler::Trajectory;
use crate::schedule::{ModelRole, StepPlan, shared_steps};

/// A plan that was rendered, of use to the next one.
pub(in crate::engine) struct Rendered {
    plans: Vec<StepPlan>,
    trajectory: Trajectory,
    pub(in crate::engine) clip: Clip,
    pub(in crate::engine) work: Work,
}

impl Job<'_> {
    /// Goes on from `earlier`, another plan at the same noise, or from kept steps where these are more, to
    /// the clip. Steps stay in memory only: a sweep shall not push a person's own runs off the disk.
    pub(in crate::engine) fn render(
        mut self,
        earlier: Option<&Rendered>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Rendered, RunError> {
        let mut clock = StepClock::new(self.summary, &self.settings);
        let mut trajectory = self.begin(progress)?;
        if let Some(earlier) = earlier {
            let shared = shared_steps(&earlier.plans, &self.plans);
            if shared > trajectory.steps() {
                trajectory = earlier.trajectory.first_steps(shared);
            }
        }
        let stretches = self.stretches_from(trajectory.steps());
        if !stretches.is_empty() {
            self.encode_own(progress)?;
        }
        let outcome = self.denoise(&mut trajectory, &stretches, &mut clock, progress);
        let source = self.source()?;
        self.steps
            .keep_in_memory(source, &self.settings, &trajectory);
        outcome?;
        if trajectory.steps() < self.plans.len() {
            // Asked to rest: a measurement is no run that could be gone on with.
            return Err(RunError::Cancelled);
        }
        let (clip, decode_secs) = self.decode(trajectory.last(), progress)?;
        let of = |role| {
            let steps = clock.steps.iter().filter(move |step| step.model == role);
            // An empty sum of floats is -0, which no table should show.
            let secs = steps.clone().fold(0.0, |sum, step| sum + step.secs);
            (steps.count(), secs)
        };
        let (large_steps, large_secs) = of(ModelRole::Large);
        let (small_steps, small_secs) = of(ModelRole::Small);
        let (distilled_steps, distilled_secs) = of(ModelRole::Distilled);
        Ok(Rendered {
            plans: self.plans,
            trajectory,
            clip,
            work: Work {
                large_steps,
                large_secs,
                small_steps,
                small_secs,
                distilled_steps,
                distilled_secs,
                decode_secs,
            },
        })
    }
}
