use std::borrow::Cow;

use super::{Clip, ClipShape, MediaError};

/// Frames that are asked for one by one, so that what is written need not lie in memory as a whole.
pub trait FrameSource: Send + Sync {
    /// Size, rate and length.
    fn shape(&self) -> ClipShape;

    /// A frame in packed RGB, counted from 0.
    fn frame(&self, index: usize) -> Cow<'_, [u8]>;

    /// Refuses what has no frames, or frames that are not whole.
    fn check(&self) -> Result<(), MediaError>;
}

impl FrameSource for Clip {
    fn shape(&self) -> ClipShape {
        self.shape()
    }

    fn frame(&self, index: usize) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.frames[index])
    }

    fn check(&self) -> Result<(), MediaError> {
        if self.frames.is_empty() {
            return Err(MediaError::BadClip(
                "it has no frames; render it again".to_owned(),
            ));
        }
        let (width, height) = (self.width, self.height);
        let bytes = width * height * 3;
        match self.frames.iter().position(|frame| frame.len() != bytes) {
            Some(frame) => Err(MediaError::BadClip(format!(
                "frame {frame} has {} bytes, but {width}x{height} in RGB needs {bytes}; render it again",
                self.frames[frame].len()
            ))),
            None => Ok(()),
        }
    }
}
