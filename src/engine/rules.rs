use std::sync::Arc;

use super::ltx_rules::LtxRules;
use super::residency::MemoryNeed;
use crate::engine::PairRules;
use crate::models::wan::{self, TransformerConfig, VaeConfig, WanTransformer, WanVae};
use crate::models::{Family, ModelError, PairSpec, common_family};
use crate::schedule::{Flops, ModelRole};

/// The rules of a pair of any family.
#[derive(Debug)]
pub(super) enum Rules {
    Wan(WanRules),
    Ltx(LtxRules),
}

impl Rules {
    /// Reads what is needed of a pair's folders; loads no weights. `weight_bytes` is what one value of
    /// a transformer takes in memory.
    pub(super) fn read(spec: &PairSpec, weight_bytes: usize) -> Result<Self, ModelError> {
        Ok(match common_family(&spec.large, &spec.small)? {
            Family::Wan => Self::Wan(WanRules::read(spec, weight_bytes)?),
            Family::Ltx => Self::Ltx(LtxRules::read(spec, weight_bytes)?),
        })
    }

    /// Parameters of the large and the small transformer.
    pub(super) fn parameters(&self) -> [u64; 2] {
        match self {
            Self::Wan(rules) => rules.parameters(),
            Self::Ltx(rules) => rules.parameters(),
        }
    }

    /// Latent channels.
    pub(super) fn channels(&self) -> usize {
        match self {
            Self::Wan(rules) => rules.channels(),
            Self::Ltx(rules) => rules.channels(),
        }
    }

    /// The rules for whoever plans a run.
    pub(super) fn shared(self) -> Arc<dyn PairRules> {
        match self {
            Self::Wan(rules) => Arc::new(rules),
            Self::Ltx(rules) => Arc::new(rules),
        }
    }
}

/// What a WAN pair allows and costs, read from its configs and the headers of its weight files.
#[derive(Debug)]
pub(super) struct WanRules {
    large: TransformerConfig,
    small: TransformerConfig,
    vae: VaeConfig,
    parameters: [u64; 2],
    vae_parameters: u64,
    text_parameters: u64,
    text_tokens: usize,
    weight_bytes: u64,
}

impl WanRules {
    /// Reads what is needed of a pair's folders; loads no weights. `weight_bytes` is what one value of
    /// a transformer takes in memory.
    pub(super) fn read(spec: &PairSpec, weight_bytes: usize) -> Result<Self, ModelError> {
        Ok(Self {
            large: WanTransformer::read_config(&spec.large)?,
            small: WanTransformer::read_config(&spec.small)?,
            vae: WanVae::read_config(&spec.large)?,
            parameters: [
                wan::transformer_parameters(&spec.large)? as u64,
                wan::transformer_parameters(&spec.small)? as u64,
            ],
            vae_parameters: wan::vae_parameters(&spec.large)? as u64,
            text_parameters: wan::text_parameters(&spec.large)? as u64,
            text_tokens: spec.defaults.text_tokens,
            weight_bytes: weight_bytes as u64,
        })
    }

    /// Parameters of the large and the small transformer.
    pub(super) fn parameters(&self) -> [u64; 2] {
        self.parameters
    }

    /// Latent channels.
    pub(super) fn channels(&self) -> usize {
        self.large.in_channels
    }
}

impl PairRules for WanRules {
    fn flops(&self, role: ModelRole, (width, height, frames): (usize, usize, usize)) -> Flops {
        let config = match role {
            ModelRole::Large => &self.large,
            ModelRole::Small | ModelRole::Distilled => &self.small,
        };
        let tokens = config.tokens(wan::latent_shape(width, height, frames));
        config.flops(tokens, self.text_tokens)
    }

    fn check_size(&self, (width, height, frames): (usize, usize, usize)) -> Result<(), String> {
        wan::check_size(width, height, frames).map_err(|why| why.to_string())
    }

    fn memory(&self, (width, height, frames): (usize, usize, usize)) -> MemoryNeed {
        let latents = wan::latent_shape(width, height, frames);
        let tokens = self.large.tokens(latents) as u64;
        let dim = self.large.inner_dim() as u64;
        // A block holds its input, the modulated copy, q, k, v, the attention's result and the
        // feed-forward's inner layer at once.
        let block = tokens * (8 * dim + 2 * self.large.ffn_dim as u64) * 4;
        // The last level of the decoder: four frames at full size, the widest layer with its input,
        // output and two cached frames of each convolution.
        let base = self.vae.decoder_base_dim.unwrap_or(self.vae.base_dim) as u64;
        let decode = |pixels: u64| pixels * base * 2 * (4 * 4 + 2 * 6) * 4;
        let [_, high, wide] = wan::TILING.largest(latents);
        let tile = (high * wide * wan::TILING.pixels.pow(2)) as u64;
        let pixels = (width * height) as u64;
        let video = VideoBytes::new(pixels * frames as u64, tile * frames as u64);
        MemoryNeed {
            base: BASE_BYTES,
            text: self.text_parameters * self.weight_bytes,
            transformers: self.parameters.map(|count| count * self.weight_bytes),
            denoise: block,
            vae: self.vae_parameters * 4,
            decode: decode(pixels) + video.whole,
            // A clip of one tile is decoded as a whole.
            decode_in_tiles: (decode(tile) + video.in_tiles).min(decode(pixels) + video.whole),
        }
    }
}

/// What a clip takes while it is decoded.
pub(super) struct VideoBytes {
    /// As f32 in parts, then whole, then as bytes.
    pub(super) whole: u64,
    /// A tile in parts and whole, the clip as f32 and as bytes.
    pub(super) in_tiles: u64,
}

impl VideoBytes {
    /// Of a clip of `clip` pixels in all its frames, and of a tile likewise.
    pub(super) fn new(clip: u64, tile: u64) -> Self {
        Self {
            whole: clip * 3 * (4 + 4 + 1),
            in_tiles: clip * 3 * (4 + 1) + tile * 3 * (4 + 4),
        }
    }
}

/// What the program itself takes before any model is loaded.
pub(super) const BASE_BYTES: u64 = 64 << 20;
