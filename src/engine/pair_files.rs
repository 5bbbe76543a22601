//! What the files of a pair say, read once for every state of them.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::device::OpenDevice;
use super::rules::Rules;
use super::tensor_cache::TensorCache;
use crate::models::{Family, ModelError, PairSpec, identity};
use crate::schedule::ModelRole;

/// A pair as its files are.
#[derive(Debug)]
pub(super) struct PairFiles {
    pub(super) spec: PairSpec,
    pub(super) family: Family,
    /// What it allows and costs.
    pub(super) rules: Arc<Rules>,
    /// What decides on its clips beside their settings: device, format, the models' files and the program itself, for another
    /// build may round differently.
    pub(super) source: String,
    /// What tells a transformer from all others, by the index of its role; none where the pair has none.
    pub(super) models: [Option<String>; 3],
    /// What tells the text encoder from all others.
    pub(super) text: String,
    /// Where it all lies, and the state of these folders when it was read.
    folders: BTreeSet<PathBuf>,
    state: String,
}

impl PairFiles {
    /// Reads configs and headers; no weights.
    pub(super) fn read(spec: PairSpec, device: &OpenDevice) -> Result<Self, ModelError> {
        let family = Family::of(&spec.large);
        let mut files = Vec::new();
        let mut models = [const { None }; 3];
        for role in ModelRole::ALL {
            if let Some(model) = spec.model(role) {
                let weights = Family::of(model).transformer_files(model)?;
                models[role.index()] = Some(identity(&weights)?);
                files.extend(weights);
                files.push(model.join("model_index.json"));
            }
        }
        let text = family.text_identity(&spec.large)?;
        files.extend(family.text_files(&spec.large)?);
        let vae = family.vae_files(&spec.large)?;
        let mut parts = vec![device.to_string(), device.format().to_string()];
        if let Ok(program) = std::env::current_exe() {
            parts.push(identity([&program])?);
        }
        let transformers: Vec<_> = models.iter().flatten().cloned().collect();
        parts.extend(transformers);
        parts.push(text.clone());
        parts.push(identity(&vae)?);
        files.extend(vae);
        let folders = files.iter().filter_map(|file| file.parent());
        let folders = folders.map(Path::to_owned).collect();
        Ok(Self {
            rules: Arc::new(Rules::read(&spec, device.weights())?),
            source: parts.join("\n"),
            state: state(&folders),
            spec,
            family,
            models,
            text,
            folders,
        })
    }

    /// Whether reading `spec` again would find the same.
    pub(super) fn still_holds(&self, spec: &PairSpec) -> bool {
        self.spec == *spec && self.state == state(&self.folders)
    }

    /// What tells the large and the small transformer from all others.
    pub(super) fn blended(&self) -> String {
        let blended = self.models.iter().flatten().take(2);
        blended.cloned().collect::<Vec<_>>().join("\n")
    }

    /// [`source`](Self::source), short enough for a record.
    pub(super) fn source_hash(&self) -> String {
        TensorCache::key(&[&self.source])
    }
}

/// Names, lengths and times of what lies in folders. What cannot be read counts as not there.
fn state(folders: &BTreeSet<PathBuf>) -> String {
    let mut state = String::new();
    for folder in folders {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let mut entries: Vec<_> = entries.map(|entry| entry.path()).collect();
        entries.sort_unstable();
        for path in entries {
            // Of what a link leads to: a hub's files are links.
            let about = std::fs::metadata(&path).ok();
            let length = about.as_ref().map(std::fs::Metadata::len);
            let written = about.and_then(|about| about.modified().ok());
            let _ = write!(state, "{} {length:?} {written:?};", path.display());
        }
    }
    state
}
