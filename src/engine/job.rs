//! One run, phase by phase: text, weights, denoising, decoding.

mod calibrate;
mod denoise;
mod load;
mod probe;
mod sweep;

use std::sync::Arc;
use std::time::Instant;

use candle_core::Tensor;

use super::event::{FinishedRun, PairSummary, Phase, RunReport};
use super::loaded::LoadedPair;
use super::paused::PausedRun;
use super::pipeline::{Progress, RunError, RunRequest};
use super::profile_book::ProfileBook;
use super::residency::{Fit, MemoryNeed, stretches};
use super::step_cache::StepCache;
use super::step_clock::StepClock;
use super::step_store::Hold;
use super::tensor_cache::TensorCache;
use super::tensors;
use super::unwritten::Unwritten;
use super::weight_hashes::WeightHashes;
use crate::models::identity;
use crate::preview::LatentFrames;
use crate::project::RunSettings;
use crate::sampler::{Cancel, Origin, SampleError, StepView, Trajectory, initial_noise};
use crate::schedule::{ModelRole, StepPlan};

use load::Loads;
pub(super) use sweep::Rendered;

/// What outlives a run.
pub(super) struct Keepers<'a> {
    pub(super) loaded: &'a mut LoadedPair,
    pub(super) hashes: &'a mut WeightHashes,
    pub(super) unwritten: &'a mut Unwritten,
    pub(super) steps: &'a mut StepCache,
    pub(super) profiles: &'a mut ProfileBook,
}

/// A run that is under way.
pub(super) struct Job<'a> {
    request: &'a RunRequest,
    /// Those of the request, with the plan that came out where that was decided on the way.
    settings: Arc<RunSettings>,
    summary: &'a PairSummary,
    fit: Fit,
    need: MemoryNeed,
    loaded: &'a mut LoadedPair,
    hashes: &'a mut WeightHashes,
    unwritten: &'a mut Unwritten,
    steps: &'a mut StepCache,
    profiles: &'a mut ProfileBook,
    cancel: &'a Cancel,
    plans: Vec<StepPlan>,
    /// The models of the plan, each once.
    roles: Vec<ModelRole>,
    loads: Loads,
}

/// What the prompts cost.
#[derive(Default)]
struct TextTime {
    secs: f64,
    /// Whether one had to be encoded.
    is_new: bool,
}

/// A run that is over, and what is worth to remember of it.
pub(super) struct Done {
    pub(super) finished: FinishedRun,
    pub(super) fit: Fit,
    /// Seconds that texts took which had to be encoded.
    pub(super) new_text_secs: Option<f64>,
    /// Seconds that loading one byte of weights took.
    pub(super) secs_per_byte: Option<f64>,
    clock: StepClock,
}

impl Done {
    /// Seconds of one pass of a model, where it took steps.
    pub(super) fn pass_secs(&self, role: ModelRole) -> Option<f64> {
        self.clock.eta.measured_pass_secs(role)
    }
}

impl<'a> Job<'a> {
    pub(super) fn new(
        request: &'a RunRequest,
        summary: &'a PairSummary,
        fit: Fit,
        keepers: Keepers<'a>,
        cancel: &'a Cancel,
    ) -> Self {
        let Keepers {
            loaded,
            hashes,
            unwritten,
            steps,
            profiles,
        } = keepers;
        let settings = Arc::new(request.whole_settings());
        let plans = settings.step_plans();
        let is_used = |role: &ModelRole| {
            request.online.is_some() && *role != ModelRole::Distilled
                || plans.iter().any(|step| step.model == *role)
        };
        Self {
            request,
            settings,
            summary,
            fit,
            need: summary.rules.memory(request.settings.size()),
            loaded,
            hashes,
            unwritten,
            steps,
            profiles,
            cancel,
            roles: ModelRole::ALL.into_iter().filter(is_used).collect(),
            plans,
            loads: Loads::default(),
        }
    }

    fn settings(&self) -> Arc<RunSettings> {
        Arc::clone(&self.settings)
    }

