use super::{Family, TransformerConfig};
use crate::models::ltx::{self, LtxTransformer, LtxVae};
use crate::models::wan::{self, WanTransformer, WanVae};
use crate::models::{ModelError, PairSpec, common_family};
use crate::sampler::TOGETHER;
use crate::schedule::{Flops, ModelRole};

/// The configs of a pair's networks: what they cost, told without loading them. The VAE is the large
/// model's. Sizes are `(width, height, frames)` of a clip.
#[derive(Debug)]
pub enum Networks {
    /// WAN 2.1.
    Wan {
        /// The large, the small and, where there is one, the distilled transformer.
        transformers: Vec<wan::TransformerConfig>,
        /// The VAE.
        vae: wan::VaeConfig,
    },
    /// LTX-Video.
    Ltx {
        /// The large, the small and, where there is one, the distilled transformer.
        transformers: Vec<ltx::TransformerConfig>,
        /// The VAE.
        vae: ltx::VaeConfig,
    },
}

impl Networks {
    /// Reads the configs of a pair; of files without any, their headers.
    pub fn read(pair: &PairSpec) -> Result<Self, ModelError> {
        let models = ModelRole::ALL
            .into_iter()
            .filter_map(|role| pair.model(role));
        Ok(match common_family(&pair.large, &pair.small)? {
            Family::Wan => Self::Wan {
                transformers: models
                    .map(WanTransformer::read_config)
                    .collect::<Result<_, _>>()?,
                vae: WanVae::read_config(&pair.large)?,
            },
            Family::Ltx => Self::Ltx {
                transformers: models
                    .map(LtxTransformer::read_config)
                    .collect::<Result<_, _>>()?,
                vae: LtxVae::read_config(&pair.large)?,
            },
        })
    }

    /// Those of a pair that is published, told without its files; `None` where its transformers have no
    /// family in common. The VAE is the one that the family's newest transformers share.
    pub fn published(transformers: Vec<TransformerConfig>) -> Option<Self> {
        let (mut of_wan, mut of_ltx) = (Vec::new(), Vec::new());
        for config in transformers {
            match config {
                TransformerConfig::Wan(config) => of_wan.push(config),
                TransformerConfig::Ltx(config) => of_ltx.push(config),
            }
        }
        match (of_wan.is_empty(), of_ltx.is_empty()) {
            (false, true) => Some(Self::Wan {
                transformers: of_wan,
                vae: wan::VaeConfig::default(),
            }),
            (true, false) => Some(Self::Ltx {
                transformers: of_ltx,
                vae: ltx::VaeConfig::ltx_095(),
            }),
            _ => None,
        }
    }

    /// Their family.
    pub fn family(&self) -> Family {
        match self {
            Self::Wan { .. } => Family::Wan,
            Self::Ltx { .. } => Family::Ltx,
        }
    }

    /// Latent channels.
    pub fn channels(&self) -> usize {
        match self {
            Self::Wan { transformers, .. } => transformers[0].in_channels,
            Self::Ltx { transformers, .. } => transformers[0].in_channels,
        }
    }

    /// FLOPs of one forward pass of a transformer; none of a model that the pair has not.
    pub fn flops(
        &self,
        role: ModelRole,
        (width, height, frames): (usize, usize, usize),
        text_tokens: usize,
    ) -> Flops {
        let latents = self.family().latent_shape(width, height, frames);
        let which = role.index();
        let flops = match self {
            Self::Wan { transformers, .. } => transformers
                .get(which)
                .map(|config| config.flops(config.tokens(latents), text_tokens)),
            Self::Ltx { transformers, .. } => transformers
                .get(which)
                .map(|config| config.flops(config.tokens(latents), text_tokens)),
        };
        flops.unwrap_or_default()
    }

    /// Bytes that the large transformer computes with beside its weights, in both passes where they may be made at once.
    pub fn denoise_bytes(&self, (width, height, frames): (usize, usize, usize)) -> u64 {
        let latents = self.family().latent_shape(width, height, frames);
        let passes = if latents.iter().product::<usize>() <= TOGETHER {
            2
        } else {
            1
        };
        passes
            * match self {
                Self::Wan { transformers, .. } => {
                    transformers[0].working_bytes(transformers[0].tokens(latents))
                }
                Self::Ltx { transformers, .. } => {
                    transformers[0].working_bytes(transformers[0].tokens(latents))
                }
            }
    }

    /// Bytes that the VAE computes with, beside its weights and the video, for a clip or a tile.
    pub fn decode_bytes(&self, (width, height, frames): (usize, usize, usize)) -> u64 {
        let pixels = (width * height) as u64;
        match self {
            Self::Wan { vae, .. } => vae.working_bytes(pixels),
            Self::Ltx { vae, .. } => vae.working_bytes(pixels * frames as u64),
        }
    }
}
