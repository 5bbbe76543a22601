//! How FFmpeg makes the formats that it makes.

use ffmpeg_next::format::Pixel;
use ffmpeg_next::{Codec, codec};

use super::{Format, MediaError};

/// The scale of an encoder's constant rate factor, the lower the better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quality {
    /// The best that every player still decodes.
    pub best: u8,
    /// Taken when none is asked for.
    pub default: u8,
    /// The worst there is.
    pub worst: u8,
}

impl Quality {
    /// The factor used when `crf` is asked for.
    pub fn of(self, crf: Option<u8>) -> u8 {
        crf.unwrap_or(self.default).clamp(self.best, self.worst)
    }

    /// A word for a factor.
    pub fn words(self, crf: u8) -> &'static str {
        let of_default = f64::from(crf) / f64::from(self.default);
        match of_default {
            x if x <= 0.4 => "Nearly lossless",
            x if x <= 0.8 => "Very high",
            x if x <= 1.2 => "High",
            x if x <= 1.6 => "Medium",
            x if x <= 2.0 => "Low",
            _ => "Very low",
        }
    }
}

/// One format as FFmpeg makes it.
pub(super) struct CodecRow {
    pub format: Format,
    /// FFmpeg's name of the container.
    pub container: &'static str,
    /// The encoders that can do it; the first that is there is taken.
    pub encoders: &'static [EncoderRow],
    pub pixels: Pixel,
    pub quality: Option<Quality>,
    /// The name of the codec in the container, where its own choice is not understood everywhere.
    pub tag: Option<[u8; 4]>,
    pub container_options: &'static [(&'static str, &'static str)],
}

/// An encoder of FFmpeg's and how it is set up.
pub(super) struct EncoderRow {
    pub name: &'static str,
    /// Smaller pictures it refuses.
    pub min_side_px: usize,
    pub options: &'static [(&'static str, &'static str)],
}

impl CodecRow {
    /// The first of its encoders that this FFmpeg has.
    pub fn encoder(&self) -> Option<(&'static EncoderRow, Codec)> {
        self.encoders
            .iter()
            .find_map(|row| Some((row, codec::encoder::find_by_name(row.name)?)))
    }

    pub fn no_encoder(&self) -> MediaError {
        let names: Vec<_> = self.encoders.iter().map(|row| row.name).collect();
        MediaError::NoEncoder {
            encoder: names.join(" or "),
            format: self.format.name(),
        }
    }

    /// Whether colours are stored for pairs of pixels.
    pub fn is_subsampled(&self) -> bool {
        self.pixels
            .descriptor()
            .is_some_and(|pixels| pixels.log2_chroma_w() > 0)
    }
}

/// The index before the data: a player on the web starts before the last byte is there.
const INDEX_FIRST: &[(&str, &str)] = &[("movflags", "+faststart")];

pub(super) static H264: CodecRow = CodecRow {
    format: Format::H264,
    container: "mp4",
    encoders: &[EncoderRow {
        name: "libx264",
        min_side_px: 1,
        options: &[("preset", "medium")],
    }],
    // Every browser and television decodes 4:2:0; 4:4:4 plays in few.
    pixels: Pixel::YUV420P,
    quality: Some(Quality {
        // At 0 x264 changes to a lossless profile, which browsers do not decode.
        best: 1,
        default: 18,
        worst: 51,
    }),
    tag: None,
    container_options: INDEX_FIRST,
};

pub(super) static H265: CodecRow = CodecRow {
    format: Format::H265,
    container: "mp4",
    encoders: &[EncoderRow {
        name: "libx265",
        // In narrower ones x265 3.5 writes past the end of its rows in the lookahead, and crashes.
        min_side_px: 64,
        // x265 has a log of its own, which FFmpeg does not keep quiet.
        options: &[("preset", "medium"), ("x265-params", "log-level=none")],
    }],
    pixels: Pixel::YUV420P,
    quality: Some(Quality {
        best: 1,
        default: 20,
        worst: 51,
    }),
    // Apple's players do not open the hev1 that FFmpeg would write.
    tag: Some(*b"hvc1"),
    container_options: INDEX_FIRST,
};

