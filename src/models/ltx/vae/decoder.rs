use candle_core::{DType, Device, Tensor};

use super::blocks::{Level, NORM_EPS, Residual, Style, Upsample};
use super::conv::FrameConv;
use super::fold::pixels;
use super::topology::Up;
use super::{VaeConfig, unsound};
use crate::models::ModelError;
use crate::models::ltx::time::TimeEmbedding;
use crate::models::nn::{Activation, channel_rms};
use crate::models::weights::Params;

/// One level on the way up (`LTXVideoUpBlock3d` in diffusers).
#[derive(Clone, Debug)]
struct UpLevel {
    widen: Option<Residual>,
    upsample: Option<Upsample>,
    level: Level,
}

impl UpLevel {
    fn new(block: &Up, style: Style, params: Params) -> candle_core::Result<Self> {
        let widen = if block.widen {
            let params = params.pp("conv_in");
            Some(Residual::new(block.inputs, block.outputs, style, params)?)
        } else {
            None
        };
        let upsample = match block.upsample {
            None => None,
            Some(step) => {
                let params = params.pp("upsamplers").pp("0");
                Some(Upsample::new(block.outputs, step, style.causal, params)?)
            }
        };
        Ok(Self {
            widen,
            upsample,
            level: Level::new(block.outputs, block.layers, style, params)?,
        })
    }
}

/// What the decoder is told of the timestep at its end.
#[derive(Clone, Debug)]
struct LastTime {
    embedding: TimeEmbedding,
    /// `(2, dim)`, f32.
    scale_shift_table: Tensor,
    /// What the timestep is multiplied by before any embedding.
    multiplier: f32,
}

/// From latents to video (`LTXVideoDecoder3d` in diffusers).
#[derive(Clone, Debug)]
pub(super) struct Decoder {
    conv_in: FrameConv,
    middle: Level,
    levels: Vec<UpLevel>,
    last_time: Option<LastTime>,
    conv_out: FrameConv,
    patch: usize,
    device: Device,
}

impl Decoder {
    pub(super) fn new(config: &VaeConfig, params: Params) -> candle_core::Result<Self> {
        let style = Style {
            causal: config.decoder_causal,
            timed: config.timestep_conditioning,
            eps: config.resnet_norm_eps,
        };
        let blocks = config.up_blocks().map_err(unsound)?;
        let first = blocks.first().map_or(1, |block| block.inputs);
        let last = blocks.last().map_or(1, |block| block.outputs);
        let middle_layers = config.decoder_layers_per_block.last().copied();
        let last_time = if style.timed {
            let wide = params.to_dtype(DType::F32);
            Some(LastTime {
                embedding: TimeEmbedding::new(2 * last, params.pp("time_embedder"))?,
                scale_shift_table: wide.get((2, last), "scale_shift_table")?,
                multiplier: wide.get((), "timestep_scale_multiplier")?.to_scalar()?,
            })
        } else {
            None
        };
        let (latents, causal) = (config.latent_channels, style.causal);
        let colours = config.out_channels * config.patch_size.pow(2);
        let up = params.pp("up_blocks");
        Ok(Self {
            conv_in: FrameConv::new(latents, first, causal, params.pp("conv_in"))?,
            middle: Level::new(
                first,
                middle_layers.unwrap_or(0),
                style,
                params.pp("mid_block"),
            )?,
            levels: blocks
                .iter()
                .enumerate()
                .map(|(i, block)| UpLevel::new(block, style, up.pp(i)))
                .collect::<candle_core::Result<_>>()?,
            last_time,
            conv_out: FrameConv::new(last, colours, causal, params.pp("conv_out"))?,
            patch: config.patch_size,
            device: params.device().clone(),
        })
    }

    /// The work of a decode in the units that [`forward`](Self::forward) tells: a residual block of
    /// a level costs about twice one of the level before, which has an eighth of the positions and
    /// twice the channels.
    pub(super) fn work(&self) -> usize {
        let levels = self.levels.iter().enumerate();
        levels
            .map(|(i, up)| (up.level.residuals().len() + 1) << (i + 1))
            .sum::<usize>()
            + self.middle.residuals().len()
    }

    /// Decodes `(1, C, T, h, w)` to `(1, 3, F, H, W)`. `timestep` is the noise left in the latents, 0
    /// to 1. `tick` is called after each layer with the work done by it; its error ends the decode.
    pub(super) fn forward(
        &self,
        z: &Tensor,
        timestep: f64,
        tick: &mut dyn FnMut(usize) -> Result<(), ModelError>,
    ) -> Result<Tensor, ModelError> {
        let multiplier = self.last_time.as_ref().map_or(1.0, |last| last.multiplier);
        // f32 as in the reference.
        let timestep = f64::from(timestep as f32 * multiplier);
        let mut x = self.conv_in.forward(z)?;
        x = self.run(&self.middle, x, timestep, 1, tick)?;
        for (i, up) in self.levels.iter().enumerate() {
            let cost = 2 << i;
            if let Some(widen) = &up.widen {
                x = widen.forward(&x, None)?;
            }
            if let Some(upsample) = &up.upsample {
                x = upsample.forward(&x)?;
            }
            tick(cost)?;
            x = self.run(&up.level, x, timestep, cost, tick)?;
        }
        let table = match &self.last_time {
            None => None,
            Some(last) => {
                let embedding = last.embedding.forward(timestep, &self.device)?;
                let rows = embedding.reshape(last.scale_shift_table.shape())?;
                let table = (&last.scale_shift_table + rows.to_dtype(DType::F32)?)?;
                Some((table.get(1)?, table.get(0)?))
            }
        };
        let modulation = table.as_ref().map(|(scale, shift)| (scale, shift));
        let x = channel_rms(&x, modulation, NORM_EPS, Some(Activation::Silu))?;
        Ok(pixels(&self.conv_out.forward(&x)?, self.patch)?)
    }

    /// Runs a level's residual blocks.
    fn run(
        &self,
        level: &Level,
        mut x: Tensor,
        timestep: f64,
        cost: usize,
        tick: &mut dyn FnMut(usize) -> Result<(), ModelError>,
    ) -> Result<Tensor, ModelError> {
        let time = level.time(timestep, &self.device)?;
        for residual in level.residuals() {
            x = residual.forward(&x, time.as_ref())?;
            tick(cost)?;
        }
        Ok(x)
    }
}
