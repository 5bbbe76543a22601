//! Model folders in the layout of diffusers.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};

use super::ModelError;

/// The folder of a component (`transformer`, `vae`, ...) inside a model folder.
pub(super) fn component(model: &Path, name: &str) -> Result<PathBuf, ModelError> {
    if !model.is_dir() {
        return Err(ModelError::Missing {
            what: "the model folder".into(),
            path: model.to_owned(),
            hint: "check the path".into(),
        });
    }
    let folder = model.join(name);
    if folder.is_dir() {
        return Ok(folder);
    }
    Err(ModelError::Missing {
        what: format!("the model's {name} folder"),
        path: folder,
        hint: "a model folder holds transformer/, vae/, text_encoder/ and tokenizer/ as diffusers \
               saves them; download or export the model again"
            .into(),
    })
}

/// Reads a JSON file.
pub(super) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, ModelError> {
    let text = std::fs::read(path).map_err(|source| {
        if source.kind() == std::io::ErrorKind::NotFound {
            ModelError::Missing {
                what: "a file of the model".into(),
                path: path.to_owned(),
                hint: "download or export the model again".into(),
            }
        } else {
            ModelError::Io {
                path: path.to_owned(),
                source,
            }
        }
    })?;
    serde_json::from_slice(&text).map_err(|error| ModelError::Config {
        path: path.to_owned(),
        reason: format!("it does not parse ({error})"),
        hint: "fetch the file again".into(),
    })
}

/// The file of `<folder>/<stem>.safetensors`, or the index `<stem>.safetensors.index.json` and the
/// shards that it lists.
pub(super) fn weight_files(
    folder: &Path,
    stem: &str,
) -> Result<(PathBuf, Vec<PathBuf>), ModelError> {
    let single = folder.join(format!("{stem}.safetensors"));
    if single.is_file() {
        return Ok((single.clone(), vec![single]));
    }
    let index = folder.join(format!("{stem}.safetensors.index.json"));
    if !index.is_file() {
        let pickled = ["bin", "pth", "pt"].iter().any(|ending| {
            folder.join(format!("{stem}.{ending}")).is_file()
                || folder.join(format!("pytorch_model.{ending}")).is_file()
        });
        let hint = if pickled {
            "there are only pickled weights, save them again with safe_serialization=True"
        } else {
            "download or export the model again"
        };
        return Err(ModelError::Missing {
            what: "the weight file".into(),
            path: single,
            hint: hint.into(),
        });
    }
    let parsed: Index = read_json(&index)?;
    let names: BTreeSet<_> = parsed.weight_map.into_values().collect();
    let shards: Vec<_> = names.iter().map(|name| folder.join(name)).collect();
    match shards.iter().find(|shard| !shard.is_file()) {
        Some(shard) => Err(ModelError::Missing {
            what: format!("a shard listed in {}", index.display()),
            path: shard.clone(),
            hint: "download the missing shard".into(),
        }),
        None => Ok((index, shards)),
    }
}

/// The part of `*.safetensors.index.json` that is used.
#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

/// The SHA-256 of weight files, one after the other, in hexadecimal. Reads every byte, so it takes a
/// second or so for each gigabyte.
pub fn hash_files(files: &[PathBuf]) -> Result<String, ModelError> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0u8; 1 << 20];
    for path in files {
        let io = |source| ModelError::Io {
            path: path.clone(),
            source,
        };
        let mut file = File::open(path).map_err(io)?;
        loop {
            let read = file.read(&mut buffer).map_err(io)?;
            if read == 0 {
                break;
            }
            hash.update(&buffer[..read]);
        }
    }
    Ok(hash
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect())
}

/// Asks the system to read files ahead, `most` bytes at the most, so that they come out of memory when
/// they are loaded. Returns without waiting for all of it; what goes wrong costs no more than time.
pub fn read_ahead(files: &[PathBuf], mut most: u64) {
    for path in files {
        let Ok(file) = File::open(path) else { return };
        // SAFETY: nothing is read through the map.
        let Ok(map) = (unsafe { memmap2::Mmap::map(&file) }) else {
            return;
        };
        let length = usize::try_from(most).map_or(map.len(), |most| most.min(map.len()));
        #[cfg(unix)]
        let _ = map.advise_range(memmap2::Advice::WillNeed, 0, length);
        most -= length as u64;
    }
}

/// What tells files apart from all others without reading them: where they lie, how long they are and
/// when they were written.
pub fn identity<'a>(files: impl IntoIterator<Item = &'a PathBuf>) -> Result<String, ModelError> {
    let mut identity = String::new();
    for path in files {
        let io = |source| ModelError::Io {
            path: path.clone(),
            source,
        };
        let whole = path.canonicalize().map_err(io)?;
        let about = whole.metadata().map_err(io)?;
        let written = about.modified().ok();
        identity += &format!("{} {} {written:?};", whole.display(), about.len());
    }
    Ok(identity)
}
