use std::path::Path;

use super::{Clip, Format, MediaError, gif, sequence, video};
use crate::project::{AtomicFile, write_atomic};

/// The largest side written, in pixels; beyond it no common player follows.
const MAX_SIDE_PX: usize = 16_384;

/// How a clip is written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EncodeOptions {
    /// The format; `None` goes by the file's ending.
    pub format: Option<Format>,
    /// Quality on the encoder's own scale, 0 the best; `None` is
    /// [`Format::crf_default_and_worst`]'s. Ignored where the format has no such choice.
    pub crf: Option<u8>,
    /// Kept in the file's `comment` metadata: the recipe, as JSON.
    pub comment: Option<String>,
}

/// What an encode reports to and asks while it runs.
pub(super) struct Watch<'a> {
    progress: &'a mut dyn FnMut(usize, usize),
    cancelled: &'a dyn Fn() -> bool,
}

impl Watch<'_> {
    pub fn progress(&mut self, done: usize, total: usize) {
        (self.progress)(done, total);
    }

    pub fn check(&self) -> Result<(), MediaError> {
        if (self.cancelled)() {
            Err(MediaError::Cancelled)
        } else {
            Ok(())
        }
    }
}

/// Refuses early what [`encode`] would refuse late: an ending no format has, a missing or read-only
/// folder, an existing file. A temporary file is made and vanishes.
pub fn check_target(path: &Path, overwrite: bool) -> Result<(), MediaError> {
    match Format::from_path(path)? {
        Format::PngFolder => sequence::check_target(path, overwrite).map(drop),
        _ => Ok(AtomicFile::create(path, overwrite).map(drop)?),
    }
}

/// Writes `clip` to `path` and returns once the complete file is on the disk under its name. Every
/// frame is kept with its duration, the last one's included.
///
/// Odd sizes: the three video formats need even sides, so an odd one gains a pixel that repeats the
/// last row or column. GIF and PNG keep the exact size.
///
/// `progress` is told frames done and total; `cancelled` is asked at every frame. An error or a
/// cancel leaves nothing behind. An existing file is refused unless `overwrite`.
pub fn encode(
    clip: &Clip,
    path: &Path,
    options: &EncodeOptions,
    overwrite: bool,
    progress: &mut dyn FnMut(usize, usize),
    cancelled: &dyn Fn() -> bool,
) -> Result<(), MediaError> {
    let mut watch = Watch {
        progress,
        cancelled,
    };
    check_clip(clip)?;
    let format = options.format.map_or_else(|| Format::from_path(path), Ok)?;
    if format == Format::PngFolder {
        return sequence::write(clip, path, options, overwrite, &mut watch);
    }
    write_atomic(path, overwrite, |temp| match format.codec() {
        Some(row) => video::write(clip, temp, row, options, &mut watch),
        None => gif::write(clip, temp, options, &mut watch),
    })
    // A full disk is met at the temporary name, but is about the name the user gave.
    .map_err(|e| e.about(path))
}

fn check_clip(clip: &Clip) -> Result<(), MediaError> {
    let bad = |why: String| Err(MediaError::BadClip(why));
    let (width, height) = (clip.width, clip.height);
    if clip.frames.is_empty() {
        return bad("it has no frames; render it again".to_owned());
    }
    if width == 0 || height == 0 || width > MAX_SIDE_PX || height > MAX_SIDE_PX {
        return bad(format!(
            "{width}x{height} is no size a player shows; use sides from 1 to {MAX_SIDE_PX} pixels"
        ));
    }
    if !(clip.fps.is_finite() && (0.01..=1000.0).contains(&clip.fps)) {
        return bad(format!(
            "{} frames a second cannot be played; use 0.01 to 1000",
            clip.fps
        ));
    }
    let bytes = width * height * 3;
    match clip.frames.iter().position(|f| f.len() != bytes) {
        Some(frame) => bad(format!(
            "frame {frame} has {} bytes, but {width}x{height} in RGB needs {bytes}; render it again",
            clip.frames[frame].len()
        )),
        None => Ok(()),
    }
}
