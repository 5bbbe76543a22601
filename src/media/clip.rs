use super::frames::resized;
use super::{FrameSource as _, MediaError, ScaleFilter};

/// A decoded clip in memory: RGB, 8 bits a channel, rows packed without padding.
#[derive(Clone, Debug, PartialEq)]
pub struct Clip {
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// Frames a second.
    pub fps: f64,
    /// One buffer of `width * height * 3` bytes a frame.
    pub frames: Vec<Vec<u8>>,
}

/// Size, rate and length of a clip that may not be there yet.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClipShape {
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// Frames a second.
    pub fps: f64,
    /// Number of frames.
    pub frames: usize,
}

impl Clip {
    /// Its size, rate and length.
    pub fn shape(&self) -> ClipShape {
        ClipShape {
            width: self.width,
            height: self.height,
            fps: self.fps,
            frames: self.frames.len(),
        }
    }

    /// The same clip at another size in pixels, not 0; what is made smaller is smoothed first.
    ///
    /// # Errors
    /// A sentence where the clip has no frames, or frames that are not whole.
    pub fn resized(&self, width: usize, height: usize) -> Result<Self, MediaError> {
        self.check()?;
        let (own, size) = ((self.width, self.height), (width, height));
        let frames = self.frames.iter();
        let frames = frames.filter_map(|frame| resized(frame, own, size, ScaleFilter::Smooth));
        Ok(Self {
            width,
            height,
            fps: self.fps,
            frames: frames.collect(),
        })
    }

    /// Length at its own rate, in seconds.
    pub fn duration_secs(&self) -> f64 {
        self.frames.len() as f64 / self.fps
    }
}
