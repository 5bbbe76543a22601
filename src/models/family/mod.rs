//! The families of models behind one face each for what the engine loads of them.

mod networks;
mod published;
mod text;
mod transformer;
mod vae;

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::layout::{self, Place};
use super::loader::read_json;
use super::{ModelError, PartSize, Tiling, ltx, wan};

pub use networks::Networks;
pub use published::TransformerConfig;
pub use text::TextEncoder;
pub use transformer::Transformer;
pub use vae::{DecodeProgress, Vae};

/// The families of models that can be run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// WAN 2.1.
    Wan,
    /// LTX-Video.
    Ltx,
}

impl Family {
    /// The family of a model, told by its transformer's config or the names of its tensors. What
    /// cannot be told, or read, is taken for WAN, whose loader says what is wrong.
    pub fn of(model: &Path) -> Self {
        #[derive(Deserialize)]
        struct Config {
            #[serde(rename = "_class_name", default)]
            class_name: String,
        }
        let is_ltx = match layout::find(model, &ltx::TRANSFORMER) {
            Err(_) => false,
            Ok(Place::Folder(folder)) => read_json::<Config>(&folder.join("config.json"))
                .is_ok_and(|config| config.class_name.starts_with("LTX")),
            Ok(place) => layout::open(&place, &ltx::TRANSFORMER)
                .is_ok_and(|weights| weights.shape("proj_in.weight").is_some()),
        };
        if is_ltx { Self::Ltx } else { Self::Wan }
    }

    /// The name for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Wan => "WAN 2.1",
            Self::Ltx => "LTX-Video",
        }
    }

    /// The latents `[1, channels, frames, height, width]` of a clip.
    pub fn latent_shape(self, width: usize, height: usize, frames: usize) -> [usize; 5] {
        match self {
            Self::Wan => wan::latent_shape(width, height, frames),
            Self::Ltx => ltx::latent_shape(width, height, frames),
        }
    }

    /// Width, height and frames that the family's authors sample with.
    pub fn usual_size(self) -> (usize, usize, usize) {
        match self {
            Self::Wan => (832, 480, 81),
            Self::Ltx => (768, 512, 121),
        }
    }

    /// Tokens of text in a pass: WAN pads every prompt, LTX-Video has at most so many.
    pub fn text_tokens(self) -> usize {
        match self {
            Self::Wan => 512,
            Self::Ltx => 128,
        }
    }

    /// How the VAE is run in tiles.
    pub fn tiling(self) -> Tiling {
        match self {
            Self::Wan => wan::TILING,
            Self::Ltx => ltx::TILING,
        }
    }

    /// What tells a model's text encoder from every other without reading it whole.
    pub fn text_identity(self, model: &Path) -> Result<String, ModelError> {
        match self {
            Self::Wan => wan::text_identity(model),
            Self::Ltx => ltx::text_identity(model),
        }
    }

    /// The files of a model's VAE.
    pub fn vae_files(self, model: &Path) -> Result<Vec<PathBuf>, ModelError> {
        let weights = match self {
            Self::Wan => wan::vae_weights(model)?,
            Self::Ltx => ltx::vae_weights(model)?,
        };
        Ok(weights.files().to_vec())
    }

    /// The files of a model's text encoder and of its tokenizer.
    pub fn text_files(self, model: &Path) -> Result<Vec<PathBuf>, ModelError> {
        match self {
            Self::Wan => wan::text_files(model),
            Self::Ltx => ltx::text_files(model),
        }
    }

    /// Whether the family can do a clip of this size. The error is one sentence with the nearest that
    /// works.
    pub fn check_size(self, width: usize, height: usize, frames: usize) -> Result<(), ModelError> {
        match self {
            Self::Wan => wan::check_size(width, height, frames),
            Self::Ltx => ltx::check_size(width, height, frames),
        }
    }

    /// What the headers of the files of a model's transformer say.
    pub fn transformer_size(self, model: &Path) -> Result<PartSize, ModelError> {
        match self {
            Self::Wan => wan::transformer_size(model),
            Self::Ltx => ltx::transformer_size(model),
        }
    }

    /// What the headers of the files of a model's VAE say.
    pub fn vae_size(self, model: &Path) -> Result<PartSize, ModelError> {
        match self {
            Self::Wan => wan::vae_size(model),
            Self::Ltx => ltx::vae_size(model),
        }
    }

    /// What the headers of the files of a model's text encoder say.
    pub fn text_size(self, model: &Path) -> Result<PartSize, ModelError> {
        match self {
            Self::Wan => wan::text_size(model),
            Self::Ltx => ltx::text_size(model),
        }
    }

    /// The files of a model's transformer.
    pub fn transformer_files(self, model: &Path) -> Result<Vec<PathBuf>, ModelError> {
        match self {
            Self::Wan => wan::transformer_files(model),
            Self::Ltx => ltx::transformer_files(model),
        }
    }
}
