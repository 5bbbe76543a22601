mod sweep;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::boundary_book::{BoundaryMethod, FoundBook, KnownBoundaries, KnownPlan, RunKind};
use super::device::OpenDevice;
use super::event::{FinishedRun, PairRules, PairSummary};
use super::job::{Done, Job, Keepers};
use super::loaded::LoadedPair;
use super::pair_files::PairFiles;
use super::paused::PausedRun;
use super::pipeline::{Pipeline, Progress, RunError, RunRequest};
use super::probe::{Probe, ProbeRequest, ProbedRun};
use super::profile_book::{ProfileBook, Profiles};
use super::residency::Fit;
use super::step_cache::{KeptSteps, StepCache};
use super::sweep::SweepRequest;
use super::tensor_cache::TensorCache;
use super::tensors;
use super::timings::Timings;
use super::unwritten::Unwritten;
use super::weight_hashes::WeightHashes;
use super::{DeviceChoice, EngineSetup};
use crate::analysis::DivergenceCurve;
use crate::models::{ModelError, PairSpec, registry};
use crate::preview::RgbFactors;
use crate::project::{PairRef, RunSettings, paths};
use crate::sampler::Cancel;
use crate::schedule::{Guidance, History, ModelRole, Plan};

/// How the engine is set up at start.
#[derive(Clone, Copy, Debug, Default)]
pub struct EngineOptions {
    /// Where to compute.
    pub device: DeviceChoice,
    /// Number format of weights and, on a GPU, of activations; `None` takes the device's best.
    pub dtype: Option<candle_core::DType>,
    /// Bytes of memory that runs may plan with; `None` takes what the system says is available.
    pub memory_bytes: Option<u64>,
}

/// The real thing: models from disk, on the device this thread owns.
pub struct PairPipeline {
    options: EngineOptions,
    device: Option<OpenDevice>,
    /// What the files of the last pair said.
    files: Option<Arc<PairFiles>>,
    loaded: Option<LoadedPair>,
    timings: Timings,
    hashes: WeightHashes,
    unwritten: Unwritten,
    steps: StepCache,
    probes: TensorCache,
    boundaries: FoundBook<KnownBoundaries>,
    plans: FoundBook<KnownPlan>,
    profiles: ProfileBook,
    /// Folder of text embeddings.
    embeddings: Option<PathBuf>,
}

impl PairPipeline {
    /// Nothing is opened or loaded until it is needed. What can be lost without harm lies in the user's
    /// folder for such things.
    pub fn new(options: EngineOptions) -> Self {
        Self::with_cache_in(options, paths::cache_dir())
    }

    /// The same with another folder for what can be lost; `None` keeps nothing beyond the process.
    pub fn with_cache_in(options: EngineOptions, cache: Option<PathBuf>) -> Self {
        let cached = |name| cache.as_ref().map(|folder| folder.join(name));
        Self {
            options,
            device: None,
            files: None,
            loaded: None,
            timings: Timings::open(cached("timings.json")),
            hashes: WeightHashes::open(cached("hashes.json")),
            unwritten: Unwritten::in_folder(cached("latents")),
            steps: StepCache::in_folder(cached("steps")),
            probes: TensorCache::new(cached("probes")),
            boundaries: FoundBook::open(cached("boundaries.json")),
            plans: FoundBook::open(cached("plans.json")),
            profiles: ProfileBook::open(cached("profiles.json")),
            embeddings: cached("embeddings"),
        }
    }

    /// Keeps steps of earlier runs in memory alone.
    pub fn with_steps_in_memory(mut self) -> Self {
        self.steps = StepCache::in_folder(None);
        self
    }

    fn device(&mut self) -> Result<OpenDevice, String> {
        if let Some(device) = &self.device {
            return Ok(device.clone());
        }
        let device = OpenDevice::open(self.options.device, self.options.dtype)?;
        self.device = Some(device.clone());
        Ok(device)
    }

    /// What the files of a pair say now.
    fn read(&mut self, pair: &PairRef) -> Result<Arc<PairFiles>, RunError> {
        let device = self.device().map_err(RunError::Failed)?;
        let spec = spec_of(pair)?;
        if let Some(files) = &self.files
            && files.still_holds(&spec)
        {
            return Ok(Arc::clone(files));
        }
        let files = Arc::new(PairFiles::read(spec, &device)?);
        self.files = Some(Arc::clone(&files));
        Ok(files)
    }

