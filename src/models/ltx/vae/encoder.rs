use candle_core::Tensor;

use super::blocks::{Folding, Level, NORM_EPS, Residual, Style};
use super::conv::FrameConv;
use super::fold::patches;
use super::topology::{Down, Step};
use super::{VaeConfig, unsound};
use crate::models::ModelError;
use crate::models::nn::{Activation, channel_rms};
use crate::models::weights::Params;
use crate::sampler::Cancel;

/// One level on the way down (`LTXVideoDownBlock3D` and `LTXVideo095DownBlock3D` in diffusers).
#[derive(Clone, Debug)]
struct DownLevel {
    level: Level,
    step: Option<DownStep>,
    widen: Option<Residual>,
}

#[derive(Clone, Debug)]
enum DownStep {
    Stride(FrameConv),
    Fold(Folding),
}

impl DownLevel {
    fn new(block: &Down, style: Style, params: Params) -> candle_core::Result<Self> {
        let steps = params.pp("downsamplers").pp("0");
        let (inputs, outputs, causal) = (block.inputs, block.outputs, style.causal);
        let step = match block.step {
            None => None,
            Some(Step::Stride) => {
                Some(DownStep::Stride(FrameConv::halving(inputs, causal, steps)?))
            }
            Some(Step::Fold(stride)) => Some(DownStep::Fold(Folding::new(
                inputs, outputs, stride, causal, steps,
            )?)),
        };
        let widen = if block.widen {
            let params = params.pp("conv_out");
            Some(Residual::new(inputs, outputs, style, params)?)
        } else {
            None
        };
        Ok(Self {
            level: Level::new(inputs, block.layers, style, params)?,
            step,
            widen,
        })
    }
}

/// From video to the statistics of the latents (`LTXVideoEncoder3d` in diffusers).
#[derive(Clone, Debug)]
pub(super) struct Encoder {
    conv_in: FrameConv,
    levels: Vec<DownLevel>,
    middle: Level,
    conv_out: FrameConv,
    patch: usize,
}

impl Encoder {
    pub(super) fn new(config: &VaeConfig, params: Params) -> candle_core::Result<Self> {
        let style = Style {
            causal: config.encoder_causal,
            timed: false,
            eps: config.resnet_norm_eps,
        };
        let blocks = config.down_blocks().map_err(unsound)?;
        let colours = config.in_channels * config.patch_size.pow(2);
        let first = blocks.first().map_or(1, |block| block.inputs);
        let last = blocks.last().map_or(1, |block| block.outputs);
        let down = params.pp("down_blocks");
        Ok(Self {
            conv_in: FrameConv::new(colours, first, style.causal, params.pp("conv_in"))?,
            levels: blocks
                .iter()
                .enumerate()
                .map(|(i, block)| DownLevel::new(block, style, down.pp(i)))
                .collect::<candle_core::Result<_>>()?,
            middle: Level::new(
                last,
                config.layers_per_block.last().copied().unwrap_or(0),
                style,
                params.pp("mid_block"),
            )?,
            // The deviation is one channel for all.
            conv_out: FrameConv::new(
                last,
                config.latent_channels + 1,
                style.causal,
                params.pp("conv_out"),
            )?,
            patch: config.patch_size,
        })
    }

    /// Encodes `(1, 3, F, H, W)` to means and one deviation, `(1, C + 1, T, h, w)`. Looks at `cancel`
    /// between layers.
    pub(super) fn forward(&self, video: &Tensor, cancel: &Cancel) -> Result<Tensor, ModelError> {
        let mut x = self.conv_in.forward(&patches(video, self.patch)?)?;
        for level in &self.levels {
            x = run(&level.level, x, cancel)?;
            x = match &level.step {
                None => x,
                Some(DownStep::Stride(conv)) => conv.forward(&x)?,
                Some(DownStep::Fold(folding)) => folding.forward(&x)?,
            };
            if let Some(widen) = &level.widen {
                x = widen.forward(&x, None)?;
            }
        }
        x = run(&self.middle, x, cancel)?;
        let x = channel_rms(&x, None, NORM_EPS, Some(Activation::Silu))?;
        Ok(self.conv_out.forward(&x)?)
    }
}

/// Runs a level's residual blocks.
fn run(level: &Level, mut x: Tensor, cancel: &Cancel) -> Result<Tensor, ModelError> {
    for residual in level.residuals() {
        cancel.check()?;
        x = residual.forward(&x, None)?;
    }
    Ok(x)
}