pub(super) static VP9: CodecRow = CodecRow {
    format: Format::Vp9,
    container: "webm",
    encoders: &[EncoderRow {
        name: "libvpx-vp9",
        min_side_px: 1,
        // A bit rate of 0 makes the CRF the only rule.
        options: &[
            ("b", "0"),
            ("deadline", "good"),
            ("cpu-used", "3"),
            ("row-mt", "1"),
        ],
    }],
    pixels: Pixel::YUV420P,
    quality: Some(Quality {
        best: 1,
        default: 24,
        worst: 63,
    }),
    tag: None,
    container_options: &[],
};

pub(super) static AV1: CodecRow = CodecRow {
    format: Format::Av1,
    container: "webm",
    // libaom first: it takes pictures of any size, and clips are short.
    encoders: &[
        EncoderRow {
            name: "libaom-av1",
            min_side_px: 1,
            options: &[("b", "0"), ("cpu-used", "6"), ("row-mt", "1")],
        },
        EncoderRow {
            name: "libsvtav1",
            min_side_px: 64,
            options: &[("preset", "8")],
        },
    ],
    pixels: Pixel::YUV420P,
    quality: Some(Quality {
        best: 1,
        default: 26,
        worst: 63,
    }),
    tag: None,
    container_options: &[],
};

pub(super) static PRORES: CodecRow = CodecRow {
    format: Format::ProRes,
    container: "mov",
    encoders: &[EncoderRow {
        name: "prores_ks",
        min_side_px: 1,
        // Editors look at the vendor before they trust a ProRes file.
        options: &[("profile", "3"), ("vendor", "apl0")],
    }],
    pixels: Pixel::YUV422P10LE,
    quality: None,
    tag: None,
    container_options: INDEX_FIRST,
};

pub(super) static FFV1: CodecRow = CodecRow {
    format: Format::Ffv1,
    container: "matroska",
    encoders: &[EncoderRow {
        name: "ffv1",
        min_side_px: 1,
        // What archives ask for: every frame by itself, with a checksum in every slice.
        options: &[("level", "3"), ("g", "1"), ("slicecrc", "1")],
    }],
    // RGB as it is: nothing is rounded on the way. FFV1 takes 8-bit RGB in this order only.
    pixels: Pixel::BGRZ,
    quality: None,
    tag: None,
    container_options: &[],
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_encoder_that_is_not_there_is_named() {
        let row = CodecRow {
            encoders: &[
                EncoderRow {
                    name: "no-such-encoder",
                    min_side_px: 1,
                    options: &[],
                },
                EncoderRow {
                    name: "nor-this",
                    min_side_px: 1,
                    options: &[],
                },
            ],
            ..H264
        };
        assert!(row.encoder().is_none());
        let said = row.no_encoder().to_string();
        assert!(
            said.contains("no no-such-encoder or nor-this encoder") && said.contains("H.264"),
            "{said}"
        );
    }

    #[test]
    fn the_first_encoder_that_is_there_is_taken() {
        let row = CodecRow {
            encoders: &[
                EncoderRow {
                    name: "no-such-encoder",
                    min_side_px: 1,
                    options: &[],
                },
                EncoderRow {
                    name: "ffv1",
                    min_side_px: 1,
                    options: &[],
                },
            ],
            ..FFV1
        };
        assert_eq!(row.encoder().unwrap().0.name, "ffv1");
    }

    #[test]
    fn quality_has_words_from_best_to_worst() {
        for quality in [&H264, &H265, &VP9, &AV1].map(|row| row.quality.unwrap()) {
            assert_eq!(quality.words(quality.best), "Nearly lossless");
            assert_eq!(quality.words(quality.default), "High");
            assert_eq!(quality.words(quality.worst), "Very low");
            assert_eq!(quality.of(None), quality.default);
            assert_eq!(quality.of(Some(0)), quality.best);
            assert_eq!(quality.of(Some(200)), quality.worst);
        }
    }
}
