//! Text embeddings on disk, so that a prompt that was encoded once never loads the text encoder
//! again: WAN's takes eleven gigabytes and longer than a step.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use candle_core::{DType, Device, Tensor};
use sha2::{Digest as _, Sha256};

use crate::project::AtomicFile;

/// Where the tensor lies in its file.
const EMBEDDING: &str = "embedding";

/// The folder's size in bytes from which on the files that were used least lately go.
const MOST_BYTES: u64 = 512 << 20;

/// A folder of embeddings. Everything that goes wrong with it costs no more than encoding again.
#[derive(Clone, Debug, Default)]
pub(super) struct EmbeddingCache {
    folder: Option<PathBuf>,
}

impl EmbeddingCache {
    /// Keeps files in `folder`; `None` keeps nothing.
    pub(super) fn new(folder: Option<PathBuf>) -> Self {
        Self { folder }
    }

    /// The name of what an encoder makes of a text. `encoder` tells its files apart from those of every
    /// other, `tokens` is the length that texts are padded to.
    pub(super) fn key(encoder: &str, tokens: usize, dtype: DType, text: &str) -> String {
        let mut hash = Sha256::new();
        for part in [encoder, &tokens.to_string(), dtype.as_str(), text] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part.as_bytes());
        }
        let bytes = hash.finalize();
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The embedding kept under `key`, f32 on the CPU.
    pub(super) fn get(&self, key: &str) -> Option<Tensor> {
        let path = self.path(key)?;
        let tensor = candle_core::safetensors::load(&path, &Device::Cpu)
            .ok()?
            .remove(EMBEDDING)?;
        // Its age tells how lately it was used; a folder that may not be written to keeps it as it is.
        if let Ok(file) = std::fs::File::options().append(true).open(&path) {
            let _ = file.set_modified(SystemTime::now());
        }
        (tensor.dtype() == DType::F32 && tensor.rank() == 3).then_some(tensor)
    }

    /// Keeps an embedding, f32.
    pub(super) fn put(&self, key: &str, embedding: &Tensor) {
        let Some(path) = self.path(key) else { return };
        let Some(folder) = path.parent() else { return };
        let _ = std::fs::create_dir_all(folder);
        let Ok(file) = AtomicFile::create(&path, true) else {
            return;
        };
        let tensors = std::collections::HashMap::from([(EMBEDDING, embedding.clone())]);
        if candle_core::safetensors::save(&tensors, file.temp_path()).is_ok() {
            let _ = file.commit();
        }
        prune(folder, MOST_BYTES);
    }

    fn path(&self, key: &str) -> Option<PathBuf> {
        let folder = self.folder.as_ref()?;
        Some(folder.join(format!("{key}.safetensors")))
    }
}

/// Removes the oldest files until the folder holds no more than `most` bytes.
fn prune(folder: &Path, most: u64) {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    let mut files: Vec<_> = entries
        .filter_map(Result::ok)
        .filter(|entry| entry.path().extension().is_some_and(|e| e == "safetensors"))
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
        let _ = std::fs::remove_file(path);
        total -= length;
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "tests spoil files on purpose")]
mod tests {
    use super::*;

    #[test]
    fn an_embedding_comes_back_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let cache = EmbeddingCache::new(Some(folder.path().join("deep")));
        let key = EmbeddingCache::key("encoder", 8, DType::F32, "a dot");
        assert!(cache.get(&key).is_none());
        let embedding = Tensor::randn(0f32, 1.0, (1, 8, 4), &Device::Cpu).unwrap();
        cache.put(&key, &embedding);
        let bits = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert!(bits(&cache.get(&key).unwrap()) == bits(&embedding));
        for other in [
            EmbeddingCache::key("encode", 8, DType::F32, "ra dot"),
            EmbeddingCache::key("encoder", 9, DType::F32, "a dot"),
            EmbeddingCache::key("encoder", 8, DType::BF16, "a dot"),
            EmbeddingCache::key("encoder", 8, DType::F32, "a dot "),
        ] {
            assert_ne!(other, key);
        }
        // A spoilt file is as good as none, and no cache at all does no harm.
        std::fs::write(cache.path(&key).unwrap(), b"spoilt").unwrap();
        assert!(cache.get(&key).is_none());
        let none = EmbeddingCache::default();
        none.put(&key, &embedding);
        assert!(none.get(&key).is_none());
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
    }
}
