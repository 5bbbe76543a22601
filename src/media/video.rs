//! What FFmpeg encodes: one row of the format table and a clip in, one complete file out.

use std::io;
use std::path::Path;
use std::sync::Once;

use ffmpeg_next as ffmpeg;
use ffmpeg_next::codec::{self, threading};
use ffmpeg_next::format::{self, Pixel};
use ffmpeg_next::util::error::EAGAIN;
use ffmpeg_next::util::{frame, log};
use ffmpeg_next::{Dictionary, Rational};

use super::colour::{Converter, tag_bt709, tag_frame_bt709};
use super::encode::Watch;
use super::format::CodecRow;
use super::rate::frame_rate;
use super::{Clip, EncodeOptions, MediaError};

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

/// Encodes all of `clip` into `temp`.
pub(super) fn write(
    clip: &Clip,
    temp: &Path,
    row: &CodecRow,
    options: &EncodeOptions,
    watch: &mut Watch<'_>,
) -> Result<(), MediaError> {
    quiet();
    let mut writer = Writer::open(clip, temp, row, options)?;
    for index in 0..clip.frames.len() {
        watch.check()?;
        writer.send(clip, index)?;
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
        clip: &Clip,
        temp: &'a Path,
        row: &'a CodecRow,
        options: &EncodeOptions,
    ) -> Result<Self, MediaError> {
        let fail = |doing| move |e| failed(row, temp, doing, e);
        let codec = codec::encoder::find_by_name(row.encoder).ok_or(MediaError::NoEncoder {
            encoder: row.encoder,
            format: row.format.name(),
        })?;
        let mut output = format::output_as(&ffmpeg_url(temp)?, row.container)
            .map_err(fail("opening the file"))?;

        let (width, height) = even_size(clip);
        let rate = frame_rate(clip.fps);
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
        tag_bt709(&mut setup);
        if output
            .format()
            .flags()
            .contains(format::Flags::GLOBAL_HEADER)
        {
            setup.set_flags(codec::Flags::GLOBAL_HEADER);
        }
        let encoder = setup
            .open_as_with(codec, encoder_options(row, options))
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
            total: clip.frames.len(),
        })
    }

    fn fail(&self, doing: &'static str) -> impl Fn(ffmpeg::Error) -> MediaError + use<'a> {
        let (row, temp) = (self.row, self.temp);
        move |e| failed(row, temp, doing, e)
    }

    fn send(&mut self, clip: &Clip, index: usize) -> Result<(), MediaError> {
        let fail = self.fail("encoding a frame");
        let mut frame = self.converter.run(&rgb_frame(clip, index)).map_err(&fail)?;
        tag_frame_bt709(&mut frame);
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

fn encoder_options(row: &CodecRow, options: &EncodeOptions) -> Dictionary<'static> {
    let mut dictionary: Dictionary<'_> = row.encoder_options.iter().collect();
    if let Some((default, worst)) = row.crf {
        let crf = options.crf.unwrap_or(default).min(worst);
        dictionary.set("crf", &crf.to_string());
    }
    dictionary
}

/// The clip's size with odd sides rounded up.
fn even_size(clip: &Clip) -> (u32, u32) {
    let even = |side: usize| side.next_multiple_of(2) as u32;
    (even(clip.width), even(clip.height))
}

/// One frame as FFmpeg holds it: rows at its own stride, odd sides filled with the edge again.
fn rgb_frame(clip: &Clip, index: usize) -> frame::Video {
    let (width, height) = even_size(clip);
    let mut frame = frame::Video::new(Pixel::RGB24, width, height);
    let stride = frame.stride(0);
    let row_bytes = clip.width * 3;
    let source = &clip.frames[index];
    for (y, target) in frame.data_mut(0).chunks_mut(stride).enumerate() {
        let start = y.min(clip.height - 1) * row_bytes;
        target[..row_bytes].copy_from_slice(&source[start..start + row_bytes]);
        if width as usize > clip.width {
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
