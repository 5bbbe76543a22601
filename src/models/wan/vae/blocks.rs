use candle_core::{Result, Tensor};

use super::cache::{Cache, continued};
use crate::models::nn::{Activation, ChannelRmsNorm, Conv3d, Conv3dConfig, With, attention};
use crate::models::weights::Params;

/// Two convolutions around a shortcut (`WanResidualBlock` in diffusers).
#[derive(Clone, Debug)]
pub(super) struct Residual {
    norm1: ChannelRmsNorm,
    conv1: Conv3d,
    norm2: ChannelRmsNorm,
    conv2: Conv3d,
    shortcut: Option<Conv3d>,
}

impl Residual {
    pub(super) fn new(inputs: usize, outputs: usize, params: Params) -> Result<Self> {
        let shortcut = if inputs == outputs {
            None
        } else {
            Some(Conv3d::new(
                inputs,
                outputs,
                Conv3dConfig::POINT,
                params.pp("conv_shortcut"),
            )?)
        };
        Ok(Self {
            norm1: ChannelRmsNorm::new(inputs, 3, params.pp("norm1"))?,
            conv1: Conv3d::new(inputs, outputs, Conv3dConfig::CAUSAL_3, params.pp("conv1"))?,
            norm2: ChannelRmsNorm::new(outputs, 3, params.pp("norm2"))?,
            conv2: Conv3d::new(outputs, outputs, Conv3dConfig::CAUSAL_3, params.pp("conv2"))?,
            shortcut,
        })
    }

    pub(super) fn forward(&self, x: &Tensor, cache: &mut Cache) -> Result<Tensor> {
        let inner = self.norm1.forward(x, Some(Activation::Silu))?;
        let inner = cache.convolve(&self.conv1, &inner, None)?;
        let inner = self.norm2.forward(&inner, Some(Activation::Silu))?;
        let beside = self
            .shortcut
            .as_ref()
            .map(|shortcut| shortcut.forward(x, 0));
        let beside = beside.transpose()?;
        cache.convolve(&self.conv2, &inner, Some(beside.as_ref().unwrap_or(x)))
    }
}

/// Self-attention of one head within each frame (`WanAttentionBlock` in diffusers).
#[derive(Clone, Debug)]
pub(super) struct FrameAttention {
    norm: ChannelRmsNorm,
    to_qkv: Conv3d,
    proj: Conv3d,
}

impl FrameAttention {
    pub(super) fn new(dim: usize, params: Params) -> Result<Self> {
        Ok(Self {
            norm: ChannelRmsNorm::new(dim, 2, params.pp("norm"))?,
            to_qkv: Conv3d::new_2d(dim, 3 * dim, Conv3dConfig::POINT, params.pp("to_qkv"))?,
            proj: Conv3d::new_2d(dim, dim, Conv3dConfig::POINT, params.pp("proj"))?,
        })
    }

    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let (batch, dim, frames, height, width) = x.dims5()?;
        let qkv = self.to_qkv.forward(&self.norm.forward(x, None)?, 0)?;
        // (B, 3 dim, T, H, W) to three of (B T, H W, 1 head, dim).
        let qkv = qkv
            .reshape((batch, 3, dim, frames, height * width))?
            .permute((1, 0, 3, 4, 2))?
            .reshape((3, batch * frames, height * width, 1, dim))?;
        let scale = (dim as f64).powf(-0.5);
        let mixed = attention(&qkv.get(0)?, &qkv.get(1)?, &qkv.get(2)?, scale)?
            .reshape((batch, frames, height, width, dim))?
            .permute((0, 4, 1, 2, 3))?
            .contiguous()?;
        x + self.proj.forward(&mixed, 0)?
    }
}

/// The level with the fewest positions (`WanMidBlock` in diffusers).
#[derive(Clone, Debug)]
pub(super) struct Middle {
    before: Residual,
    attention: FrameAttention,
    after: Residual,
}

impl Middle {
    pub(super) fn new(dim: usize, params: Params) -> Result<Self> {
        Ok(Self {
            before: Residual::new(dim, dim, params.pp("resnets").pp("0"))?,
            attention: FrameAttention::new(dim, params.pp("attentions").pp("0"))?,
            after: Residual::new(dim, dim, params.pp("resnets").pp("1"))?,
        })
    }

