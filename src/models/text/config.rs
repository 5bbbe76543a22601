use serde::Deserialize;

use crate::models::weights::Weights;

/// Far above the sizes of any encoder there is, and small enough that products of two cannot
/// overflow.
const LARGEST: usize = 1 << 24;

/// More layers than any encoder has; the check of a model walks through all of them.
const MOST_LAYERS: usize = 1024;

/// The keys of a `T5EncoderModel` or `UMT5EncoderModel` config.json that decide the encoder's shape.
/// transformers writes all of them; where one is absent it takes UMT5's default.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default)]
pub struct T5Config {
    /// The model's kind in transformers, `t5` or `umt5`.
    pub model_type: String,
    /// Entries of the embedding table.
    pub vocab_size: usize,
    /// Channels between the layers.
    pub d_model: usize,
    /// Channels of one head.
    pub d_kv: usize,
    /// Inner channels of the feed-forward layers.
    pub d_ff: usize,
    /// Layers.
    pub num_layers: usize,
    /// Heads.
    pub num_heads: usize,
    /// Entries of each layer's table of relative positions.
    pub relative_attention_num_buckets: usize,
    /// Distance in tokens from which on all positions share the last entry.
    pub relative_attention_max_distance: usize,
    /// Epsilon of every norm.
    pub layer_norm_epsilon: f64,
    /// The feed-forward layer's kind; only `gated-gelu` is supported.
    pub feed_forward_proj: String,
    /// The token that fills up a prompt.
    pub pad_token_id: u32,
}

impl Default for T5Config {
    fn default() -> Self {
        Self {
            model_type: "umt5".into(),
            vocab_size: 250_112,
            d_model: 512,
            d_kv: 64,
            d_ff: 1024,
            num_layers: 8,
            num_heads: 6,
            relative_attention_num_buckets: 32,
            relative_attention_max_distance: 128,
            layer_norm_epsilon: 1e-6,
            feed_forward_proj: "gated-gelu".into(),
            pad_token_id: 0,
        }
    }
}

impl T5Config {
    /// The real topology in a size for tests.
    pub fn tiny() -> Self {
        Self {
            vocab_size: 64,
            d_model: 16,
            d_kv: 8,
            d_ff: 32,
            num_layers: 2,
            num_heads: 2,
            ..Self::default()
        }
    }

    /// T5 v1.1 xxl, the text encoder of LTX-Video.
    pub fn t5_v1_1_xxl() -> Self {
        Self {
            model_type: "t5".into(),
            vocab_size: 32_128,
            d_model: 4096,
            d_ff: 10_240,
            num_layers: 24,
            num_heads: 64,
            ..Self::default()
        }
    }

    /// What the tensors of an encoder without a config tell. Where there is one layer alone, they do not
    /// tell T5 from UMT5, and `kind` is believed.
    pub(in crate::models) fn told_by(weights: &Weights, kind: &str) -> Result<Self, String> {
        let tensor =
            |layer: usize, part: &str| format!("encoder.block.{layer}.layer.{part}.weight");
        let positions = "0.SelfAttention.relative_attention_bias";
        let (vocab_size, d_model) = weights.sizes("shared.weight")?;
        let (inner, _) = weights.sizes(&tensor(0, "0.SelfAttention.q"))?;
        let (buckets, heads) = weights.sizes(&tensor(0, positions))?;
        let (d_ff, _) = weights.sizes(&tensor(0, "1.DenseReluDense.wi_0"))?;
        let num_layers = weights.count("encoder.block.");
        let kind = match weights.shape(&tensor(1, positions)) {
            _ if num_layers < 2 => kind,
            Some(_) => "umt5",
            None => "t5",
        };
        Ok(Self {
            model_type: kind.into(),
            vocab_size,
            d_model,
            d_kv: inner.checked_div(heads).unwrap_or(0),
            d_ff,
            num_layers,
            num_heads: heads,
            relative_attention_num_buckets: buckets,
            ..Self::default()
        })
    }

    /// Whether every layer owns its table of relative positions (UMT5), or the first layer's
    /// serves all of them (T5).
    pub fn own_positions(&self) -> bool {
        self.model_type == "umt5"
    }

    /// What no network of `kind` (`t5` or `umt5`) can be built from, in words; `None` where all is
    /// well.
    pub fn fault(&self, kind: &str) -> Option<String> {
        if self.model_type != kind {
            return Some(format!(
                "it describes a {} text encoder, not {kind}",
                self.model_type
            ));
        }
        if self.feed_forward_proj != "gated-gelu" {
            return Some(format!(
                "feed_forward_proj is {}, but only gated-gelu is supported",
                self.feed_forward_proj
            ));
        }
        let sizes = [
            self.vocab_size,
            self.d_model,
            self.d_kv,
            self.d_ff,
            self.num_layers,
            self.num_heads,
        ];
        if !sizes.iter().all(|size| (1..=LARGEST).contains(size)) {
            return Some(format!(
                "vocab_size, d_model, d_kv, d_ff, num_layers and num_heads must be from 1 to \
                 {LARGEST}"
            ));
        }
        if self.num_layers > MOST_LAYERS {
            return Some(format!(
                "num_layers is {}, more than {MOST_LAYERS}",
                self.num_layers
            ));
        }
        if !(4..=LARGEST).contains(&self.relative_attention_num_buckets)
            || self.relative_attention_max_distance > LARGEST
            || self.relative_attention_max_distance * 4 <= self.relative_attention_num_buckets
        {
            return Some(
                "relative_attention_num_buckets does not fit relative_attention_max_distance"
                    .into(),
            );
        }
        None
    }
}
