use std::path::Path;

use super::frames::Frames;
use super::{ClipShape, Format, FrameSource, MediaError, gif, picture, sequence, video};
use crate::project::{AtomicFile, folder_of, free_bytes, write_atomic};

/// The largest side written, in pixels; beyond it no common player follows.
const MAX_SIDE_PX: usize = 16_384;
/// What a container needs beside its frames, at most.
const CONTAINER_BYTES: u64 = 64 << 10;

/// How a clip is written.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EncodeOptions {
    /// The format; `None` goes by the file's ending.
    pub format: Option<Format>,
    /// Quality on the encoder's own scale; `None` is the default of [`Format::quality`]. Ignored
    /// where the format has no such choice.
    pub crf: Option<u8>,
    /// Frames a second that the file plays at; `None` is the clip's own rate. No frame is dropped
    /// or doubled.
    pub fps: Option<f64>,
    /// Size as a multiple of the clip's; `None` is the clip's own.
    pub scale: Option<f64>,
    /// How pixels are made where the size changes.
    pub filter: ScaleFilter,
    /// How often a GIF plays; 0 is for ever.
    pub plays: u16,
    /// The frame that a single picture shows, counted from 0.
    pub frame: usize,
    /// Kept in the file's `comment` metadata: the recipe, as JSON.
    pub comment: Option<String>,
}

/// How the pixels of another size are made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ScaleFilter {
    /// Blended from their neighbours (Lanczos).
    #[default]
    Smooth,
    /// The nearest one: enlarged pixels stay sharp squares.
    Nearest,
}

impl EncodeOptions {
    /// A side of the clip at [`scale`](Self::scale).
    fn scaled_side(&self, side_px: usize) -> usize {
        match self.scale {
            // A size beyond all limits stays one, for the check that refuses it.
            Some(scale) => (side_px as f64 * scale).round() as usize,
            None => side_px,
        }
    }

    /// What a clip of this shape becomes as `format`, before odd sides are made even. Needs no clip,
    /// so that nobody renders one that cannot be written.
    ///
    /// # Errors
    /// A sentence where the format cannot hold it.
    pub fn check(&self, format: Format, shape: ClipShape) -> Result<ClipShape, MediaError> {
        let refused = |why: String| Err(MediaError::BadClip(why));
        let (width, height) = (
            self.scaled_side(shape.width),
            self.scaled_side(shape.height),
        );
        if width == 0 || height == 0 || width > MAX_SIDE_PX || height > MAX_SIDE_PX {
            return refused(format!(
                "{width}x{height} is no size a player shows; use sides from 1 to {MAX_SIDE_PX} pixels"
            ));
        }
        let fps = self.fps.unwrap_or(shape.fps);
        if !(fps.is_finite() && (0.01..=1000.0).contains(&fps)) {
            return refused(format!(
                "{fps} frames a second cannot be played; use 0.01 to 1000"
            ));
        }
        let mut frames = shape.frames;
        if format == Format::Png {
            if self.frame >= frames {
                return refused(format!(
                    "it has {frames} frames and so no frame {}; choose one of them",
                    self.frame + 1
                ));
            }
            frames = 1;
        }
        let unsuited = |limit: String| {
            Err(MediaError::Unsuited {
                format: format.name(),
                limit,
            })
        };
        if format == Format::Gif && fps > gif::MAX_FPS {
            return unsuited(format!("shows at most {} frames a second", gif::MAX_FPS));
        }
        let min_side_px = format.min_side_px();
        if width.min(height) < min_side_px {
            return unsuited(format!("needs at least {min_side_px} pixels a side"));
        }
        Ok(ClipShape {
            width,
            height,
            fps,
            frames,
        })
    }

    /// Width and height of the file of a clip of this size, as `format`.
    pub fn written_size(&self, format: Format, width: usize, height: usize) -> (usize, usize) {
        let side = |side_px| format.written_side(self.scaled_side(side_px));
        (side(width), side(height))
    }
}

/// What an encode reports to and asks while it runs.
pub(super) struct Watch<'a> {
    pub progress: &'a mut dyn FnMut(usize, usize),
    pub cancelled: &'a dyn Fn() -> bool,
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

