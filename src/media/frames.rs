use std::borrow::Cow;
use std::ops::Range;

use image::imageops::{self, FilterType};
use image::{ImageBuffer, Rgb};

use super::{EncodeOptions, Format, FrameSource, MediaError, ScaleFilter};

/// A clip as a file will hold it: the frames, the size and the rate that the options ask for. Every
/// format is written from this.
pub(super) struct Frames<'a> {
    source: &'a dyn FrameSource,
    /// Size before it is changed.
    own: (usize, usize),
    range: Range<usize>,
    filter: ScaleFilter,
    pub width: usize,
    pub height: usize,
    pub fps: f64,
}

impl<'a> Frames<'a> {
    /// Refuses clips and options that give no video.
    pub fn new(
        source: &'a dyn FrameSource,
        format: Format,
        options: &EncodeOptions,
    ) -> Result<Self, MediaError> {
        source.check()?;
        let own = source.shape();
        let shape = options.check(format, own)?;
        let first = match format {
            Format::Png => options.frame,
            _ => 0,
        };
        Ok(Self {
            source,
            own: (own.width, own.height),
            range: first..first + shape.frames,
            filter: options.filter,
            width: shape.width,
            height: shape.height,
            fps: shape.fps,
        })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.range.len()
    }

    /// A frame in packed RGB, counted from 0.
    pub fn rgb(&self, index: usize) -> Cow<'a, [u8]> {
        let frame = self.source.frame(self.range.start + index);
        if (self.width, self.height) == self.own {
            return frame;
        }
        // Frames were checked to be whole, so the sizes agree.
        let size = (self.width, self.height);
        resized(&frame, self.own, size, self.filter).map_or(frame, Cow::Owned)
    }
}

/// A frame in packed RGB at another size; `None` where its bytes are not those of the size `own`.
pub(super) fn resized(
    frame: &[u8],
    own: (usize, usize),
    size: (usize, usize),
    filter: ScaleFilter,
) -> Option<Vec<u8>> {
    let filter = match filter {
        ScaleFilter::Smooth => FilterType::Lanczos3,
        ScaleFilter::Nearest => FilterType::Nearest,
    };
    let picture = ImageBuffer::<Rgb<u8>, _>::from_raw(own.0 as u32, own.1 as u32, frame)?;
    Some(imageops::resize(&picture, size.0 as u32, size.1 as u32, filter).into_raw())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::Clip;

    fn clip() -> Clip {
        let picture = |seed: usize| (0..4 * 2 * 3).map(|i| (i * 9 + seed * 7) as u8).collect();
        Clip {
            width: 4,
            height: 2,
            fps: 12.0,
            frames: (0..3).map(picture).collect(),
        }
    }

    fn scaled(scale: f64, filter: ScaleFilter) -> EncodeOptions {
        EncodeOptions {
            scale: Some(scale),
            filter,
            ..EncodeOptions::default()
        }
    }

    #[test]
    fn without_options_the_clip_is_left_alone() {
        let clip = clip();
        let frames = Frames::new(&clip, Format::H264, &EncodeOptions::default()).unwrap();
        assert_eq!((frames.width, frames.height, frames.len()), (4, 2, 3));
        assert!(matches!(frames.rgb(1), Cow::Borrowed(rgb) if rgb == clip.frames[1]));
    }

    #[test]
    fn nearest_repeats_pixels() {
        let clip = clip();
        let options = scaled(3.0, ScaleFilter::Nearest);
        let frames = Frames::new(&clip, Format::H264, &options).unwrap();
        assert_eq!((frames.width, frames.height), (12, 6));
        let large = frames.rgb(2);
        for (i, pixel) in large.chunks(3).enumerate() {
            let (x, y) = (i % 12 / 3, i / 12 / 3);
            assert_eq!(pixel, &clip.frames[2][(y * 4 + x) * 3..][..3]);
        }
    }

    #[test]
    fn smooth_keeps_flat_colours_and_the_mean() {
        let flat = Clip {
            frames: vec![[30, 90, 200].repeat(8)],
            ..clip()
        };
        for scale in [0.5, 2.0, 2.3] {
            let options = scaled(scale, ScaleFilter::Smooth);
            let frames = Frames::new(&flat, Format::Png, &options).unwrap();
            assert!(frames.rgb(0).chunks(3).all(|pixel| pixel == [30, 90, 200]));
        }
    }

    #[test]
    fn sizes_rates_and_frames_out_of_range_are_refused() {
        let clip = clip();
        let say = |format, options: EncodeOptions| {
            Frames::new(&clip, format, &options)
                .err()
                .map(|why| why.to_string())
                .unwrap_or_default()
        };
        let said = say(Format::H264, scaled(10_000.0, ScaleFilter::Smooth));
        assert!(said.contains("40000x20000 is no size"), "{said}");
        let said = say(
            Format::H264,
            EncodeOptions {
                fps: Some(0.0),
                ..EncodeOptions::default()
            },
        );
        assert!(said.contains("0 frames a second"), "{said}");
        let said = say(
            Format::Png,
            EncodeOptions {
                frame: 3,
                ..EncodeOptions::default()
            },
        );
        assert!(said.contains("it has 3 frames and so no frame 4"), "{said}");
    }
}
