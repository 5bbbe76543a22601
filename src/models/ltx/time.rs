use candle_core::{DType, Result, Tensor};

use crate::models::nn::{Activation, Linear, linear, sinusoid};
use crate::models::weights::Params;

/// Channels of the sinusoidal embedding (`PixArtAlphaCombinedTimestepSizeEmbeddings` in diffusers).
pub(super) const WAVES: usize = 256;

/// Turns a timestep into a vector: a sinusoidal embedding and two layers.
#[derive(Clone, Debug)]
pub(super) struct TimeEmbedding {
    widen: Linear,
    output: Linear,
    dtype: DType,
}

impl TimeEmbedding {
    /// With `dim` channels.
    pub(super) fn new(dim: usize, params: Params) -> Result<Self> {
        let params = params.pp("timestep_embedder");
        Ok(Self {
            widen: linear(WAVES, dim, params.pp("linear_1"))?,
            output: linear(dim, dim, params.pp("linear_2"))?,
            dtype: params.dtype(),
        })
    }

    /// The embedding `(1, dim)` in the format of the weights.
    pub(super) fn forward(&self, timestep: f64, device: &candle_core::Device) -> Result<Tensor> {
        let wave = sinusoid(timestep, WAVES, device)?.to_dtype(self.dtype)?;
        self.output
            .forward(&self.widen.forward_activated(&wave, Activation::Silu)?)
    }
}
