//! Runs that rest between two steps.

use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};

use crate::preview::LatentFrames;
use crate::project::{AtomicFile, RunSettings};

/// A run that somebody stopped between two steps, to look at it and go on later, or not.
#[derive(Clone, Debug)]
pub struct PausedRun {
    /// What it renders.
    pub settings: RunSettings,
    /// Steps it took.
    pub steps: usize,
    /// What the clip looked like after the last of them.
    pub estimate: LatentFrames,
    /// The file that keeps its steps on disk; `None` where they could not be written.
    pub hold: Option<PathBuf>,
}

impl PausedRun {
    /// Nobody waits for it any more: its steps go when others need the room.
    pub fn let_go(&self) {
        if let Some(file) = &self.hold {
            // One that stays behind is offered again.
            let _ = std::fs::remove_file(file);
        }
    }
}

/// The file beside a run's steps that keeps them from being pruned. It holds the estimate, so that the
/// next start can show it without reading every step.
pub(super) fn hold_path(steps: &Path) -> PathBuf {
    steps.with_extension("paused")
}

/// Writes such a file. The tensor in it is named by its step.
pub(super) fn write_hold(path: &Path, estimate: &LatentFrames) -> Option<()> {
    let LatentFrames {
        step,
        channels,
        frames,
        height,
        width,
        ref data,
    } = *estimate;
    let shape = (channels, frames, height, width);
    let tensor = Tensor::from_slice(data, shape, &Device::Cpu).ok()?;
    let file = AtomicFile::create(path, true).ok()?;
    let tensors = std::collections::HashMap::from([(step.to_string(), tensor)]);
    candle_core::safetensors::save(&tensors, file.temp_path()).ok()?;
    file.commit().ok()
}

pub(super) fn read_hold(path: &Path) -> Option<LatentFrames> {
    let tensors = candle_core::safetensors::load(path, &Device::Cpu).ok()?;
    let (name, tensor) = tensors.into_iter().next()?;
    let (channels, frames, height, width) = tensor.dims4().ok()?;
    Some(LatentFrames {
        step: name.parse().ok()?,
        channels,
        frames,
        height,
        width,
        data: tensor.flatten_all().ok()?.to_vec1::<f32>().ok()?.into(),
    })
}
