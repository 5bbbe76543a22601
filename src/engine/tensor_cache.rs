//! Tensors on disk that would cost much to make again: text embeddings, since WAN's text encoder takes
//! eleven gigabytes and longer than a step, and the latents of clips that are not on disk yet.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use candle_core::{DType, Device, Tensor};
use sha2::{Digest as _, Sha256};

use super::paused::hold_path;
use crate::project::AtomicFile;

/// What the tensor is called in its file.
const TENSOR: &str = "tensor";

/// The folder's size in bytes from which on the files that were used least lately go.
const MOST_BYTES: u64 = 512 << 20;

/// A folder of tensors. Everything that goes wrong with it costs no more than making them again.
#[derive(Clone, Debug, Default)]
pub(super) struct TensorCache {
    folder: Option<PathBuf>,
}

impl TensorCache {
    /// Keeps files in `folder`; `None` keeps nothing.
    pub(super) fn new(folder: Option<PathBuf>) -> Self {
        Self { folder }
    }

    /// The name of what came of these `parts`, which are told apart however they are cut.
    pub(super) fn key(parts: &[&str]) -> String {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part.as_bytes());
        }
        let bytes = hash.finalize();
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The tensor of `rank` axes kept under `key`, f32 on the CPU.
    pub(super) fn get(&self, key: &str, rank: usize) -> Option<Tensor> {
        let path = self.path(key)?;
        let tensor = candle_core::safetensors::load(&path, &Device::Cpu)
            .ok()?
            .remove(TENSOR)?;
        // Its age tells how lately it was used; a folder that may not be written to keeps it as it is.
        if let Ok(file) = std::fs::File::options().append(true).open(&path) {
            let _ = file.set_modified(SystemTime::now());
        }
        (tensor.dtype() == DType::F32 && tensor.rank() == rank).then_some(tensor)
    }

    /// Keeps a tensor, f32. Gives its file, where there is one now.
    pub(super) fn put(&self, key: &str, tensor: &Tensor) -> Option<PathBuf> {
        let path = self.path(key)?;
        let folder = path.parent()?;
        let _ = std::fs::create_dir_all(folder);
        let file = AtomicFile::create(&path, true).ok()?;
        let tensor = tensor.to_device(&Device::Cpu).ok()?;
        let tensors = std::collections::HashMap::from([(TENSOR, tensor)]);
        candle_core::safetensors::save(&tensors, file.temp_path()).ok()?;
        file.commit().ok()?;
        prune(folder, MOST_BYTES);
        path.is_file().then_some(path)
    }

    fn path(&self, key: &str) -> Option<PathBuf> {
        let folder = self.folder.as_ref()?;
        Some(folder.join(format!("{key}.safetensors")))
    }
}

/// Removes the oldest files, and what lies beside them as JSON, until the folder holds no more than
/// `most` bytes besides those of paused runs, which stay.
pub(super) fn prune(folder: &Path, most: u64) {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    let mut files: Vec<_> = entries
        .filter_map(Result::ok)
        .filter(|entry| entry.path().extension().is_some_and(|e| e == "safetensors"))
        .filter(|entry| !hold_path(&entry.path()).exists())
        .filter_map(|entry| {
            let about = entry.metadata().ok()?;
            Some((about.modified().ok()?, about.len(), entry.path()))
        })
        .collect();
    files.sort();
    let mut total: u64 = files.iter().map(|(_, length, _)| length).sum();
    for (_, length, path) in files {
        if total <= most {
            break;
        }
        let _ = std::fs::remove_file(path.with_extension("json"));
        let _ = std::fs::remove_file(path);
        total -= length;
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "tests spoil files on purpose")]
mod tests {
    use super::*;

    #[test]
    fn a_tensor_comes_back_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let cache = TensorCache::new(Some(folder.path().join("deep")));
        let key = TensorCache::key(&["encoder", "8", "a dot"]);
        assert!(cache.get(&key, 3).is_none());
        let embedding = Tensor::randn(0f32, 1.0, (1, 8, 4), &Device::Cpu).unwrap();
        let path = cache.put(&key, &embedding).unwrap();
        let bits = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert!(bits(&cache.get(&key, 3).unwrap()) == bits(&embedding));
        assert!(cache.get(&key, 5).is_none());
        for other in [
            TensorCache::key(&["encode", "r8", "a dot"]),
            TensorCache::key(&["encoder", "8", "a dot "]),
            TensorCache::key(&["encoder", "8", "a", " dot"]),
        ] {
            assert_ne!(other, key);
        }
        // A spoilt file is as good as none, and no cache at all does no harm.
        std::fs::write(path, b"spoilt").unwrap();
        assert!(cache.get(&key, 3).is_none());
        let none = TensorCache::default();
        assert!(none.put(&key, &embedding).is_none());
        assert!(none.get(&key, 3).is_none());
    }

    #[test]
    fn the_oldest_go_first() {
        let folder = tempfile::tempdir().unwrap();
        for (name, age) in [("a", 30), ("b", 10), ("c", 20)] {
            let path = folder.path().join(format!("{name}.safetensors"));
            std::fs::write(&path, [0; 100]).unwrap();
            let file = std::fs::File::options().append(true).open(&path).unwrap();
            let then = SystemTime::now() - std::time::Duration::from_secs(age);
            file.set_modified(then).unwrap();
        }
        prune(folder.path(), 100);
        let left: Vec<_> = std::fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(left, ["b.safetensors"]);
        // What a paused run needs stays, however old.
        std::fs::write(folder.path().join("b.paused"), [0]).unwrap();
        std::fs::write(folder.path().join("d.safetensors"), [0; 100]).unwrap();
        prune(folder.path(), 0);
        assert!(folder.path().join("b.safetensors").exists());
        assert!(!folder.path().join("d.safetensors").exists());
    }
}