    pub(super) fn run(mut self, progress: &mut dyn FnMut(Progress)) -> Result<Done, RunError> {
        for role in &self.roles {
            let (model, identity) = (self.loaded.model_path(*role)?, self.loaded.identity(*role)?);
            self.hashes.begin(model, identity)?;
        }
        let mut clock = StepClock::new(self.summary, &self.settings);
        if self.request.spare_guidance {
            self.spare_guidance(progress)?;
        }
        let left = match self.request.online {
            Some(_) => None,
            None => self.key()?.and_then(|key| self.left_over(&key)),
        };
        let (mut text, mut denoise_secs) = (TextTime::default(), 0.0);
        let (mut reused_steps, mut files, mut origins) = (0, Vec::new(), Vec::new());
        let mut deciding = self.deciding();
        let latents = match left {
            Some(latents) => latents,
            None => {
                let mut trajectory = match &mut deciding {
                    None => self.begin(progress)?,
                    Some(deciding) => self.begin_online(deciding, progress)?,
                };
                reused_steps = trajectory.steps();
                let stretches = match self.cancel.rests_after(reused_steps) {
                    true => Vec::new(),
                    false => self.stretches_from(reused_steps),
                };
                if let Some((_, roles)) = stretches.first() {
                    text = self.encode_own(progress)?;
                    self.calibrate(progress)?;
                    self.load(roles, progress)?;
                }
                let started = Instant::now();
                let outcome = match &mut deciding {
                    None => self.denoise(&mut trajectory, &stretches, &mut clock, progress),
                    Some(deciding) => {
                        self.denoise_online(deciding, &mut trajectory, &mut clock, progress)
                    }
                };
                denoise_secs = started.elapsed().as_secs_f64();
                if outcome.is_ok() && self.cancel.rests_after(trajectory.steps()) {
                    return Err(RunError::Paused(Box::new(self.pause(&trajectory)?)));
                }
                self.keep_steps(&trajectory)?;
                outcome?;
                // Nothing finished is lost: the latents reach disk before the decode may fail.
                files = tensors::write_by_products(self.request, &self.settings, &trajectory)?;
                if self.settings.cache.is_some() {
                    origins = trajectory.origins().to_vec();
                }
                trajectory.last().clone()
            }
        };
        let key = self.key()?;
        let unwritten = key
            .as_ref()
            .and_then(|key| self.unwritten.kept.put(key, &latents));

        let (clip, decode_secs) = self.decode(&latents, progress).map_err(|why| match why {
            RunError::Failed(why) if unwritten.is_some() => RunError::Failed(format!(
                "{why}; the latents were kept, so that the same run, with seed {}, only decodes",
                self.settings().seed
            )),
            why => why,
        })?;
        self.unwritten.decoded.extend(key);
        let mut model_hashes = Vec::new();
        for role in &self.roles {
            let (model, identity) = (self.loaded.model_path(*role)?, self.loaded.identity(*role)?);
            let hash = self.hashes.get(model, identity, self.cancel)?;
            model_hashes.push((*role, hash));
        }

        // Of what was only decoded nobody knows which steps were computed, and all are counted.
        let is_computed = |i: usize| origins.get(i) != Some(&Origin::Skipped);
        let computed = (0..self.plans.len()).filter(|i| is_computed(*i));
        let computed = computed.map(|i| self.plans[i]);
        let cost = self.summary.cost_of(&self.settings, computed);
        let Loads { secs, bytes } = self.loads;
        let report = RunReport {
            steps: clock.steps.clone(),
            reused_steps,
            origins,
            load_secs: secs,
            encode_secs: text.secs,
            denoise_secs,
            decode_secs,
            decoded_in_tiles: self.fit.in_tiles,
            paper_flops: cost.paper_flops,
            full_flops: cost.full_flops,
            device: self.summary.device.clone(),
            model_hashes,
            files,
            source: TensorCache::key(&[&self.source()?]),
        };
        Ok(Done {
            finished: FinishedRun {
                settings: RunSettings::clone(&self.settings),
                clip: Arc::new(clip),
                report,
                unwritten,
            },
            fit: self.fit,
            new_text_secs: text.is_new.then_some(text.secs),
            secs_per_byte: (bytes > 0).then(|| secs / bytes as f64),
            clock,
        })
    }

    /// The name of this run's latents, if they are to be kept.
    fn key(&self) -> Result<Option<String>, RunError> {
        match self.request.keep_latents {
            true => self.name().map(Some),
            false => Ok(None),
        }
    }

    /// A name made of all that decides on the run.
    pub(super) fn name(&self) -> Result<String, RunError> {
        let settings = serde_json::to_string(&*self.settings)
            .map_err(|why| RunError::Failed(why.to_string()))?;
        let source = self.source()?;
        Ok(TensorCache::key(&[&settings, &source]))
    }

    /// What decides on a run beside its settings: device, format, the models' files, given noise.
    fn source(&self) -> Result<String, RunError> {
        let mut source = self.loaded.files().source.clone();
        if let Some(file) = &self.request.init_latents {
            source.push('\n');
            source.push_str(&identity([file])?);
        }
        Ok(source)
    }

    /// Where the run starts from: the noise, or the steps that an earlier run has in common with it.
    fn begin(&mut self, progress: &mut dyn FnMut(Progress)) -> Result<Trajectory, RunError> {
        let begun = self.beginning()?;
        self.tell_begun(&begun, progress)?;
        Ok(begun)
    }

    fn beginning(&mut self) -> Result<Trajectory, RunError> {
        let (settings, device) = (self.settings(), self.loaded.device().clone());
        if self.request.reuse_steps
            && let Some(begun) = self.steps.begin(&self.source()?, &settings, &device)
        {
            // Whoever wants to see the clip after a step sees that step, also where more are known.
            return Ok(begun.first_steps(self.cancel.pauses_after()));
        }
        let shape = self.latent_shape().into();
        let initial = match &self.request.init_latents {
            Some(file) => tensors::read_latents(file, shape, &device)?,
            None => initial_noise(settings.seed, shape, &device)?,
        };
        Ok(Trajectory::starting_at(initial))
    }