    pub(super) fn forward(&self, x: &Tensor, cache: &mut Cache) -> Result<Tensor> {
        let x = self.before.forward(x, cache)?;
        self.after.forward(&self.attention.forward(&x)?, cache)
    }
}

/// Doubles height and width and, where asked, the number of frames after the first
/// (`WanResample` in diffusers, modes `upsample2d` and `upsample3d`).
#[derive(Clone, Debug)]
pub(super) struct Upsample {
    conv: Conv3d,
    time_conv: Option<Conv3d>,
}

/// The kernel of time alone.
const TIME_3: Conv3dConfig = Conv3dConfig {
    kernel: [3, 1, 1],
    stride: [1, 1, 1],
    past: 2,
    border: [0, 0],
};

impl Upsample {
    pub(super) fn new(dim: usize, time: bool, params: Params) -> Result<Self> {
        let time_conv = if time {
            Some(Conv3d::new(dim, 2 * dim, TIME_3, params.pp("time_conv"))?)
        } else {
            None
        };
        let conv = Conv3d::new_2d(
            dim,
            dim / 2,
            Conv3dConfig::FRAME_3,
            params.pp("resample").pp("1"),
        )?;
        Ok(Self { conv, time_conv })
    }

    /// `first` says that the chunk starts with the clip's first frame, which stays one frame and
    /// is unknown to the convolution over time.
    pub(super) fn forward(&self, x: &Tensor, first: bool, cache: &mut Cache) -> Result<Tensor> {
        let x = match &self.time_conv {
            None => x.clone(),
            Some(conv) => {
                let entry = cache.entry();
                let frames = x.dim(2)?;
                if !first {
                    doubled(&continued(entry, conv, x, None)?)?
                } else if frames == 1 {
                    x.clone()
                } else {
                    let rest = continued(entry, conv, &x.narrow(2, 1, frames - 1)?, None)?;
                    Tensor::cat(&[&x.narrow(2, 0, 1)?, &doubled(&rest)?], 2)?
                }
            }
        };
        let wide = With {
            doubled: true,
            ..With::default()
        };
        self.conv.forward_with(&x, wide)
    }
}

/// `(B, 2 C, T, H, W)` to `(B, C, 2 T, H, W)`: the halves of the channels become neighbouring
/// frames.
fn doubled(x: &Tensor) -> Result<Tensor> {
    let (batch, channels, frames, height, width) = x.dims5()?;
    x.reshape((batch, 2, channels / 2, frames, height * width))?
        .permute((0, 2, 3, 1, 4))?
        .reshape((batch, channels / 2, 2 * frames, height, width))
}

/// Halves height and width and, where asked, the number of frames after the first
/// (`WanResample` in diffusers, modes `downsample2d` and `downsample3d`).
#[derive(Clone, Debug)]
pub(super) struct Downsample {
    conv: Conv3d,
    time_conv: Option<Conv3d>,
}

impl Downsample {
    pub(super) fn new(dim: usize, time: bool, params: Params) -> Result<Self> {
        let frame = Conv3dConfig {
            kernel: [1, 3, 3],
            stride: [1, 2, 2],
            past: 0,
            border: [0, 1],
        };
        let pace = Conv3dConfig {
            kernel: [3, 1, 1],
            stride: [2, 1, 1],
            past: 0,
            border: [0, 0],
        };
        let time_conv = if time {
            Some(Conv3d::new(dim, dim, pace, params.pp("time_conv"))?)
        } else {
            None
        };
        let conv = Conv3d::new_2d(dim, dim, frame, params.pp("resample").pp("1"))?;
        Ok(Self { conv, time_conv })
    }

    /// The clip's first frame passes the convolution over time untouched; after it, each pair of
    /// frames is seen together with the frame before.
    pub(super) fn forward(&self, x: &Tensor, cache: &mut Cache) -> Result<Tensor> {
        let x = self.conv.forward(x, 0)?;
        let Some(conv) = &self.time_conv else {
            return Ok(x);
        };
        let entry = cache.entry();
        let frames = x.dim(2)?;
        let last = x.narrow(2, frames - 1, 1)?.force_contiguous()?;
        let out = match entry.as_ref() {
            Some(kept) => conv.forward(&Tensor::cat(&[kept, &x], 2)?, 0)?,
            None if frames == 1 => x,
            None => Tensor::cat(&[&x.narrow(2, 0, 1)?, &conv.forward(&x, 0)?], 2)?,
        };
        *entry = Some(last);
        Ok(out)
    }
}
