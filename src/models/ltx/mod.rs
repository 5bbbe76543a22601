//! LTX-Video 0.9.0, 0.9.5, 0.9.6 and 0.9.7 text-to-video: transformer, VAE and text encoder as
//! diffusers and transformers lay them out, and what the family can do.

mod block;
mod config;
mod cost;
mod names;
mod native;
mod pipeline;
mod rope;
mod size;
mod text;
mod time;
mod transformer;
mod vae;

pub use config::TransformerConfig;
pub use names::{transformer_name, vae_name};
pub use pipeline::Pipeline;
pub use size::{check_size, latent_shape};
pub use text::TextEncoder;
pub use transformer::LtxTransformer;
pub use vae::{DecodeOptions, LtxVae, VaeConfig};

/// Frames of video for each latent frame after the first.
const PACE: usize = 8;
/// Pixels along a side for each latent position.
const SIDE: usize = 32;
