use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::project::{AtomicError, write_bytes_atomic};

/// The file beside the models that holds the checksums of what was downloaded, in the form that
/// `sha256sum --check` reads.
pub const SUMS_FILE: &str = "SHA256SUMS";

/// The lengths and checksums of the files of a pair.
pub(super) struct Sums {
    path: PathBuf,
    by_path: BTreeMap<String, Sum>,
}

/// What is recorded of a file.
pub(super) struct Sum {
    pub(super) bytes: u64,
    pub(super) sha256: String,
}

impl Sums {
    /// Reads what is there; lines that cannot be read are as good as none, since their files are
    /// looked at again.
    pub(super) fn read(folder: &Path) -> Self {
        let path = folder.join(SUMS_FILE);
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let mut by_path = BTreeMap::new();
        let mut bytes = None;
        for line in text.lines() {
            // The length stands in a comment before its file's line.
            if let Some(comment) = line.strip_prefix("# ") {
                bytes = comment.parse().ok();
            } else if let (Some(bytes), Some((sha256, path))) = (bytes, line.split_once("  ")) {
                let sha256 = sha256.to_owned();
                by_path.insert(path.to_owned(), Sum { bytes, sha256 });
            }
        }
        Self { path, by_path }
    }

    pub(super) fn get(&self, path: &str) -> Option<&Sum> {
        self.by_path.get(path)
    }

    /// Records a file, on disk as well.
    pub(super) fn record(&mut self, path: &str, sum: Sum) -> Result<(), AtomicError> {
        self.by_path.insert(path.to_owned(), sum);
        self.write()
    }

    /// Forgets a file that turned out to be no good.
    pub(super) fn forget(&mut self, path: &str) -> Result<(), AtomicError> {
        self.by_path.remove(path);
        self.write()
    }

    fn write(&self) -> Result<(), AtomicError> {
        let text: String = self
            .by_path
            .iter()
            .map(|(path, sum)| format!("# {}\n{}  {path}\n", sum.bytes, sum.sha256))
            .collect();
        write_bytes_atomic(&self.path, true, text.as_bytes())
    }
}
