use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::project::{AtomicError, write_bytes_atomic};

/// The file beside the models that holds the checksums of what was downloaded, in the form that
/// `sha256sum --check` reads.
pub const SUMS_FILE: &str = "SHA256SUMS";

/// The checksums of the files of a pair.
pub(super) struct Sums {
    path: PathBuf,
    by_path: BTreeMap<String, String>,
}

impl Sums {
    /// Reads what is there; lines that cannot be read are as good as none, since their files are
    /// looked at again.
    pub(super) fn read(folder: &Path) -> Self {
        let path = folder.join(SUMS_FILE);
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let by_path = text
            .lines()
            .filter_map(|line| line.split_once("  "))
            .map(|(hash, path)| (path.to_owned(), hash.to_owned()))
            .collect();
        Self { path, by_path }
    }

    pub(super) fn get(&self, path: &str) -> Option<&str> {
        self.by_path.get(path).map(String::as_str)
    }

    /// Records a file, on disk as well.
    pub(super) fn record(&mut self, path: &str, hash: &str) -> Result<(), AtomicError> {
        self.by_path.insert(path.to_owned(), hash.to_owned());
        let text: String = self
            .by_path
            .iter()
            .map(|(path, hash)| format!("{hash}  {path}\n"))
            .collect();
        write_bytes_atomic(&self.path, true, text.as_bytes())
    }
}
