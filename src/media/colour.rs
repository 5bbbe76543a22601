//! RGB to the planes of a codec and back, with the matrix stated instead of guessed.

use ffmpeg_next::ffi::{self, SWS_CS_ITU601, SWS_CS_ITU709};
use ffmpeg_next::format::Pixel;
use ffmpeg_next::software::scaling::{Context, Flags};
use ffmpeg_next::util::{color, frame};
use ffmpeg_next::{Error, codec};

/// swscale's fixed-point one.
const UNIT: i32 = 1 << 16;
/// Pictures with fewer rows that say nothing about their matrix are read as BT.601, as players do.
const HD_ROWS: u32 = 720;

/// A converter between two pixel formats of one size. Not `Send`: it lives on one thread.
pub(super) struct Converter(Context);

impl Converter {
    /// From packed RGB to `pixels`: RGB again as it is, else BT.709 with the TV range.
    pub fn to_codec(pixels: Pixel, width: u32, height: u32) -> Result<Self, Error> {
        let context = context(Pixel::RGB24, pixels, width, height)?;
        Self::with_matrix(context, SWS_CS_ITU709, true, false)
    }

    /// From a decoded frame to packed RGB, by the frame's own tags.
    pub fn from_frame(frame: &frame::Video) -> Result<Self, Error> {
        let rgb = is_rgb(frame.format());
        let matrix = match frame.color_space() {
            color::Space::BT709 => SWS_CS_ITU709,
            color::Space::Unspecified if frame.height() >= HD_ROWS => SWS_CS_ITU709,
            color::Space::BT2020NCL | color::Space::BT2020CL => ffi::SWS_CS_BT2020,
            color::Space::SMPTE240M => ffi::SWS_CS_SMPTE240M,
            color::Space::FCC => ffi::SWS_CS_FCC,
            _ => SWS_CS_ITU601,
        };
        let full = rgb || frame.color_range() == color::Range::JPEG || is_full(frame.format());
        let context = context(frame.format(), Pixel::RGB24, frame.width(), frame.height())?;
        Self::with_matrix(context, matrix, full, true)
    }

    fn with_matrix(
        mut context: Context,
        matrix: i32,
        source_is_full: bool,
        target_is_full: bool,
    ) -> Result<Self, Error> {
        // SAFETY: the table is a static array of FFmpeg's, the context is alive and not shared, and
        // the call copies what it is given. It returns -1 for pairs without a matrix (RGB to RGB),
        // where there is nothing to set.
        unsafe {
            let table = ffi::sws_getCoefficients(matrix);
            ffi::sws_setColorspaceDetails(
                context.as_mut_ptr(),
                table,
                source_is_full.into(),
                table,
                target_is_full.into(),
                0,
                UNIT,
                UNIT,
            );
        }
        Ok(Self(context))
    }

    /// Converts one frame into a fresh one: encoders on several threads keep what they are given.
    pub fn run(&mut self, input: &frame::Video) -> Result<frame::Video, Error> {
        let mut output = frame::Video::empty();
        self.0.run(input, &mut output)?;
        Ok(output)
    }
}

/// What `pixels` mean in our files: matrix and range.
fn meaning(pixels: Pixel) -> (color::Space, color::Range) {
    if is_rgb(pixels) {
        (color::Space::RGB, color::Range::JPEG)
    } else {
        (color::Space::BT709, color::Range::MPEG)
    }
}

/// Says on an encoder what its planes mean. Primaries and transfer are BT.709's in every format, so
/// that a player shows them alike.
pub(super) fn tag(encoder: &mut codec::encoder::video::Video, pixels: Pixel) {
    let (matrix, range) = meaning(pixels);
    encoder.set_colorspace(matrix);
    encoder.set_color_primaries(color::Primaries::BT709);
    encoder.set_color_transfer_characteristic(color::TransferCharacteristic::BT709);
    encoder.set_color_range(range);
}

/// The same on a frame, which some encoders believe more than the context.
pub(super) fn tag_frame(frame: &mut frame::Video, pixels: Pixel) {
    let (matrix, range) = meaning(pixels);
    frame.set_color_space(matrix);
    frame.set_color_primaries(color::Primaries::BT709);
    frame.set_color_transfer_characteristic(color::TransferCharacteristic::BT709);
    frame.set_color_range(range);
}

fn context(from: Pixel, to: Pixel, width: u32, height: u32) -> Result<Context, Error> {
    // Accurate rounding and full chroma keep flat colours within a level; bit-exact makes the bytes
    // the same on every processor.
    let flags = Flags::BICUBIC
        | Flags::ACCURATE_RND
        | Flags::FULL_CHR_H_INP
        | Flags::FULL_CHR_H_INT
        | Flags::BITEXACT;
    Context::get(from, width, height, to, width, height, flags)
}

fn is_rgb(pixels: Pixel) -> bool {
    pixels.descriptor().is_some_and(|d| {
        // SAFETY: descriptors are static tables of FFmpeg's.
        unsafe { (*d.as_ptr()).flags & u64::from(ffi::AV_PIX_FMT_FLAG_RGB as u32) != 0 }
    })
}

/// The deprecated formats that carry the full range in their name.
fn is_full(pixels: Pixel) -> bool {
    matches!(
        pixels,
        Pixel::YUVJ420P | Pixel::YUVJ422P | Pixel::YUVJ444P | Pixel::YUVJ440P
    )
}
