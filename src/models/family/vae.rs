use std::path::Path;

use candle_core::Tensor;

use super::Family;
use crate::models::ltx::{DecodeOptions, LtxVae};
use crate::models::nn::rgb_frames;
use crate::models::tiling::part;
use crate::models::wan::WanVae;
use crate::models::{Loading, ModelError, Tiling};
use crate::sampler::Cancel;

/// Keeps the noise of a decode apart from the noise that a run of the same seed begins with.
const DECODE_STREAM: u64 = 0x6465_636f_6465_0001;

/// Told of a decode: the work done, all of it, and the frames that are new, packed RGB.
pub type DecodeProgress<'a> = dyn FnMut(usize, usize, &[Vec<u8>]) + 'a;

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
    pub fn load(model: &Path, loading: Loading<'_>) -> Result<Self, ModelError> {
        Ok(match Family::of(model) {
            Family::Wan => Self::Wan(Box::new(WanVae::load(model, loading)?)),
            Family::Ltx => Self::Ltx(Box::new(LtxVae::load(model, loading)?)),
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

    /// [`decode`](Self::decode), or in tiles where `tiling` is given, to frames of packed RGB, 8 bits a channel,
    /// rounded to nearest. `progress` is told the work done, all of it, and the frames that came of it: some after each part
    /// where the decoder goes along the frames, else none before the end.
    pub fn decode_frames(
        &self,
        latents: &Tensor,
        tiling: Option<&Tiling>,
        seed: u64,
        cancel: &Cancel,
        progress: &mut DecodeProgress<'_>,
    ) -> Result<Vec<Vec<u8>>, ModelError> {
        let told = &mut |done, total| progress(done, total, &[]);
        let video = match (self, tiling) {
            (Self::Wan(vae), None) => {
                let mut frames = Vec::new();
                vae.decode_each(latents, cancel, &mut |part, done, total| {
                    let new = rgb_frames(&part)?;
                    progress(done, total, &new);
                    frames.extend(new);
                    Ok(())
                })?;
                return Ok(frames);
            }
            (Self::Ltx(_), None) => self.decode(latents, seed, cancel, told)?,
            (_, Some(tiling)) => self.decode_in_tiles(latents, tiling, seed, cancel, told)?,
        };
        Ok(rgb_frames(&video)?)
    }

    /// [`decode`](Self::decode) in tiles that fade into one another: takes the memory of one tile and
    /// of the clip, and somewhat longer. The video lies on the CPU.
    pub fn decode_in_tiles(
        &self,
        latents: &Tensor,
        tiling: &Tiling,
        seed: u64,
        cancel: &Cancel,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<Tensor, ModelError> {
        let options = DecodeOptions::with_seed(seed ^ DECODE_STREAM);
        // Tiles that overlap have to see the same noise.
        let noise = match self {
            Self::Wan(_) => None,
            Self::Ltx(vae) => vae.noise(latents, options)?,
        };
        tiling.decode(latents, &mut |place, tile, (number, count)| {
            let progress = &mut |done, of| progress(number * of + done, count * of);
            match self {
                Self::Wan(vae) => vae.decode(&tile, cancel, progress),
                Self::Ltx(vae) => {
                    let noise = noise
                        .as_ref()
                        .map(|noise| part(noise, &place))
                        .transpose()?;
                    vae.decode_with(&tile, noise.as_ref(), options, cancel, progress)
                }
            }
        })
    }
}
