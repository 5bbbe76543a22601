use std::sync::{Arc, Weak};

use super::latent::{LatentFrames, RgbFactors};
use super::rgb::{RgbPicture, is_sound, latent_to_rgb};
use crate::media::Clip;

/// What the preview shows. Cloning shares the data.
#[derive(Clone, Debug, Default)]
pub enum Picture {
    /// Nothing yet.
    #[default]
    Empty,
    /// One latent frame of a step's estimate.
    Latent {
        /// The estimate.
        frames: LatentFrames,
        /// How its channels become colours.
        rgb: Arc<RgbFactors>,
        /// Which latent frame, from 0.
        frame_index: usize,
    },
    /// One frame of a finished clip.
    Clip {
        /// The clip.
        clip: Arc<Clip>,
        /// Which frame, from 0.
        frame_index: usize,
    },
}

impl Picture {
    /// Columns and rows of what is shown, latent cells for latents. `None` when there is nothing to
    /// show: empty, no such frame, or a buffer that does not have the size it states.
    pub fn size(&self) -> Option<[usize; 2]> {
        match self {
            Self::Empty => None,
            Self::Latent {
                frames,
                frame_index,
                ..
            } => is_sound(frames, *frame_index).then_some([frames.width, frames.height]),
            Self::Clip { clip, frame_index } => {
                let bytes = clip.width * clip.height * 3;
                let frame = clip.frames.get(*frame_index)?;
                (bytes > 0 && frame.len() == bytes).then_some([clip.width, clip.height])
            }
        }
    }

    /// Frames there are to choose from.
    pub fn frame_count(&self) -> usize {
        match self {
            Self::Empty => 0,
            Self::Latent { frames, .. } => frames.frames,
            Self::Clip { clip, .. } => clip.frames.len(),
        }
    }

    /// The picture as bytes, computed on the CPU; `None` when there is nothing to show.
    pub fn to_rgb(&self) -> Option<RgbPicture> {
        let [width, height] = self.size()?;
        match self {
            Self::Empty => None,
            Self::Latent {
                frames,
                rgb,
                frame_index,
            } => latent_to_rgb(frames, rgb, *frame_index),
            Self::Clip { clip, frame_index } => Some(RgbPicture {
                width,
                height,
                rgb: clip.frames[*frame_index].clone(),
            }),
        }
    }

    pub(super) fn key(&self) -> Option<ContentKey> {
        match self {
            Self::Empty => None,
            Self::Latent {
                frames,
                rgb,
                frame_index,
            } => Some(ContentKey::Latent {
                data: Arc::downgrade(&frames.data),
                shape: [frames.channels, frames.frames, frames.height, frames.width],
                rgb: Arc::downgrade(rgb),
                frame: *frame_index,
            }),
            Self::Clip { clip, frame_index } => Some(ContentKey::Clip {
                clip: Arc::downgrade(clip),
                frame: *frame_index,
            }),
        }
    }
}

/// Tells whether a texture already holds a picture, without comparing pixels. The weak references
/// keep the addresses from being given to anything else, but not the clips' frames in memory.
#[derive(Clone, Debug)]
pub(super) enum ContentKey {
    Latent {
        data: Weak<[f32]>,
        shape: [usize; 4],
        rgb: Weak<RgbFactors>,
        frame: usize,
    },
    Clip {
        clip: Weak<Clip>,
        frame: usize,
    },
}

impl PartialEq for ContentKey {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (
                Self::Latent {
                    data,
                    shape,
                    rgb,
                    frame,
                },
                Self::Latent {
                    data: data2,
                    shape: shape2,
                    rgb: rgb2,
                    frame: frame2,
                },
            ) => {
                frame == frame2
                    && shape == shape2
                    && Weak::ptr_eq(data, data2)
                    && Weak::ptr_eq(rgb, rgb2)
            }
            (
                Self::Clip { clip, frame },
                Self::Clip {
                    clip: clip2,
                    frame: frame2,
                },
            ) => frame == frame2 && Weak::ptr_eq(clip, clip2),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clip() -> Arc<Clip> {
        Arc::new(Clip {
            width: 2,
            height: 1,
            fps: 16.0,
            frames: vec![vec![7; 6], vec![9; 5]],
        })
    }

    #[test]
    fn only_sound_frames_are_shown() {
        let of = |frame_index| Picture::Clip {
            clip: clip(),
            frame_index,
        };
        assert_eq!(of(0).size(), Some([2, 1]));
        assert_eq!(of(0).to_rgb().unwrap().rgb, [7; 6]);
        assert_eq!(of(1).size(), None);
        assert_eq!(of(2).to_rgb(), None);
        assert_eq!(Picture::Empty.size(), None);
    }

    #[test]
    fn keys_know_the_same_picture_again() {
        let (a, b) = (clip(), clip());
        let key = |clip: &Arc<Clip>, frame_index| {
            let clip = Arc::clone(clip);
            Picture::Clip { clip, frame_index }.key()
        };
        assert_eq!(key(&a, 0), key(&a, 0));
        assert_ne!(key(&a, 0), key(&a, 1));
        assert_ne!(key(&a, 0), key(&b, 0));
    }
}
