//! What FFmpeg encodes: frames and one row of the codec table in, one complete file out.

use std::io;
use std::path::Path;
use std::sync::Once;

use ffmpeg_next as ffmpeg;
use ffmpeg_next::codec::{self, threading};
use ffmpeg_next::format::{self, Pixel};
use ffmpeg_next::util::error::EAGAIN;
use ffmpeg_next::util::{frame, log};
use ffmpeg_next::{Dictionary, Rational};

use super::codec::{CodecRow, EncoderRow};
use super::colour::{Converter, tag, tag_frame};
use super::encode::Watch;
use super::frames::Frames;
use super::rate::frame_rate;
use super::{EncodeOptions, MediaError};

/// Fewer frames are not worth a reordering, and x265 gives them wrong times where it tries.
const FRAMES_TO_REORDER: usize = 5;

/// The name FFmpeg opens a path by: with the protocol said, so that a colon in a name stays a colon.
pub(super) fn ffmpeg_url(path: &Path) -> Result<String, MediaError> {
    match path.to_str() {
        Some(text) if !text.contains('\0') => Ok(format!("file:{text}")),
        _ => Err(MediaError::NotUnicode(path.to_owned())),
    }
}

/// Keeps FFmpeg's own chatter off stderr, where the program promises one sentence.
pub(super) fn quiet() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| log::set_level(log::Level::Quiet));
}

/// Encodes all frames into `temp`.
pub(super) fn write(
    frames: &Frames<'_>,
    temp: &Path,
    codec: &CodecRow,
    options: &EncodeOptions,
    watch: &mut Watch<'_>,
) -> Result<(), MediaError> {
    let encoder = codec.encoder().ok_or_else(|| codec.no_encoder())?;
    write_by(encoder, frames, temp, codec, options, watch)
}

/// [`write`] by this encoder.
fn write_by(
    encoder: (&EncoderRow, ffmpeg::Codec),
    frames: &Frames<'_>,
    temp: &Path,
    codec: &CodecRow,
    options: &EncodeOptions,
    watch: &mut Watch<'_>,
) -> Result<(), MediaError> {
    quiet();
    let mut writer = Writer::open(encoder, frames, temp, codec, options)?;
    for index in 0..frames.len() {
        watch.check()?;
        writer.send(frames, index)?;
        writer.drain(watch)?;
    }
    writer.finish(watch)
}

struct Writer<'a> {
    row: &'a CodecRow,
    temp: &'a Path,
    output: format::context::Output,
    encoder: codec::encoder::Video,
    converter: Converter,
    /// Seconds of a frame, which is the encoder's clock tick.
    tick: Rational,
    written: usize,
    total: usize,
}

impl<'a> Writer<'a> {
    fn open(
        (encoder_row, codec): (&EncoderRow, ffmpeg::Codec),
        frames: &Frames<'_>,
        temp: &'a Path,
        row: &'a CodecRow,
        options: &EncodeOptions,
    ) -> Result<Self, MediaError> {
        let fail = |doing| move |e| failed(row, temp, doing, e);
        let (width, height) = written_size(frames, row);
        let mut output = format::output_as(&ffmpeg_url(temp)?, row.container)
            .map_err(fail("opening the file"))?;

        let rate = frame_rate(frames.fps);
        let tick = rate.invert();
        let mut setup = codec::context::Context::new_with_codec(codec)
            .encoder()
            .video()
            .map_err(fail("setting up"))?;
        setup.set_width(width);
        setup.set_height(height);
        setup.set_format(row.pixels);
        setup.set_time_base(tick);
        setup.set_frame_rate(Some(rate));
        setup.set_aspect_ratio(Rational(1, 1));
        setup.set_threading(threading::Config::count(0));
        if frames.len() < FRAMES_TO_REORDER {
            setup.set_max_b_frames(0);
        }
        tag(&mut setup, row.pixels);
        if let Some(tag) = row.tag {
            // SAFETY: a plain field of a context that is alive and not shared.
            unsafe { (*setup.as_mut_ptr()).codec_tag = u32::from_le_bytes(tag) };
        }
        if output
            .format()
            .flags()
            .contains(format::Flags::GLOBAL_HEADER)
        {
            setup.set_flags(codec::Flags::GLOBAL_HEADER);
        }
        let encoder = setup
            .open_as_with(codec, encoder_options(row, encoder_row, options))
            .map_err(fail("opening the encoder"))?;

        let mut stream = output.add_stream(codec).map_err(fail("adding a stream"))?;
        stream.set_parameters(&encoder);
        stream.set_time_base(tick);
        stream.set_avg_frame_rate(rate);
        stream.set_rate(rate);
        let mut metadata = Dictionary::new();
        if let Some(comment) = &options.comment {
            metadata.set("comment", &comment.replace('\0', ""));
        }
        output.set_metadata(metadata);
        let container_options = row.container_options.iter().collect();
        output
            .write_header_with(container_options)
            .map_err(fail("writing the header"))?;

        Ok(Self {
            row,
            temp,
            output,
            encoder,
            converter: Converter::to_codec(row.pixels, width, height)
                .map_err(fail("setting up colours"))?,
            tick,
            written: 0,
            total: frames.len(),
        })
    }

