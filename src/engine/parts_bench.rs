use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use candle_core::{DType, Device, Tensor};

use super::OpenDevice;
use crate::models::nn::Linear;
use crate::models::{
    Family, Loading, ModelError, TextEncoder, Transformer, TransformerConfig, Vae,
};
use crate::sampler::{Cancel, VelocityModel as _, initial_noise};
use crate::schedule::Flops;

/// A timestep in the middle of a run.
const TIMESTEP: f64 = 500.0;

/// Seeds of the latents and of the text embeddings.
const SEEDS: (u64, u64) = (1, 2);

/// What is measured.
#[derive(Clone, Debug)]
pub struct PartsRequest {
    /// The model's folder or file.
    pub model: PathBuf,
    /// Width, height and frames of the clip; what is left out is the family's usual.
    pub size: (Option<(usize, usize)>, Option<usize>),
    /// Times that each part runs, after once that does not count.
    pub runs: usize,
    /// What the text encoder reads.
    pub prompt: String,
}

/// A part of a model, measured.
#[derive(Clone, Debug)]
pub struct PartBench {
    /// Its name: `transformer`, `vae` or `text_encoder`.
    pub part: &'static str,
    /// Seconds to load it.
    pub load_secs: f64,
    /// Seconds of the first run, which also prepares what later ones find ready.
    pub first_secs: f64,
    /// Seconds of each run after it.
    pub secs: Vec<f64>,
    /// FLOPs of a run, where they are counted.
    pub flops: Option<Flops>,
}

/// The parts that a model has, measured one after the other.
#[derive(Debug)]
pub struct PartsBench {
    /// Width, height and frames of the clip.
    pub size: (usize, usize, usize),
    /// The parts.
    pub parts: Vec<PartBench>,
    /// FLOPs a second of a large matrix product on the same device in the same format, the best of several.
    pub product_rate: f64,
    /// What went in and came out, f32 on the CPU: `latents`, `text`, `velocity`, `video`, `embeddings`; those of
    /// parts that the model has.
    pub tensors: HashMap<String, Tensor>,
}

impl PartsBench {
    /// Loads each part of the model to `device` by itself and runs it: the transformer one pass, over seeded noise as
    /// latents and as text; the VAE one decode of the same latents; the text encoder one prompt.
    pub fn run(request: &PartsRequest, device: &OpenDevice) -> Result<Self, ModelError> {
        let model = request.model.as_path();
        let family = Family::of(model);
        let (width, height, frames) = family.usual_size();
        let (width, height) = request.size.0.unwrap_or((width, height));
        let size = (width, height, request.size.1.unwrap_or(frames));
        family.check_size(size.0, size.1, size.2)?;
        let [b, c, t, h, w] = family.latent_shape(size.0, size.1, size.2);
        let latents = initial_noise(SEEDS.0, (b, c, t, h, w), &Device::Cpu)?;
        let mut bench = Self {
            size,
            parts: Vec::new(),
            product_rate: product_rate(device)?,
            tensors: HashMap::from([("latents".to_owned(), latents.clone())]),
        };
        let latents = latents.to_device(&device.device)?;
        // What is wrong with a transformer is told where there is nothing else either.
        let transformer = family.transformer_size(model);
        let has_vae = family.vae_size(model).is_ok();
        let has_text = family.text_size(model).is_ok();
        if transformer.is_ok() {
            bench.transformer(model, &latents, request.runs, device)?;
        } else if !has_vae && !has_text {
            transformer?;
        }
        if has_vae {
            bench.decode(model, &latents, request.runs, device)?;
        }
        if has_text {
            bench.encode(model, &request.prompt, request.runs, device)?;
        }
        Ok(bench)
    }

    fn transformer(
        &mut self,
        model: &Path,
        latents: &Tensor,
        runs: usize,
        device: &OpenDevice,
    ) -> Result<(), ModelError> {
        let config = TransformerConfig::read(model)?;
        let dims = latents.dims5()?;
        let tokens = config.tokens([dims.0, dims.1, dims.2, dims.3, dims.4]);
        let (rows, channels) = (config.family().text_tokens(), config.text_channels());
        let text = initial_noise(SEEDS.1, (1, 1, 1, rows, channels), &Device::Cpu)?;
        let text = text.reshape((1, rows, channels))?;
        self.tensors.insert("text".to_owned(), text.clone());
        let start = Instant::now();
        let loading = Loading::to(&device.device, device.format());
        let transformer = Transformer::load(model, model, loading)?;
        let load_secs = start.elapsed().as_secs_f64();
        let context = transformer.context(&text.to_device(&device.device)?)?;
        let timed = timed(runs, device, || {
            Ok(transformer.velocity(latents, TIMESTEP, &context, &Cancel::new())?)
        })?;
        let flops = Some(config.flops(tokens, rows));
        self.note(("transformer", "velocity"), load_secs, timed, flops)
    }

