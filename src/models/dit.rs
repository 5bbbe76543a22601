//! What the families' diffusion transformers share.

use candle_core::{Result, Tensor};

use super::nn::{Linear, RmsNorm, Rope3d, attention_in, linear};
use super::weights::Params;

/// One attention of a block (`WanAttention` and `LTXAttention` in diffusers): queries and keys are
/// RMS-normalised over all heads together.
#[derive(Clone, Debug)]
pub(super) struct Attention {
    query: Linear,
    key: Linear,
    value: Linear,
    output: Linear,
    norm_query: RmsNorm,
    norm_key: RmsNorm,
    heads: usize,
    /// Whether a CPU may make its products in integers.
    integers: bool,
}

impl Attention {
    /// Over `dim` channels in `heads` heads; `eps` is that of the norms.
    pub(super) fn new(dim: usize, heads: usize, eps: f64, params: Params) -> Result<Self> {
        Ok(Self {
            query: linear(dim, dim, params.pp("to_q"))?,
            key: linear(dim, dim, params.pp("to_k"))?,
            value: linear(dim, dim, params.pp("to_v"))?,
            output: linear(dim, dim, params.pp("to_out").pp("0"))?,
            norm_query: RmsNorm::new(dim, eps, params.pp("norm_q"))?,
            norm_key: RmsNorm::new(dim, eps, params.pp("norm_k"))?,
            heads,
            integers: params.makes_integers_of(&[dim, dim]),
        })
    }

    /// `(1, tokens, dim)` to `(1, tokens, heads, head_dim)`.
    fn split(&self, x: &Tensor) -> Result<Tensor> {
        let (batch, tokens, dim) = x.dims3()?;
        x.reshape((batch, tokens, self.heads, dim / self.heads))
    }

    /// Keys and values of `x`, split into heads.
    pub(super) fn keys_values(&self, x: &Tensor) -> Result<(Tensor, Tensor)> {
        let key = self.norm_key.forward(&self.key.forward(x)?)?;
        Ok((self.split(&key)?, self.split(&self.value.forward(x)?)?))
    }

    /// Attends from `x` to `key` and `value`; queries are turned by `rope` where it is given.
    pub(super) fn attend(
        &self,
        x: &Tensor,
        key: &Tensor,
        value: &Tensor,
        rope: Option<&Rope3d>,
    ) -> Result<Tensor> {
        let mut query = self.split(&self.norm_query.forward(&self.query.forward(x)?)?)?;
        if let Some(rope) = rope {
            query = rope.apply(&query)?;
        }
        let scale = (query.dim(3)? as f64).powf(-0.5);
        let mixed = attention_in(&query, key, value, scale, self.integers)?.flatten_from(2)?;
        self.output.forward(&mixed)
    }
}