    fn fail(&self, doing: &'static str) -> impl Fn(ffmpeg::Error) -> MediaError + use<'a> {
        let (row, temp) = (self.row, self.temp);
        move |e| failed(row, temp, doing, e)
    }

    fn send(&mut self, frames: &Frames<'_>, index: usize) -> Result<(), MediaError> {
        let fail = self.fail("encoding a frame");
        let rgb = rgb_frame(frames, index, written_size(frames, self.row));
        let mut frame = self.converter.run(&rgb).map_err(&fail)?;
        tag_frame(&mut frame, self.row.pixels);
        frame.set_pts(Some(index as i64));
        self.encoder.send_frame(&frame).map_err(fail)
    }

    /// Writes what the encoder has ready.
    fn drain(&mut self, watch: &mut Watch<'_>) -> Result<(), MediaError> {
        loop {
            let mut packet = ffmpeg::Packet::empty();
            match self.encoder.receive_packet(&mut packet) {
                Ok(()) => {}
                Err(ffmpeg::Error::Eof | ffmpeg::Error::Other { errno: EAGAIN }) => return Ok(()),
                Err(e) => return Err(self.fail("encoding a frame")(e)),
            }
            watch.check()?;
            // Without a duration the last frame would last no time at all.
            packet.set_duration(1);
            let stream_tick = self.output.stream(0).map_or(self.tick, |s| s.time_base());
            packet.rescale_ts(self.tick, stream_tick);
            packet.set_stream(0);
            packet
                .write_interleaved(&mut self.output)
                .map_err(self.fail("writing a frame"))?;
            self.written += 1;
            watch.progress(self.written, self.total);
        }
    }

    fn finish(mut self, watch: &mut Watch<'_>) -> Result<(), MediaError> {
        self.encoder
            .send_eof()
            .map_err(self.fail("finishing the stream"))?;
        self.drain(watch)?;
        if self.written != self.total {
            return Err(self.fail("counting frames")(ffmpeg::Error::Bug));
        }
        self.output
            .write_trailer()
            .map_err(self.fail("finishing the file"))
    }
}

fn encoder_options(
    row: &CodecRow,
    encoder: &EncoderRow,
    options: &EncodeOptions,
) -> Dictionary<'static> {
    let mut dictionary: Dictionary<'_> = encoder.options.iter().collect();
    if let Some(quality) = row.quality {
        dictionary.set("crf", &quality.of(options.crf).to_string());
    }
    dictionary
}

fn written_size(frames: &Frames<'_>, row: &CodecRow) -> (u32, u32) {
    let side = |side_px| row.format.written_side(side_px) as u32;
    (side(frames.width), side(frames.height))
}

/// One frame as FFmpeg holds it: rows at its own stride, added pixels filled with the edge again.
fn rgb_frame(frames: &Frames<'_>, index: usize, (width, height): (u32, u32)) -> frame::Video {
    let mut frame = frame::Video::new(Pixel::RGB24, width, height);
    let stride = frame.stride(0);
    let row_bytes = frames.width * 3;
    let source = frames.rgb(index);
    for (y, target) in frame.data_mut(0).chunks_mut(stride).enumerate() {
        let start = y.min(frames.height - 1) * row_bytes;
        target[..row_bytes].copy_from_slice(&source[start..start + row_bytes]);
        if width as usize > frames.width {
            target.copy_within(row_bytes - 3..row_bytes, row_bytes);
        }
    }
    frame
}

/// A disk's failure is said like any other disk's; the rest is the encoder's.
fn failed(row: &CodecRow, temp: &Path, doing: &'static str, source: ffmpeg::Error) -> MediaError {
    match source {
        ffmpeg::Error::Other { errno } if errno > 0 && errno != ffmpeg::util::error::EINVAL => {
            MediaError::io(temp, io::Error::from_raw_os_error(errno))
        }
        source => MediaError::Encode {
            format: row.format.name(),
            doing,
            source,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::{Clip, Format, read_clip};

    /// Also those that stand back because another one is there.
    #[test]
    fn every_encoder_of_the_table_writes_what_can_be_read() {
        let folder = tempfile::tempdir().unwrap();
        let clip = Clip {
            width: 64,
            height: 64,
            fps: 16.0,
            frames: (0..9_u8).map(|i| vec![i * 20; 64 * 64 * 3]).collect(),
        };
        for format in Format::ALL {
            let Some(row) = format.codec() else { continue };
            for encoder in row.encoders {
                let codec = codec::encoder::find_by_name(encoder.name)
                    .unwrap_or_else(|| panic!("install an FFmpeg with {}", encoder.name));
                let path = folder
                    .path()
                    .join(format!("{}.{}", encoder.name, row.container));
                let options = EncodeOptions::default();
                let frames = Frames::new(&clip, format, &options).unwrap();
                let mut watch = Watch {
                    progress: &mut |_, _| {},
                    cancelled: &|| false,
                };
                write_by((encoder, codec), &frames, &path, row, &options, &mut watch)
                    .unwrap_or_else(|e| panic!("{}: {e}", encoder.name));
                let (back, _) = read_clip(&path).unwrap();
                assert_eq!(back.frames.len(), 9, "{}", encoder.name);
                assert!(back.frames[8][0].abs_diff(160) <= 3, "{}", encoder.name);
            }
        }
    }
}
