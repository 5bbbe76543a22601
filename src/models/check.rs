use std::path::{Path, PathBuf};

use super::{ModelError, wan};

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
    wan::check(path)
}
