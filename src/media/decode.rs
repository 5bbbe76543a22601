use std::path::Path;

use ffmpeg_next as ffmpeg;
use ffmpeg_next::codec::{self, threading};
use ffmpeg_next::format::context::Input;
use ffmpeg_next::util::error::EAGAIN;
use ffmpeg_next::util::frame;
use ffmpeg_next::{Dictionary, Rational, Stream};

use super::colour::Converter;
use super::video::{ffmpeg_url, quiet};
use super::{Clip, MediaError, picture, sequence};

/// Decoded frames held at most: more than this is no clip but a film.
const MAX_CLIP_BYTES: usize = 6 << 30;

/// Reads a whole video, a PNG, or a folder of PNGs that [`encode`](super::encode) wrote, back to RGB,
/// together with its `comment` metadata. Colours go by the file's own tags. The clip plays at the
/// file's average rate; a variable one is evened out.
///
/// # Errors
/// A sentence when the file is missing, is no video, is damaged, changes its size on the way or is
/// too long to hold in memory.
pub fn read_clip(path: &Path) -> Result<(Clip, Option<String>), MediaError> {
    if path.is_dir() {
        return sequence::read(path);
    }
    if picture::is_picture(path) {
        return picture::read(path);
    }
    let mut input = open(path)?;
    let comment = comment_of(&input);
    let fail = |e: ffmpeg::Error| MediaError::decode(path, e);
    let stream = input
        .streams()
        .best(ffmpeg::media::Type::Video)
        .ok_or_else(|| MediaError::decode(path, "it has no picture stream"))?;
    let index = stream.index();
    let fps = [stream.avg_frame_rate(), stream.rate()]
        .into_iter()
        .find(|r| r.numerator() > 0 && r.denominator() > 0)
        .map(as_fps);
    let gif_secs = gif_secs(&stream);
    let mut context =
        codec::context::Context::from_parameters(stream.parameters()).map_err(fail)?;
    context.set_threading(threading::Config {
        kind: threading::Type::Frame,
        ..threading::Config::count(0)
    });
    let mut decoder = context.decoder().video().map_err(fail)?;

    let mut reader = Reader {
        path,
        converter: None,
        clip: Clip {
            width: 0,
            height: 0,
            fps: fps.ok_or_else(|| MediaError::decode(path, "it states no frame rate"))?,
            frames: Vec::new(),
        },
    };
    loop {
        let mut packet = ffmpeg::Packet::empty();
        match packet.read(&mut input) {
            Ok(()) if packet.stream() == index => {
                decoder.send_packet(&packet).map_err(fail)?;
                reader.take_frames(&mut decoder)?;
            }
            Ok(()) => {}
            Err(ffmpeg::Error::Eof) => break,
            Err(e) => return Err(fail(e)),
        }
    }
    decoder.send_eof().map_err(fail)?;
    reader.take_frames(&mut decoder)?;
    if reader.clip.frames.is_empty() {
        return Err(MediaError::decode(path, "it holds no frames"));
    }
    let mut clip = reader.clip;
    if let Some(secs) = gif_secs {
        clip.fps = clip.frames.len() as f64 / secs;
    }
    Ok((clip, comment))
}

/// Reads only the `comment` metadata, where a recipe lives; decodes nothing.
pub fn read_comment(path: &Path) -> Result<Option<String>, MediaError> {
    if path.is_dir() {
        return Ok(sequence::read_comment(path));
    }
    if picture::is_picture(path) {
        return picture::read_comment(path);
    }
    Ok(comment_of(&open(path)?))
}

struct Reader<'a> {
    path: &'a Path,
    converter: Option<Converter>,
    clip: Clip,
}

impl Reader<'_> {
    fn take_frames(&mut self, decoder: &mut codec::decoder::Video) -> Result<(), MediaError> {
        loop {
            let mut frame = frame::Video::empty();
            match decoder.receive_frame(&mut frame) {
                Ok(()) => self.push(&frame)?,
                Err(ffmpeg::Error::Eof | ffmpeg::Error::Other { errno: EAGAIN }) => return Ok(()),
                Err(e) => return Err(MediaError::decode(self.path, e)),
            }
        }
    }

    fn push(&mut self, frame: &frame::Video) -> Result<(), MediaError> {
        let fail = |e: ffmpeg::Error| MediaError::decode(self.path, e);
        let (width, height) = (frame.width() as usize, frame.height() as usize);
        let clip = &mut self.clip;
        if clip.frames.is_empty() {
            (clip.width, clip.height) = (width, height);
        } else if (width, height) != (clip.width, clip.height) {
            return Err(MediaError::decode(
                self.path,
                "it changes its size on the way",
            ));
        }
        let bytes = width * height * 3;
        if bytes.saturating_mul(clip.frames.len() + 1) > MAX_CLIP_BYTES {
            return Err(MediaError::TooLong {
                path: self.path.to_owned(),
                limit_bytes: MAX_CLIP_BYTES,
            });
        }
        let converter = match &mut self.converter {
            Some(converter) => converter,
            none => none.insert(Converter::from_frame(frame).map_err(fail)?),
        };
        let rgb = converter.run(frame).map_err(fail)?;
        let mut packed = Vec::with_capacity(bytes);
        for row in rgb.data(0).chunks(rgb.stride(0)).take(height) {
            packed.extend_from_slice(&row[..width * 3]);
        }
        clip.frames.push(packed);
        Ok(())
    }
}

fn open(path: &Path) -> Result<Input, MediaError> {
    quiet();
    if !path.exists() {
        return Err(MediaError::Missing(path.to_owned()));
    }
    // A playlist in disguise must not make us fetch addresses.
    let options: Dictionary<'_> = [("protocol_whitelist", "file")].iter().collect();
    ffmpeg::format::input_with_dictionary(&ffmpeg_url(path)?, options)
        .map_err(|e| MediaError::decode(path, e))
}

fn comment_of(input: &Input) -> Option<String> {
    // Files are not obliged to hold valid UTF-8, though the binding calls it a `str`.
    let metadata = input.metadata();
    let text = String::from_utf8_lossy(metadata.get("comment")?.as_bytes()).into_owned();
    (!text.is_empty()).then_some(text)
}

/// Length of a GIF. Its frames have durations of their own and FFmpeg guesses a rate from the first
/// few, which is wrong where they are rounded to hundredths of a second.
fn gif_secs(stream: &Stream<'_>) -> Option<f64> {
    let ticks = stream.duration();
    let is_gif = stream.parameters().id() == codec::Id::GIF;
    (is_gif && ticks > 0).then(|| ticks as f64 * f64::from(stream.time_base()))
}

fn as_fps(rate: Rational) -> f64 {
    f64::from(rate.numerator()) / f64::from(rate.denominator())
}
