use candle_core::{D, DType, Device, Module as _, Result, Tensor, bail};
use candle_nn::Embedding;

use super::T5Config;
use crate::models::nn::{Activation, Linear, RmsNorm, attention_by_distance, linear_no_bias};
use crate::models::weights::{Matrix, Params};

/// Self-attention with a learned bias for relative positions and without scaling of the scores
/// (`T5Attention` and `UMT5Attention` in transformers; Raffel et al., arXiv 1910.10683; Chung et
/// al., arXiv 2304.09151).
#[derive(Clone, Debug)]
struct SelfAttention {
    query: Linear,
    key: Linear,
    value: Linear,
    output: Linear,
    /// `(buckets, heads)`; `None` where an earlier layer's serves.
    bias: Option<Tensor>,
    heads: usize,
}

impl SelfAttention {
    fn new(config: &T5Config, positions: bool, params: Params) -> Result<Self> {
        let (dim, inner) = (config.d_model, config.num_heads * config.d_kv);
        let buckets = config.relative_attention_num_buckets;
        Ok(Self {
            query: linear_no_bias(dim, inner, params.pp("q"))?,
            key: linear_no_bias(dim, inner, params.pp("k"))?,
            value: linear_no_bias(dim, inner, params.pp("v"))?,
            output: linear_no_bias(inner, dim, params.pp("o"))?,
            bias: if positions {
                let table = params.pp("relative_attention_bias");
                Some(table.get((buckets, config.num_heads), "weight")?)
            } else {
                None
            },
            heads: config.num_heads,
        })
    }

    /// What is added to the scores, `(heads, distances)`, for the `buckets` of the distances, query minus key, in rising order;
    /// `None` where an earlier layer's serves.
    fn positions(&self, buckets: &Tensor) -> Result<Option<Tensor>> {
        let Some(table) = &self.bias else {
            return Ok(None);
        };
        Ok(Some(table.index_select(buckets, 0)?.t()?.contiguous()?))
    }

    /// `x` is `(1, tokens, dim)`, `bias` what [`positions`](Self::positions) returned.
    fn forward(&self, x: &Tensor, bias: &Tensor) -> Result<Tensor> {
        let (batch, tokens, _) = x.dims3()?;
        let split = |y: Tensor| y.reshape((batch, tokens, self.heads, ()));
        let query = split(self.query.forward(x)?)?;
        let key = split(self.key.forward(x)?)?;
        let value = split(self.value.forward(x)?)?;
        let mixed = attention_by_distance(&query, &key, &value, bias)?;
        self.output.forward(&mixed.flatten_from(D::Minus2)?)
    }
}

/// One layer: attention, then a feed-forward layer gated by GELU (Shazeer, arXiv 2002.05202).
#[derive(Clone, Debug)]
struct Layer {
    attention_norm: RmsNorm,
    attention: SelfAttention,
    feed_norm: RmsNorm,
    gate: Linear,
    widen: Linear,
    narrow: Linear,
}

impl Layer {
    fn new(config: &T5Config, positions: bool, params: Params) -> Result<Self> {
        let (attend, feed) = (params.pp("layer").pp("0"), params.pp("layer").pp("1"));
        let wide = wide(params.dtype());
        let norm = |params: Params| {
            let params = params.to_dtype(wide);
            RmsNorm::new(config.d_model, config.layer_norm_epsilon, params)
        };
        let dense = feed.pp("DenseReluDense");
        Ok(Self {
            attention_norm: norm(attend.pp("layer_norm"))?,
            attention: SelfAttention::new(config, positions, attend.pp("SelfAttention"))?,
            feed_norm: norm(feed.pp("layer_norm"))?,
            gate: linear_no_bias(config.d_model, config.d_ff, dense.pp("wi_0"))?,
            widen: linear_no_bias(config.d_model, config.d_ff, dense.pp("wi_1"))?,
            narrow: linear_no_bias(config.d_ff, config.d_model, dense.pp("wo").to_dtype(wide))?,
        })
    }

    /// `x` is `(1, tokens, dim)` in the format that [`wide`] says.
    fn forward(&self, x: &Tensor, bias: &Tensor) -> Result<Tensor> {
        let normed = self.attention_norm.forward(x)?;
        let mixed = self
            .attention
            .forward(&normed.to_dtype(self.gate.dtype())?, bias)?;
        let x = (x + mixed.to_dtype(x.dtype())?)?;
        let normed = self.feed_norm.forward(&x)?.to_dtype(self.gate.dtype())?;
        let gate = self.gate.forward_activated(&normed, Activation::GeluTanh)?;
        let inner = (gate * self.widen.forward(&normed)?)?;
        let out = self.narrow.forward(&inner.to_dtype(self.narrow.dtype())?)?;
        let out = out.to_dtype(x.dtype())?;
        x + out
    }
}

