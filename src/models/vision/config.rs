use serde::Deserialize;

use super::block::Bend;

/// Far above the sizes of any such network, and small enough that products of two cannot overflow.
const LARGEST: usize = 1 << 20;
/// More layers than any such network has; the check of a folder walks through all of them.
const MOST_LAYERS: usize = 1024;
/// More pixels to a side than any such network looks at.
const LARGEST_SIDE: usize = 1 << 12;

/// The keys of a `Dinov2Model` config.json that decide the network. Where one is absent it takes
/// transformers' default.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default)]
pub struct Dinov2Config {
    /// The model's kind in transformers, `dinov2`.
    pub model_type: String,
    /// Channels.
    pub hidden_size: usize,
    /// Blocks.
    pub num_hidden_layers: usize,
    /// Heads of each block.
    pub num_attention_heads: usize,
    /// Inner channels of the feed-forward layers, as a multiple of `hidden_size`.
    pub mlp_ratio: usize,
    /// Non-linearity of the plain feed-forward layers.
    pub hidden_act: String,
    /// Epsilon of every norm.
    pub layer_norm_eps: f64,
    /// Pixels to a side of the pictures that the positions were learned on.
    pub image_size: usize,
    /// Pixels to a side of a patch.
    pub patch_size: usize,
    /// Whether queries, keys and values have a bias.
    pub qkv_bias: bool,
    /// Whether feed-forward layers are gated, as in the giant model.
    pub use_swiglu_ffn: bool,
}

impl Default for Dinov2Config {
    fn default() -> Self {
        Self {
            model_type: "dinov2".into(),
            hidden_size: 768,
            num_hidden_layers: 12,
            num_attention_heads: 12,
            mlp_ratio: 4,
            hidden_act: "gelu".into(),
            layer_norm_eps: 1e-6,
            image_size: 224,
            patch_size: 14,
            qkv_bias: true,
            use_swiglu_ffn: false,
        }
    }
}

impl Dinov2Config {
    /// What no network can be built from, in words; `None` where all is well.
    pub fn fault(&self) -> Option<String> {
        if self.model_type != "dinov2" {
            return Some(format!(
                "it describes a {} model, not dinov2",
                self.model_type
            ));
        }
        let tower = Tower {
            hidden: self.hidden_size,
            inner: self.hidden_size.saturating_mul(self.mlp_ratio),
            layers: self.num_hidden_layers,
            heads: self.num_attention_heads,
            bend: &self.hidden_act,
        };
        tower
            .fault()
            .or_else(|| squares_fault(self.image_size, self.patch_size))
    }

    /// Inner channels of a gated feed-forward layer: two thirds of a plain one's, rounded up to eights.
    pub(super) fn gated_inner(&self) -> usize {
        (self.hidden_size * self.mlp_ratio * 2 / 3).div_ceil(8) * 8
    }
}

/// The keys of a `CLIPModel` config.json that decide the network.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default)]
pub struct ClipConfig {
    /// The model's kind in transformers, `clip`.
    pub model_type: String,
    /// What reads pictures.
    pub vision_config: ClipVisionConfig,
    /// What reads words.
    pub text_config: ClipTextConfig,
    /// Length of the vectors in which pictures and words meet.
    pub projection_dim: usize,
}

/// The half of [`ClipConfig`] that reads pictures.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default)]
pub struct ClipVisionConfig {
    /// Channels.
    pub hidden_size: usize,
    /// Inner channels of the feed-forward layers.
    pub intermediate_size: usize,
    /// Blocks.
    pub num_hidden_layers: usize,
    /// Heads of each block.
    pub num_attention_heads: usize,
    /// Pixels to a side of a picture.
    pub image_size: usize,
    /// Pixels to a side of a patch.
    pub patch_size: usize,
    /// Non-linearity of the feed-forward layers.
    pub hidden_act: String,
    /// Epsilon of every norm.
    pub layer_norm_eps: f64,
}

