//! Model folders in the layout of diffusers.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};

use super::ModelError;
use super::weights::Weights;

/// The stem of weight files that diffusers writes.
pub(super) const DIFFUSERS_STEM: &str = "diffusion_pytorch_model";

/// The stem of weight files that transformers writes.
pub(super) const TRANSFORMERS_STEM: &str = "model";

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

/// Reads `<model>/<component>/config.json`.
pub(super) fn read_config<T: DeserializeOwned>(model: &Path, name: &str) -> Result<T, ModelError> {
    read_json(&component(model, name)?.join("config.json"))
}

/// The parameters of a component (`transformer`, `vae` or `text_encoder`) of a model folder, read
/// off the headers of its weight files.
pub fn parameter_count(model: &Path, name: &str) -> Result<usize, ModelError> {
    let stem = if name == "text_encoder" {
        TRANSFORMERS_STEM
    } else {
        DIFFUSERS_STEM
    };
    Ok(Weights::open(&component(model, name)?, stem)?.parameters())
}

/// The SHA-256 of a model folder's transformer weights, in hexadecimal: of one file, or of the
/// shards one after the other in the order of their names. Reads every byte, so it takes a
/// second or so for each gigabyte.
pub fn file_hash(model: &Path) -> Result<String, ModelError> {
    let folder = component(model, "transformer")?;
    let weights = Weights::open(&folder, DIFFUSERS_STEM)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0u8; 1 << 20];
    for path in weights.files() {
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
