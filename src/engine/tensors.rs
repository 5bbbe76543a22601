//! A run's tensors on disk: initial and final latents, the trajectory.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor, safetensors};
use serde_json::json;

use super::pipeline::{RunError, RunRequest};
use crate::preview::DivergenceMaps;
use crate::project::{AtomicError, AtomicFile, RunSettings, write_atomic, write_bytes_atomic};
use crate::sampler::Trajectory;
use crate::schedule::Course;

/// The name of the one tensor in a latents file.
const LATENTS: &str = "latents";

fn failed(why: impl std::fmt::Display) -> RunError {
    RunError::Failed(why.to_string())
}

/// Refuses what cannot be written, before the run starts: a temporary file is made and vanishes.
pub(super) fn check_targets(request: &RunRequest) -> Result<(), RunError> {
    if let Some(file) = &request.save_latents {
        AtomicFile::create(file, request.overwrite).map_err(failed)?;
    }
    if let Some(folder) = &request.save_trajectory {
        std::fs::create_dir_all(folder).map_err(|why| {
            failed(format!(
                "the folder {} cannot be made ({why}); choose another for --save-trajectory",
                folder.display()
            ))
        })?;
        AtomicFile::create(&folder.join("run.json"), request.overwrite).map_err(failed)?;
    }
    Ok(())
}

/// Reads unit noise of the run's shape. `shape` is `(1, C, T, H, W)`.
pub(super) fn read_latents(
    file: &Path,
    shape: (usize, usize, usize, usize, usize),
    device: &Device,
) -> Result<Tensor, RunError> {
    let name = file.display();
    let tensors = safetensors::load(file, &Device::Cpu).map_err(|why| {
        failed(format!("{name} cannot be read as a safetensors file ({why}); give one with a tensor named {LATENTS}"))
    })?;
    let latents = tensors.get(LATENTS).ok_or_else(|| {
        failed(format!(
            "{name} has no tensor named {LATENTS}; rename the initial noise to that"
        ))
    })?;
    if latents.dims5().ok() != Some(shape) {
        return Err(failed(format!(
            "{LATENTS} in {name} has shape {:?}, but this run needs {:?}; change --size and --frames or the file",
            latents.dims(),
            [shape.0, shape.1, shape.2, shape.3, shape.4]
        )));
    }
    let latents = latents.to_dtype(DType::F32).map_err(failed)?;
    if !crate::sampler::is_finite(&latents)? {
        return Err(failed(format!(
            "{LATENTS} in {name} contains NaN or infinite values; write the file again from clean noise"
        )));
    }
    latents.to_device(device).map_err(failed)
}

/// Writes what the request asks to keep beside the clip of a run with these settings, and names the files.
pub(super) fn write_by_products(
    request: &RunRequest,
    settings: &RunSettings,
    trajectory: &Trajectory,
) -> Result<Vec<PathBuf>, RunError> {
    let mut files = Vec::new();
    if let Some(file) = &request.save_latents {
        write_tensors(file, &[(LATENTS, trajectory.last())], request.overwrite)?;
        files.push(file.clone());
    }
    if let Some(folder) = &request.save_trajectory {
        let Course {
            grid, steps: plans, ..
        } = settings.course();
        let mut steps = Vec::new();
        let initial = folder.join("initial.safetensors");
        write_tensors(
            &initial,
            &[(LATENTS, trajectory.state(0))],
            request.overwrite,
        )?;
        files.push(initial);
        for (i, plan) in plans.iter().enumerate() {
            let name = format!("step_{:03}.safetensors", i + 1);
            let file = folder.join(&name);
            let tensors = [
                (LATENTS, trajectory.state(i + 1)),
                ("velocity", trajectory.velocity(i)),
            ];
            write_tensors(&file, &tensors, request.overwrite)?;
            files.push(file);
            steps.push(json!({
                "file": name,
                "step": i,
                "stage": plan.stage,
                "model": plan.model,
                "cfg": plan.cfg,
                "sigma": grid.sigma(i),
                "sigma_next": grid.sigma(i + 1),
                "timestep": grid.timestep(i),
            }));
        }
        let run = json!({
            "flowblend": env!("CARGO_PKG_VERSION"),
            "settings": settings,
            "initial": "initial.safetensors",
            "steps": steps,
        });
        let file = folder.join("run.json");
        let json = serde_json::to_vec_pretty(&run).map_err(failed)?;
        write_bytes_atomic(&file, request.overwrite, &json).map_err(failed)?;
        files.push(file);
    }
    Ok(files)
}

/// Writes where the two velocities differ into a safetensors file: the tensor `maps`, f32, `(steps, frames, height,
/// width)` in latent frames and places, relative to the large velocity's mean length. The error is a sentence.
pub fn write_divergence_maps(
    file: &Path,
    maps: &DivergenceMaps,
    overwrite: bool,
) -> Result<(), String> {
    let [frames, height, width] = maps.size;
    let steps = maps.data.len() / (frames * height * width).max(1);
    let tensor = Tensor::from_slice(&maps.data, (steps, frames, height, width), &Device::Cpu)
        .map_err(|why| why.to_string())?;
    write_tensors(file, &[("maps", &tensor)], overwrite).map_err(|why| why.to_string())
}

fn write_tensors(
    file: &Path,
    tensors: &[(&str, &Tensor)],
    overwrite: bool,
) -> Result<(), RunError> {
    let tensors: HashMap<String, Tensor> = tensors
        .iter()
        .map(|(name, tensor)| Ok(((*name).to_owned(), tensor.to_device(&Device::Cpu)?)))
        .collect::<candle_core::Result<_>>()
        .map_err(failed)?;
    write_atomic(file, overwrite, |temporary| {
        safetensors::save(&tensors, temporary)
            .map_err(|why| AtomicError::from_io(file, std::io::Error::other(why)))
    })
    .map_err(failed)
}
