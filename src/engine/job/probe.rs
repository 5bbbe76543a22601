//! The large model's run, and along it the small one's velocity.

use super::Job;
use crate::analysis::{divergence, divergence_map};
use crate::engine::event::Phase;
use crate::engine::pipeline::{Progress, RunError};
use crate::engine::probe::{OTHER, ProbedRun};
use crate::engine::step_clock::StepClock;
use crate::preview::DivergenceMaps;
use crate::sampler::ModelSet as _;

impl Job<'_> {
    /// Takes the steps of the run, those that are not kept, and measures at each how far the small
    /// model's guided velocity is from the one that was taken.
    pub(in crate::engine) fn probe(
        mut self,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<ProbedRun, RunError> {
        let mut clock = StepClock::new(self.summary, &self.settings);
        let mut trajectory = self.begin(progress)?;
        let stretches = self.stretches_from(trajectory.steps());
        self.encode_own(progress)?;
        let outcome = self.denoise(&mut trajectory, &stretches, &mut clock, progress);
        self.keep_steps(&trajectory)?;
        outcome?;
        if trajectory.steps() < self.plans.len() {
            // Asked to rest: a measurement is no run that could be gone on with.
            return Err(RunError::Cancelled);
        }

        // After the whole run, so that two models that do not fit side by side change places once.
        self.load(&[OTHER], progress)?;
        progress(Progress::Phase(Phase::Probing));
        let (settings, grid) = (self.settings(), self.settings().course().grid);
        let models = self
            .loaded
            .guide(&[OTHER], &settings.prompt, &settings.negative)?;
        let model = models.guided(OTHER)?;
        let [_, _, frames, height, width] = self.latent_shape();
        let mut probed = ProbedRun {
            steps: Vec::with_capacity(trajectory.steps()),
            maps: DivergenceMaps {
                size: [frames, height, width],
                data: Vec::new(),
            },
        };
        for (step, plan) in self.plans.iter().enumerate() {
            self.cancel.check()?;
            let state = trajectory.state(step);
            let other = model.velocity(state, grid.timestep(step), plan, self.cancel)?;
            let taken = trajectory.velocity(step);
            let found = divergence(&other, taken)?;
            probed.maps.data.extend(divergence_map(&other, taken)?);
            probed.steps.push(found);
            progress(Progress::Divergence(found));
        }
        Ok(probed)
    }
}
