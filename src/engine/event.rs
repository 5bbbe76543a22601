use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::boundary_book::{KnownBoundaries, KnownPlan, Remembered, remembered, remembered_plan};
use super::device::WeightFormat;
use super::loaded::no_model;
use super::paused::PausedRun;
use super::probe::Probe;
use super::profile_book::Profiles;
use super::residency::MemoryNeed;
use super::step_cache::KeptSteps;
use super::sweep::SweepRow;
use super::timings::PairTimings;
use crate::analysis::{Divergence, Wish};
use crate::media::Clip;
use crate::preview::RgbFactors;
use crate::project::{PairRef, Preset, RunSettings};
use crate::sampler::{COLLAPSED, Origin};
use crate::schedule::{
    CacheProfile, Flops, ModelCost, ModelRole, Plan, PlanCost, StepPlan, expected_skips, plan_cost,
};

/// Tells the events of one run from those of every other. Later runs have larger ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct RunId(pub u64);

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// The part of a run that is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Weights come from disk.
    Loading,
    /// The prompt goes through the text encoder.
    Encoding,
    /// The latents clear up, step by step.
    Denoising,
    /// The VAE turns latents into frames.
    Decoding,
    /// The small model's velocity is held against the large one's, step by step.
    Probing,
    /// A model takes a run of its own, along which a cache learns what it wants to know of it.
    Calibrating,
}

/// One finished step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepReport {
    /// The step, from 0.
    pub step: usize,
    /// Steps of the run.
    pub of: usize,
    /// The model evaluated.
    pub model: ModelRole,
    /// Noise level before the step.
    pub sigma: f64,
    /// Guidance scale.
    pub cfg: f64,
    /// Whether the model was evaluated.
    #[serde(default)]
    pub origin: Origin,
    /// How far off the velocity is that a cache would have taken up, where that was looked at: relative l2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub off: Option<f64>,
    /// Seconds the step took.
    pub secs: f64,
    /// Seconds until the clip is there, at the models' measured speeds.
    #[serde(skip)]
    pub eta_secs: Option<f64>,
}

impl StepReport {
    /// Whether a cache spared the model's evaluation.
    pub fn is_spared(&self) -> bool {
        self.origin == Origin::Skipped
    }

    /// Where a cache was given up at the step, a sentence with its cause and the next step.
    pub fn why_given_up(&self) -> Option<String> {
        let off = self.off.filter(|_| self.origin == Origin::GaveUp)?;
        Some(format!(
            "the cache was given up for the {} model at step {}: what it would have taken up is {:.0} % off the true velocity, \
             where {:.0} % are allowed; lower its threshold or choose another",
            self.model,
            self.step + 1,
            off * 100.0,
            COLLAPSED * 100.0
        ))
    }
}

/// What a finished run measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunReport {
    /// Every step that was computed, in order.
    pub steps: Vec<StepReport>,
    /// Steps before those that were taken from an earlier run.
    pub reused_steps: usize,
    /// How every step of the run came by its velocity; nothing where the run had no cache.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub origins: Vec<Origin>,
    /// Seconds of loading weights; 0 when they were in memory.
    pub load_secs: f64,
    /// Seconds of the text encoder.
    pub encode_secs: f64,
    /// Seconds of all steps with what lies between them.
    pub denoise_secs: f64,
    /// Seconds of the VAE.
    pub decode_secs: f64,
    /// Whether it decoded in tiles, because memory was short.
    pub decoded_in_tiles: bool,
    /// FLOPs as FlowBlending's tables count them.
    pub paper_flops: f64,
    /// FLOPs with attention and both passes of guidance.
    pub full_flops: f64,
    /// The device, as people name it.
    pub device: String,
    /// SHA-256 of the models' weights, by role, as hex.
    pub model_hashes: Vec<(ModelRole, String)>,
    /// Files the run wrote besides the clip (latents, trajectory).
    pub files: Vec<PathBuf>,
    /// What the clip follows from beside the settings: as [`PairSummary::source`]. Empty where an earlier version wrote the
    /// report.
    #[serde(default)]
    pub source: String,
}

impl RunReport {
    /// Which steps its cache spared; nothing where it had none.
    pub fn spared(&self) -> Vec<bool> {
        let origins = self.origins.iter();
        origins.map(|origin| *origin == Origin::Skipped).collect()
    }
}

/// A run that reached its end.
#[derive(Clone, Debug)]
pub struct FinishedRun {
    /// What it was asked for, the seed filled in.
    pub settings: RunSettings,
    /// The frames.
    pub clip: Arc<Clip>,
    /// What was measured.
    pub report: RunReport,
    /// The file with the denoised latents, until the clip is safely written.
    pub unwritten: Option<PathBuf>,
}

impl FinishedRun {
    /// The clip is on disk: the latents that it could be decoded from again may go.
    pub fn clip_is_written(&self) {
        if let Some(file) = &self.unwritten {
            // One that stays behind is pruned some day.
            let _ = std::fs::remove_file(file);
        }
    }
}

