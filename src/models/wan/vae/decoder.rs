use candle_core::{Result, Tensor};

use super::blocks::{Middle, Residual, Upsample};
use super::cache::Cache;
use crate::models::nn::{Activation, ChannelRmsNorm, Conv3d, Conv3dConfig};
use crate::models::wan::VaeConfig;
use crate::models::weights::Params;

/// One level on the way up (`WanUpBlock` in diffusers).
#[derive(Clone, Debug)]
struct Level {
    residuals: Vec<Residual>,
    upsample: Option<Upsample>,
}

/// From latents to video (`WanDecoder3d` in diffusers).
#[derive(Clone, Debug)]
pub(super) struct Decoder {
    conv_in: Conv3d,
    middle: Middle,
    levels: Vec<Level>,
    norm_out: ChannelRmsNorm,
    conv_out: Conv3d,
}

impl Decoder {
    pub(super) fn new(config: &VaeConfig, params: Params) -> Result<Self> {
        let base = config.decoder_base_dim.unwrap_or(config.base_dim);
        let top = config.dim_mult.last().map_or(base, |mult| base * mult);
        let mut dim = top;
        let mut levels = Vec::with_capacity(config.dim_mult.len());
        for (index, mult) in config.dim_mult.iter().rev().enumerate() {
            let params = params.pp("up_blocks").pp(index);
            let outputs = base * mult;
            let mut residuals = Vec::with_capacity(config.num_res_blocks + 1);
            for block in 0..=config.num_res_blocks {
                residuals.push(Residual::new(dim, outputs, params.pp("resnets").pp(block))?);
                dim = outputs;
            }
            // The steps up mirror the encoder's steps down.
            let time = config.temperal_downsample.iter().rev().nth(index);
            let upsample = match time {
                Some(&time) => Some(Upsample::new(
                    outputs,
                    time,
                    params.pp("upsamplers").pp("0"),
                )?),
                None => None,
            };
            if upsample.is_some() {
                dim = outputs / 2;
            }
            levels.push(Level {
                residuals,
                upsample,
            });
        }
        Ok(Self {
            conv_in: Conv3d::new(
                config.z_dim,
                top,
                Conv3dConfig::CAUSAL_3,
                params.pp("conv_in"),
            )?,
            middle: Middle::new(top, params.pp("mid_block"))?,
            levels,
            norm_out: ChannelRmsNorm::new(dim, 3, params.pp("norm_out"))?,
            conv_out: Conv3d::new(
                dim,
                config.out_channels,
                Conv3dConfig::CAUSAL_3,
                params.pp("conv_out"),
            )?,
        })
    }

    /// Decodes a chunk of latent frames; `first` says that it starts with the clip's first.
    pub(super) fn forward(&self, x: &Tensor, first: bool, cache: &mut Cache) -> Result<Tensor> {
        cache.rewind();
        let mut x = cache.convolve(&self.conv_in, x, None)?;
        x = self.middle.forward(&x, cache)?;
        for level in &self.levels {
            for residual in &level.residuals {
                x = residual.forward(&x, cache)?;
            }
            if let Some(upsample) = &level.upsample {
                x = upsample.forward(&x, first, cache)?;
            }
        }
        x = self.norm_out.forward(&x, Some(Activation::Silu))?;
        cache.convolve(&self.conv_out, &x, None)
    }
}
