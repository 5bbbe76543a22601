use candle_core::{Result, Tensor, bail};

use crate::models::nn::{Conv3d, Conv3dConfig};
use crate::models::weights::Params;

/// A convolution that repeats the clip's first frame before it and, where it is not causal, the last
/// one behind (`LTXVideoCausalConv3d` in diffusers). Around each frame there are zeros.
#[derive(Clone, Debug)]
pub(super) struct FrameConv {
    conv: Conv3d,
    before: usize,
    after: usize,
}

impl FrameConv {
    /// With a kernel of 3 that keeps the size.
    pub(super) fn new(inputs: usize, outputs: usize, causal: bool, params: Params) -> Result<Self> {
        Self::with(3, 1, (inputs, outputs), causal, params)
    }

    /// With a kernel of 3 that halves time, height and width.
    pub(super) fn halving(dim: usize, causal: bool, params: Params) -> Result<Self> {
        Self::with(3, 2, (dim, dim), causal, params)
    }

    /// With a kernel of 1.
    pub(super) fn point(inputs: usize, outputs: usize, params: Params) -> Result<Self> {
        Self::with(1, 1, (inputs, outputs), true, params)
    }

    fn with(
        kernel: usize,
        stride: usize,
        (inputs, outputs): (usize, usize),
        causal: bool,
        params: Params,
    ) -> Result<Self> {
        let config = Conv3dConfig {
            kernel: [kernel; 3],
            stride: [stride; 3],
            past: 0,
            border: [kernel / 2; 2],
        };
        let (before, after) = if causal {
            (kernel - 1, 0)
        } else {
            (kernel / 2, kernel / 2)
        };
        Ok(Self {
            conv: Conv3d::new(inputs, outputs, config, params.pp("conv"))?,
            before,
            after,
        })
    }

    /// Convolves `(B, inputs, T, H, W)`.
    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        if self.before + self.after == 0 {
            return self.conv.forward(x, 0);
        }
        let frames = x.dim(2)?;
        if frames == 0 {
            bail!("a convolution was given a clip without frames");
        }
        let (first, last) = (x.narrow(2, 0, 1)?, x.narrow(2, frames - 1, 1)?);
        let mut parts = vec![&first; self.before];
        parts.push(x);
        parts.extend(std::iter::repeat_n(&last, self.after));
        self.conv.forward(&Tensor::cat(&parts, 2)?, 0)
    }
}