/// What the window and `plan` know of a pair without running it.
#[derive(Clone, Debug)]
pub struct PairSummary {
    /// Which pair.
    pub pair: PairRef,
    /// Its name for people.
    pub name: String,
    /// The settings a fresh document starts with.
    pub defaults: RunSettings,
    /// Parameters of the large, the small and the distilled transformer; 0 where there is none.
    pub parameters: [u64; 3],
    /// How its latents become a preview.
    pub rgb: RgbFactors,
    /// The family's limits and costs.
    pub rules: Arc<dyn PairRules>,
    /// Seconds that its parts take on this device, as far as they were measured.
    pub timings: PairTimings,
    /// Boundaries that were found for its runs.
    pub known_boundaries: Vec<KnownBoundaries>,
    /// Plans that sweeps found the best.
    pub known_plans: Vec<KnownPlan>,
    /// What caches know of its models, by the index of their role, as far as it was measured.
    pub profiles: [Profiles; 3],
    /// Bytes of memory that runs may take; `None` where nobody knows.
    pub memory_bytes: Option<u64>,
    /// The device runs happen on, as people name it.
    pub device: String,
    /// What becomes of weights there.
    pub weights: WeightFormat,
    /// What decides on its clips beside their settings, as one hash: the device, the number format, the files of its models
    /// and the program. Two runs of equal settings and equal source have the same clip.
    pub source: String,
    /// Words of the prompt the pair understands, by slot; empty when it understands free text.
    pub vocabulary: Vec<(String, Vec<String>)>,
    /// Prompts with a seed that show the pair at its best.
    pub presets: Vec<Preset>,
}

/// What a family of models allows and costs, without running them.
pub trait PairRules: fmt::Debug + Send + Sync {
    /// FLOPs of one forward pass of a model at `(width, height, frames)`.
    fn flops(&self, role: ModelRole, size: (usize, usize, usize)) -> Flops;

    /// Refuses a size the family cannot do, with the reason and the nearest one it can.
    fn check_size(&self, size: (usize, usize, usize)) -> Result<(), String>;

    /// What the parts of a run at `(width, height, frames)` are expected to hold.
    fn memory(&self, size: (usize, usize, usize)) -> MemoryNeed;

    /// The shift at `(width, height, frames)`, for models whose own depends on the size.
    fn shift(&self, _size: (usize, usize, usize)) -> Option<f64> {
        None
    }
}

impl PairSummary {
    /// Whether the pair has a model for `role`.
    pub fn has(&self, role: ModelRole) -> bool {
        self.parameters[role.index()] > 0
    }

    /// The shift of the models' own scheduler at `(width, height, frames)`.
    pub fn own_shift(&self, size: (usize, usize, usize)) -> f64 {
        self.rules.shift(size).unwrap_or(self.defaults.shift)
    }

    /// Refuses a run whose plan the pair has not the models for; a sentence.
    pub fn check_models(&self, settings: &RunSettings) -> Result<(), String> {
        let plan = &settings.plan;
        let missing = |role: &ModelRole| plan.has(*role) && !self.has(*role);
        if let Some(missing) = ModelRole::ALL.into_iter().find(missing) {
            return Err(no_model(&self.name, missing));
        }
        if settings.distilled_sigmas.is_none() && plan.has(ModelRole::Distilled) {
            return Err(
                "the run names no noise levels for its distilled stages; give --distilled-steps, for example 8, or --distilled-sigmas".to_owned(),
            );
        }
        Ok(())
    }

    /// What one pass of a model costs at `(width, height, frames)`. The time is the measured one; at a
    /// size that never ran, the nearest one's in proportion to the FLOPs. A distilled model that never ran
    /// takes the small one's.
    pub fn model_cost(&self, role: ModelRole, size: (usize, usize, usize)) -> ModelCost {
        let flops = |size| self.rules.flops(role, size);
        let measured = |of| {
            let work = |size| self.rules.flops(of, size).full();
            self.timings.of(of).at(size, work)
        };
        let from_small = || {
            let share = flops(size).full() / self.rules.flops(ModelRole::Small, size).full();
            measured(ModelRole::Small)
                .filter(|_| share > 0.0)
                .map(|secs| secs * share)
        };
        ModelCost {
            flops: flops(size),
            pass_secs: match role {
                ModelRole::Distilled => measured(role).or_else(from_small),
                _ => measured(role),
            },
        }
    }

    /// The boundaries that are known for a run like this one, or re-scaled from another.
    pub fn remembered_boundaries(&self, settings: &RunSettings) -> Option<Remembered<[f64; 2]>> {
        remembered(&self.known_boundaries, settings)
    }

    /// The plan that a sweep found the best for this wish in a run like this one, or re-scaled from another.
    pub fn remembered_plan(&self, settings: &RunSettings, wish: Wish) -> Option<Remembered<Plan>> {
        remembered_plan(&self.known_plans, settings, wish)
    }

