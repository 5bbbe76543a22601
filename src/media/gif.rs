//! Animated GIF: the `image` crate quantises and compresses, the comment is added behind.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use image::codecs::gif::{GifEncoder, Repeat};
use image::{Delay, Frame, ImageError, RgbaImage};

use super::encode::Watch;
use super::{Clip, EncodeOptions, Format, MediaError};

const NAME: &str = "GIF";
/// From 1, the best colours, to 30, the fastest.
const QUANTISER_SPEED: i32 = 8;
/// Viewers slow shorter delays down to a tenth of a second.
const MIN_DELAY_CS: u32 = 2;
const MAX_SIDE_PX: usize = u16::MAX as usize;
const TRAILER: u8 = 0x3b;
const COMMENT_EXTENSION: [u8; 2] = [0x21, 0xfe];

/// Writes all of `clip` into `temp`, looping forever.
pub(super) fn write(
    clip: &Clip,
    temp: &Path,
    options: &EncodeOptions,
    watch: &mut Watch<'_>,
) -> Result<(), MediaError> {
    if clip.width.max(clip.height) > MAX_SIDE_PX || clip.fps > 100.0 / f64::from(MIN_DELAY_CS) {
        return Err(MediaError::Unsuited {
            format: Format::Gif.name(),
            limit: "shows at most 50 frames a second and 65535 pixels a side".to_owned(),
        });
    }
    let io = |e| MediaError::io(temp, e);
    let file = OpenOptions::new().write(true).open(temp).map_err(io)?;
    let mut encoder = GifEncoder::new_with_speed(BufWriter::new(file), QUANTISER_SPEED);
    let failed = |frame, error| picture_error(temp, frame, error);
    encoder
        .set_repeat(Repeat::Infinite)
        .map_err(|e| failed(0, e))?;
    for (index, rgb) in clip.frames.iter().enumerate() {
        watch.check()?;
        let delay = Delay::from_numer_denom_ms(delay_cs(index, clip.fps) * 10, 1);
        let frame = Frame::from_parts(rgba(clip, rgb), 0, 0, delay);
        encoder.encode_frame(frame).map_err(|e| failed(index, e))?;
        watch.progress(index + 1, clip.frames.len());
    }
    drop(encoder);
    append_comment(temp, options.comment.as_deref().unwrap_or_default()).map_err(io)
}

/// Hundredths of a second that frame `index` stays. Each frame is rounded so that no error adds up:
/// at 12 frames a second the delays are 8, 9, 8, 8, 9, 8...
fn delay_cs(index: usize, fps: f64) -> u32 {
    let start_cs = |frame: usize| (frame as f64 * 100.0 / fps).round() as u32;
    start_cs(index + 1) - start_cs(index)
}

fn rgba(clip: &Clip, rgb: &[u8]) -> RgbaImage {
    let bytes = rgb
        .as_chunks::<3>()
        .0
        .iter()
        .flat_map(|&[r, g, b]| [r, g, b, u8::MAX])
        .collect();
    // The clip was checked to have whole frames, so the sizes agree.
    RgbaImage::from_raw(clip.width as u32, clip.height as u32, bytes).unwrap_or_default()
}

/// Puts a comment block before the trailer and checks that the file had reached it: the encoder
/// writes its last byte when dropped and cannot say there that the disk was full.
fn append_comment(path: &Path, comment: &str) -> std::io::Result<()> {
    let mut file = File::options().read(true).write(true).open(path)?;
    let end = file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    if last != [TRAILER] {
        return Err(std::io::ErrorKind::StorageFull.into());
    }
    if comment.is_empty() {
        return Ok(());
    }
    let mut block = COMMENT_EXTENSION.to_vec();
    for part in comment.as_bytes().chunks(u8::MAX as usize) {
        block.push(part.len() as u8);
        block.extend_from_slice(part);
    }
    block.extend([0, TRAILER]);
    file.seek(SeekFrom::Start(end))?;
    file.write_all(&block)
}

fn picture_error(temp: &Path, frame: usize, error: ImageError) -> MediaError {
    match error {
        ImageError::IoError(e) => MediaError::io(temp, e),
        other => MediaError::Picture {
            format: NAME,
            frame,
            message: other.to_string(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_add_up_to_the_clips_length() {
        for fps in [12.0, 16.0, 23.976, 30.0, 50.0] {
            let total: u32 = (0..240).map(|i| delay_cs(i, fps)).sum();
            assert_eq!(total, (240.0 * 100.0 / fps).round() as u32);
            assert!((0..240).all(|i| delay_cs(i, fps) >= MIN_DELAY_CS));
        }
    }
}
