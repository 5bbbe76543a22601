//! Latents and clips as pictures: latent -> RGB factors, the GPU callback that runs `shaders/`, the player.

mod latent;

pub use latent::{LatentFrames, RgbFactors};
