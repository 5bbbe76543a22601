//! What is known of every pair without running it, for a list of them.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::DeviceChoice;
use super::device::WeightFormat;
use super::event::PairRules as _;
use super::pair_pipeline::EngineOptions;
use super::residency::{Fit, MemoryNeed};
use super::rules::{BASE_BYTES, Rules};
use crate::models::manifest::Manifest;
use crate::models::registry::{KnownPair, Origin, Registry};
use crate::models::{Candidate, PairSpec, PartSize, UserPair, Verdict, verdict};
use crate::schedule::ModelRole;

/// Whether a pair can be run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PairState {
    /// It can.
    Ready,
    /// Files are missing or broken.
    Incomplete,
    /// Its models are whole, but cannot share a run.
    Incompatible,
    /// The file that describes it cannot be used.
    Faulty,
}

/// One pair, as a list shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PairReport {
    /// The name it is asked for by.
    pub name: String,
    /// What it is, for people, where somebody wrote that down.
    pub title: Option<String>,
    /// Under which terms it may be used, where that is stated.
    pub licence: Option<String>,
    /// Whether it can be run.
    pub state: PairState,
    /// What is missing, broken or does not fit; a sentence each, with the place.
    pub faults: Vec<String>,
    /// Where the large model is, or goes.
    pub large: Option<PathBuf>,
    /// Where the small model is, or goes.
    pub small: Option<PathBuf>,
    /// Where the distilled model is, or goes, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub distilled: Option<PathBuf>,
    /// The pair is ready, but for its distilled model, without which stages of the letter D cannot be run.
    pub lacks_distilled: bool,
    /// The folder that holds the large model, once it is there.
    pub folder: Option<PathBuf>,
    /// What a run at the pair's own size needs, in bytes.
    pub memory: Option<PairMemory>,
    /// Bytes of all its files on a hub, for a pair that can be downloaded; an estimate.
    pub download_bytes: Option<u64>,
    /// Where the files come from on a hub: the repositories of the models in the order of their roles.
    pub repos: Option<Vec<String>>,
    /// The user added it, so that it can be taken out of the list again.
    pub is_added: bool,
}

impl PairReport {
    /// Where its models are, or go.
    pub fn models(&self) -> impl Iterator<Item = (ModelRole, &Path)> {
        let places = [&self.large, &self.small, &self.distilled];
        let places = ModelRole::ALL.into_iter().zip(places);
        places.filter_map(|(role, place)| Some((role, place.as_deref()?)))
    }

    /// The repository on a hub that a model still has to come from, where there is one.
    pub fn comes_from(&self, role: ModelRole) -> Option<&str> {
        let is_missing = match role {
            _ if self.state != PairState::Ready => true,
            ModelRole::Distilled => self.lacks_distilled,
            ModelRole::Large | ModelRole::Small => false,
        };
        let repo = self.repos.as_ref()?.get(role.index())?;
        is_missing.then_some(repo)
    }
}

/// A pair that is in the list no more, and can be put back.
#[derive(Clone, Debug, PartialEq)]
pub struct ForgottenPair(UserPair);

impl From<UserPair> for ForgottenPair {
    fn from(pair: UserPair) -> Self {
        Self(pair)
    }
}

impl ForgottenPair {
    /// The name it was asked for by.
    pub fn name(&self) -> &str {
        &self.0.name
    }
}

/// What a run needs, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct PairMemory {
    /// With all models side by side.
    pub together: u64,
    /// With the models swapped at the boundaries.
    pub swapped: u64,
    /// Only the weights are counted, because the files are not here.
    pub weights_only: bool,
}

impl EngineOptions {
    /// What becomes of weights, told without opening the device.
    pub fn weights(&self) -> WeightFormat {
        WeightFormat::of(self.dtype, self.is_for_cpu())
    }

    /// Whether runs happen on the processor, told without opening the device.
    pub(super) fn is_for_cpu(&self) -> bool {
        let has_gpu = cfg!(any(feature = "cuda", feature = "metal"));
        match self.device {
            DeviceChoice::Cpu => true,
            DeviceChoice::Best => !has_gpu,
            DeviceChoice::Cuda(_) | DeviceChoice::Metal => false,
        }
    }
}

