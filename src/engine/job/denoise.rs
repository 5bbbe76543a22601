//! The steps of a run: by its plan, or by one that is decided on the way.

use std::sync::Arc;

use super::{Job, preview};
use crate::engine::event::Phase;
use crate::engine::memory::available_bytes;
use crate::engine::pipeline::{Progress, RunError};
use crate::engine::residency::Residency;
use crate::engine::step_clock::StepClock;
use crate::models::{Family, read_ahead};
use crate::project::RunSettings;
use crate::sampler::{
    SampleError, StepView, Switch, Trajectory, decide_again, denoise_online, denoise_until,
};
use crate::schedule::{Course, ModelRole, Plan, StepPlan};

/// A plan as far as it is decided on, and what decides on the rest of it.
pub(super) struct Deciding {
    switch: Box<dyn Switch>,
    course: Course,
}

impl Job<'_> {
    /// What decides on the run's plan, where that is not fixed.
    pub(super) fn deciding(&self) -> Option<Deciding> {
        Some(Deciding {
            switch: self.request.online?.start(),
            course: self.settings.course(),
        })
    }

    /// Where a run that decides on its plan starts from: the steps that earlier runs have in common with it, each
    /// of which is decided on once more.
    pub(super) fn begin_online(
        &mut self,
        deciding: &mut Deciding,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Trajectory, RunError> {
        let Deciding { switch, course } = deciding;
        let mut known = self.beginning()?;
        let mut begun = known.first_steps(0);
        while known.steps() > begun.steps() {
            let held = decide_again(&known, begun.steps(), course, switch.as_mut())?;
            begun = known.first_steps(held);
            self.take_plan(course);
            // Another run may have gone on from there as this one is to.
            known = self.beginning()?;
        }
        self.tell_begun(&begun, progress)?;
        Ok(begun)
    }

    /// The plan of `course` is the job's from now on.
    fn take_plan(&mut self, course: &Course) {
        let models: Vec<ModelRole> = course.steps.iter().map(|step| step.model).collect();
        self.settings = Arc::new(RunSettings {
            plan: Plan::of_models(&models),
            ..RunSettings::clone(&self.settings)
        });
        self.plans.clone_from(&course.steps);
    }

    /// Takes the steps that are left.
    pub(super) fn denoise(
        &mut self,
        trajectory: &mut Trajectory,
        stretches: &[(usize, Vec<ModelRole>)],
        clock: &mut StepClock,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(), RunError> {
        let settings = self.settings();
        let course = settings.course();
        for (i, (end, roles)) in stretches.iter().enumerate() {
            if self.cancel.rests_after(trajectory.steps()) {
                break;
            }
            self.load(roles, progress)?;
            let next = stretches.get(i + 1).map(|(_, roles)| roles.as_slice());
            if trajectory.steps() + 1 == *end {
                self.read_ahead(next);
            }
            progress(Progress::Phase(Phase::Denoising));
            clock.resume();
            let (this, plans) = (&*self, &self.plans);
            let every = self.request.preview_every;
            denoise_until(
                *end,
                trajectory,
                &course,
                &this
                    .loaded
                    .guide(roles, &settings.prompt, &settings.negative)?,
                this.cancel,
                &mut |view| {
                    if view.step + 2 == *end {
                        this.read_ahead(next);
                    }
                    tell(&view, plans, every, clock, progress)
                },
            )?;
        }
        Ok(())
    }

    /// Takes the steps that are left, each with the model that is decided on. The plan that came out, or would as it
    /// stands, is the job's from then on.
    pub(super) fn denoise_online(
        &mut self,
        deciding: &mut Deciding,
        trajectory: &mut Trajectory,
        clock: &mut StepClock,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(), RunError> {
        let outcome = self.decide_steps(deciding, trajectory, clock, progress);
        self.take_plan(&deciding.course);
        let plans = &self.plans;
        self.roles
            .retain(|role| plans.iter().any(|step| step.model == *role));
        outcome
    }

    fn decide_steps(
        &mut self,
        Deciding { switch, course }: &mut Deciding,
        trajectory: &mut Trajectory,
        clock: &mut StepClock,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(), RunError> {
        let settings = self.settings();
        let every = self.request.preview_every;
        while trajectory.steps() < course.steps.len()
            && !self.cancel.rests_after(trajectory.steps())
        {
            let roles = match self.fit.residency {
                Residency::Together => self.roles.clone(),
                Residency::Swapped => vec![course.steps[trajectory.steps()].model],
            };
            self.load(&roles, progress)?;
            progress(Progress::Phase(Phase::Denoising));
            clock.resume();
            let models = self
                .loaded
                .guide(&roles, &settings.prompt, &settings.negative)?;
            denoise_online(
                trajectory,
                course,
                &models,
                switch.as_mut(),
                self.cancel,
                &mut |view, plans| tell(&view, plans, every, clock, progress),
            )?;
        }
        Ok(())
    }

    /// While the last step before a boundary runs, the disk can be at work for the next one.
    fn read_ahead(&self, next: Option<&[ModelRole]>) {
        let Some([role]) = next else { return };
        let Ok(model) = self.loaded.model_path(*role) else {
            return;
        };
        let holds =
            self.need.base + self.need.of_transformers(&self.loaded.resident()) + self.need.denoise;
        let (model, most) = (
            model.to_owned(),
            available_bytes().map_or(u64::MAX, |bytes| bytes.saturating_sub(holds)),
        );
        let work = move || {
            if let Ok(files) = Family::of(&model).transformer_files(&model) {
                read_ahead(&files, most);
            }
        };
        // Without the thread the load takes longer, no more.
        let _ = std::thread::Builder::new()
            .name("read-ahead".to_owned())
            .spawn(work);
    }
}

/// Tells a step and, every so many of them, the picture.
fn tell(
    view: &StepView<'_>,
    plans: &[StepPlan],
    every: usize,
    clock: &mut StepClock,
    progress: &mut dyn FnMut(Progress),
) -> Result<(), SampleError> {
    // The picture first: whoever hears of the step finds it there.
    if every > 0 && (view.step + 1).is_multiple_of(every) {
        progress(Progress::Preview(preview(view)?));
    }
    progress(Progress::Step(clock.step(view, plans)));
    Ok(())
}
