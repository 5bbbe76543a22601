use serde::Deserialize;

/// Far above the sizes of any network there is, and small enough that products of two cannot
/// overflow.
pub(super) const LARGEST: usize = 1 << 20;

/// More layers than any network here has; the check of a model walks through all of them.
pub(super) const MOST_LAYERS: usize = 1024;

/// The keys of an `LTXVideoTransformer3DModel` config.json that decide the network's shape; absent
/// keys take the defaults of diffusers.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default)]
pub struct TransformerConfig {
    /// The class that diffusers would make of this folder.
    #[serde(rename = "_class_name")]
    pub class_name: String,
    /// Latent channels.
    pub in_channels: usize,
    /// Channels of the predicted velocity; absent or 0 means `in_channels`.
    pub out_channels: Option<usize>,
    /// Latent rows and columns that make one token; only 1 is supported.
    pub patch_size: usize,
    /// Latent frames that make one token; only 1 is supported.
    pub patch_size_t: usize,
    /// Heads of both attentions.
    pub num_attention_heads: usize,
    /// Channels of one head.
    pub attention_head_dim: usize,
    /// Channels of what cross-attention looks at; those inside the blocks.
    pub cross_attention_dim: usize,
    /// Blocks.
    pub num_layers: usize,
    /// The feed-forward layers' kind; only `gelu-approximate` is supported.
    pub activation_fn: String,
    /// The kind of norm of queries and keys; only `rms_norm_across_heads` is supported.
    pub qk_norm: String,
    /// Whether the blocks' norms have weights, which is not supported.
    pub norm_elementwise_affine: bool,
    /// Epsilon of the blocks' norms.
    pub norm_eps: f64,
    /// Channels of the text embeddings.
    pub caption_channels: usize,
    /// Whether the attentions' inputs have biases; only that is supported.
    pub attention_bias: bool,
    /// Whether the attentions' outputs have biases; only that is supported.
    pub attention_out_bias: bool,
}

impl Default for TransformerConfig {
    fn default() -> Self {
        Self {
            class_name: "LTXVideoTransformer3DModel".into(),
            in_channels: 128,
            out_channels: Some(128),
            patch_size: 1,
            patch_size_t: 1,
            num_attention_heads: 32,
            attention_head_dim: 64,
            cross_attention_dim: 2048,
            num_layers: 28,
            activation_fn: "gelu-approximate".into(),
            qk_norm: "rms_norm_across_heads".into(),
            norm_elementwise_affine: false,
            norm_eps: 1e-6,
            caption_channels: 4096,
            attention_bias: true,
            attention_out_bias: true,
        }
    }
}

impl TransformerConfig {
    /// LTX-Video up to 0.9.6, 2 B parameters.
    pub fn ltx_2b() -> Self {
        Self::default()
    }

    /// LTX-Video 0.9.7, 13 B parameters.
    pub fn ltx_13b() -> Self {
        Self {
            attention_head_dim: 128,
            cross_attention_dim: 4096,
            num_layers: 48,
            ..Self::default()
        }
    }

    /// The real topology in a size for tests.
    pub fn tiny() -> Self {
        Self {
            num_attention_heads: 2,
            attention_head_dim: 10,
            cross_attention_dim: 20,
            num_layers: 2,
            caption_channels: 16,
            ..Self::default()
        }
    }

    /// Channels inside the blocks.
    pub fn inner_dim(&self) -> usize {
        self.num_attention_heads * self.attention_head_dim
    }

    /// Inner channels of the feed-forward layers (`FeedForward` in diffusers widens by 4).
    pub fn ffn_dim(&self) -> usize {
        4 * self.inner_dim()
    }

    /// Channels of the predicted velocity.
    pub fn output_channels(&self) -> usize {
        match self.out_channels {
            None | Some(0) => self.in_channels,
            Some(channels) => channels,
        }
    }

    /// Tokens that latents of `[_, _, frames, height, width]` make.
    pub fn tokens(&self, latents: [usize; 5]) -> usize {
        latents[2] * latents[3] * latents[4]
    }

