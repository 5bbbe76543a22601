use super::device::WeightFormat;
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
    /// What runs use where nothing else is asked for.
    defaults: PairDefaults,
    weights: WeightFormat,
    /// Whether it is known what of the VAE a processor keeps in another form.
    knows_kernels: bool,
}

impl Rules {
    /// Reads what is needed of a pair's folders; loads no weights. `weights` is what becomes of
    /// those that are not quantised.
    pub(super) fn read(spec: &PairSpec, weights: WeightFormat) -> Result<Self, ModelError> {
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
            defaults: spec.defaults.clone(),
            weights,
            knows_kernels: true,
            networks,
        })
    }

    /// The same of a pair that is published, from its manifest: nothing has to be on disk. `None` where the
    /// manifest does not name the transformers.
    pub(super) fn published(manifest: &Manifest, weights: WeightFormat) -> Option<Self> {
        let published = manifest.published.as_ref()?;
        let configs: Option<Vec<_>> = published
            .names()
            .map(TransformerConfig::published)
            .collect();
        let networks = Networks::published(configs?)?;
        let count = &manifest.parameters;
        Some(Self {
            transformers: [count.large, count.small, count.distilled].map(PartSize::published),
            vae: PartSize::published(count.vae),
            text: PartSize::published(count.text_encoder),
            defaults: PairDefaults::published(networks.family()),
            weights,
            // Without the files nobody does.
            knows_kernels: false,
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
        self.networks.flops(role, size, self.defaults.text_tokens)
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
        // A processor keeps 36 mixes of nine numbers.
        let mixes = match self.knows_kernels && self.weights.on_cpu {
            true => 3 * self.vae.in_kernels,
            false => 0,
        };
        MemoryNeed {
            base: BASE_BYTES,
            text: self.weights.bytes_of_text(&self.text),
            transformers: self.transformers.map(|part| self.weights.bytes(&part)),
            denoise: self.networks.denoise_bytes(size),
            vae: (self.vae.parameters + mixes) * VAE_VALUE,
            decode,
            // A clip of one tile is decoded as a whole.
            decode_in_tiles: in_tiles.min(decode),
        }
    }

    fn shift(&self, size: (usize, usize, usize)) -> Option<f64> {
        self.defaults.shift_at(size)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn a_processor_keeps_kernels_four_times() {
        let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/demo");
        let spec = PairSpec::read(&demo).unwrap();
        let size = (96, 96, 25);
        let vae = |on_cpu| {
            let weights = WeightFormat::of(None, on_cpu);
            Rules::read(&spec, weights).unwrap().memory(size).vae
        };
        let part = Family::Wan.vae_size(&spec.large).unwrap();
        assert_eq!(vae(false), 4 * part.parameters);
        assert_eq!(vae(true), vae(false) + 4 * 3 * part.in_kernels);
        // Most of a VAE are kernels, and none of a transformer.
        assert!(part.in_kernels < part.parameters && 2 * part.in_kernels > part.parameters);
        let transformer = Family::Wan.transformer_size(&spec.large).unwrap();
        assert_eq!(transformer.in_kernels, 0);
    }
}
