//! The WAN 2.1 video VAE: causal in time, 8x smaller in space and 4x in time after the first
//! frame, run in chunks that remember what the convolutions need of the chunks before.

mod blocks;
mod cache;
mod decoder;
mod encoder;

use std::path::Path;

use candle_core::{DType, Device, Tensor};

use self::cache::Cache;
use self::decoder::Decoder;
use self::encoder::Encoder;
use super::{VaeConfig, files};
use crate::models::ModelError;
use crate::models::nn::{Activation, Conv3d, Conv3dConfig, activate};
use crate::models::weights::{Loading, Params};
use crate::sampler::Cancel;

/// Latent frames that [`WanVae::decode`] decodes at a time.
const CHUNK: usize = 1;

/// The WAN 2.1 VAE (`AutoencoderKLWan` in diffusers) with the normalisation of its latents.
#[derive(Clone, Debug)]
pub struct WanVae {
    config: VaeConfig,
    encoder: Encoder,
    quant_conv: Conv3d,
    post_quant_conv: Conv3d,
    decoder: Decoder,
    /// Mean and deviation of the latents, `(1, C, 1, 1, 1)`, f32.
    mean: Tensor,
    std: Tensor,
    device: Device,
    dtype: DType,
}

impl WanVae {
    /// Loads the VAE of a model: of a folder in diffusers' layout, or of the authors' file.
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
        let z = config.z_dim;
        let per_channel = |values: &[f64]| {
            Tensor::new(values, params.device())?
                .to_dtype(DType::F32)?
                .reshape((1, z, 1, 1, 1))
        };
        Ok(Self {
            config: config.clone(),
            encoder: Encoder::new(config, params.pp("encoder"))?,
            quant_conv: Conv3d::new(2 * z, 2 * z, Conv3dConfig::POINT, params.pp("quant_conv"))?,
            post_quant_conv: Conv3d::new(z, z, Conv3dConfig::POINT, params.pp("post_quant_conv"))?,
            decoder: Decoder::new(config, params.pp("decoder"))?,
            mean: per_channel(&config.latents_mean)?,
            std: per_channel(&config.latents_std)?,
            device: params.device().clone(),
            dtype: params.dtype(),
        })
    }

    /// The network's config.
    pub fn config(&self) -> &VaeConfig {
        &self.config
    }

    /// Decodes normalised latents `(1, C, T, h, w)` to video `(1, 3, 4 T - 3, 8 h, 8 w)`, f32 in
    /// [-1, 1].
    ///
    /// `cancel` is looked at before each chunk; `progress` is told the latent frames done and
    /// their number after each.
    pub fn decode(
        &self,
        latents: &Tensor,
        cancel: &Cancel,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<Tensor, ModelError> {
        self.decode_in_chunks(latents, CHUNK, cancel, progress)
    }

    /// [`decode`](Self::decode) with `chunk` latent frames at a time. The result does not depend
    /// on it; memory grows with it.
    pub fn decode_in_chunks(
        &self,
        latents: &Tensor,
        chunk: usize,
        cancel: &Cancel,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<Tensor, ModelError> {
        let mut parts = Vec::new();
        self.for_each_chunk(latents, chunk, cancel, &mut |part, done, total| {
            parts.push(part);
            progress(done, total);
            Ok(())
        })?;
        Ok(Tensor::cat(&parts, 2)?)
    }

    /// [`decode`](Self::decode) that hands the frames over as they come: `take` gets those of a latent
    /// frame, `(1, 3, f, H, W)`, the first one's alone and then four at a time, with the latent frames done and
    /// their number.
    pub fn decode_each(
        &self,
        latents: &Tensor,
        cancel: &Cancel,
        take: &mut dyn FnMut(Tensor, usize, usize) -> Result<(), ModelError>,
    ) -> Result<(), ModelError> {
        self.for_each_chunk(latents, CHUNK, cancel, take)
    }

    fn for_each_chunk(
        &self,
        latents: &Tensor,
        chunk: usize,
        cancel: &Cancel,
        take: &mut dyn FnMut(Tensor, usize, usize) -> Result<(), ModelError>,
    ) -> Result<(), ModelError> {
        let frames = match latents.dims() {
            [1, channels, frames, _, _]
                if *channels == self.config.z_dim && latents.elem_count() > 0 =>
            {
                *frames
            }
            dims => {
                return Err(ModelError::Input {
                    what: "the latents",
                    found: dims.to_vec(),
                    expected: format!("(1, {}, T, h, w)", self.config.z_dim),
                });
            }
        };
        let z = latents
            .to_device(&self.device)?
            .to_dtype(DType::F32)?
            .broadcast_mul(&self.std)?
            .broadcast_add(&self.mean)?
            .to_dtype(self.dtype)?;
        let mut cache = Cache::default();
        for start in (0..frames).step_by(chunk.max(1)) {
            cancel.check()?;
            let count = chunk.max(1).min(frames - start);
            let x = self
                .post_quant_conv
                .forward(&z.narrow(2, start, count)?, 0)?;
            let mut decode = || {
                let x = self.decoder.forward(&x, start == 0, &mut cache)?;
                activate(&x.to_dtype(DType::F32)?, Activation::Clip)
            };
            // From outside the pool of threads every operation would wake it and wait.
            let part = match self.device.is_cpu() {
                true => rayon::scope(|_| decode()),
                false => decode(),
            }?;
            take(part, start + count, frames)?;
        }
        Ok(cancel.check()?)
    }

    /// Encodes video `(1, 3, F, H, W)` in [-1, 1] with `F = 4 k + 1` and sides that are multiples
    /// of 8 to normalised latents `(1, C, k + 1, H / 8, W / 8)`, f32: the mode of the
    /// distribution, not a sample. `cancel` is looked at before each chunk.
    pub fn encode(&self, video: &Tensor, cancel: &Cancel) -> Result<Tensor, ModelError> {
        let pace = self.config.frames_per_latent();
        let side = self.config.pixels_per_latent();
        let frames = match video.dims() {
            [1, colours, frames, height, width]
                if *colours == self.config.in_channels
                    && frames % pace == 1 % pace
                    && height % side == 0
                    && width % side == 0
                    && video.elem_count() > 0 =>
            {
                *frames
            }
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
        };
        let video = video.to_device(&self.device)?.to_dtype(self.dtype)?;
        let mut cache = Cache::default();
        let mut parts = Vec::new();
        let mut start = 0;
        while start < frames {
            cancel.check()?;
            let count = if start == 0 { 1 } else { pace };
            parts.push(
                self.encoder
                    .forward(&video.narrow(2, start, count)?, &mut cache)?,
            );
            start += count;
        }
        cancel.check()?;
        let statistics = self.quant_conv.forward(&Tensor::cat(&parts, 2)?, 0)?;
        let mean = statistics
            .narrow(1, 0, self.config.z_dim)?
            .to_dtype(DType::F32)?;
        Ok(mean.broadcast_sub(&self.mean)?.broadcast_div(&self.std)?)
    }
}
