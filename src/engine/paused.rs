//! Runs that rest between two steps.

use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};

use crate::preview::LatentFrames;
use crate::project::{AtomicFile, RunSettings};
use crate::sampler::OnlineRule;

/// A run that somebody stopped between two steps, to look at it and go on later, or not.
#[derive(Clone, Debug)]
pub struct PausedRun {
    /// What it renders.
    pub settings: RunSettings,
    /// The rule that decides on the rest of its plan; `None` where that is fixed.
    pub online: Option<OnlineRule>,
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

/// Writes such a file. The tensor in it is named by its step and, where one decides, by the rule.
pub(super) fn write_hold(
    path: &Path,
    estimate: &LatentFrames,
    online: Option<OnlineRule>,
) -> Option<()> {
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
    let name = match online {
        Some(rule) => format!("{step} {}", rule.name()),
        None => step.to_string(),
    };
    let tensors = std::collections::HashMap::from([(name, tensor)]);
    candle_core::safetensors::save(&tensors, file.temp_path()).ok()?;
    file.commit().ok()
}

/// Reads such a file. One of a rule that is not known any more goes on by its plan.
pub(super) fn read_hold(path: &Path) -> Option<(LatentFrames, Option<OnlineRule>)> {
    let tensors = candle_core::safetensors::load(path, &Device::Cpu).ok()?;
    let (name, tensor) = tensors.into_iter().next()?;
    let (step, rule) = name.split_once(' ').unwrap_or((&name, ""));
    let (channels, frames, height, width) = tensor.dims4().ok()?;
    let estimate = LatentFrames {
        step: step.parse().ok()?,
        channels,
        frames,
        height,
        width,
        data: tensor.flatten_all().ok()?.to_vec1::<f32>().ok()?.into(),
    };
    let mut rules = OnlineRule::ALL.into_iter();
    Some((estimate, rules.find(|known| known.name() == rule)))
}
