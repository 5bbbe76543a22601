use std::path::Path;

use candle_core::{DType, Device, Tensor};

use super::Family;
use crate::models::ModelError;
use crate::models::ltx::{DecodeOptions, LtxVae};
use crate::models::wan::WanVae;
use crate::sampler::Cancel;

/// Keeps the noise of a decode apart from the noise that a run of the same seed begins with.
const DECODE_STREAM: u64 = 0x6465_636f_6465_0001;

/// A VAE of any family.
#[derive(Debug)]
pub enum Vae {
    /// WAN 2.1.
    Wan(Box<WanVae>),
    /// LTX-Video.
    Ltx(Box<LtxVae>),
}

impl Vae {
    /// Loads the VAE of a model.
    pub fn load(model: &Path, device: &Device, dtype: DType) -> Result<Self, ModelError> {
        Ok(match Family::of(model) {
            Family::Wan => Self::Wan(Box::new(WanVae::load(model, device, dtype)?)),
            Family::Ltx => Self::Ltx(Box::new(LtxVae::load(model, device, dtype)?)),
        })
    }

    /// Decodes normalised latents `(1, C, T, h, w)` to video `(1, 3, F, H, W)`, f32 around [-1, 1].
    /// Where the family's decoder takes noise, it is that of a run's `seed`. `progress` is told the
    /// work done and all of it.
    pub fn decode(
        &self,
        latents: &Tensor,
        seed: u64,
        cancel: &Cancel,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<Tensor, ModelError> {
        match self {
            Self::Wan(vae) => vae.decode(latents, cancel, progress),
            Self::Ltx(vae) => {
                let options = DecodeOptions::with_seed(seed ^ DECODE_STREAM);
                vae.decode(latents, options, cancel, progress)
            }
        }
    }
}