    /// What no network here can be built from, in words; `None` where all is well.
    pub fn fault(&self) -> Option<String> {
        if self.class_name != "LTXVideoTransformer3DModel" {
            return Some(format!(
                "it describes a {}, not an LTXVideoTransformer3DModel",
                self.class_name
            ));
        }
        let sizes = [
            ("in_channels", self.in_channels),
            ("num_attention_heads", self.num_attention_heads),
            ("attention_head_dim", self.attention_head_dim),
            ("cross_attention_dim", self.cross_attention_dim),
            ("num_layers", self.num_layers),
            ("caption_channels", self.caption_channels),
        ];
        for (key, value) in sizes {
            if !(1..=LARGEST).contains(&value) {
                return Some(format!("{key} is {value}, but must be from 1 to {LARGEST}"));
            }
        }
        if self.num_layers > MOST_LAYERS {
            return Some(format!(
                "num_layers is {}, more than {MOST_LAYERS}",
                self.num_layers
            ));
        }
        if self.inner_dim() > LARGEST {
            return Some(format!(
                "num_attention_heads times attention_head_dim is {}, more than {LARGEST}",
                self.inner_dim()
            ));
        }
        if self.output_channels() != self.in_channels {
            return Some(format!(
                "out_channels is {}, but in_channels is {}",
                self.output_channels(),
                self.in_channels
            ));
        }
        if self.cross_attention_dim != self.inner_dim() {
            return Some(format!(
                "cross_attention_dim is {}, but the blocks have {} channels",
                self.cross_attention_dim,
                self.inner_dim()
            ));
        }
        if !self.attention_head_dim.is_multiple_of(2) {
            return Some(format!(
                "attention_head_dim is {}, but must be even",
                self.attention_head_dim
            ));
        }
        if !(self.norm_eps > 0.0 && self.norm_eps < 1.0) {
            return Some(format!("norm_eps is {}", self.norm_eps));
        }
        self.unsupported()
    }

    /// The first key with a value that diffusers knows and this program does not.
    fn unsupported(&self) -> Option<String> {
        let only = |key: &str, found: &dyn std::fmt::Display, known: &str| {
            Some(format!("{key} is {found}, but only {known} is supported"))
        };
        if self.patch_size != 1 {
            return only("patch_size", &self.patch_size, "1");
        }
        if self.patch_size_t != 1 {
            return only("patch_size_t", &self.patch_size_t, "1");
        }
        if self.activation_fn != "gelu-approximate" {
            return only("activation_fn", &self.activation_fn, "gelu-approximate");
        }
        if self.qk_norm != "rms_norm_across_heads" {
            return only("qk_norm", &self.qk_norm, "rms_norm_across_heads");
        }
        if self.norm_elementwise_affine {
            return only("norm_elementwise_affine", &true, "false");
        }
        if !(self.attention_bias && self.attention_out_bias) {
            return only("attention_bias or attention_out_bias", &false, "true");
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::TransformerConfig;

    /// Parameters of the transformer of a config, counted layer by layer.
    fn parameters(config: &TransformerConfig) -> usize {
        let d = config.inner_dim();
        let attention = 4 * (d * d + d) + 2 * d;
        let feed = 2 * d * config.ffn_dim() + config.ffn_dim() + d;
        let block = 2 * attention + feed + 6 * d;
        let time = 256 * d + d + d * d + d + 6 * (d * d + d);
        let text = config.caption_channels * d + d + d * d + d;
        let ends = 2 * config.in_channels * d + d + config.in_channels + 2 * d;
        config.num_layers * block + time + text + ends
    }

    #[test]
    fn named_sizes_have_the_published_numbers_of_parameters() {
        assert_eq!(parameters(&TransformerConfig::ltx_2b()), 1_923_385_472);
        assert_eq!(parameters(&TransformerConfig::ltx_13b()), 13_042_569_344);
        for config in [TransformerConfig::ltx_13b(), TransformerConfig::tiny()] {
            assert_eq!(config.fault(), None);
        }
    }

    #[test]
    fn unusable_configs_are_named() {
        let fault = |json: &str| {
            let config: TransformerConfig = serde_json::from_str(json).unwrap();
            config.fault().unwrap_or_default()
        };
        assert_eq!(fault("{}"), "");
        for (json, said) in [
            (r#"{"_class_name":"WanTransformer3DModel"}"#, "not an LTX"),
            (r#"{"num_layers":0}"#, "num_layers is 0"),
            (r#"{"num_layers":900000000000}"#, "num_layers is 9"),
            (r#"{"attention_head_dim":1000000}"#, "more than"),
            (r#"{"cross_attention_dim":4096}"#, "blocks have 2048"),
            (r#"{"patch_size":2}"#, "patch_size is 2, but only 1"),
            (r#"{"out_channels":64}"#, "in_channels is 128"),
            (r#"{"activation_fn":"gelu"}"#, "activation_fn is gelu"),
            (r#"{"qk_norm":"rms_norm"}"#, "qk_norm is rms_norm"),
            (r#"{"attention_bias":false}"#, "only true"),
            (r#"{"norm_elementwise_affine":true}"#, "only false"),
            (r#"{"norm_eps":0.0}"#, "norm_eps is 0"),
        ] {
            assert!(fault(json).contains(said), "{json}: {}", fault(json));
        }
        assert!(serde_json::from_str::<TransformerConfig>(r#"{"num_layers":-3}"#).is_err());
    }
}