    /// What a run with these settings costs, without the steps that its cache is expected to spare.
    pub fn cost(&self, settings: &RunSettings) -> PlanCost {
        let skips = self.expected_skips(settings);
        let steps = settings.step_plans().into_iter().zip(skips);
        self.cost_of(
            settings,
            steps
                .filter(|(_, is_skipped)| !is_skipped)
                .map(|(step, _)| step),
        )
    }

    /// What some steps of a run cost.
    pub fn cost_of(
        &self,
        settings: &RunSettings,
        steps: impl IntoIterator<Item = StepPlan>,
    ) -> PlanCost {
        let steps: Vec<_> = steps.into_iter().collect();
        plan_cost(&steps, |role| self.model_cost(role, settings.size()))
    }

    /// Which steps of a run its cache is expected to spare; none of a model that it knows nothing of.
    pub fn expected_skips(&self, settings: &RunSettings) -> Vec<bool> {
        let course = settings.course();
        expected_skips(&course.steps, &course.grid, |role| {
            self.profiles[role.index()].at(settings.size())
        })
    }

    /// The noise levels between which guidance is worth its second pass for a model of the run; `None` where not all of them were
    /// measured.
    pub fn guided_between(&self, settings: &RunSettings) -> Option<[f64; 2]> {
        guided_between(settings, |role| {
            self.profiles[role.index()].at(settings.size())
        })
    }

    /// Seconds of the decode at a run's size, once measured; in proportion to the pixels at a size that
    /// never ran.
    pub fn decode_secs(&self, settings: &RunSettings) -> Option<f64> {
        let pixels = |(width, height, frames)| (width * height * frames) as f64;
        self.timings.decode.at(settings.size(), pixels)
    }

    /// Seconds from a run's first step to its clip, with the models in memory and the prompt known, once
    /// all its parts were measured.
    pub fn clip_secs(&self, settings: &RunSettings) -> Option<f64> {
        Some(self.cost(settings).denoise_secs? + self.decode_secs(settings)?)
    }
}

/// The noise levels, the lower one first, between which guidance shows in a model of the run; `None` where not all of them were
/// measured.
pub(super) fn guided_between<'a>(
    settings: &RunSettings,
    profile: impl Fn(ModelRole) -> Option<&'a CacheProfile>,
) -> Option<[f64; 2]> {
    let mut all: Option<[f64; 2]> = None;
    let stages = settings.plan.stages().iter();
    for stage in stages.filter(|stage| stage.model != ModelRole::Distilled) {
        let profile = profile(stage.model).filter(|profile| !profile.guidance.is_empty())?;
        if let Some([low, high]) = profile.guided_between(stage.cfg_in(settings.cfg)) {
            let [lowest, highest] = all.unwrap_or([low, high]);
            all = Some([lowest.min(low), highest.max(high)]);
        }
    }
    // Where it shows nowhere, none is needed.
    Some(all.unwrap_or([0.0, 0.0]))
}

/// What happened, and to which run.
#[derive(Clone, Debug)]
pub struct EngineEvent {
    /// The run; `RunId(0)` for what belongs to none.
    pub run: RunId,
    /// What happened.
    pub kind: EventKind,
}

/// What the engine tells.
#[derive(Clone, Debug)]
pub enum EventKind {
    /// A pair was looked up; sent after [`EngineHandle::describe`](super::EngineHandle::describe) and
    /// again whenever its measured times change.
    Pair(Arc<PairSummary>),
    /// A pair cannot be used; a sentence with cause and next step.
    PairFailed(PairRef, String),
    /// The run entered a phase.
    Phase(Phase),
    /// A step is done.
    Step(StepReport),
    /// `done` of `total` bytes of the weights that are being loaded are there.
    Loaded {
        /// Bytes read.
        done: u64,
        /// Bytes of the part that is loaded.
        total: u64,
    },
    /// The first steps of the run come from an earlier one: how many.
    StepsReused(usize),
    /// What is kept of earlier runs changed. Belongs to no run.
    StepsKept(Arc<KeptSteps>),
    /// The VAE has done `done` of `total` parts of its work.
    Decoded {
        /// Parts done.
        done: usize,
        /// Parts of the whole.
        total: usize,
        /// The frames that came of it, in order, each of packed RGB, 8 bits a channel: none where the VAE makes
        /// all at once, or where nobody wants to see estimates either.
        frames: Vec<Vec<u8>>,
    },
    /// How far the small model is from the large one at the next step of a probe.
    Divergence(Divergence),
    /// The next row of a sweep.
    SweepRow(Box<SweepRow>),
    /// The run is complete.
    Finished(Box<FinishedRun>),
    /// The probe is complete.
    Probed(Box<Probe>),
    /// The sweep is complete; its rows were told.
    Swept,
    /// The run stopped because somebody asked.
    Cancelled,
    /// The run rests after a step because somebody asked. What it took is on disk by now.
    Paused(Box<PausedRun>),
    /// A run that rests since an earlier start of the program. Belongs to no run of this one.
    LeftPaused(Box<PausedRun>),
    /// The run ended with an error; a sentence with cause and next step.
    Failed(String),
}
