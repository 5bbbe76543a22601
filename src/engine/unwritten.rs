use std::collections::HashSet;
use std::path::PathBuf;

use super::tensor_cache::TensorCache;

/// Latents of clips that are not on disk yet.
#[derive(Default)]
pub(super) struct Unwritten {
    pub(super) kept: TensorCache,
    /// Those that this process decoded: whoever runs them again wants to see them denoised.
    pub(super) decoded: HashSet<String>,
}

impl Unwritten {
    /// Keeps them in `folder`; `None` keeps nothing.
    pub(super) fn in_folder(folder: Option<PathBuf>) -> Self {
        Self {
            kept: TensorCache::new(folder),
            decoded: HashSet::new(),
        }
    }
}
