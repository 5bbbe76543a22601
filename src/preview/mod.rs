//! Latents and clips as pictures: latent -> RGB factors, the GPU callback that runs `shaders/`, the player.

mod gpu;
mod heat;
mod heat_maps;
mod latent;
mod paint;
mod picture;
mod pipelines;
mod player;
mod rgb;
mod stages;
mod surface;
mod zoom;

pub use gpu::{PreviewCallback, install};
pub use heat::heat;
pub use heat_maps::DivergenceMaps;
pub use latent::{LatentFrames, RgbFactors};
pub use paint::{paint, paint_part};
pub use picture::Picture;
pub use player::Player;
pub use rgb::{Filter, RgbPicture, blit, latent_to_rgb};
pub use zoom::ZoomPan;
