use candle_core::{DType, Device, Result, Tensor};

use super::TransformerConfig;
use crate::models::nn::{Activation, Linear, activate, linear, sinusoid};
use crate::models::weights::Params;

/// Turns timestep and text into what the blocks are conditioned on (`WanTimeTextImageEmbedding`
/// in diffusers, without the image part).
#[derive(Clone, Debug)]
pub(super) struct ConditionEmbedder {
    time_in: Linear,
    time_out: Linear,
    time_proj: Linear,
    text_in: Linear,
    text_out: Linear,
    freq_dim: usize,
    dtype: DType,
}

impl ConditionEmbedder {
    pub(super) fn new(config: &TransformerConfig, params: Params) -> Result<Self> {
        let dim = config.inner_dim();
        // diffusers keeps the time embedder in f32 whatever the format of the rest.
        let time = params.pp("time_embedder").to_dtype(DType::F32);
        let text = params.pp("text_embedder");
        Ok(Self {
            time_in: linear(config.freq_dim, dim, time.pp("linear_1"))?,
            time_out: linear(dim, dim, time.pp("linear_2"))?,
            time_proj: linear(dim, 6 * dim, params.pp("time_proj"))?,
            text_in: linear(config.text_dim, dim, text.pp("linear_1"))?,
            text_out: linear(dim, dim, text.pp("linear_2"))?,
            freq_dim: config.freq_dim,
            dtype: params.dtype(),
        })
    }

    /// The embedding `(1, dim)` of a timestep and its projection `(6, dim)`, both f32 after
    /// having passed through the model's format.
    pub(super) fn time(&self, timestep: f64, device: &Device) -> Result<(Tensor, Tensor)> {
        let wave = sinusoid(timestep, self.freq_dim, device)?;
        let embedding = self
            .time_out
            .forward(&self.time_in.forward_activated(&wave, Activation::Silu)?)?;
        let embedding = embedding.to_dtype(self.dtype)?;
        let projection = self
            .time_proj
            .forward(&activate(&embedding, Activation::Silu)?)?;
        let dim = embedding.dim(1)?;
        Ok((
            embedding.to_dtype(DType::F32)?,
            projection.reshape((6, dim))?.to_dtype(DType::F32)?,
        ))
    }

    /// Maps text embeddings `(1, tokens, text_dim)` to `(1, tokens, dim)`.
    pub(super) fn text(&self, embeddings: &Tensor) -> Result<Tensor> {
        let embeddings = embeddings.to_dtype(self.dtype)?;
        self.text_out.forward(
            &self
                .text_in
                .forward_activated(&embeddings, Activation::GeluTanh)?,
        )
    }
}
