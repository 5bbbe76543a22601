use super::residency::MemoryNeed;
use super::rules::{BASE_BYTES, VideoBytes};
use crate::engine::PairRules;
use crate::models::ltx::{self, LtxTransformer, LtxVae, TransformerConfig, VaeConfig};
use crate::models::{ModelError, PairSpec};
use crate::schedule::{Flops, ModelRole};

/// What an LTX-Video pair allows and costs, read from its configs and the headers of its weight
/// files.
#[derive(Debug)]
pub(super) struct LtxRules {
    large: TransformerConfig,
    small: TransformerConfig,
    vae: VaeConfig,
    parameters: [u64; 2],
    vae_parameters: u64,
    text_parameters: u64,
    text_tokens: usize,
    weight_bytes: u64,
}

impl LtxRules {
    /// As [`WanRules::read`](super::rules::WanRules::read).
    pub(super) fn read(spec: &PairSpec, weight_bytes: usize) -> Result<Self, ModelError> {
        Ok(Self {
            large: LtxTransformer::read_config(&spec.large)?,
            small: LtxTransformer::read_config(&spec.small)?,
            vae: LtxVae::read_config(&spec.large)?,
            parameters: [
                ltx::transformer_parameters(&spec.large)? as u64,
                ltx::transformer_parameters(&spec.small)? as u64,
            ],
            vae_parameters: ltx::vae_parameters(&spec.large)? as u64,
            text_parameters: ltx::text_parameters(&spec.large)? as u64,
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

impl PairRules for LtxRules {
    fn flops(&self, role: ModelRole, (width, height, frames): (usize, usize, usize)) -> Flops {
        let config = match role {
            ModelRole::Large => &self.large,
            ModelRole::Small | ModelRole::Distilled => &self.small,
        };
        let tokens = config.tokens(ltx::latent_shape(width, height, frames));
        config.flops(tokens, self.text_tokens)
    }

    fn check_size(&self, (width, height, frames): (usize, usize, usize)) -> Result<(), String> {
        ltx::check_size(width, height, frames).map_err(|why| why.to_string())
    }

    fn memory(&self, (width, height, frames): (usize, usize, usize)) -> MemoryNeed {
        let latents = ltx::latent_shape(width, height, frames);
        let tokens = self.large.tokens(latents) as u64;
        let dim = self.large.inner_dim() as u64;
        // A block holds its input, the modulated copy, q, k, v, the attention's result and the
        // feed-forward's inner layer at once.
        let block = tokens * (8 * dim + 2 * self.large.ffn_dim() as u64) * 4;
        // The decoder runs over the whole clip, or tile, at once. Its last level works at the patches'
        // size: a residual block holds its input, two normed copies, the result, and a copy that is
        // wider by the frames repeated at the ends.
        let patch = (self.vae.patch_size as u64).pow(2).max(1);
        let last = self.vae.decoder_block_out_channels.first().copied();
        let factor = self.vae.upsample_factor.first().copied();
        let channels = (last.unwrap_or(1) / factor.unwrap_or(1).max(1)) as u64;
        let decode = |voxels: u64| voxels / patch * channels * 5 * 4;
        let [long, high, wide] = ltx::TILING.largest(latents);
        let (side, pace) = (ltx::TILING.pixels, ltx::TILING.pace);
        let clip = (width * height * frames) as u64;
        let tile = (high * wide * side * side * (long.saturating_sub(1) * pace + 1)) as u64;
        let video = VideoBytes::new(clip, tile);
        MemoryNeed {
            base: BASE_BYTES,
            text: self.text_parameters * self.weight_bytes,
            transformers: self.parameters.map(|count| count * self.weight_bytes),
            denoise: block,
            vae: self.vae_parameters * 4,
            decode: decode(clip) + video.whole,
            // A clip of one tile is decoded as a whole.
            decode_in_tiles: (decode(tile) + video.in_tiles).min(decode(clip) + video.whole),
        }
    }
}
