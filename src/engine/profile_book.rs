use std::collections::BTreeMap;
use std::path::PathBuf;

use super::book;
use crate::schedule::CacheProfile;

/// Width, height and frames of a run.
type Size = (usize, usize, usize);

/// What caches know of one model, at each size it was measured at.
#[derive(Clone, Debug, Default)]
pub struct Profiles(Vec<(Size, CacheProfile)>);

impl Profiles {
    /// What is known of runs at `(width, height, frames)`.
    pub fn at(&self, size: Size) -> Option<&CacheProfile> {
        let known = self.0.iter().find(|(other, _)| *other == size);
        known.map(|(_, profile)| profile)
    }
}

/// What caches know of models, measured on this machine, by model. Losing the file costs no more than measuring again.
#[derive(Debug)]
pub(super) struct ProfileBook {
    file: Option<PathBuf>,
    models: BTreeMap<String, Vec<(Size, CacheProfile)>>,
}

impl ProfileBook {
    /// Opens the book kept in `file`; `None` keeps nothing.
    pub(super) fn open(file: Option<PathBuf>) -> Self {
        let models = book::read(file.as_deref());
        Self { file, models }
    }

    /// What is known of a model.
    pub(super) fn of(&self, model: &str) -> Profiles {
        Profiles(self.models.get(model).cloned().unwrap_or_default())
    }

    /// Remembers what was measured of a model.
    pub(super) fn note(&mut self, model: String, size: Size, profile: CacheProfile) {
        let known = self.models.entry(model).or_default();
        known.retain(|(other, _)| *other != size);
        known.push((size, profile));
        book::write(self.file.as_deref(), &self.models);
    }
}
