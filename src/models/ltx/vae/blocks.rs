use candle_core::{DType, Device, Result, Tensor};

use super::conv::FrameConv;
use super::fold::{fold, unfold};
use super::topology::UpStep;
use crate::models::ltx::time::TimeEmbedding;
use crate::models::nn::{Activation, LayerNorm, channel_rms};
use crate::models::weights::Params;

/// Epsilon of the channel norms, which no config states (`LTXVideoResnetBlock3d` in diffusers).
pub(super) const NORM_EPS: f64 = 1e-8;

/// What every block of a network is built with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Style {
    /// Whether convolutions see no later frame.
    pub(super) causal: bool,
    /// Whether blocks are told a timestep.
    pub(super) timed: bool,
    /// Epsilon of the layer norms before shortcuts.
    pub(super) eps: f64,
}

/// Two convolutions around a shortcut (`LTXVideoResnetBlock3d` in diffusers).
#[derive(Clone, Debug)]
pub(super) struct Residual {
    conv1: FrameConv,
    conv2: FrameConv,
    shortcut: Option<(LayerNorm, FrameConv)>,
    /// `(4, inputs)`, f32.
    scale_shift_table: Option<Tensor>,
}

impl Residual {
    pub(super) fn new(inputs: usize, outputs: usize, style: Style, params: Params) -> Result<Self> {
        let shortcut = if inputs == outputs {
            None
        } else {
            Some((
                LayerNorm::new(inputs, style.eps, params.pp("norm3"))?,
                FrameConv::point(inputs, outputs, params.pp("conv_shortcut"))?,
            ))
        };
        let scale_shift_table = if style.timed {
            let table = params.to_dtype(DType::F32);
            Some(table.get((4, inputs), "scale_shift_table")?)
        } else {
            None
        };
        Ok(Self {
            conv1: FrameConv::new(inputs, outputs, style.causal, params.pp("conv1"))?,
            conv2: FrameConv::new(outputs, outputs, style.causal, params.pp("conv2"))?,
            shortcut,
            scale_shift_table,
        })
    }

    /// Maps `(1, inputs, T, H, W)`; `time` is the level's embedding, f32 `(4, inputs)`.
    pub(super) fn forward(&self, x: &Tensor, time: Option<&Tensor>) -> Result<Tensor> {
        let table = match (&self.scale_shift_table, time) {
            (Some(table), Some(time)) => Some((table + time)?),
            _ => None,
        };
        let normed = |x: &Tensor, row: usize| -> Result<Tensor> {
            let rows = match &table {
                // Shift comes before scale.
                Some(table) => Some((table.get(row + 1)?, table.get(row)?)),
                None => None,
            };
            let modulation = rows.as_ref().map(|(scale, shift)| (scale, shift));
            channel_rms(x, modulation, NORM_EPS, Some(Activation::Silu))
        };
        let inner = self.conv1.forward(&normed(x, 0)?)?;
        let inner = self.conv2.forward(&normed(&inner, 2)?)?;
        match &self.shortcut {
            None => inner + x,
            Some((norm, conv)) => {
                let rows = x.permute((0, 2, 3, 4, 1))?.contiguous()?;
                let normed = norm.forward(&rows)?.permute((0, 4, 1, 2, 3))?;
                inner + conv.forward(&normed.contiguous()?)?
            }
        }
    }
}

/// Folds neighbours into channels, with a mean over groups of channels around the convolution
/// (`LTXVideoDownsampler3d` in diffusers).
#[derive(Clone, Debug)]
pub(super) struct Folding {
    conv: FrameConv,
    stride: [usize; 3],
    outputs: usize,
}

impl Folding {
    pub(super) fn new(
        inputs: usize,
        outputs: usize,
        stride: [usize; 3],
        causal: bool,
        params: Params,
    ) -> Result<Self> {
        let folded = stride.iter().product::<usize>();
        Ok(Self {
            conv: FrameConv::new(inputs, outputs / folded, causal, params.pp("conv"))?,
            stride,
            outputs,
        })
    }

    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        // The clip's first frame fills up its own group.
        let lacking = self.stride[0] - 1;
        let x = if lacking > 0 {
            Tensor::cat(&[&x.narrow(2, 0, lacking)?, x], 2)?
        } else {
            x.clone()
        };
        let around = fold(&x, self.stride)?;
        let (batch, channels, frames, height, width) = around.dims5()?;
        let around = around
            .reshape((
                self.outputs,
                channels / self.outputs,
                frames * height * width,
            ))?
            .mean(1)?
            .reshape((batch, self.outputs, frames, height, width))?;
        fold(&self.conv.forward(&x)?, self.stride)? + around
    }
}

/// Doubles time, height and width by unfolding channels; the first frame stays one
/// (`LTXVideoUpsampler3d` in diffusers).
#[derive(Clone, Debug)]
pub(super) struct Upsample {
    conv: FrameConv,
    step: UpStep,
}

impl Upsample {
    /// By how much each axis grows.
    const STRIDE: [usize; 3] = [2, 2, 2];

    /// From `outputs` times the step's factor to `outputs` channels.
    pub(super) fn new(outputs: usize, step: UpStep, causal: bool, params: Params) -> Result<Self> {
        let inputs = outputs * step.factor;
        let unfolded = Self::STRIDE.iter().product::<usize>();
        Ok(Self {
            conv: FrameConv::new(inputs, outputs * unfolded, causal, params.pp("conv"))?,
            step,
        })
    }

    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let later = |x: Tensor| {
            let lacking = Self::STRIDE[0] - 1;
            x.narrow(2, lacking, x.dim(2)? - lacking)
        };
        let inner = later(unfold(&self.conv.forward(x)?, Self::STRIDE)?)?;
        if !self.step.residual {
            return inner.contiguous();
        }
        let around = later(unfold(x, Self::STRIDE)?)?;
        let repeats = Self::STRIDE.iter().product::<usize>() / self.step.factor;
        inner + Tensor::cat(&vec![&around; repeats], 1)?
    }
}

/// Residual blocks that share an embedding of the timestep (`LTXVideoMidBlock3d` in diffusers, and
/// the main part of its levels).
#[derive(Clone, Debug)]
pub(super) struct Level {
    time: Option<TimeEmbedding>,
    residuals: Vec<Residual>,
}

impl Level {
    pub(super) fn new(dim: usize, layers: usize, style: Style, params: Params) -> Result<Self> {
        let time = if style.timed {
            Some(TimeEmbedding::new(4 * dim, params.pp("time_embedder"))?)
        } else {
            None
        };
        let residuals = params.pp("resnets");
        Ok(Self {
            time,
            residuals: (0..layers)
                .map(|layer| Residual::new(dim, dim, style, residuals.pp(layer)))
                .collect::<Result<_>>()?,
        })
    }

    /// The blocks, in the order in which they run.
    pub(super) fn residuals(&self) -> &[Residual] {
        &self.residuals
    }

    /// The embedding of a timestep for the blocks, f32 `(4, dim)`.
    pub(super) fn time(&self, timestep: f64, device: &Device) -> Result<Option<Tensor>> {
        let Some(time) = &self.time else {
            return Ok(None);
        };
        let embedding = time.forward(timestep, device)?.to_dtype(DType::F32)?;
        let dim = embedding.dim(1)? / 4;
        embedding.reshape((4, dim)).map(Some)
    }
}
