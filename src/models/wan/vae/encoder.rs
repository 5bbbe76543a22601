use candle_core::{Result, Tensor};

use super::blocks::{Downsample, FrameAttention, Middle, Residual};
use super::cache::Cache;
use crate::models::nn::{Activation, ChannelRmsNorm, Conv3d, Conv3dConfig};
use crate::models::wan::VaeConfig;
use crate::models::weights::Params;

/// One layer on the way down.
#[derive(Clone, Debug)]
enum Layer {
    Residual(Residual),
    Attention(FrameAttention),
    Downsample(Downsample),
}

/// From video to the statistics of the latents (`WanEncoder3d` in diffusers).
#[derive(Clone, Debug)]
pub(super) struct Encoder {
    conv_in: Conv3d,
    layers: Vec<Layer>,
    middle: Middle,
    norm_out: ChannelRmsNorm,
    conv_out: Conv3d,
}

impl Encoder {
    pub(super) fn new(config: &VaeConfig, params: Params) -> Result<Self> {
        let mut dim = config.base_dim;
        let conv_in = Conv3d::new(
            config.in_channels,
            dim,
            Conv3dConfig::CAUSAL_3,
            params.pp("conv_in"),
        )?;
        let down = params.pp("down_blocks");
        let mut layers: Vec<Layer> = Vec::new();
        let mut scale = 1.0;
        for (level, mult) in config.dim_mult.iter().enumerate() {
            let outputs = config.base_dim * mult;
            for _ in 0..config.num_res_blocks {
                layers.push(Layer::Residual(Residual::new(
                    dim,
                    outputs,
                    down.pp(layers.len()),
                )?));
                if config.attn_scales.contains(&scale) {
                    layers.push(Layer::Attention(FrameAttention::new(
                        outputs,
                        down.pp(layers.len()),
                    )?));
                }
                dim = outputs;
            }
            if let Some(&time) = config.temperal_downsample.get(level) {
                layers.push(Layer::Downsample(Downsample::new(
                    outputs,
                    time,
                    down.pp(layers.len()),
                )?));
                scale /= 2.0;
            }
        }
        Ok(Self {
            conv_in,
            layers,
            middle: Middle::new(dim, params.pp("mid_block"))?,
            norm_out: ChannelRmsNorm::new(dim, 3, params.pp("norm_out"))?,
            conv_out: Conv3d::new(
                dim,
                2 * config.z_dim,
                Conv3dConfig::CAUSAL_3,
                params.pp("conv_out"),
            )?,
        })
    }

    /// Encodes a chunk: the first frame alone or with a multiple of the temporal compression of
    /// frames after it, later such a multiple.
    pub(super) fn forward(&self, x: &Tensor, cache: &mut Cache) -> Result<Tensor> {
        cache.rewind();
        let mut x = cache.convolve(&self.conv_in, x, None)?;
        for layer in &self.layers {
            x = match layer {
                Layer::Residual(layer) => layer.forward(&x, cache)?,
                Layer::Attention(layer) => layer.forward(&x)?,
                Layer::Downsample(layer) => layer.forward(&x, cache)?,
            };
        }
        x = self.middle.forward(&x, cache)?;
        x = self.norm_out.forward(&x, Some(Activation::Silu))?;
        cache.convolve(&self.conv_out, &x, None)
    }
}
