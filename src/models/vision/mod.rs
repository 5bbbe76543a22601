//! Networks that say what a picture shows, as vectors: DINOv2 and CLIP, from folders as transformers
//! saves them.

mod block;
mod clip;
mod config;
mod dinov2;
mod embed;
mod processor;
mod resize;

use std::path::Path;

use serde::de::DeserializeOwned;

use super::ModelError;
use super::layout::check_config;
use super::loader::{read_json, weight_files};
use super::weights::Weights;

pub use clip::ClipModel;
pub use config::{ClipConfig, ClipTextConfig, ClipVisionConfig, Dinov2Config};
pub use dinov2::Dinov2;
pub use processor::Picture;

/// Reads a folder's config.json, unless `fault` finds one in it.
fn read_config<C: DeserializeOwned>(
    folder: &Path,
    fault: impl FnOnce(&C) -> Option<String>,
    hint: &str,
) -> Result<C, ModelError> {
    let path = folder.join("config.json");
    check_config(Ok(read_json(&path)?), path, fault, hint)
}

/// Opens a folder's weights.
fn weights(folder: &Path) -> Result<Weights, ModelError> {
    let (path, files) = weight_files(folder, "model")?;
    Weights::open(path, files)
}
