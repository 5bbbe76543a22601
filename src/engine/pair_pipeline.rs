use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use candle_core::Tensor;

use super::device::{DeviceChoice, OpenDevice};
use super::eta::Eta;
use super::event::{FinishedRun, PairSummary, Phase, RunReport, StepReport};
use super::loaded::LoadedPair;
use super::memory::available_bytes;
use super::pipeline::{Pipeline, Progress, RunError, RunRequest};
use super::residency::{MemoryNeed, Residency, stretches};
use super::rules::Rules;
use super::tensors;
use super::timings::Timings;
use crate::models::{Family, ModelError, PairSpec, registry};
use crate::preview::{LatentFrames, RgbFactors};
use crate::project::{PairRef, RunSettings, paths};
use crate::sampler::{Cancel, SampleError, StepView, Trajectory, denoise_until, initial_noise};
use crate::schedule::{ModelRole, Plan};

/// How the engine is set up at start.
#[derive(Clone, Copy, Debug, Default)]
pub struct EngineOptions {
    /// Where to compute.
    pub device: DeviceChoice,
    /// Number format of weights and activations; `None` takes the device's best.
    pub dtype: Option<candle_core::DType>,
    /// Bytes of memory that runs may plan with; `None` takes what the system says is available.
    pub memory_bytes: Option<u64>,
}

/// The real thing: models from disk, on the device this thread owns.
pub struct PairPipeline {
    options: EngineOptions,
    device: Option<OpenDevice>,
    loaded: Option<LoadedPair>,
    timings: Timings,
}

impl PairPipeline {
    /// Nothing is opened or loaded until it is needed.
    pub fn new(options: EngineOptions) -> Self {
        Self {
            options,
            device: None,
            loaded: None,
            timings: Timings::open(paths::cache_dir().map(|dir| dir.join("timings.json"))),
        }
    }

    fn device(&mut self) -> Result<OpenDevice, String> {
        if let Some(device) = &self.device {
            return Ok(device.clone());
        }
        let device = OpenDevice::open(self.options.device, self.options.dtype)?;
        self.device = Some(device.clone());
        Ok(device)
    }

    fn summary(&mut self, spec: &PairSpec, pair: &PairRef) -> Result<PairSummary, String> {
        let device = self.device()?;
        let rules =
            Rules::read(spec, device.dtype.size_in_bytes()).map_err(|why| why.to_string())?;
        let (parameters, channels) = (rules.parameters(), rules.channels());
        let rules = rules.shared();
        let defaults = default_settings(spec, pair)?;
        let key = |part: &str| timing_key(spec, &device, part);
        Ok(PairSummary {
            pair: pair.clone(),
            name: spec.name.clone(),
            parameters,
            rgb: spec
                .defaults
                .preview
                .clone()
                .filter(|rgb| rgb.factors.len() == channels)
                .unwrap_or_else(|| RgbFactors::first_channels(channels)),
            rules,
            pass_secs: [
                self.timings.get(&key(ModelRole::Large.name())),
                self.timings.get(&key(ModelRole::Small.name())),
            ],
            decode_secs: self.timings.get(&key("decode")),
            device: device.to_string(),
            vocabulary: spec
                .defaults
                .vocabulary
                .iter()
                .map(|(slot, words)| (slot.clone(), words.clone()))
                .collect(),
            presets: spec.defaults.presets.clone(),
            defaults,
        })
    }

    fn loaded(&mut self, spec: &PairSpec) -> Result<&mut LoadedPair, RunError> {
        let device = self.device().map_err(RunError::Failed)?;
        if self.loaded.as_ref().is_none_or(|loaded| !loaded.is(spec)) {
            // The old pair goes first: two pairs need not fit side by side.
            self.loaded = None;
            let embeddings = paths::cache_dir().map(|dir| dir.join("embeddings"));
            let pair = LoadedPair::open(spec.clone(), device)?.with_embeddings_in(embeddings);
            self.loaded = Some(pair);
        }
        self.loaded
            .as_mut()
            .ok_or_else(|| RunError::Failed("the models could not be kept in memory".to_owned()))
    }
}

impl Pipeline for PairPipeline {
    fn describe(&mut self, pair: &PairRef) -> Result<PairSummary, String> {
        let spec = spec_of(pair).map_err(|why| why.to_string())?;
        self.summary(&spec, pair)
    }

