use std::time::Instant;

use candle_core::Tensor;

use super::OpenDevice;
use super::gpu_memory::GpuPeak;
use crate::models::{ModelError, TransformerConfig};
use crate::sampler::{Cancel, VelocityModel as _};
use crate::schedule::Flops;

/// A timestep in the middle of a run.
const TIMESTEP: f64 = 500.0;

/// Numbers of the output that are told.
const SAMPLES: usize = 16;

/// What is measured.
#[derive(Clone, Debug)]
pub struct PassRequest {
    /// The transformer, which gets random weights.
    pub config: TransformerConfig,
    /// Width, height and frames of the clip.
    pub size: (usize, usize, usize),
    /// Passes that are timed, after one that is not.
    pub passes: usize,
}

/// A transformer's passes, measured.
#[derive(Clone, Debug)]
pub struct PassBench {
    /// Numbers in the transformer's weights.
    pub parameters: u64,
    /// Tokens of video.
    pub tokens: usize,
    /// Tokens of text.
    pub text_tokens: usize,
    /// FLOPs of a pass.
    pub flops: Flops,
    /// Seconds to make the weights.
    pub build_secs: f64,
    /// Seconds of the first pass, which also prepares what later ones find ready.
    pub first_secs: f64,
    /// Seconds of each pass after it.
    pub pass_secs: Vec<f64>,
    /// Bytes of a GPU's memory that all tensors together held after the weights were made; `None` where
    /// nobody says.
    pub weights_bytes: Option<u64>,
    /// The most that they held at once.
    pub peak_bytes: Option<u64>,
    /// Bytes of the GPU's memory that are taken after the last pass, by all programs.
    pub taken_bytes: Option<u64>,
    /// Whether every number of the last velocity is finite.
    pub is_finite: bool,
    /// Its root mean square.
    pub rms: f64,
    /// A few of its numbers, evenly spread: on a GPU weights and input are the same every time, so that
    /// two forms of an operation can be held against each other.
    pub samples: Vec<f32>,
}

impl PassBench {
    /// Builds the transformer at its full size with random weights on `device` and runs passes over
    /// random latents and text. A pass is one forward evaluation, a denoising step without guidance; guided
    /// steps take two.
    pub fn run(request: &PassRequest, device: &OpenDevice) -> Result<Self, ModelError> {
        let PassRequest { config, size, .. } = request;
        let (width, height, frames) = *size;
        config.family().check_size(width, height, frames)?;
        let shape = config.family().latent_shape(width, height, frames);
        let (tokens, text_tokens) = (config.tokens(shape), config.family().text_tokens());
        let gpu = GpuPeak::start(&device.device);

        let start = Instant::now();
        let (transformer, parameters) = config.random(device.format(), &device.device)?;
        device.device.synchronize()?;
        let build_secs = start.elapsed().as_secs_f64();
        let weights_bytes = gpu.as_ref().and_then(GpuPeak::held);
        // Making weights holds more for a moment than the weights take.
        if let Some(gpu) = &gpu {
            gpu.forget();
        }

        let text = (1, text_tokens, config.text_channels());
        let text = Tensor::randn(0f32, 1.0, text, &device.device)?;
        let latents = Tensor::randn(0f32, 1.0, shape.as_slice(), &device.device)?;
        let context = transformer.context(&text)?;
        let pass = || -> Result<(f64, Tensor), ModelError> {
            let start = Instant::now();
            let velocity = transformer.velocity(&latents, TIMESTEP, &context, &Cancel::new())?;
            device.device.synchronize()?;
            Ok((start.elapsed().as_secs_f64(), velocity))
        };
        let (first_secs, mut velocity) = pass()?;
        let mut pass_secs = Vec::with_capacity(request.passes);
        for _ in 0..request.passes {
            let secs;
            (secs, velocity) = pass()?;
            pass_secs.push(secs);
        }
        let peak_bytes = gpu.as_ref().and_then(GpuPeak::most);
        let taken_bytes = device.taken_bytes();
        let values = velocity.flatten_all()?.to_vec1::<f32>()?;
        Ok(Self {
            parameters,
            tokens,
            text_tokens,
            flops: config.flops(tokens, text_tokens),
            build_secs,
            first_secs,
            pass_secs,
            weights_bytes,
            peak_bytes,
            taken_bytes,
            is_finite: values.iter().all(|value| value.is_finite()),
            rms: rms(&values),
            samples: values
                .iter()
                .step_by(values.len().div_ceil(SAMPLES).max(1))
                .copied()
                .collect(),
        })
    }
}

/// The root mean square.
fn rms(values: &[f32]) -> f64 {
    let sum: f64 = values.iter().map(|value| f64::from(*value).powi(2)).sum();
    (sum / values.len().max(1) as f64).sqrt()
}

#[cfg(test)]
mod tests {
    use candle_core::DType;

    use super::*;
    use crate::engine::DeviceChoice;
    use crate::models::{ltx, wan};

    #[test]
    fn a_tiny_transformer_of_each_family_is_measured() {
        let wan = TransformerConfig::Wan(wan::TransformerConfig::tiny());
        let ltx = TransformerConfig::Ltx(ltx::TransformerConfig::tiny());
        for dtype in [DType::F32, DType::BF16] {
            let device = OpenDevice::open(DeviceChoice::Cpu, Some(dtype)).unwrap();
            for (config, tokens) in [(&wan, 2 * 4 * 4), (&ltx, 2 * 2 * 2)] {
                let request = PassRequest {
                    config: config.clone(),
                    size: (64, 64, if tokens == 8 { 9 } else { 5 }),
                    passes: 2,
                };
                let bench = PassBench::run(&request, &device).unwrap();
                assert_eq!(bench.tokens, tokens);
                assert_eq!(bench.pass_secs.len(), 2);
                assert!(bench.is_finite && bench.flops.full() > 0.0);
                assert!(bench.rms > 0.0 && bench.parameters > 0);
                assert_eq!(bench.samples.len(), SAMPLES);
                assert_eq!(bench.peak_bytes, None);
            }
        }
    }

    #[test]
    fn a_size_the_family_cannot_do_is_refused() {
        let request = PassRequest {
            config: TransformerConfig::Wan(wan::TransformerConfig::tiny()),
            size: (64, 60, 5),
            passes: 1,
        };
        let device = OpenDevice::open(DeviceChoice::Cpu, None).unwrap();
        let why = PassBench::run(&request, &device).unwrap_err().to_string();
        assert!(why.contains("the nearest size is 64x64"), "{why}");
    }
}
