use candle_core::{DType, Result, Tensor};

use super::TransformerConfig;
use crate::models::dit::Attention;
use crate::models::nn::{Activation, Linear, Rope3d, gated_add, linear, rms_modulated};
use crate::models::weights::Params;

/// Epsilon of the norms of queries and keys, which no config states (`LTXAttention` in diffusers).
const QK_EPS: f64 = 1e-5;

/// One transformer block (`LTXVideoTransformerBlock` in diffusers): self-attention, cross-attention
/// to the text and a feed-forward layer, the first and the last gated by the timestep.
#[derive(Clone, Debug)]
pub(super) struct Block {
    self_attention: Attention,
    cross_attention: Attention,
    widen: Linear,
    narrow: Linear,
    scale_shift_table: Tensor,
    eps: f64,
}

impl Block {
    pub(super) fn new(config: &TransformerConfig, params: Params) -> Result<Self> {
        let (dim, heads) = (config.inner_dim(), config.num_attention_heads);
        let feed = params.pp("ff").pp("net");
        Ok(Self {
            self_attention: Attention::new(dim, heads, QK_EPS, params.pp("attn1"))?,
            cross_attention: Attention::new(dim, heads, QK_EPS, params.pp("attn2"))?,
            widen: linear(dim, config.ffn_dim(), feed.pp("0").pp("proj"))?,
            narrow: linear(config.ffn_dim(), dim, feed.pp("2"))?,
            scale_shift_table: params
                .to_dtype(DType::F32)
                .get((6, dim), "scale_shift_table")?,
            eps: config.norm_eps,
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
        let table = (&self.scale_shift_table + time)?;
        let [shift, scale, gate] = [table.get(0)?, table.get(1)?, table.get(2)?];
        let normed = rms_modulated(x, &scale, &shift, self.eps)?;
        let (key, value) = self.self_attention.keys_values(&normed)?;
        let key = rope.apply(&key)?;
        let mixed = self
            .self_attention
            .attend(&normed, &key, &value, Some(rope))?;
        let x = gated_add(x, &mixed, &gate)?;

        let x = (&x + self.cross_attention.attend(&x, text.0, text.1, None)?)?;

        let [shift, scale, gate] = [table.get(3)?, table.get(4)?, table.get(5)?];
        let normed = rms_modulated(&x, &scale, &shift, self.eps)?;
        let inner = self
            .widen
            .forward_activated(&normed, Activation::GeluTanh)?;
        gated_add(&x, &self.narrow.forward(&inner)?, &gate)
    }
}
