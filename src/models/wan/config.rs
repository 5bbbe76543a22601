use serde::Deserialize;

/// The keys of a `WanTransformer3DModel` config.json that decide the network's shape; absent keys
/// take the defaults of diffusers.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default)]
pub struct TransformerConfig {
    /// The class that diffusers would make of this folder.
    #[serde(rename = "_class_name")]
    pub class_name: String,
    /// Latent frames, rows and columns that make one token.
    pub patch_size: [usize; 3],
    /// Heads of both attentions.
    pub num_attention_heads: usize,
    /// Channels of one head.
    pub attention_head_dim: usize,
    /// Latent channels.
    pub in_channels: usize,
    /// Channels of the predicted velocity; absent means `in_channels`.
    pub out_channels: Option<usize>,
    /// Channels of the text embeddings.
    pub text_dim: usize,
    /// Channels of the sinusoidal timestep embedding.
    pub freq_dim: usize,
    /// Inner channels of the feed-forward layers.
    pub ffn_dim: usize,
    /// Blocks.
    pub num_layers: usize,
    /// Whether a layer norm with weights precedes cross-attention.
    pub cross_attn_norm: bool,
    /// Epsilon of every norm.
    pub eps: f64,
    /// Set in image-to-video models, which are not supported.
    pub image_dim: Option<usize>,
    /// Set in image-to-video models, which are not supported.
    pub added_kv_proj_dim: Option<usize>,
    /// Longest grid side in tokens.
    pub rope_max_seq_len: usize,
}

impl Default for TransformerConfig {
    fn default() -> Self {
        Self {
            class_name: "WanTransformer3DModel".into(),
            patch_size: [1, 2, 2],
            num_attention_heads: 40,
            attention_head_dim: 128,
            in_channels: 16,
            out_channels: None,
            text_dim: 512,
            freq_dim: 256,
            ffn_dim: 13824,
            num_layers: 40,
            cross_attn_norm: true,
            eps: 1e-6,
            image_dim: None,
            added_kv_proj_dim: None,
            rope_max_seq_len: 1024,
        }
    }
}

impl TransformerConfig {
    /// WAN 2.1 text-to-video, 14 B parameters.
    pub fn wan_14b() -> Self {
        Self {
            text_dim: 4096,
            ..Self::default()
        }
    }

    /// WAN 2.1 text-to-video, 1.3 B parameters.
    pub fn wan_1_3b() -> Self {
        Self {
            num_attention_heads: 12,
            ffn_dim: 8960,
            num_layers: 30,
            ..Self::wan_14b()
        }
    }

    /// The real topology in a size for tests.
    pub fn tiny() -> Self {
        Self {
            num_attention_heads: 2,
            attention_head_dim: 12,
            text_dim: 16,
            freq_dim: 32,
            ffn_dim: 48,
            num_layers: 2,
            ..Self::default()
        }
    }

    /// Channels inside the blocks.
    pub fn inner_dim(&self) -> usize {
        self.num_attention_heads * self.attention_head_dim
    }

    /// Channels of the predicted velocity.
    pub fn output_channels(&self) -> usize {
        self.out_channels.unwrap_or(self.in_channels)
    }

    /// Tokens that latents of `[_, _, frames, height, width]` make.
    pub fn tokens(&self, latents: [usize; 5]) -> usize {
        let [t, h, w] = self.patch_size;
        (latents[2] / t) * (latents[3] / h) * (latents[4] / w)
    }

    /// What no network here can be built from, in words; `None` where all is well.
    pub fn fault(&self) -> Option<String> {
        let positive = [
            ("num_attention_heads", self.num_attention_heads),
            ("attention_head_dim", self.attention_head_dim),
            ("in_channels", self.in_channels),
            ("text_dim", self.text_dim),
            ("ffn_dim", self.ffn_dim),
            ("num_layers", self.num_layers),
            ("patch_size[0]", self.patch_size[0]),
            ("patch_size[1]", self.patch_size[1]),
            ("patch_size[2]", self.patch_size[2]),
        ];
        if self.class_name != "WanTransformer3DModel" {
            return Some(format!(
                "it describes a {}, not a WanTransformer3DModel",
                self.class_name
            ));
        }
        if self.image_dim.is_some() || self.added_kv_proj_dim.is_some() {
            return Some("it describes an image-to-video model".into());
        }
        if self.output_channels() != self.in_channels {
            return Some(format!(
                "out_channels is {}, but in_channels is {}",
                self.output_channels(),
                self.in_channels
            ));
        }
        if let Some((key, _)) = positive.iter().find(|(_, value)| *value == 0) {
            return Some(format!("{key} is 0"));
        }
        if let Some(fault) = absurd(&positive).or_else(|| absurd(&[("freq_dim", self.freq_dim)])) {
            return Some(fault);
        }
        if !self.attention_head_dim.is_multiple_of(2) || !self.freq_dim.is_multiple_of(2) {
            return Some("attention_head_dim and freq_dim must be even".into());
        }
        None
    }
}

