use candle_core::{DType, Result, Tensor};

use super::TransformerConfig;
use crate::models::nn::{
    Activation, LayerNorm, Linear, RmsNorm, Rope3d, attention, gated_add, linear, modulated,
};
use crate::models::weights::Params;

/// One attention of a block (`WanAttention` in diffusers): queries and keys are RMS-normalised
/// over all heads together.
#[derive(Clone, Debug)]
struct Attention {
    query: Linear,
    key: Linear,
    value: Linear,
    output: Linear,
    norm_query: RmsNorm,
    norm_key: RmsNorm,
    heads: usize,
}

impl Attention {
    fn new(config: &TransformerConfig, params: Params) -> Result<Self> {
        let dim = config.inner_dim();
        Ok(Self {
            query: linear(dim, dim, params.pp("to_q"))?,
            key: linear(dim, dim, params.pp("to_k"))?,
            value: linear(dim, dim, params.pp("to_v"))?,
            output: linear(dim, dim, params.pp("to_out").pp("0"))?,
            norm_query: RmsNorm::new(dim, config.eps, params.pp("norm_q"))?,
            norm_key: RmsNorm::new(dim, config.eps, params.pp("norm_k"))?,
            heads: config.num_attention_heads,
        })
    }

    /// `(1, tokens, dim)` to `(1, tokens, heads, head_dim)`.
    fn split(&self, x: &Tensor) -> Result<Tensor> {
        let (batch, tokens, dim) = x.dims3()?;
        x.reshape((batch, tokens, self.heads, dim / self.heads))
    }

    /// Keys and values of `x`, split into heads.
    fn keys_values(&self, x: &Tensor) -> Result<(Tensor, Tensor)> {
        let key = self.norm_key.forward(&self.key.forward(x)?)?;
        Ok((self.split(&key)?, self.split(&self.value.forward(x)?)?))
    }

    /// Attends from `x` to `key` and `value`; queries are turned by `rope` where it is given.
    fn attend(
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
        let mixed = attention(&query, key, value, scale)?.flatten_from(2)?;
        self.output.forward(&mixed)
    }
}

/// One transformer block (`WanTransformerBlock` in diffusers): self-attention, cross-attention to
/// the text and a feed-forward layer, the first and the last gated by the timestep.
#[derive(Clone, Debug)]
pub(super) struct Block {
    self_attention: Attention,
    cross_attention: Attention,
    cross_norm: Option<LayerNorm>,
    widen: Linear,
    narrow: Linear,
    scale_shift_table: Tensor,
    eps: f64,
}

impl Block {
    pub(super) fn new(config: &TransformerConfig, params: Params) -> Result<Self> {
        let dim = config.inner_dim();
        let cross_norm = if config.cross_attn_norm {
            Some(LayerNorm::new(dim, config.eps, params.pp("norm2"))?)
        } else {
            None
        };
        let ffn = params.pp("ffn").pp("net");
        Ok(Self {
            self_attention: Attention::new(config, params.pp("attn1"))?,
            cross_attention: Attention::new(config, params.pp("attn2"))?,
            cross_norm,
            widen: linear(dim, config.ffn_dim, ffn.pp("0").pp("proj"))?,
            narrow: linear(config.ffn_dim, dim, ffn.pp("2"))?,
            scale_shift_table: params
                .to_dtype(DType::F32)
                .get((1, 6, dim), "scale_shift_table")?,
            eps: config.eps,
        })
    }

    /// The keys and values of the text, `(1, tokens, heads, head_dim)` each, which stay the same
    /// through a run.
    pub(super) fn text(&self, text: &Tensor) -> Result<(Tensor, Tensor)> {
        self.cross_attention.keys_values(text)
    }

    /// Maps hidden states `(1, tokens, dim)`; `time` is the projected timestep, f32 `(6, dim)`,
    /// and `text` what [`text`](Self::text) returned.
    pub(super) fn forward(
        &self,
        x: &Tensor,
        time: &Tensor,
        text: (&Tensor, &Tensor),
        rope: &Rope3d,
    ) -> Result<Tensor> {
        let table = (self.scale_shift_table.squeeze(0)? + time)?;
        let [shift, scale, gate] = [table.get(0)?, table.get(1)?, table.get(2)?];
        let normed = modulated(x, &scale, &shift, self.eps)?;
        let (key, value) = self.self_attention.keys_values(&normed)?;
        let key = rope.apply(&key)?;
        let mixed = self
            .self_attention
            .attend(&normed, &key, &value, Some(rope))?;
        let x = gated_add(x, &mixed, &gate)?;

        let normed = match &self.cross_norm {
            Some(norm) => norm.forward(&x)?,
            None => x.clone(),
        };
        let x = (x + self.cross_attention.attend(&normed, text.0, text.1, None)?)?;

        let [shift, scale, gate] = [table.get(3)?, table.get(4)?, table.get(5)?];
        let normed = modulated(&x, &scale, &shift, self.eps)?;
        let inner = self
            .widen
            .forward_activated(&normed, Activation::GeluTanh)?;
        gated_add(&x, &self.narrow.forward(&inner)?, &gate)
    }
}