    /// Tells of the steps that the run begins with, where there are any.
    fn tell_begun(
        &self,
        begun: &Trajectory,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(), RunError> {
        if begun.steps() > 0 {
            progress(Progress::StepsReused(begun.steps()));
            if self.request.preview_every > 0 {
                progress(Progress::Preview(self.estimate(begun)?));
            }
        }
        Ok(())
    }

    /// The estimate after the last step of a run, which has one.
    fn estimate(&self, trajectory: &Trajectory) -> Result<LatentFrames, SampleError> {
        let last = trajectory.steps() - 1;
        preview(&StepView {
            step: last,
            plan: self.plans[last],
            sigma: self.settings().course().grid.sigma(last),
            before: trajectory.state(last),
            velocity: trajectory.velocity(last),
            origin: trajectory.origin(last),
            off: None,
            after: trajectory.last(),
        })
    }

    /// Sees to it that the run can be gone on from, also after the program has ended.
    fn pause(&mut self, trajectory: &Trajectory) -> Result<PausedRun, RunError> {
        let (source, estimate) = (self.source()?, self.estimate(trajectory)?);
        let online = self.request.online;
        let hold = Hold {
            estimate: estimate.clone(),
            online,
        };
        let hold = self.steps.hold(source, &self.settings, trajectory, hold);
        Ok(PausedRun {
            settings: RunSettings::clone(&self.settings),
            online,
            steps: trajectory.steps(),
            estimate,
            hold,
        })
    }

    fn keep_steps(&mut self, trajectory: &Trajectory) -> Result<(), RunError> {
        if self.request.reuse_steps {
            let source = self.source()?;
            self.steps.keep(source, &self.settings, trajectory);
        }
        Ok(())
    }

    /// The stretches of the plan that are left after its first steps.
    fn stretches_from(&self, begun: usize) -> Vec<(usize, Vec<ModelRole>)> {
        let mut left = stretches(&self.plans[begun..], self.fit.residency);
        for (end, _) in &mut left {
            *end += begun;
        }
        left
    }

    /// What an earlier start of the program denoised and never wrote.
    fn left_over(&self, key: &str) -> Option<Tensor> {
        // By-products want every step, and so does whoever wants to look at one.
        let wants_steps = self.request.save_trajectory.is_some()
            || self.request.save_latents.is_some()
            || self.cancel.rests_after(self.plans.len());
        if wants_steps || self.unwritten.decoded.contains(key) {
            return None;
        }
        let latents = self.unwritten.kept.get(key, 5)?;
        let is_whole = latents.dims() == self.latent_shape();
        (is_whole && crate::sampler::is_finite(&latents).is_ok_and(|finite| finite))
            .then_some(latents)
    }

    fn latent_shape(&self) -> [usize; 5] {
        let settings = self.settings();
        self.loaded
            .family()
            .latent_shape(settings.width, settings.height, settings.frames)
    }

    /// Sees to it that the embeddings of the run's texts are known.
    fn encode_own(&mut self, progress: &mut dyn FnMut(Progress)) -> Result<TextTime, RunError> {
        let settings = self.settings();
        self.encode(&[&settings.prompt, &settings.negative], progress)
    }

    /// Sees to it that the embeddings of texts are known.
    fn encode(
        &mut self,
        texts: &[&str],
        progress: &mut dyn FnMut(Progress),
    ) -> Result<TextTime, RunError> {
        progress(Progress::Phase(Phase::Encoding));
        let started = Instant::now();
        let is_new = !self.loaded.unknown_texts(texts)?.is_empty();
        if is_new {
            // What an earlier run left in memory must not stand in the text encoder's way.
            let need = &self.need;
            let kept = need.of_transformers(&self.loaded.resident()) + need.vae;
            let available = self.summary.memory_bytes;
            if available.is_some_and(|bytes| need.base + need.text + kept > bytes) {
                self.loaded.keep_transformers(&[]);
                self.loaded.drop_vae();
            }
            self.loaded
                .encode_texts(texts, self.cancel, &mut |done, total| {
                    progress(Progress::Loaded { done, total });
                })?;
        }
        Ok(TextTime {
            secs: started.elapsed().as_secs_f64(),
            is_new,
        })
    }
}

fn preview(view: &StepView<'_>) -> Result<LatentFrames, SampleError> {
    let x0: Tensor = view.x0()?;
    let (_, channels, frames, height, width) = x0.dims5()?;
    Ok(LatentFrames {
        step: view.step,
        channels,
        frames,
        height,
        width,
        data: x0.flatten_all()?.to_vec1::<f32>()?.into(),
    })
}
