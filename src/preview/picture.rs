use std::sync::{Arc, Weak};

use super::heat::difference;
use super::heat_maps::DivergenceMaps;
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
    /// How far one frame of two clips is apart, as colours; see [`heat`](super::heat()).
    Difference {
        /// A clip.
        one: Arc<Clip>,
        /// A clip of the same size.
        other: Arc<Clip>,
        /// Which frame of both, from 0.
        frame_index: usize,
        /// What the difference is multiplied by.
        gain: f32,
    },
    /// Where two models differ, as colours over another picture.
    Heat {
        /// What shows under the colours.
        under: Box<Picture>,
        /// Where they differ.
        maps: Arc<DivergenceMaps>,
        /// At which step, from 0.
        step: usize,
        /// Which latent frame of the map, from 0.
        frame_index: usize,
    },
}

/// A frame, if there is one and it has the bytes that the clip's size states.
fn sound_frame(clip: &Clip, index: usize) -> Option<&[u8]> {
    let bytes = clip.width * clip.height * 3;
    let frame = clip.frames.get(index)?;
    (bytes > 0 && frame.len() == bytes).then_some(frame)
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
                sound_frame(clip, *frame_index).map(|_| [clip.width, clip.height])
            }
            Self::Difference {
                one,
                other,
                frame_index,
                ..
            } => {
                let size = [one.width, one.height];
                sound_frame(one, *frame_index).zip(sound_frame(other, *frame_index))?;
                (size == [other.width, other.height]).then_some(size)
            }
            Self::Heat {
                under,
                maps,
                step,
                frame_index,
            } => maps.frame(*step, *frame_index).and(under.size()),
        }
    }

    /// Frames there are to choose from.
    pub fn frame_count(&self) -> usize {
        match self {
            Self::Empty => 0,
            Self::Latent { frames, .. } => frames.frames,
            Self::Clip { clip, .. } => clip.frames.len(),
            Self::Difference { one, other, .. } => one.frames.len().min(other.frames.len()),
            Self::Heat { under, .. } => under.frame_count(),
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
            Self::Difference {
                one,
                other,
                frame_index,
                gain,
            } => Some(RgbPicture {
                width,
                height,
                rgb: difference(
                    &one.frames[*frame_index],
                    &other.frames[*frame_index],
                    *gain,
                ),
            }),
            Self::Heat {
                under,
                maps,
                step,
                frame_index,
            } => maps.over(under.to_rgb()?, *step, *frame_index),
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
            Self::Difference {
                one,
                other,
                frame_index,
                gain,
            } => Some(ContentKey::Difference {
                one: Arc::downgrade(one),
                other: Arc::downgrade(other),
                frame: *frame_index,
                gain_bits: gain.to_bits(),
            }),
            Self::Heat {
                under,
                maps,
                step,
                frame_index,
            } => Some(ContentKey::Heat {
                under: Box::new(under.key()?),
                maps: Arc::downgrade(maps),
                step: *step,
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
    Difference {
        one: Weak<Clip>,
        other: Weak<Clip>,
        frame: usize,
        gain_bits: u32,
    },
    Heat {
        under: Box<ContentKey>,
        maps: Weak<DivergenceMaps>,
        step: usize,
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
            (
                Self::Difference {
                    one,
                    other,
                    frame,
                    gain_bits,
                },
                Self::Difference {
                    one: one2,
                    other: other2,
                    frame: frame2,
                    gain_bits: gain_bits2,
                },
            ) => {
                (frame, gain_bits) == (frame2, gain_bits2)
                    && Weak::ptr_eq(one, one2)
                    && Weak::ptr_eq(other, other2)
            }
            (
                Self::Heat {
                    under,
                    maps,
                    step,
                    frame,
                },
                Self::Heat {
                    under: under2,
                    maps: maps2,
                    step: step2,
                    frame: frame2,
                },
            ) => (step, frame) == (step2, frame2) && Weak::ptr_eq(maps, maps2) && under == under2,
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
        let apart = |one: &Arc<Clip>, other: &Arc<Clip>, gain| {
            let (one, other) = (Arc::clone(one), Arc::clone(other));
            Picture::Difference {
                one,
                other,
                frame_index: 0,
                gain,
            }
        };
        assert_eq!(apart(&a, &b, 4.0).key(), apart(&a, &b, 4.0).key());
        assert_ne!(apart(&a, &b, 4.0).key(), apart(&a, &b, 5.0).key());
        assert_ne!(apart(&a, &b, 4.0).key(), apart(&b, &a, 4.0).key());
        assert_eq!(apart(&a, &b, 4.0).size(), Some([2, 1]));
    }

    #[test]
    fn clips_of_two_sizes_have_no_difference() {
        let taller = Arc::new(Clip {
            width: 1,
            height: 2,
            ..Clip::clone(&clip())
        });
        let picture = Picture::Difference {
            one: clip(),
            other: taller,
            frame_index: 0,
            gain: 1.0,
        };
        assert_eq!(picture.size(), None);
        assert_eq!(picture.to_rgb(), None);
    }
}