/// The half of [`ClipConfig`] that reads words.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default)]
pub struct ClipTextConfig {
    /// Entries of the embedding table.
    pub vocab_size: usize,
    /// Channels.
    pub hidden_size: usize,
    /// Inner channels of the feed-forward layers.
    pub intermediate_size: usize,
    /// Blocks.
    pub num_hidden_layers: usize,
    /// Heads of each block.
    pub num_attention_heads: usize,
    /// Tokens at most, the marks at both ends included.
    pub max_position_embeddings: usize,
    /// Non-linearity of the feed-forward layers.
    pub hidden_act: String,
    /// Epsilon of every norm.
    pub layer_norm_eps: f64,
    /// The mark at the end, whose state stands for the whole; 2, which the first configs had by mistake,
    /// means the highest token.
    pub eos_token_id: u32,
}

impl Default for ClipConfig {
    fn default() -> Self {
        Self {
            model_type: "clip".into(),
            vision_config: ClipVisionConfig::default(),
            text_config: ClipTextConfig::default(),
            projection_dim: 512,
        }
    }
}

impl Default for ClipVisionConfig {
    fn default() -> Self {
        Self {
            hidden_size: 768,
            intermediate_size: 3072,
            num_hidden_layers: 12,
            num_attention_heads: 12,
            image_size: 224,
            patch_size: 32,
            hidden_act: "quick_gelu".into(),
            layer_norm_eps: 1e-5,
        }
    }
}

impl Default for ClipTextConfig {
    fn default() -> Self {
        Self {
            vocab_size: 49_408,
            hidden_size: 512,
            intermediate_size: 2048,
            num_hidden_layers: 12,
            num_attention_heads: 8,
            max_position_embeddings: 77,
            hidden_act: "quick_gelu".into(),
            layer_norm_eps: 1e-5,
            eos_token_id: 49_407,
        }
    }
}

impl ClipConfig {
    /// What no network can be built from, in words; `None` where all is well.
    pub fn fault(&self) -> Option<String> {
        if self.model_type != "clip" {
            return Some(format!(
                "it describes a {} model, not clip",
                self.model_type
            ));
        }
        let (vision, text) = (&self.vision_config, &self.text_config);
        let towers = [
            Tower {
                hidden: vision.hidden_size,
                inner: vision.intermediate_size,
                layers: vision.num_hidden_layers,
                heads: vision.num_attention_heads,
                bend: &vision.hidden_act,
            },
            Tower {
                hidden: text.hidden_size,
                inner: text.intermediate_size,
                layers: text.num_hidden_layers,
                heads: text.num_attention_heads,
                bend: &text.hidden_act,
            },
        ];
        let sizes = [self.projection_dim, text.vocab_size];
        if !sizes.iter().all(|size| (1..=LARGEST).contains(size))
            || !(2..=LARGEST_SIDE).contains(&text.max_position_embeddings)
        {
            let reason = "projection_dim, vocab_size or max_position_embeddings is out of range";
            return Some(reason.to_owned());
        }
        let mut faults = towers.iter().filter_map(Tower::fault);
        faults
            .next()
            .or_else(|| squares_fault(vision.image_size, vision.patch_size))
    }
}

/// What all such networks have.
struct Tower<'a> {
    hidden: usize,
    inner: usize,
    layers: usize,
    heads: usize,
    bend: &'a str,
}

impl Tower<'_> {
    fn fault(&self) -> Option<String> {
        let sizes = [self.hidden, self.inner, self.layers, self.heads];
        if !sizes.iter().all(|size| (1..=LARGEST).contains(size)) || self.layers > MOST_LAYERS {
            return Some("a number of channels, layers or heads is out of range".to_owned());
        }
        if !self.hidden.is_multiple_of(self.heads) {
            return Some(format!(
                "its width {} does not divide into {} heads",
                self.hidden, self.heads
            ));
        }
        match Bend::of(self.bend) {
            Some(_) => None,
            None => Some(format!(
                "hidden_act is {}, but only gelu and quick_gelu are supported",
                self.bend
            )),
        }
    }
}

fn squares_fault(image: usize, patch: usize) -> Option<String> {
    let is_whole = (1..=LARGEST_SIDE).contains(&patch) && (patch..=LARGEST_SIDE).contains(&image);
    (!is_whole).then(|| format!("pictures of {image} pixels do not hold patches of {patch}"))
}
