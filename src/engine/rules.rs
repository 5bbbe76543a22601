use super::residency::MemoryNeed;
use crate::engine::PairRules;
use crate::models::manifest::Manifest;
use crate::models::{
    Family, ModelError, Networks, PairDefaults, PairSpec, PartSize, TransformerConfig,
};
use crate::schedule::{Flops, ModelRole};

/// What the program itself takes before any model is loaded.
pub(super) const BASE_BYTES: u64 = 64 << 20;

/// Bytes of a value of the VAE, which runs in f32 on every device.
const VAE_VALUE: u64 = 4;

/// What a pair allows and costs, read from its configs and the headers of its weight files.
#[derive(Debug)]
pub(super) struct Rules {
    networks: Networks,
    /// Of the large, the small and the distilled one; nothing where the pair has none.
    transformers: [PartSize; 3],
    vae: PartSize,
    text: PartSize,
    text_tokens: usize,
    value_bytes: u64,
}

impl Rules {
    /// Reads what is needed of a pair's folders; loads no weights. `value_bytes` is what one value of
    /// a transformer takes in memory where it is not quantised.
    pub(super) fn read(spec: &PairSpec, value_bytes: usize) -> Result<Self, ModelError> {
        let networks = Networks::read(spec)?;
        let family = networks.family();
        let size = |role| {
            let model = spec.model(role);
            model.map_or(Ok(PartSize::default()), |model| {
                family.transformer_size(model)
            })
        };
        Ok(Self {
            transformers: [
                size(ModelRole::Large)?,
                size(ModelRole::Small)?,
                size(ModelRole::Distilled)?,
            ],
            vae: family.vae_size(&spec.large)?,
            text: family.text_size(&spec.large)?,
            text_tokens: spec.defaults.text_tokens,
            value_bytes: value_bytes as u64,
            networks,
        })
    }

    /// The same of a pair that is published, from its manifest: nothing has to be on disk. `None` where the
    /// manifest does not name the transformers.
    pub(super) fn published(manifest: &Manifest, value_bytes: usize) -> Option<Self> {
        let published = manifest.published.as_ref()?;
        let configs: Option<Vec<_>> = published
            .names()
            .map(TransformerConfig::published)
            .collect();
        let networks = Networks::published(configs?)?;
        let count = &manifest.parameters;
        let part = |parameters| PartSize {
            parameters,
            ..PartSize::default()
        };
        // A distilled model has the shape of the one that it was distilled from.
        let distilled = published.distilled.as_ref().map_or(0, |_| count.small);
        Some(Self {
            transformers: [count.large, count.small, distilled].map(part),
            vae: part(count.vae),
            text: part(count.text_encoder),
            text_tokens: PairDefaults::published(networks.family()).text_tokens,
            value_bytes: value_bytes as u64,
            networks,
        })
    }

    /// Parameters of the large, the small and the distilled transformer; 0 where there is none.
    pub(super) fn parameters(&self) -> [u64; 3] {
        self.transformers.map(|size| size.parameters)
    }

    /// Latent channels.
    pub(super) fn channels(&self) -> usize {
        self.networks.channels()
    }

    /// The family of its models.
    pub(super) fn family(&self) -> Family {
        self.networks.family()
    }
}

impl PairRules for Rules {
    fn flops(&self, role: ModelRole, size: (usize, usize, usize)) -> Flops {
        self.networks.flops(role, size, self.text_tokens)
    }

    fn check_size(&self, (width, height, frames): (usize, usize, usize)) -> Result<(), String> {
        let checked = self.family().check_size(width, height, frames);
        checked.map_err(|why| why.to_string())
    }

    fn memory(&self, size: (usize, usize, usize)) -> MemoryNeed {
        let (width, height, frames) = size;
        let tiling = self.family().tiling();
        let latents = self.family().latent_shape(width, height, frames);
        let tile = tiling.pixels_of(tiling.largest(latents));
        let volume = |(width, height, frames)| (width * height * frames) as u64;
        let (clip, of_tile) = (volume(size), volume(tile));
        // Of colours as f32 in parts, then whole, then as bytes.
        let decode = self.networks.decode_bytes(size) + clip * 3 * (4 + 4 + 1);
        // A tile in parts and whole, the clip as f32 and as bytes.
        let in_tiles =
            self.networks.decode_bytes(tile) + of_tile * 3 * (4 + 4) + clip * 3 * (4 + 1);
        MemoryNeed {
            base: BASE_BYTES,
            text: self.text.bytes(self.value_bytes),
            transformers: self.transformers.map(|part| part.bytes(self.value_bytes)),
            denoise: self.networks.denoise_bytes(size),
            vae: self.vae.bytes(VAE_VALUE),
            decode,
            // A clip of one tile is decoded as a whole.
            decode_in_tiles: in_tiles.min(decode),
        }
    }
}