    fn summary(&mut self, files: &PairFiles, pair: &PairRef) -> Result<PairSummary, String> {
        let device = self.device()?;
        let PairFiles { spec, rules, .. } = files;
        let (parameters, channels) = (rules.parameters(), rules.channels());
        let models = files.blended();
        let rules: Arc<dyn PairRules> = rules.clone();
        let defaults = default_settings(spec, pair)?;
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
            timings: self.timings.of(&timing_key(spec, &device)),
            known_boundaries: self.boundaries.of(&models),
            known_plans: self.plans.of(&models),
            profiles: self.profiles_of(files),
            memory_bytes: self.options.memory_bytes.or(device.memory_bytes()),
            source: files.source_hash(),
            device: device.to_string(),
            weights: device.weights(),
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

    /// What caches know of a pair's models.
    fn profiles_of(&self, files: &PairFiles) -> [Profiles; 3] {
        let of = |model: &String| self.profiles.of(model);
        files
            .models
            .each_ref()
            .map(|model| model.as_ref().map(of).unwrap_or_default())
    }

    /// Makes `self.loaded` the pair of `files`.
    fn open(&mut self, files: &Arc<PairFiles>) -> Result<(), RunError> {
        let device = self.device().map_err(RunError::Failed)?;
        if !self.loaded.as_mut().is_some_and(|pair| pair.takes(files)) {
            // The old pair goes first: two pairs need not fit side by side.
            self.loaded = None;
            let pair = LoadedPair::of(Arc::clone(files), device)?;
            self.loaded = Some(pair.with_embeddings_in(self.embeddings.clone()));
        }
        Ok(())
    }
}

impl Pipeline for PairPipeline {
    fn describe(&mut self, pair: &PairRef) -> Result<PairSummary, String> {
        let files = self.read(pair).map_err(|why| why.to_string())?;
        let summary = self.summary(&files, pair)?;
        self.steps.set_source(pair, files.source.clone());
        Ok(summary)
    }

    fn kept_steps(&self) -> Option<Arc<KeptSteps>> {
        Some(self.steps.told())
    }

    fn configure(&mut self, setup: EngineSetup) {
        self.steps
            .set_limits(setup.steps_in_memory, setup.steps_on_disk);
        if let Some(device) = setup.device
            && device != self.options.device
        {
            self.options.device = device;
            // The models lie on the old device.
            self.loaded = None;
            self.files = None;
            self.device = None;
        }
    }

    fn paused_runs(&self) -> Vec<PausedRun> {
        self.steps.paused()
    }