/// The keys of an `AutoencoderKLWan` config.json that decide the network's shape; absent keys
/// take the defaults of diffusers, which are those of the WAN 2.1 VAE.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default)]
pub struct VaeConfig {
    /// The class that diffusers would make of this folder.
    #[serde(rename = "_class_name")]
    pub class_name: String,
    /// Channels of the encoder's first level.
    pub base_dim: usize,
    /// Channels of the decoder's last level; absent means `base_dim`.
    pub decoder_base_dim: Option<usize>,
    /// Latent channels.
    pub z_dim: usize,
    /// Channels of each level as multiples of the base.
    pub dim_mult: Vec<usize>,
    /// Residual blocks of a level.
    pub num_res_blocks: usize,
    /// Scales at which the encoder's levels attend, 1 being the full size.
    pub attn_scales: Vec<f64>,
    /// Whether each of the encoder's steps down also halves time (the key is spelt thus).
    pub temperal_downsample: Vec<bool>,
    /// Mean of each latent channel.
    pub latents_mean: Vec<f64>,
    /// Deviation of each latent channel.
    pub latents_std: Vec<f64>,
    /// Set in the WAN 2.2 5B VAE, which is not supported.
    pub is_residual: bool,
    /// Colours of the input.
    pub in_channels: usize,
    /// Colours of the output.
    pub out_channels: usize,
    /// Set in the WAN 2.2 5B VAE, which is not supported.
    pub patch_size: Option<usize>,
}

impl Default for VaeConfig {
    fn default() -> Self {
        Self {
            class_name: "AutoencoderKLWan".into(),
            base_dim: 96,
            decoder_base_dim: None,
            z_dim: 16,
            dim_mult: vec![1, 2, 4, 4],
            num_res_blocks: 2,
            attn_scales: Vec::new(),
            temperal_downsample: vec![false, true, true],
            latents_mean: vec![
                -0.7571, -0.7089, -0.9113, 0.1075, -0.1745, 0.9653, -0.1517, 1.5508, 0.4134,
                -0.0715, 0.5517, -0.3632, -0.1922, -0.9497, 0.2503, -0.2921,
            ],
            latents_std: vec![
                2.8184, 1.4541, 2.3275, 2.6558, 1.2196, 1.7708, 2.6052, 2.0743, 3.2687, 2.1526,
                2.8652, 1.5579, 1.6382, 1.1253, 2.8251, 1.9160,
            ],
            is_residual: false,
            in_channels: 3,
            out_channels: 3,
            patch_size: None,
        }
    }
}

impl VaeConfig {
    /// The real topology in a size for tests.
    pub fn tiny() -> Self {
        Self {
            base_dim: 4,
            num_res_blocks: 1,
            ..Self::default()
        }
    }

    /// Frames of video for each latent frame after the first.
    pub fn frames_per_latent(&self) -> usize {
        1 << self
            .temperal_downsample
            .iter()
            .filter(|halves| **halves)
            .count()
    }

    /// Pixels along a side for each latent position.
    pub fn pixels_per_latent(&self) -> usize {
        1 << self.dim_mult.len().saturating_sub(1)
    }

    /// What no network here can be built from, in words; `None` where all is well.
    pub fn fault(&self) -> Option<String> {
        if self.class_name != "AutoencoderKLWan" {
            return Some(format!(
                "it describes a {}, not an AutoencoderKLWan",
                self.class_name
            ));
        }
        if self.is_residual || self.patch_size.is_some_and(|patch| patch != 1) {
            return Some("it describes the VAE of WAN 2.2 5B".into());
        }
        if self.dim_mult.is_empty() || self.temperal_downsample.len() + 1 != self.dim_mult.len() {
            return Some(format!(
                "dim_mult has {} entries and temperal_downsample {}, which must be one fewer",
                self.dim_mult.len(),
                self.temperal_downsample.len()
            ));
        }
        if self.latents_mean.len() != self.z_dim || self.latents_std.len() != self.z_dim {
            return Some(format!(
                "latents_mean and latents_std have {} and {} entries, but z_dim is {}",
                self.latents_mean.len(),
                self.latents_std.len(),
                self.z_dim
            ));
        }
        if self
            .latents_std
            .iter()
            .any(|std| std.is_nan() || *std <= 0.0)
        {
            return Some("latents_std holds a value that is not above 0".into());
        }
        let dims = [
            self.base_dim,
            self.z_dim,
            self.decoder_base_dim.unwrap_or(1),
        ];
        if dims.contains(&0) || self.dim_mult.contains(&0) {
            return Some("base_dim, z_dim and dim_mult must be above 0".into());
        }
        absurd(&[
            ("base_dim", self.base_dim),
            ("decoder_base_dim", self.decoder_base_dim.unwrap_or(0)),
            ("z_dim", self.z_dim),
            ("num_res_blocks", self.num_res_blocks),
            ("dim_mult", self.dim_mult.iter().copied().max().unwrap_or(0)),
            ("in_channels", self.in_channels),
            ("out_channels", self.out_channels),
            ("the number of levels in dim_mult", self.dim_mult.len()),
        ])
    }
}

/// Far above what any published model has, and far below where sizes overflow or a constructor that
/// walks through layers does not come back.
fn absurd(sizes: &[(&str, usize)]) -> Option<String> {
    let most = |key: &str| match key {
        "vocab_size" => 1 << 22,
        "num_layers" | "num_res_blocks" | "dim_mult" => 1024,
        "patch_size[0]" | "patch_size[1]" | "patch_size[2]" => 64,
        "the number of levels in dim_mult" => 10,
        _ => 1 << 17,
    };
    let (key, value) = sizes.iter().find(|(key, value)| *value > most(key))?;
    Some(format!(
        "{key} is {value}, more than the {} that any model here may have",
        most(key)
    ))
}
