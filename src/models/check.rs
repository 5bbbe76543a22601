use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::DType;

use super::weights::{Params, Weights};
use super::{Family, ModelError, ltx, wan};

/// Whether one part of a model is whole.
#[derive(Debug)]
pub struct PartCheck {
    /// `transformer`, `vae`, `text_encoder` or `tokenizer`.
    pub part: &'static str,
    /// What was found, or why nothing could be.
    pub outcome: Result<PartState, ModelError>,
}

/// A part of a model that was found.
#[derive(Debug)]
pub struct PartState {
    /// The file, or the index of several.
    pub path: PathBuf,
    /// Tensors in its files.
    pub tensors: usize,
    /// Numbers in these tensors.
    pub parameters: usize,
    /// Every tensor that is missing, misshapen, unreadable or has no place.
    pub faults: Vec<ModelError>,
}

impl PartState {
    /// What is wrong with the weights of a network that `construct` builds.
    pub(super) fn of(
        weights: Weights,
        spare: impl Fn(&str) -> bool,
        construct: impl Fn(Params) -> candle_core::Result<()>,
    ) -> Result<Self, ModelError> {
        let weights = Arc::new(weights);
        Ok(Self {
            path: weights.path().to_owned(),
            tensors: weights.names().count(),
            parameters: weights.parameters(),
            faults: weights.faults(DType::F32, spare, construct)?,
        })
    }

    /// A file without tensors that is in order.
    pub(super) fn file(path: PathBuf) -> Self {
        Self {
            path,
            tensors: 0,
            parameters: 0,
            faults: Vec::new(),
        }
    }
}

impl PartCheck {
    /// Whether the part can be used.
    pub fn is_complete(&self) -> bool {
        self.outcome
            .as_ref()
            .is_ok_and(|part| part.faults.is_empty())
    }
}

/// Looks at every part of the model at `path` (a folder of either layout, or a file): reads configs
/// and headers, holds them against one another, loads nothing.
pub fn check(path: &Path) -> Vec<PartCheck> {
    match Family::of(path) {
        Family::Wan => wan::check(path),
        Family::Ltx => ltx::check(path),
    }
}