/// The format of the sums from layer to layer and of the matrix before them: they overflow f16, so
/// that transformers has them in f32 there.
fn wide(dtype: DType) -> DType {
    match dtype {
        DType::F16 => DType::F32,
        dtype => dtype,
    }
}

/// The encoder of T5 v1.1 and of UMT5 (`T5EncoderModel` and `UMT5EncoderModel` in transformers).
#[derive(Clone, Debug)]
pub(in crate::models) struct T5 {
    embedding: Embedding,
    layers: Vec<Layer>,
    norm: RmsNorm,
    wide: DType,
    buckets: usize,
    max_distance: usize,
    device: Device,
}

impl T5 {
    /// Whether a weight file may hold `name` though the encoder does not ask for it: a whole T5
    /// also has a decoder, and some files hold the embedding table twice.
    pub(in crate::models) fn spare(name: &str) -> bool {
        name.starts_with("decoder.")
            || ["lm_head.weight", "encoder.embed_tokens.weight"].contains(&name)
    }

    pub(in crate::models) fn new(config: &T5Config, params: Params) -> Result<Self> {
        let encoder = params.pp("encoder");
        let table = if params.contains("shared.weight") {
            params.pp("shared")
        } else {
            encoder.pp("embed_tokens")
        };
        // Rows are picked, so that it can be as small as a matrix.
        let table = match table.matrix((config.vocab_size, config.d_model), "weight")? {
            Matrix::Plain(table) => table,
            Matrix::Integers(_) => candle_core::bail!("a table was given for products"),
            Matrix::Blocks(table) => table
                .dequantize(params.device())?
                .to_dtype(params.dtype())?,
        };
        let blocks = encoder.pp("block");
        Ok(Self {
            embedding: Embedding::new(table, config.d_model),
            layers: (0..config.num_layers)
                .map(|layer| {
                    let positions = layer == 0 || config.own_positions();
                    Layer::new(config, positions, blocks.pp(layer))
                })
                .collect::<Result<_>>()?,
            norm: RmsNorm::new(
                config.d_model,
                config.layer_norm_epsilon,
                encoder
                    .pp("final_layer_norm")
                    .to_dtype(wide(params.dtype())),
            )?,
            wide: wide(params.dtype()),
            buckets: config.relative_attention_num_buckets,
            max_distance: config.relative_attention_max_distance,
            device: params.device().clone(),
        })
    }

    /// Encodes token ids to `(1, tokens, dim)`, in f32 or bf16.
    pub(in crate::models) fn forward(&self, ids: &[u32]) -> Result<Tensor> {
        let mut x = self
            .embedding
            .forward(&Tensor::new(ids, &self.device)?.unsqueeze(0)?)?
            .to_dtype(self.wide)?;
        let tokens = ids.len() as i64;
        let buckets: Vec<u32> = (1 - tokens..tokens)
            .map(|distance| bucket(-distance, self.buckets, self.max_distance))
            .collect();
        let buckets = Tensor::new(buckets, &self.device)?;
        let mut bias: Option<Tensor> = None;
        for layer in &self.layers {
            if let Some(own) = layer.attention.positions(&buckets)? {
                bias = Some(own);
            }
            let Some(bias) = &bias else {
                bail!("the first layer has no table of relative positions");
            };
            x = layer.forward(&x, bias)?;
        }
        self.norm.forward(&x)
    }
}

/// The table entry of a relative position, key minus query (`_relative_position_bucket` in
/// transformers): half of the entries for each direction; of these, half for single distances and
/// half for ever wider ranges up to `max_distance`.
fn bucket(offset: i64, buckets: usize, max_distance: usize) -> u32 {
    let side = buckets / 2;
    let exact = side / 2;
    let base = if offset > 0 { side } else { 0 };
    let distance = offset.unsigned_abs() as usize;
    if distance < exact {
        return (base + distance) as u32;
    }
    // f32 as in the reference, so that distances on the edge of a range fall the same way.
    let ratio =
        (distance as f32 / exact as f32).ln() / (max_distance as f64 / exact as f64).ln() as f32;
    let range = exact + (ratio * (side - exact) as f32) as usize;
    (base + range.min(side - 1)) as u32
}

#[cfg(test)]
mod tests {
    use super::bucket;

    #[test]
    fn buckets_widen_with_distance() {
        assert_eq!(bucket(0, 32, 128), 0);
        assert_eq!(bucket(-7, 32, 128), 7);
        assert_eq!(bucket(7, 32, 128), 23);
        assert_eq!(bucket(-8, 32, 128), 8);
        assert_eq!(bucket(-11, 32, 128), 8);
        assert_eq!(bucket(-12, 32, 128), 9);
        assert_eq!(bucket(-128, 32, 128), 15);
        assert_eq!(bucket(4000, 32, 128), 31);
        let row: Vec<u32> = (0..300).map(|d| bucket(-d, 32, 128)).collect();
        assert!(row.windows(2).all(|pair| pair[0] <= pair[1]));
    }
}
