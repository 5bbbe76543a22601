use std::sync::Arc;

use super::pipeline::RunError;
use super::tensor_cache::TensorCache;
use crate::analysis::{AnalysisError, Divergence, DivergenceCurve, Measure};
use crate::preview::DivergenceMaps;
use crate::project::RunSettings;
use crate::schedule::{ModelRole, Plan};
use candle_core::{Device, Tensor};

/// What is to be measured: how far the small model's velocity is from the large one's, along runs of the
/// large model alone.
#[derive(Clone, Debug)]
pub struct ProbeRequest {
    /// The run; its plan does not matter.
    pub settings: RunSettings,
    /// Prompts and seeds to measure beside its own, one run each.
    pub more: Vec<(String, u64)>,
    /// Walks along in so few steps instead of the run's own: enough to find boundaries, and all that they
    /// cost.
    pub few_steps: Option<usize>,
}

/// Steps of the runs that boundaries are found along. On the bundled pair eight place them within a step or
/// two of where all thirty do.
pub const FEW_STEPS: usize = 8;

impl ProbeRequest {
    /// Of one run.
    pub fn of(settings: RunSettings) -> Self {
        Self {
            settings,
            more: Vec::new(),
            few_steps: None,
        }
    }

    /// The cheapest that names boundaries for a run.
    pub fn for_boundaries(settings: RunSettings) -> Self {
        Self {
            few_steps: Some(FEW_STEPS.min(settings.steps)),
            ..Self::of(settings)
        }
    }

    /// The run of the large model that it walks along first.
    pub fn reference(&self) -> RunSettings {
        RunSettings {
            plan: Plan::only(ModelRole::Large),
            cache: None,
            steps: self.few_steps.unwrap_or(self.settings.steps),
            // Nobody takes them, and what is found is the same with others.
            distilled_sigmas: None,
            ..self.settings.clone()
        }
    }

    /// All the runs that it walks along.
    pub(super) fn references(&self) -> impl Iterator<Item = RunSettings> {
        let first = self.reference();
        let more = self.more.iter().map(|(prompt, seed)| RunSettings {
            prompt: prompt.clone(),
            seed: *seed,
            ..first.clone()
        });
        let more: Vec<_> = more.collect();
        std::iter::once(first).chain(more)
    }
}

/// How far the small model's velocity is from the large one's, guided, at every step of the large model's
/// runs.
#[derive(Clone, Debug)]
pub struct Probe {
    /// The first run: the large model alone.
    pub settings: RunSettings,
    /// The divergence of each step, of all runs.
    pub curve: DivergenceCurve,
    /// Where the first run's velocities differ.
    pub maps: Arc<DivergenceMaps>,
}

impl Probe {
    /// The boundaries of LSL that its curve names, as fractions of the steps of a run with these settings.
    pub fn boundaries_for(&self, settings: &RunSettings) -> Option<[f64; 2]> {
        let found = self.curve.boundaries(Measure::RelativeL2)?;
        let (walked, run) = (self.settings.grid(), settings.grid());
        Some(found.map(|fraction| walked.carried(fraction, &run)))
    }

    /// Whether it says something of a run: all but the plan is the same.
    pub fn is_of(&self, settings: &RunSettings) -> bool {
        (self.settings.cfg, self.settings.guidance) == (settings.cfg, settings.guidance)
            && self.settings.differs_only_in_plan(settings)
    }
}

/// What one run measured.
pub(super) struct ProbedRun {
    pub(super) steps: Vec<Divergence>,
    pub(super) maps: DivergenceMaps,
}

impl ProbedRun {
    /// What an earlier probe of the same run left.
    pub(super) fn kept(cache: &TensorCache, key: &str) -> Option<Self> {
        let maps = cache.get(&format!("{key}-maps"), 4)?;
        let (steps, frames, height, width) = maps.dims4().ok()?;
        let curve = cache.get(&format!("{key}-curve"), 2)?;
        let curve = curve.to_vec2::<f32>().ok()?;
        let divergences = curve.iter().map(|pair| match pair[..] {
            [relative_l2, one_minus_cosine] => Some(Divergence {
                relative_l2: f64::from(relative_l2),
                one_minus_cosine: f64::from(one_minus_cosine),
            }),
            _ => None,
        });
        let found: Option<Vec<_>> = divergences.collect();
        Some(Self {
            steps: found.filter(|found| found.len() == steps)?,
            maps: DivergenceMaps {
                size: [frames, height, width],
                data: maps.flatten_all().ok()?.to_vec1().ok()?,
            },
        })
    }

    /// Keeps it for the next one. What fails costs no more than measuring again.
    pub(super) fn keep(&self, cache: &TensorCache, key: &str) {
        let curve = self
            .steps
            .iter()
            .flat_map(|d| [d.relative_l2 as f32, d.one_minus_cosine as f32]);
        let [frames, height, width] = self.maps.size;
        let steps = self.steps.len();
        let shape = (steps, frames, height, width);
        let curve = Tensor::from_iter(curve, &Device::Cpu).and_then(|t| t.reshape((steps, 2)));
        let maps = Tensor::from_slice(&self.maps.data, shape, &Device::Cpu);
        if let (Ok(curve), Ok(maps)) = (curve, maps) {
            cache.put(&format!("{key}-curve"), &curve);
            cache.put(&format!("{key}-maps"), &maps);
        }
    }
}

impl From<AnalysisError> for RunError {
    fn from(why: AnalysisError) -> Self {
        Self::Failed(why.to_string())
    }
}

/// The model that is held against the large one.
pub(super) const OTHER: ModelRole = ModelRole::Small;
