//! The LTX-Video VAE: 32x smaller in space and 8x in time after the first frame. From 0.9.1 on its
//! decoder also takes the last step of denoising.

mod blocks;
mod config;
mod conv;
mod decoder;
mod encoder;
mod fold;
mod topology;

use std::path::Path;

use candle_core::{DType, Device, Tensor};

pub use self::config::VaeConfig;
use self::decoder::Decoder;
use self::encoder::Encoder;
use super::files;
use crate::models::ModelError;
use crate::models::weights::{Loading, Params};
use crate::sampler::{Cancel, initial_noise};

/// How a decoder that takes the last step of denoising is used; others ignore it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DecodeOptions {
    /// The noise level that the decoder is told, 0 to 1.
    pub timestep: f64,
    /// The share of noise that is mixed into the latents, 0 to 1.
    pub noise_scale: f64,
    /// Seed of that noise.
    pub seed: u64,
}

impl DecodeOptions {
    /// A timestep of 0.05 and a noise scale of 0.025, as the model's authors and the examples of
    /// diffusers decode 0.9.1 and later. diffusers' pipelines themselves default to 0 and 0.
    pub fn with_seed(seed: u64) -> Self {
        Self {
            timestep: 0.05,
            noise_scale: 0.025,
            seed,
        }
    }
}

/// The LTX-Video VAE (`AutoencoderKLLTXVideo` in diffusers) with the normalisation of its latents,
/// whose statistics are tensors of the checkpoint.
#[derive(Clone, Debug)]
pub struct LtxVae {
    config: VaeConfig,
    encoder: Encoder,
    decoder: Decoder,
    /// Mean and deviation of the latents, `(1, C, 1, 1, 1)`, f32.
    mean: Tensor,
    std: Tensor,
    device: Device,
    dtype: DType,
}

impl LtxVae {
    /// Loads the VAE of a model: of a folder in diffusers' layout, or of a file or folder as its
    /// authors publish it, where it may lie in the transformer's file.
    pub fn load(model: &Path, loading: Loading<'_>) -> Result<Self, ModelError> {
        let (config, weights) = files::vae(model)?;
        let construct = |params| Self::new(&config, params);
        weights.build(loading, |_| false, construct)
    }

    /// Reads and checks the VAE's config alone; of a file without one, its header.
    pub fn read_config(model: &Path) -> Result<VaeConfig, ModelError> {
        files::vae_config(model)
    }

    /// Builds the network from tensors named as in diffusers.
    pub fn new(config: &VaeConfig, params: Params) -> candle_core::Result<Self> {
        let channels = config.latent_channels;
        let wide = params.to_dtype(DType::F32);
        let statistic = |name: &str| wide.get(channels, name)?.reshape((1, channels, 1, 1, 1));
        Ok(Self {
            config: config.clone(),
            encoder: Encoder::new(config, params.pp("encoder"))?,
            decoder: Decoder::new(config, params.pp("decoder"))?,
            mean: statistic("latents_mean")?,
            std: statistic("latents_std")?,
            device: params.device().clone(),
            dtype: params.dtype(),
        })
    }

    /// The network's config.
    pub fn config(&self) -> &VaeConfig {
        &self.config
    }

    /// Decodes normalised latents `(1, C, T, h, w)` to video `(1, 3, 8 T - 7, 32 h, 32 w)`, f32
    /// around [-1, 1], the whole clip at once. The noise of `options` is drawn on the CPU.
    ///
    /// `cancel` is looked at between layers; `progress` is told after each the work done and all of
    /// it, in units of no meaning but their proportion.
    pub fn decode(
        &self,
        latents: &Tensor,
        options: DecodeOptions,
        cancel: &Cancel,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<Tensor, ModelError> {
        let noise = self.noise(latents, options)?;
        self.decode_with(latents, noise.as_ref(), options, cancel, progress)
    }

    /// The noise that [`decode`](Self::decode) mixes into latents, if any.
    pub fn noise(
        &self,
        latents: &Tensor,
        options: DecodeOptions,
    ) -> Result<Option<Tensor>, ModelError> {
        self.check_latents(latents)?;
        if !self.config.timestep_conditioning || options.noise_scale == 0.0 {
            return Ok(None);
        }
        let noise = initial_noise(options.seed, latents.dims5()?, &self.device)?;
        Ok(Some(noise))
    }

    /// [`decode`](Self::decode) with noise that is already drawn, of the latents' shape, in the
    /// place of that of `options.seed`; `None` mixes none in.
    pub fn decode_with(
        &self,
        latents: &Tensor,
        noise: Option<&Tensor>,
        options: DecodeOptions,
        cancel: &Cancel,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<Tensor, ModelError> {
        self.check_latents(latents)?;
        cancel.check()?;
        let mut z = (latents
            .to_device(&self.device)?
            .to_dtype(DType::F32)?
            .broadcast_mul(&self.std)?
            / self.config.scaling_factor)?
            .broadcast_add(&self.mean)?;
        if let (true, Some(noise)) = (self.config.timestep_conditioning, noise) {
            let noise = noise.to_device(&self.device)?.to_dtype(DType::F32)?;
            z = ((z * (1.0 - options.noise_scale))? + (noise * options.noise_scale)?)?;
        }
        let (mut done, work) = (0, self.decoder.work());
        let video =
            self.decoder
                .forward(&z.to_dtype(self.dtype)?, options.timestep, &mut |layer| {
                    done += layer;
                    progress(done, work);
                    Ok(cancel.check()?)
                })?;
        Ok(video.to_dtype(DType::F32)?)
    }

    fn check_latents(&self, latents: &Tensor) -> Result<(), ModelError> {
        match latents.dims() {
            [1, channels, _, _, _]
                if *channels == self.config.latent_channels && latents.elem_count() > 0 =>
            {
                Ok(())
            }
            dims => Err(ModelError::Input {
                what: "the latents",
                found: dims.to_vec(),
                expected: format!("(1, {}, T, h, w)", self.config.latent_channels),
            }),
        }
    }

    /// Encodes video `(1, 3, F, H, W)` in [-1, 1] with `F = 8 k + 1` and sides that are multiples
    /// of 32 to normalised latents `(1, C, k + 1, H / 32, W / 32)`, f32: the mode of the
    /// distribution, not a sample. `cancel` is looked at between layers.
    pub fn encode(&self, video: &Tensor, cancel: &Cancel) -> Result<Tensor, ModelError> {
        let pace = self.config.frames_per_latent();
        let side = self.config.pixels_per_latent();
        match video.dims() {
            [1, colours, frames, height, width]
                if *colours == self.config.in_channels
                    && frames % pace == 1 % pace
                    && height % side == 0
                    && width % side == 0
                    && video.elem_count() > 0 => {}
            dims => {
                return Err(ModelError::Input {
                    what: "the video",
                    found: dims.to_vec(),
                    expected: format!(
                        "(1, {}, {pace} k + 1, multiple of {side}, multiple of {side})",
                        self.config.in_channels
                    ),
                });
            }
        }
        let video = video.to_device(&self.device)?.to_dtype(self.dtype)?;
        let mean = self
            .encoder
            .forward(&video, cancel)?
            .narrow(1, 0, self.config.latent_channels)?
            .to_dtype(DType::F32)?;
        let centred = mean.broadcast_sub(&self.mean)?;
        Ok((centred * self.config.scaling_factor)?.broadcast_div(&self.std)?)
    }
}

/// The error of a constructor that was given a config with a fault.
fn unsound(fault: String) -> candle_core::Error {
    candle_core::Error::Msg(format!("the VAE's config cannot be used: {fault}"))
}