/// Looks at every pair that is known. Reads configs and headers, so it may take a moment on a slow
/// disk.
pub fn survey(weights: WeightFormat) -> Vec<PairReport> {
    let known = Registry::open().known();
    known
        .into_iter()
        .map(|pair| report(pair, weights))
        .collect()
}

/// Adds a pair, see [`models::add`](crate::models::add); the error is a sentence.
pub fn add_pair(pair: &Candidate) -> Result<String, String> {
    crate::models::add(&mut Registry::open(), pair).map_err(|why| why.to_string())
}

/// Takes the pair called `name` out of the list; none of its files is touched. The error is a sentence.
pub fn forget_pair(name: &str) -> Result<ForgottenPair, String> {
    let forgotten = Registry::open().forget(name);
    forgotten.map(ForgottenPair).map_err(|why| why.to_string())
}

/// Undoes [`forget_pair`]. The error is a sentence.
pub fn put_pair_back(pair: ForgottenPair) -> Result<(), String> {
    let remembered = Registry::open().remember(pair.0);
    remembered.map_err(|why| why.to_string())
}

fn report(pair: KnownPair, weights: WeightFormat) -> PairReport {
    let KnownPair {
        name,
        origin,
        manifest,
        spec,
        folder: place,
    } = pair;
    let title = match origin {
        Origin::Root if name == "demo" => Some("the bundled pair".to_owned()),
        _ => manifest.as_ref().map(|manifest| manifest.title.clone()),
    };
    let mut report = PairReport {
        name,
        title,
        licence: manifest.as_ref().map(|manifest| manifest.licence.clone()),
        state: PairState::Faulty,
        faults: Vec::new(),
        large: None,
        small: None,
        distilled: None,
        lacks_distilled: false,
        folder: None,
        memory: None,
        download_bytes: manifest.as_ref().map(|manifest| manifest.estimated_bytes),
        repos: manifest.as_ref().map(|manifest| {
            let models = manifest.checkpoints();
            models.map(|(_, model)| model.repo.clone()).collect()
        }),
        is_added: origin == Origin::Added,
    };
    let spec = match spec {
        Ok(spec) => spec,
        Err(why) => {
            report.faults.push(why.to_string());
            return report;
        }
    };
    match verdict(&spec) {
        Verdict::Ready => report.state = PairState::Ready,
        Verdict::Incomplete(faults) => {
            report.state = PairState::Incomplete;
            report.faults = faults;
        }
        Verdict::Incompatible(why) => {
            report.state = PairState::Incompatible;
            report.faults.push(why);
        }
    }
    let measured = measured(&spec, weights).filter(|_| report.state == PairState::Ready);
    report.memory = measured.or_else(|| manifest.as_ref().map(|m| stated(m, weights)));
    report.licence = report.licence.or(spec.licence);
    let folder = spec.large.parent().filter(|folder| folder.is_dir());
    report.folder = folder.map(PathBuf::from);
    report.large = Some(spec.large);
    report.small = Some(spec.small);
    let optional = manifest.and_then(|manifest| manifest.distilled);
    if optional.is_some() && spec.distilled.is_none() {
        report.lacks_distilled = report.state == PairState::Ready;
        report.distilled = place.map(|place| place.join(ModelRole::Distilled.name()));
    } else {
        report.distilled = spec.distilled;
    }
    report
}

fn measured(spec: &PairSpec, weights: WeightFormat) -> Option<PairMemory> {
    let rules = Rules::read(spec, weights).ok()?;
    let size = (
        spec.defaults.width,
        spec.defaults.height,
        spec.defaults.frames,
    );
    Some(memory(&rules.memory(size), false))
}

fn stated(manifest: &Manifest, weights: WeightFormat) -> PairMemory {
    let count = &manifest.parameters;
    let bytes = |parameters| weights.bytes(&PartSize::published(parameters));
    let need = MemoryNeed {
        base: BASE_BYTES,
        text: weights.bytes_of_text(&PartSize::published(count.text_encoder)),
        transformers: [count.large, count.small, count.distilled].map(bytes),
        // In f32 on every device.
        vae: count.vae * 4,
        ..MemoryNeed::default()
    };
    memory(&need, true)
}

fn memory(need: &MemoryNeed, weights_only: bool) -> PairMemory {
    PairMemory {
        together: need.peak(&ModelRole::ALL, Fit::ROOMY),
        swapped: need.peak(&ModelRole::ALL, Fit::TIGHT),
        weights_only,
    }
}