/// Refuses early what [`encode`] would refuse late: a name whose ending is another format's or none's,
/// an encoder that is not there, a missing or read-only folder, an existing file. A temporary file is
/// made and vanishes.
pub fn check_target(
    path: &Path,
    format: Option<Format>,
    overwrite: bool,
) -> Result<(), MediaError> {
    let format = Format::of(path, format)?;
    format.check_encoder()?;
    match format {
        Format::PngFolder => sequence::check_target(path, overwrite).map(drop),
        _ => Ok(AtomicFile::create(path, overwrite).map(drop)?),
    }
}

/// Refuses before a clip is rendered what [`encode`] would refuse of a clip of this shape: a size or a
/// rate that the format does not hold, and a disk without room.
pub fn check_written(
    path: &Path,
    options: &EncodeOptions,
    shape: ClipShape,
) -> Result<(), MediaError> {
    let format = Format::of(path, options.format)?;
    let shape = options.check(format, shape)?;
    let folder = folder_of(path);
    let needed = bytes_at_most(shape, format, options);
    check_space(folder, free_bytes(folder), needed)
}

/// Writes a clip to `path` and returns once the complete file is on the disk under its name. Every
/// frame is kept with its duration, the last one's included.
///
/// Odd sizes: formats that store colours for pairs of pixels need even sides, so an odd one gains a
/// pixel that repeats the last row or column. FFV1, GIF and PNG keep the exact size.
///
/// `progress` is told frames done and total; `cancelled` is asked at every frame. An error or a
/// cancel leaves nothing behind. An existing file is refused unless `overwrite`, and so is a disk
/// without room for the most that the file may come to.
pub fn encode(
    source: &dyn FrameSource,
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
    let format = Format::of(path, options.format)?;
    let frames = Frames::new(source, format, options)?;
    format.check_encoder()?;
    check_written(path, options, source.shape())?;
    if format == Format::PngFolder {
        return sequence::write(&frames, path, options, overwrite, &mut watch);
    }
    write_atomic(path, overwrite, |temp| match format.codec() {
        Some(codec) => video::write(&frames, temp, codec, options, &mut watch),
        None if format == Format::Png => picture::write(&frames, temp, options, &mut watch),
        None => gif::write(&frames, temp, options, &mut watch),
    })
    // A full disk is met at the temporary name, but is about the name the user gave.
    .map_err(|e| e.about(path))
}

/// A rough bound of what the file comes to.
fn bytes_at_most(shape: ClipShape, format: Format, options: &EncodeOptions) -> u64 {
    let comment = options.comment.as_ref().map_or(0, String::len) as u64;
    let pixels = shape.width as f64 * shape.height as f64 * shape.frames as f64;
    (pixels * format.bytes_per_pixel(options.crf)) as u64 + comment + CONTAINER_BYTES
}

/// Where the system does not say how much is free, the encode itself will tell.
fn check_space(folder: &Path, free: Option<u64>, needed: u64) -> Result<(), MediaError> {
    match free {
        Some(free) if free < needed => Err(MediaError::NoSpace {
            folder: folder.to_owned(),
            free,
            needed,
        }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_without_room_is_refused_and_an_unknown_one_is_not() {
        let folder = Path::new("/clips");
        let said = check_space(folder, Some(2_000_000), 9_000_000)
            .unwrap_err()
            .to_string();
        assert!(
            said.contains("/clips has 2 MB free") && said.contains("up to 9 MB"),
            "{said}"
        );
        assert!(check_space(folder, Some(9_000_000), 9_000_000).is_ok());
        assert!(check_space(folder, None, u64::MAX).is_ok());
    }

    #[test]
    fn the_written_size_is_even_only_where_it_must_be() {
        let options = EncodeOptions {
            scale: Some(0.5),
            ..EncodeOptions::default()
        };
        assert_eq!(options.written_size(Format::H264, 130, 66), (66, 34));
        assert_eq!(options.written_size(Format::Ffv1, 130, 66), (65, 33));
        assert_eq!(options.written_size(Format::Gif, 130, 66), (65, 33));
    }
}
