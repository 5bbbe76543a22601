//! LTX-Video 0.9.0, 0.9.5, 0.9.6 and 0.9.7 text-to-video: transformer, VAE and text encoder, where
//! their files are and what they are called, and what the family can do.

mod block;
mod check;
mod config;
mod cost;
mod files;
mod names;
mod pipeline;
mod rope;
mod size;
mod text;
mod time;
mod transformer;
mod vae;

pub(super) use check::check;
pub use config::TransformerConfig;
pub use files::transformer_files;
pub(super) use files::{
    TRANSFORMER, check_vae_age, has_text, has_vae, text_files, text_identity, text_size, tokenizer,
    transformer_size, vae_size, vae_weights,
};
pub use pipeline::Pipeline;
pub use size::{TILING, check_size, latent_shape};
pub use text::TextEncoder;
pub use transformer::LtxTransformer;
pub use vae::{DecodeOptions, LtxVae, VaeConfig};

/// Frames of video for each latent frame after the first.
const PACE: usize = 8;
/// Pixels along a side for each latent position.
const SIDE: usize = 32;