    fn run(
        &mut self,
        request: &RunRequest,
        cancel: &Cancel,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<FinishedRun, RunError> {
        let settings = &request.settings;
        settings
            .check()
            .map_err(|why| RunError::Failed(why.to_string()))?;
        let spec = spec_of(&settings.pair)?;
        let summary = self
            .summary(&spec, &settings.pair)
            .map_err(RunError::Failed)?;
        summary
            .rules
            .check_size(settings.size())
            .map_err(RunError::Failed)?;
        tensors::check_targets(request)?;
        let device = self.device().map_err(RunError::Failed)?;
        let plans = settings.step_plans();
        let roles: Vec<ModelRole> = plans.iter().map(|step| step.model).collect();
        let need = summary.rules.memory(settings.size());
        // What a GPU has free candle does not say.
        let measured = available_bytes().filter(|_| device.device.is_cpu());
        let available = self.options.memory_bytes.or(measured);
        let residency = need
            .residency(&roles, available)
            .ok_or_else(|| too_large(&need, &roles, available, settings))?;
        let stretches = stretches(&plans, residency);
        let loaded = self.loaded(&spec)?;

        progress(Progress::Phase(Phase::Encoding));
        let encode_start = Instant::now();
        let texts = [settings.prompt.as_str(), settings.negative.as_str()];
        if !loaded.unknown_texts(&texts)?.is_empty() {
            // What an earlier run left in memory must not stand in the text encoder's way.
            let kept = need.of_transformers(&loaded.resident()) + need.vae;
            if available.is_some_and(|bytes| need.base + need.text + kept > bytes) {
                loaded.keep_transformers(&[]);
                loaded.drop_vae();
            }
            loaded.encode_texts(&texts, cancel)?;
        }
        let encode_secs = encode_start.elapsed().as_secs_f64();

        progress(Progress::Phase(Phase::Loading));
        let mut load_secs = 0.0;
        let mut load = |loaded: &mut LoadedPair, roles: &[ModelRole]| {
            let started = Instant::now();
            if residency == Residency::Swapped {
                loaded.keep_transformers(roles);
                loaded.drop_vae();
            }
            for role in roles {
                loaded.load_transformer(*role, cancel)?;
            }
            loaded.set_clip(settings.fps, settings.seed)?;
            if residency == Residency::Together {
                // Before the long work: a spoilt file is better known now.
                loaded.load_vae()?;
            }
            load_secs += started.elapsed().as_secs_f64();
            Ok::<_, RunError>(())
        };
        let mut stretches = stretches.into_iter().peekable();
        if let Some((_, roles)) = stretches.peek() {
            load(loaded, roles)?;
        }

        progress(Progress::Phase(Phase::Denoising));
        let denoise_start = Instant::now();
        let shape = Family::of(&spec.large)
            .latent_shape(settings.width, settings.height, settings.frames)
            .into();
        let initial = match &request.init_latents {
            Some(file) => tensors::read_latents(file, shape, &device.device)?,
            None => initial_noise(settings.seed, shape, &device.device)?,
        };
        let size = settings.size();
        let mut clock = StepClock::new(&summary, settings);
        let mut trajectory = Trajectory::starting_at(initial);
        for (end, roles) in stretches {
            load(loaded, &roles)?;
            clock.resume();
            trajectory = denoise_until(
                end,
                trajectory,
                &settings.grid(),
                &plans,
                &loaded.guide(&roles, &settings.prompt, &settings.negative)?,
                cancel,
                &mut |view| {
                    // The picture first: whoever hears of the step finds it there.
                    progress(Progress::Preview(preview(&view)?));
                    progress(Progress::Step(clock.step(&view, &plans)));
                    Ok(())
                },
            )?;
        }
        let denoise_secs = denoise_start.elapsed().as_secs_f64();
        // Nothing finished is lost: the latents reach disk before the decode may fail.
        let files = tensors::write_by_products(request, &trajectory, &plans)?;

        progress(Progress::Phase(Phase::Decoding));
        if residency == Residency::Swapped {
            let load_start = Instant::now();
            loaded.keep_transformers(&[]);
            loaded.load_vae()?;
            load_secs += load_start.elapsed().as_secs_f64();
        }
        let decode_start = Instant::now();
        let clip = loaded.decode(
            trajectory.last(),
            settings.fps,
            cancel,
            &mut |done, total| {
                progress(Progress::Decoded { done, total });
            },
        )?;
        let decode_secs = decode_start.elapsed().as_secs_f64();
        let model_hashes = loaded.hashes(&roles)?;

        let cost = summary.cost(settings);
        if size == summary.defaults.size() {
            self.remember(&spec, &device, &clock.eta, decode_secs);
            if let Ok(summary) = self.summary(&spec, &settings.pair) {
                progress(Progress::Pair(Arc::new(summary)));
            }
        }
        Ok(FinishedRun {
            settings: settings.clone(),
            clip: Arc::new(clip),
            report: RunReport {
                steps: clock.steps,
                load_secs,
                encode_secs,
                denoise_secs,
                decode_secs,
                paper_flops: cost.paper_flops,
                full_flops: cost.full_flops,
                device: device.to_string(),
                model_hashes,
                files,
            },
        })
    }
}

impl PairPipeline {
    fn remember(&mut self, spec: &PairSpec, device: &OpenDevice, eta: &Eta, decode_secs: f64) {
        for role in [ModelRole::Large, ModelRole::Small] {
            if let Some(secs) = eta.measured_pass_secs(role) {
                self.timings
                    .set(timing_key(spec, device, role.name()), secs);
            }
        }
        self.timings
            .set(timing_key(spec, device, "decode"), decode_secs);
        self.timings.save();
    }
}

/// Times the steps and predicts what is left.
struct StepClock {
    eta: Eta,
    started: Instant,
    steps: Vec<StepReport>,
}

impl StepClock {
    fn new(summary: &PairSummary, settings: &RunSettings) -> Self {
        let cost = |role| summary.model_cost(role, settings.size());
        let (large, small) = (cost(ModelRole::Large), cost(ModelRole::Small));
        Self {
            eta: Eta::new(
                [large.pass_secs, small.pass_secs],
                [large.flops.full(), small.flops.full()],
                summary.decode_secs_at(settings),
            ),
            started: Instant::now(),
            steps: Vec::with_capacity(settings.steps),
        }
    }

