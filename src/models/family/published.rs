use std::path::Path;

use candle_core::Device;

use super::{Family, Transformer};
use crate::models::ModelError;
use crate::models::ltx::{self, LtxTransformer};
use crate::models::wan::{self, WanTransformer};
use crate::models::weights::{NumberFormat, Params};
use crate::schedule::Flops;

/// Deviation of random weights: about that of the published ones, and small enough that no output
/// leaves the range of any format.
const DEVIATION: f64 = 0.02;

/// The config of a transformer of any family.
#[derive(Clone, Debug, PartialEq)]
pub enum TransformerConfig {
    /// WAN 2.1.
    Wan(wan::TransformerConfig),
    /// LTX-Video.
    Ltx(ltx::TransformerConfig),
}

impl TransformerConfig {
    /// Names of the transformers that are published, for [`published`](Self::published).
    pub const PUBLISHED: [&str; 4] = ["wan-1.3b", "wan-14b", "ltx-2b", "ltx-13b"];

    /// The config of a published transformer; `None` for a name that is not in the list.
    pub fn published(name: &str) -> Option<Self> {
        Some(match name {
            "wan-1.3b" => Self::Wan(wan::TransformerConfig::wan_1_3b()),
            "wan-14b" => Self::Wan(wan::TransformerConfig::wan_14b()),
            "ltx-2b" => Self::Ltx(ltx::TransformerConfig::ltx_2b()),
            "ltx-13b" => Self::Ltx(ltx::TransformerConfig::ltx_13b()),
            _ => return None,
        })
    }

    /// The config of a model's transformer; of a file without one, what its header tells.
    pub fn read(model: &Path) -> Result<Self, ModelError> {
        Ok(match Family::of(model) {
            Family::Wan => Self::Wan(WanTransformer::read_config(model)?),
            Family::Ltx => Self::Ltx(LtxTransformer::read_config(model)?),
        })
    }

    /// Its family.
    pub fn family(&self) -> Family {
        match self {
            Self::Wan(_) => Family::Wan,
            Self::Ltx(_) => Family::Ltx,
        }
    }

    /// Channels of the text embeddings.
    pub fn text_channels(&self) -> usize {
        match self {
            Self::Wan(config) => config.text_dim,
            Self::Ltx(config) => config.caption_channels,
        }
    }

    /// Tokens that latents of `[_, _, frames, height, width]` make.
    pub fn tokens(&self, latents: [usize; 5]) -> usize {
        match self {
            Self::Wan(config) => config.tokens(latents),
            Self::Ltx(config) => config.tokens(latents),
        }
    }

    /// FLOPs of one forward pass over so many tokens of video and of text.
    pub fn flops(&self, tokens: usize, text_tokens: usize) -> Flops {
        match self {
            Self::Wan(config) => config.flops(tokens, text_tokens),
            Self::Ltx(config) => config.flops(tokens, text_tokens),
        }
    }

    /// A transformer of random weights, made on `device` without any file, and the numbers in all of
    /// them: as fast and as large as the published one.
    pub fn random(
        &self,
        format: NumberFormat,
        device: &Device,
    ) -> Result<(Transformer, u64), ModelError> {
        let (params, made) = Params::random(DEVIATION, format, device);
        let transformer = match self {
            Self::Wan(config) => Transformer::Wan(WanTransformer::new(config, params)?),
            Self::Ltx(config) => Transformer::Ltx(LtxTransformer::new(config, params)?),
        };
        Ok((transformer, made.numbers()))
    }
}