    fn run(
        &mut self,
        request: &RunRequest,
        cancel: &Cancel,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<FinishedRun, RunError> {
        let settings = &request.settings;
        tensors::check_targets(request)?;
        let Ready {
            files,
            summary,
            fit,
        } = match request.online {
            Some(_) => self.prepare(&with_both_models(settings)?)?,
            None => self.prepare(settings)?,
        };
        let done = Job::new(request, &summary, fit, self.keepers()?, cancel).run(progress);
        progress(Progress::StepsKept(self.steps.told()));
        let done = done?;

        self.remember(&files, &done)?;
        if let Ok(summary) = self.summary(&files, &settings.pair) {
            progress(Progress::Pair(Arc::new(summary)));
        }
        Ok(done.finished)
    }

    fn probe(
        &mut self,
        request: &ProbeRequest,
        cancel: &Cancel,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Probe, RunError> {
        let Ready {
            files,
            summary,
            fit,
        } = self.prepare(&with_both_models(&request.settings)?)?;
        let mut probe: Option<Probe> = None;
        for settings in request.references() {
            let run = RunRequest {
                reuse_steps: true,
                ..settings.clone().into()
            };
            let probed = self.probe_one(&run, &summary, fit, cancel, progress)?;
            let sum = probe.get_or_insert_with(|| Probe {
                settings,
                curve: DivergenceCurve::default(),
                maps: Arc::new(probed.maps),
            });
            sum.curve.add(probed.steps);
        }
        let probe =
            probe.ok_or_else(|| RunError::Failed("there was no run to probe".to_owned()))?;
        self.remember_boundaries(&files, &request.settings, &probe);
        if let Ok(summary) = self.summary(&files, &request.settings.pair) {
            progress(Progress::Pair(Arc::new(summary)));
        }
        Ok(probe)
    }

    fn sweep(
        &mut self,
        request: &SweepRequest,
        cancel: &Cancel,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(), RunError> {
        self.render_sweep(request, cancel, progress)
    }
}

/// What a run needs to know before anything is loaded.
struct Ready {
    files: Arc<PairFiles>,
    summary: PairSummary,
    fit: Fit,
}

impl PairPipeline {
    /// Refuses what cannot be rendered, and opens the pair.
    fn prepare(&mut self, settings: &RunSettings) -> Result<Ready, RunError> {
        settings
            .check()
            .map_err(|why| RunError::Failed(why.to_string()))?;
        let files = self.read(&settings.pair)?;
        let summary = self
            .summary(&files, &settings.pair)
            .map_err(RunError::Failed)?;
        summary
            .rules
            .check_size(settings.size())
            .map_err(RunError::Failed)?;
        summary.check_models(settings).map_err(RunError::Failed)?;
        let memory = summary.memory_plan(settings);
        let fit = memory
            .fit
            .ok_or_else(|| RunError::Failed(memory.refusal(settings)))?;
        self.open(&files)?;
        // Kept steps are of use only to runs of the very same models.
        self.steps.set_source(&settings.pair, files.source.clone());
        Ok(Ready {
            files,
            summary,
            fit,
        })
    }

    fn keepers(&mut self) -> Result<Keepers<'_>, RunError> {
        let Some(loaded) = &mut self.loaded else {
            return Err(RunError::Failed(
                "the models could not be kept in memory; please report this".to_owned(),
            ));
        };
        Ok(Keepers {
            loaded,
            hashes: &mut self.hashes,
            unwritten: &mut self.unwritten,
            steps: &mut self.steps,
            profiles: &mut self.profiles,
        })
    }

    /// Walks along one run of the large model, unless that was done before.
    fn probe_one(
        &mut self,
        request: &RunRequest,
        summary: &PairSummary,
        fit: Fit,
        cancel: &Cancel,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<ProbedRun, RunError> {
        let probes = self.probes.clone();
        let job = Job::new(request, summary, fit, self.keepers()?, cancel);
        let key = job.name()?;
        if let Some(kept) = ProbedRun::kept(&probes, &key) {
            return Ok(kept);
        }
        let probed = job.probe(progress);
        progress(Progress::StepsKept(self.steps.told()));
        let probed = probed?;
        probed.keep(&probes, &key);
        Ok(probed)
    }

    /// Keeps the boundaries that a probe named, if it named any, for runs like the one it was asked for.
    fn remember_boundaries(&mut self, files: &PairFiles, settings: &RunSettings, probe: &Probe) {
        if let Some(boundaries) = probe.boundaries_for(settings) {
            let found = KnownBoundaries {
                boundaries,
                runs: RunKind::of(settings),
                found_by: BoundaryMethod::Divergence,
            };
            self.boundaries.note(files.blended(), found);
        }
    }

    /// Keeps what the run measured for the next forecast.
    fn remember(&mut self, files: &PairFiles, done: &Done) -> Result<(), RunError> {
        let device = self.device().map_err(RunError::Failed)?;
        let size = done.finished.settings.size();
        self.timings
            .correct(timing_key(&files.spec, &device), |timings| {
                for role in ModelRole::ALL {
                    if let Some(secs) = done.pass_secs(role) {
                        timings.of_mut(role).add(size, secs);
                    }
                }
                // In tiles it takes longer, and says nothing of the next one that is whole.
                if !done.fit.in_tiles {
                    timings.decode.add(size, done.finished.report.decode_secs);
                }
                if let Some(secs) = done.new_text_secs {
                    timings.text.add(secs);
                }
                if let Some(secs) = done.secs_per_byte {
                    timings.byte.add(secs);
                }
            });
        Ok(())
    }
}

/// A run that needs both models, whatever its own plan.
fn with_both_models(settings: &RunSettings) -> Result<RunSettings, RunError> {
    Ok(RunSettings {
        plan: Plan::parse("LS", &[0.5]).map_err(|why| RunError::Failed(why.to_string()))?,
        ..settings.clone()
    })
}

fn spec_of(pair: &PairRef) -> Result<PairSpec, ModelError> {
    match pair {
        PairRef::Named(name) => registry::find(name),
        PairRef::Folders {
            large,
            small,
            distilled,
        } => Ok(PairSpec {
            distilled: distilled.clone(),
            ..PairSpec::from_folders(large, small)
        }),
    }
}

/// The name of a pair's timings: where it lies, and on what it runs.
fn timing_key(spec: &PairSpec, device: &OpenDevice) -> String {
    let folder = |path: &Path| path.display().to_string();
    format!(
        "{device} {:?} {} {} {}",
        device.device.location(),
        device.format(),
        folder(&spec.large),
        folder(&spec.small)
    )
}

/// The settings a fresh document starts with.
pub(super) fn default_settings(spec: &PairSpec, pair: &PairRef) -> Result<RunSettings, String> {
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
        history: History::default(),
        distilled_sigmas: defaults.distilled_sigmas.clone(),
        cfg: defaults.cfg,
        guidance: Guidance::default(),
        cache: None,
        width: defaults.width,
        height: defaults.height,
        frames: defaults.frames,
        fps: defaults.fps,
    })
}
