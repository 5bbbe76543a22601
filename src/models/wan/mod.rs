//! WAN 2.1 text-to-video: transformer, VAE and text encoder, where their files are and what they
//! are called, and what the family can do.

mod block;
mod check;
mod config;
mod cost;
mod embed;
mod files;
mod native;
mod size;
mod text;
mod transformer;
mod vae;

pub(super) use check::check;
pub use config::{TransformerConfig, VaeConfig};
pub use files::transformer_files;
pub(super) use files::{
    has_text, has_vae, text_files, text_identity, text_size, tokenizer, transformer_size, vae_size,
    vae_weights,
};
pub use size::{TILING, check_size, latent_shape};
pub use text::TextEncoder;

pub use super::text::T5Config as TextConfig;
pub use transformer::WanTransformer;
pub use vae::WanVae;
