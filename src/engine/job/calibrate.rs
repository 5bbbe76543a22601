//! What a cache wants to know of a model before it is first used.

use std::sync::Arc;

use super::Job;
use crate::engine::event::{Phase, guided_between};
use crate::engine::pipeline::{Progress, RunError};
use crate::project::RunSettings;
use crate::sampler::{ModelSet as _, initial_noise, measure_profile};
use crate::schedule::{CacheMethod, CacheProfile, Guidance, ModelRole, Plan};

/// Steps of a run along which a model is measured: enough for a curve over the noise levels, on which runs of any number of
/// steps find theirs.
const STEPS: usize = 20;

impl Job<'_> {
    /// Measures those models of the run that its cache knows nothing of and has to: each takes a run of its own, once for a size.
    pub(super) fn calibrate(&mut self, progress: &mut dyn FnMut(Progress)) -> Result<(), RunError> {
        let Some(rule) = self.settings.cache else {
            return Ok(());
        };
        self.measure_models(
            matches!(rule.method, CacheMethod::TeaCache | CacheMethod::MagCache),
            progress,
        )
    }

    /// Has guidance between those noise levels only where it shows, see [`guided_between`]. The settings have them from then on.
    pub(super) fn spare_guidance(
        &mut self,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(), RunError> {
        self.measure_models(true, progress)?;
        let found = guided_between(&self.settings, |role| self.loaded.profile(role));
        let settings = RunSettings {
            guidance: Guidance {
                interval: found,
                ..self.settings.guidance
            },
            ..RunSettings::clone(&self.settings)
        };
        self.plans = settings.step_plans();
        self.settings = Arc::new(settings);
        Ok(())
    }

    /// Has at hand what is known of the run's models, and measures those of which nothing is where it `has_to`.
    fn measure_models(
        &mut self,
        has_to: bool,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(), RunError> {
        let size = self.settings.size();
        for role in self.roles.clone() {
            let model = self.loaded.identity(role)?.to_owned();
            let mut known = self.profiles.of(&model).at(size).cloned();
            if known.is_none() && has_to && role != ModelRole::Distilled {
                known = self.measure(role, progress)?;
                if let Some(profile) = &known {
                    self.profiles.note(model, size, profile.clone());
                }
            }
            self.loaded.set_profile(role, known);
        }
        Ok(())
    }

    /// Along the pair's own prompt and seed, whatever is rendered: so every machine finds the same, and a recipe gives the same
    /// clip on each.
    fn measure(
        &mut self,
        role: ModelRole,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Option<CacheProfile>, RunError> {
        let (width, height, frames) = self.settings.size();
        let settings = RunSettings {
            plan: Plan::only(role),
            steps: STEPS,
            guidance: Guidance::default(),
            cache: None,
            width,
            height,
            frames,
            ..self.summary.defaults.clone()
        };
        self.encode(&[&settings.prompt, &settings.negative], progress)?;
        self.load(&[role], progress)?;
        progress(Progress::Phase(Phase::Calibrating));
        self.loaded.set_clip(settings.fps, settings.seed)?;
        let shape = self.latent_shape().into();
        let noise = initial_noise(settings.seed, shape, self.loaded.device())?;
        let models = self
            .loaded
            .guide(&[role], &settings.prompt, &settings.negative)?;
        let model = models.guided(role)?;
        let course = settings.course();
        Ok(measure_profile(&noise, &course, &model, self.cancel)?)
    }
}
