use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A linear map from normalised latent channels to RGB in 0..=1, fitted to a VAE.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RgbFactors {
    /// One `[r, g, b]` row a latent channel.
    pub factors: Vec<[f32; 3]>,
    /// Added to every pixel.
    pub bias: [f32; 3],
}

impl RgbFactors {
    /// For a VAE nobody fitted factors to: the first three channels as red, green and blue.
    pub fn first_channels(channels: usize) -> Self {
        let row = |c: usize| std::array::from_fn(|rgb| if rgb == c { 0.25 } else { 0.0 });
        Self {
            factors: (0..channels).map(row).collect(),
            bias: [0.5; 3],
        }
    }
}

/// The x0 estimate of one step, on its way to the window.
#[derive(Clone, Debug)]
pub struct LatentFrames {
    /// The step it was estimated after, from 0.
    pub step: usize,
    /// Latent channels.
    pub channels: usize,
    /// Latent frames.
    pub frames: usize,
    /// Latent rows.
    pub height: usize,
    /// Latent columns.
    pub width: usize,
    /// Values in order channel, frame, row, column; normalised as the transformer sees them.
    pub data: Arc<[f32]>,
}
