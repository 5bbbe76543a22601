//! Animated GIF: the `image` crate quantises and compresses, the comment is added behind.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use image::codecs::gif::{GifEncoder, Repeat};
use image::{Delay, Frame, RgbaImage};

use super::encode::Watch;
use super::frames::Frames;
use super::picture::picture_error;
use super::{EncodeOptions, Format, MediaError};

/// Pixels of a frame that its palette is learnt from; about as many seconds go into large frames as
/// into small ones.
const PALETTE_PIXELS: usize = 60_000;
/// The quantiser learns from every n-th pixel, up to this n.
const SLOWEST_TO_FASTEST: std::ops::RangeInclusive<i32> = 1..=30;
/// Viewers slow delays under two hundredths of a second down to a tenth.
pub(super) const MAX_FPS: f64 = 50.0;
const TRAILER: u8 = 0x3b;
const COMMENT_EXTENSION: [u8; 2] = [0x21, 0xfe];

/// Writes all frames into `temp`.
pub(super) fn write(
    frames: &Frames<'_>,
    temp: &Path,
    options: &EncodeOptions,
    watch: &mut Watch<'_>,
) -> Result<(), MediaError> {
    let io = |e| MediaError::io(temp, e);
    let file = OpenOptions::new().write(true).open(temp).map_err(io)?;
    let speed = quantiser_speed(frames.width * frames.height);
    let mut encoder = GifEncoder::new_with_speed(BufWriter::new(file), speed);
    let failed = |frame, error| picture_error(Format::Gif, temp, frame, error);
    if let Some(repeat) = repeat(options.plays) {
        encoder.set_repeat(repeat).map_err(|e| failed(0, e))?;
    }
    for index in 0..frames.len() {
        watch.check()?;
        let delay = Delay::from_numer_denom_ms(delay_cs(index, frames.fps) * 10, 1);
        let frame = Frame::from_parts(rgba(frames, index), 0, 0, delay);
        encoder.encode_frame(frame).map_err(|e| failed(index, e))?;
        watch.progress(index + 1, frames.len());
    }
    drop(encoder);
    append_comment(temp, options.comment.as_deref().unwrap_or_default()).map_err(io)
}

/// Viewers play a GIF once, and once more for each repeat that it asks for.
fn repeat(plays: u16) -> Option<Repeat> {
    match plays {
        0 => Some(Repeat::Infinite),
        1 => None,
        more => Some(Repeat::Finite(more - 1)),
    }
}

/// From 1, the best colours, to 30, the fastest.
fn quantiser_speed(pixels: usize) -> i32 {
    let speed = i32::try_from(pixels / PALETTE_PIXELS).unwrap_or(i32::MAX);
    speed.clamp(*SLOWEST_TO_FASTEST.start(), *SLOWEST_TO_FASTEST.end())
}

/// Hundredths of a second that frame `index` stays. Each frame is rounded so that no error adds up:
/// at 12 frames a second the delays are 8, 9, 8, 8, 9, 8...
fn delay_cs(index: usize, fps: f64) -> u32 {
    let start_cs = |frame: usize| (frame as f64 * 100.0 / fps).round() as u32;
    start_cs(index + 1) - start_cs(index)
}

fn rgba(frames: &Frames<'_>, index: usize) -> RgbaImage {
    let bytes = frames
        .rgb(index)
        .as_chunks::<3>()
        .0
        .iter()
        .flat_map(|&[r, g, b]| [r, g, b, u8::MAX])
        .collect();
    // Frames were checked to be whole, so the sizes agree.
    RgbaImage::from_raw(frames.width as u32, frames.height as u32, bytes).unwrap_or_default()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_add_up_to_the_clips_length() {
        for fps in [12.0, 16.0, 23.976, 30.0, 50.0] {
            let total: u32 = (0..240).map(|i| delay_cs(i, fps)).sum();
            assert_eq!(total, (240.0 * 100.0 / fps).round() as u32);
            assert!((0..240).all(|i| delay_cs(i, fps) >= 2));
        }
    }
}
