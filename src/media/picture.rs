//! PNG: one frame as a file that carries its comment, and the writer of single pictures for all.

use std::fs::{self, File};
use std::io::{Cursor, Write};
use std::path::Path;

use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder as _, ImageError};

use super::encode::Watch;
use super::frames::Frames;
use super::{Clip, EncodeOptions, Format, MediaError};

const SIGNATURE_BYTES: usize = 8;
/// Length, type and checksum of a chunk.
const CHUNK_FRAME_BYTES: usize = 12;
/// International text: UTF-8, where tEXt is Latin-1.
const TEXT: &[u8; 4] = b"iTXt";
/// Keyword, no compression, no language, no translated keyword.
const COMMENT: &[u8] = b"Comment\0\0\0\0\0";
/// A picture does not move; this is what a clip of one counts as.
const STILL_FPS: f64 = 1.0;

/// Writes the one frame into `temp`.
pub(super) fn write(
    frames: &Frames<'_>,
    temp: &Path,
    options: &EncodeOptions,
    watch: &mut Watch<'_>,
) -> Result<(), MediaError> {
    watch.check()?;
    let mut png = Cursor::new(Vec::new());
    encode_png(frames, 0, &mut png).map_err(|e| picture_error(Format::Png, temp, 0, e))?;
    let mut png = png.into_inner();
    if let Some(comment) = &options.comment {
        let end = png.len() - CHUNK_FRAME_BYTES;
        png.splice(end..end, text_chunk(comment));
    }
    let io = |e| MediaError::io(temp, e);
    let mut file = File::options().write(true).open(temp).map_err(io)?;
    file.write_all(&png).map_err(io)?;
    watch.check()?;
    watch.progress(1, 1);
    Ok(())
}

/// Encodes one frame as PNG.
pub(super) fn encode_png(
    frames: &Frames<'_>,
    index: usize,
    target: impl Write,
) -> Result<(), ImageError> {
    PngEncoder::new_with_quality(target, CompressionType::Default, FilterType::Adaptive)
        .write_image(
            &frames.rgb(index),
            frames.width as u32,
            frames.height as u32,
            ExtendedColorType::Rgb8,
        )
}

/// What went wrong with a picture, said of its file where the disk is to blame.
pub(super) fn picture_error(
    format: Format,
    path: &Path,
    frame: usize,
    error: ImageError,
) -> MediaError {
    match error {
        ImageError::IoError(e) => MediaError::io(path, e),
        other => MediaError::Picture {
            format: format.name(),
            frame,
            message: other.to_string(),
        },
    }
}

/// Reads one picture as a clip of one frame.
pub(super) fn read(path: &Path) -> Result<(Clip, Option<String>), MediaError> {
    let fail = |e: ImageError| MediaError::decode(path, e);
    let bytes = read_bytes(path)?;
    let picture = image::load_from_memory(&bytes).map_err(fail)?.into_rgb8();
    let clip = Clip {
        width: picture.width() as usize,
        height: picture.height() as usize,
        fps: STILL_FPS,
        frames: vec![picture.into_raw()],
    };
    Ok((clip, comment_of(&bytes)))
}

/// The comment of a picture, where it has one.
pub(super) fn read_comment(path: &Path) -> Result<Option<String>, MediaError> {
    Ok(comment_of(&read_bytes(path)?))
}

/// Whether [`read`] is for this file.
pub(super) fn is_picture(path: &Path) -> bool {
    path.extension()
        .is_some_and(|ending| ending.eq_ignore_ascii_case("png"))
}

fn read_bytes(path: &Path) -> Result<Vec<u8>, MediaError> {
    match fs::read(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            Err(MediaError::Missing(path.to_owned()))
        }
        other => other.map_err(|e| MediaError::decode(path, e)),
    }
}

fn text_chunk(comment: &str) -> Vec<u8> {
    let body = [TEXT, COMMENT, comment.as_bytes()].concat();
    let length = (body.len() - TEXT.len()) as u32;
    [&length.to_be_bytes()[..], &body, &crc(&body).to_be_bytes()].concat()
}

fn comment_of(png: &[u8]) -> Option<String> {
    let mut rest = png.get(SIGNATURE_BYTES..)?;
    loop {
        let (length, after) = rest.split_first_chunk::<4>()?;
        let (kind, after) = after.split_first_chunk::<4>()?;
        let length = u32::from_be_bytes(*length) as usize;
        let data = after.get(..length)?;
        if kind == TEXT
            && let Some(text) = data.strip_prefix(COMMENT)
        {
            return Some(String::from_utf8_lossy(text).into_owned());
        }
        rest = after.get(length + 4..)?;
    }
}

/// The checksum of PNG's chunks: CRC-32 of ISO 3309.
fn crc(bytes: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0xedb8_8320 * (crc & 1))
        })
    };
    !bytes.iter().fold(u32::MAX, step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_the_one_of_the_standard() {
        assert_eq!(crc(b"123456789"), 0xcbf4_3926);
        assert_eq!(crc(b"IEND"), 0xae42_6082);
    }

    #[test]
    fn damaged_pictures_have_no_comment_and_do_no_harm() {
        let mut png = vec![0; SIGNATURE_BYTES];
        png.extend(text_chunk("{\"a\":\"ü\"}"));
        assert_eq!(comment_of(&png).as_deref(), Some("{\"a\":\"ü\"}"));
        for end in 0..png.len() - 4 {
            assert_eq!(comment_of(&png[..end]), None, "cut at {end}");
        }
        png[SIGNATURE_BYTES..SIGNATURE_BYTES + 4].fill(0xff);
        assert_eq!(comment_of(&png), None);
    }
}
