//! WAN 2.1 text-to-video: transformer, VAE and text encoder as diffusers and transformers lay them
//! out, and what the family can do.

mod block;
mod config;
mod cost;
mod embed;
mod size;
mod text;
mod transformer;
mod vae;

pub use config::{TransformerConfig, VaeConfig};
pub use size::{check_size, latent_shape};
pub use text::TextEncoder;

pub use super::text::T5Config as TextConfig;
pub use transformer::WanTransformer;
pub use vae::WanVae;
