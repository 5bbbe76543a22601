use std::fmt;

use super::AnalysisError;
use crate::media::Clip;
use crate::models::vision::{ClipModel, Dinov2, Picture};

/// Frames that go through a network at once.
const BATCH: usize = 8;

/// A network that says what a frame shows.
#[derive(Debug)]
pub enum Extractor {
    /// DINOv2: what is where, learned from pictures alone.
    Dinov2(Box<Dinov2>),
    /// CLIP: what words would say.
    Clip(Box<ClipModel>),
}

impl fmt::Display for Extractor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dinov2(_) => "DINOv2",
            Self::Clip(_) => "CLIP",
        })
    }
}

impl Extractor {
    /// What each frame of a clip shows.
    pub fn features(&self, clip: &Clip) -> Result<Features, AnalysisError> {
        let pictures: Vec<_> = clip
            .frames
            .iter()
            .map(|rgb| Picture {
                width: clip.width,
                height: clip.height,
                rgb,
            })
            .collect();
        let mut frames = Vec::with_capacity(pictures.len());
        for batch in pictures.chunks(BATCH) {
            let found = match self {
                Self::Dinov2(network) => network.features(batch)?,
                Self::Clip(network) => network.features(batch)?,
            };
            frames.extend(found.to_vec2::<f32>()?);
        }
        Ok(Features { frames })
    }
}

/// What a network says of each frame of a clip: a vector a frame.
#[derive(Clone, Debug, PartialEq)]
pub struct Features {
    frames: Vec<Vec<f32>>,
}

impl Features {
    /// The vectors as they came out of the network, one a frame.
    pub fn frames(&self) -> &[Vec<f32>] {
        &self.frames
    }

    /// The cosine between this clip's and the other's vector, frame by frame, as far as both go.
    pub fn cosines(&self, other: &Self) -> Vec<f64> {
        let pairs = self.frames.iter().zip(&other.frames);
        pairs.map(|(a, b)| cosine(a, b)).collect()
    }

    /// The cosine between each frame's vector and one vector, such as that of a text.
    pub fn cosines_to(&self, one: &[f32]) -> Vec<f64> {
        self.frames.iter().map(|frame| cosine(frame, one)).collect()
    }

    /// The cosine between the two clips' pooled vectors: the means over frames of vectors of length 1.
    pub fn pooled_cosine(&self, other: &Self) -> f64 {
        cosine(&self.pooled(), &other.pooled())
    }

    fn pooled(&self) -> Vec<f64> {
        let width = self.frames.first().map_or(0, Vec::len);
        let mut mean = vec![0.0; width];
        for frame in &self.frames {
            let length = norm(frame);
            for (sum, value) in mean.iter_mut().zip(frame) {
                *sum += f64::from(*value) / length;
            }
        }
        mean
    }
}

fn cosine<T: Copy + Into<f64>>(a: &[T], b: &[T]) -> f64 {
    let product = |(a, b): (&T, &T)| -> f64 {
        let (a, b): (f64, f64) = ((*a).into(), (*b).into());
        a * b
    };
    a.iter().zip(b).map(product).sum::<f64>() / (norm(a) * norm(b))
}

fn norm<T: Copy + Into<f64>>(values: &[T]) -> f64 {
    let square = |value: &T| -> f64 {
        let value: f64 = (*value).into();
        value * value
    };
    values.iter().map(square).sum::<f64>().sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cosines_know_directions_and_pooling_weighs_every_frame_alike() {
        let features = |frames: &[[f32; 2]]| Features {
            frames: frames.iter().map(|frame| frame.to_vec()).collect(),
        };
        let (one, other) = (
            features(&[[3.0, 0.0], [0.0, 1.0]]),
            features(&[[1.0, 0.0], [1.0, 0.0]]),
        );
        assert_eq!(one.cosines(&other), [1.0, 0.0]);
        assert_eq!(one.cosines_to(&[0.0, -2.0]), [0.0, -1.0]);
        // Half way between the axes, however long the first frame's vector is.
        assert!((one.pooled_cosine(&other) - 0.5f64.sqrt()).abs() < 1e-12);
    }
}