    /// The next step starts now: what came before was no part of one.
    fn resume(&mut self) {
        self.started = Instant::now();
    }

    fn step(&mut self, view: &StepView<'_>, plans: &[crate::schedule::StepPlan]) -> StepReport {
        let secs = self.started.elapsed().as_secs_f64();
        self.started = Instant::now();
        self.eta.record(&view.plan, secs);
        let report = StepReport {
            step: view.step,
            of: plans.len(),
            model: view.plan.model,
            sigma: view.sigma,
            cfg: view.plan.cfg,
            secs,
            eta_secs: self.eta.remaining_secs(&plans[view.step + 1..]),
        };
        self.steps.push(report);
        report
    }
}

/// What is said of a run that this machine cannot hold, instead of being ended by the system half way.
fn too_large(
    need: &MemoryNeed,
    roles: &[ModelRole],
    available: Option<u64>,
    settings: &RunSettings,
) -> RunError {
    RunError::Failed(format!(
        "{}x{} with {} frames needs about {:.1} GB of memory, but {:.1} GB are available; choose a smaller size or fewer frames",
        settings.width,
        settings.height,
        settings.frames,
        need.peak(roles, Residency::Swapped) as f64 / 1e9,
        available.unwrap_or(0) as f64 / 1e9
    ))
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

fn spec_of(pair: &PairRef) -> Result<PairSpec, ModelError> {
    match pair {
        PairRef::Named(name) => registry::find(name),
        PairRef::Folders { large, small } => Ok(PairSpec::from_folders(large, small)),
    }
}

fn timing_key(spec: &PairSpec, device: &OpenDevice, part: &str) -> String {
    let folder = |path: &Path| path.display().to_string();
    format!(
        "{device} {:?} {} {} {part}",
        device.dtype,
        folder(&spec.large),
        folder(&spec.small)
    )
}

/// The settings a fresh document starts with.
fn default_settings(spec: &PairSpec, pair: &PairRef) -> Result<RunSettings, String> {
    let defaults = &spec.defaults;
    Ok(RunSettings {
        pair: pair.clone(),
        prompt: defaults.prompt.clone(),
        negative: defaults.negative.clone(),
        seed: defaults.seed,
        plan: Plan::parse("LSL", &defaults.boundaries)
            .map_err(|why| format!("the pair {} has unusable boundaries: {why}", spec.name))?,
        steps: defaults.steps,
        shift: defaults.shift,
        solver: defaults.solver,
        cfg: defaults.cfg,
        width: defaults.width,
        height: defaults.height,
        frames: defaults.frames,
        fps: defaults.fps,
    })
}