    fn decode(
        &mut self,
        model: &Path,
        latents: &Tensor,
        runs: usize,
        device: &OpenDevice,
    ) -> Result<(), ModelError> {
        let start = Instant::now();
        // As in a run: in f32 whatever the format of the rest.
        let vae = Vae::load(model, Loading::to(&device.device, DType::F32))?;
        let load_secs = start.elapsed().as_secs_f64();
        let timed = timed(runs, device, || {
            vae.decode(latents, SEEDS.0, &Cancel::new(), &mut |_, _| {})
        })?;
        self.note(("vae", "video"), load_secs, timed, None)
    }

    fn encode(
        &mut self,
        model: &Path,
        prompt: &str,
        runs: usize,
        device: &OpenDevice,
    ) -> Result<(), ModelError> {
        let start = Instant::now();
        // As in a run: without integers.
        let loading = Loading::to(&device.device, device.dtype);
        let tokens = Family::of(model).text_tokens();
        let encoder = TextEncoder::load(model, tokens, loading)?;
        let load_secs = start.elapsed().as_secs_f64();
        let timed = timed(runs, device, || encoder.encode(prompt))?;
        self.note(("text_encoder", "embeddings"), load_secs, timed, None)
    }

    fn note(
        &mut self,
        (part, output): (&'static str, &str),
        load_secs: f64,
        timed: Timed,
        flops: Option<Flops>,
    ) -> Result<(), ModelError> {
        self.parts.push(PartBench {
            part,
            load_secs,
            first_secs: timed.first_secs,
            secs: timed.secs,
            flops,
        });
        let result = timed.result.to_device(&Device::Cpu)?;
        let result = result.to_dtype(DType::F32)?.contiguous()?;
        self.tensors.insert(output.to_owned(), result);
        Ok(())
    }
}

struct Timed {
    first_secs: f64,
    secs: Vec<f64>,
    result: Tensor,
}

/// Runs `work` once and then `runs` times more.
fn timed(
    runs: usize,
    device: &OpenDevice,
    mut work: impl FnMut() -> Result<Tensor, ModelError>,
) -> Result<Timed, ModelError> {
    let mut once = || -> Result<(f64, Tensor), ModelError> {
        let start = Instant::now();
        let result = work()?;
        device.device.synchronize()?;
        Ok((start.elapsed().as_secs_f64(), result))
    };
    let (first_secs, mut result) = once()?;
    let mut secs = Vec::with_capacity(runs);
    for _ in 0..runs {
        let taken;
        (taken, result) = once()?;
        secs.push(taken);
    }
    Ok(Timed {
        first_secs,
        secs,
        result,
    })
}

/// FLOPs a second of a large square matrix product, the best of several of candle's and of our own.
fn product_rate(device: &OpenDevice) -> Result<f64, ModelError> {
    const TRIES: usize = 5;
    let side = if device.device.is_cpu() { 2048 } else { 8192 };
    let matrix = Tensor::ones((side, side), device.dtype, &device.device)?;
    let layer = Linear::in_format(matrix.clone(), device.format())?;
    let library = timed(TRIES, device, || Ok(matrix.matmul(&matrix)?))?;
    let own = timed(TRIES, device, || Ok(layer.forward(&matrix)?))?;
    let times = library.secs.into_iter().chain(own.secs);
    Ok(2.0 * (side as f64).powi(3) / times.fold(f64::MAX, f64::min))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::DeviceChoice;

    #[test]
    fn the_parts_of_the_bundled_model_are_measured() {
        let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/demo/large");
        let device = OpenDevice::open(DeviceChoice::Cpu, None).unwrap();
        let request = PartsRequest {
            model: model.clone(),
            size: (Some((32, 32)), Some(5)),
            runs: 2,
            prompt: "a red circle".to_owned(),
        };
        let bench = PartsBench::run(&request, &device).unwrap();
        assert_eq!(bench.size, (32, 32, 5));
        assert!(bench.product_rate > 0.0);
        let names: Vec<_> = bench.parts.iter().map(|part| part.part).collect();
        assert_eq!(names, ["transformer", "vae", "text_encoder"]);
        assert!(bench.parts.iter().all(|part| part.secs.len() == 2));
        assert!(bench.parts[0].flops.is_some_and(|f| f.full() > 0.0));
        assert_eq!(bench.tensors["text"].dims(), [1, 512, 128]);
        assert_eq!(bench.tensors["velocity"].dims(), [1, 16, 2, 4, 4]);
        assert_eq!(bench.tensors["video"].dims(), [1, 3, 5, 32, 32]);
        assert_eq!(bench.tensors["embeddings"].dims(), [1, 512, 128]);
        let none = PartsRequest {
            model: model.join("nothing"),
            ..request
        };
        assert!(PartsBench::run(&none, &device).is_err());
    }
}
