use std::ffi::OsStr;
use std::path::Path;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::MediaError;
use super::codec::{AV1, CodecRow, FFV1, H264, H265, PRORES, Quality, VP9};

/// What a clip can be written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "&'static str", try_from = "String")]
pub enum Format {
    /// H.264 in MP4.
    H264,
    /// H.265 in MP4.
    H265,
    /// VP9 in WebM.
    Vp9,
    /// AV1 in WebM.
    Av1,
    /// ProRes 422 HQ in QuickTime.
    ProRes,
    /// FFV1 in Matroska.
    Ffv1,
    /// An animation of at most 256 colours a frame.
    Gif,
    /// A new folder of pictures.
    PngFolder,
    /// One frame as a picture.
    Png,
}

/// A format in words and figures. A further format is a further row.
struct FormatRow {
    key: &'static str,
    name: &'static str,
    purpose: &'static str,
    ending: Option<&'static str>,
    /// What a pixel takes at most at the best quality: what a disk must have room for.
    bytes_per_pixel: f64,
    codec: Option<&'static CodecRow>,
}

/// In the order of [`Format`]. Of two with one ending the first is what the ending means by itself.
static FORMATS: [FormatRow; 9] = [
    FormatRow {
        key: "h264",
        name: "MP4 (H.264)",
        purpose: "plays everywhere",
        ending: Some("mp4"),
        bytes_per_pixel: 1.5,
        codec: Some(&H264),
    },
    FormatRow {
        key: "h265",
        name: "MP4 (H.265)",
        purpose: "smaller, for newer players",
        ending: Some("mp4"),
        bytes_per_pixel: 1.5,
        codec: Some(&H265),
    },
    FormatRow {
        key: "vp9",
        name: "WebM (VP9)",
        purpose: "for the web",
        ending: Some("webm"),
        bytes_per_pixel: 1.5,
        codec: Some(&VP9),
    },
    FormatRow {
        key: "av1",
        name: "WebM (AV1)",
        purpose: "for the web, the smallest",
        ending: Some("webm"),
        bytes_per_pixel: 1.5,
        codec: Some(&AV1),
    },
    FormatRow {
        key: "prores",
        name: "MOV (ProRes 422 HQ)",
        purpose: "for editing",
        ending: Some("mov"),
        bytes_per_pixel: 1.0,
        codec: Some(&PRORES),
    },
    FormatRow {
        key: "ffv1",
        name: "MKV (FFV1)",
        purpose: "lossless, for archives",
        ending: Some("mkv"),
        bytes_per_pixel: 3.2,
        codec: Some(&FFV1),
    },
    FormatRow {
        key: "gif",
        name: "GIF",
        purpose: "256 colours a frame, loops by itself",
        ending: Some("gif"),
        bytes_per_pixel: 1.5,
        codec: None,
    },
    FormatRow {
        key: "png-folder",
        name: "PNG folder",
        purpose: "every frame, lossless",
        ending: None,
        bytes_per_pixel: 3.1,
        codec: None,
    },
    FormatRow {
        key: "png",
        name: "PNG picture",
        purpose: "one frame, lossless",
        ending: Some("png"),
        bytes_per_pixel: 3.1,
        codec: None,
    },
];

impl Format {
    /// Every format, in the order menus show them.
    pub const ALL: [Self; 9] = [
        Self::H264,
        Self::H265,
        Self::Vp9,
        Self::Av1,
        Self::ProRes,
        Self::Ffv1,
        Self::Gif,
        Self::PngFolder,
        Self::Png,
    ];

    /// The format a path asks for by its ending: a known one, or none at all for a folder of PNGs.
    pub fn from_path(path: &Path) -> Result<Self, MediaError> {
        // `frames.v2` may well be an existing folder; a video never replaces a folder.
        if path.is_dir() {
            return Ok(Self::PngFolder);
        }
        let Some(ending) = path.extension() else {
            return Ok(Self::PngFolder);
        };
        Self::ALL
            .into_iter()
            .find(|format| format.ends(ending))
            .ok_or_else(|| MediaError::UnknownFormat {
                ending: ending.to_string_lossy().into_owned(),
            })
    }

    /// The format that `path` is written as: `chosen`, whose ending it must have, else the one that
    /// its ending asks for.
    pub fn of(path: &Path, chosen: Option<Self>) -> Result<Self, MediaError> {
        match chosen {
            None => Self::from_path(path),
            Some(Self::PngFolder) => Ok(Self::PngFolder),
            Some(format) if path.extension().is_some_and(|ending| format.ends(ending)) => {
                Ok(format)
            }
            Some(format) => Err(MediaError::WrongEnding {
                path: path.to_owned(),
                format: format.name(),
                ending: format.ending().unwrap_or_default(),
            }),
        }
    }

    fn row(self) -> &'static FormatRow {
        &FORMATS[self as usize]
    }

    fn ends(self, ending: &OsStr) -> bool {
        self.ending()
            .is_some_and(|own| ending.eq_ignore_ascii_case(own))
    }

    /// One word without spaces, for command lines and files.
    pub fn key(self) -> &'static str {
        self.row().key
    }

    /// The words menus and messages use.
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// What it is good for, in a few words.
    pub fn purpose(self) -> &'static str {
        self.row().purpose
    }

    /// The ending of its files, without the dot; none for a folder.
    pub fn ending(self) -> Option<&'static str> {
        self.row().ending
    }

    /// The scale of its quality; `None` where there is no such choice.
    pub fn quality(self) -> Option<Quality> {
        self.codec().and_then(|codec| codec.quality)
    }

    /// Whether it holds the pixels as they are.
    pub fn is_lossless(self) -> bool {
        matches!(self, Self::Ffv1 | Self::PngFolder | Self::Png)
    }

    /// Whether this machine can write it.
    ///
    /// # Errors
    /// A sentence when its FFmpeg lacks the encoder.
    pub fn check_encoder(self) -> Result<(), MediaError> {
        self.codec().map_or(Ok(()), |codec| {
            codec.encoder().map(drop).ok_or_else(|| codec.no_encoder())
        })
    }

    /// A side of the picture as it is written: even where colours are stored for pairs of pixels.
    pub fn written_side(self, side_px: usize) -> usize {
        match self.codec() {
            Some(codec) if codec.is_subsampled() => side_px.next_multiple_of(2),
            _ => side_px,
        }
    }

    /// Smaller pictures its encoder refuses.
    pub(super) fn min_side_px(self) -> usize {
        let encoder = self.codec().and_then(CodecRow::encoder);
        encoder.map_or(1, |(row, _)| row.min_side_px)
    }

    /// What a pixel takes at most, in bytes. For formats with a quality this follows the rule that
    /// the rate halves with every sixth step of H.264's 51.
    pub(super) fn bytes_per_pixel(self, crf: Option<u8>) -> f64 {
        let halvings = self.quality().map_or(0.0, |quality| {
            let crf = quality.of(crf);
            51.0 / 6.0 * f64::from(crf) / f64::from(quality.worst)
        });
        self.row().bytes_per_pixel * (-halvings).exp2()
    }

    /// How FFmpeg encodes it; `None` for what the `image` crate writes.
    pub(super) fn codec(self) -> Option<&'static CodecRow> {
        self.row().codec
    }
}

impl From<Format> for &'static str {
    fn from(format: Format) -> Self {
        format.key()
    }
}

impl TryFrom<String> for Format {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let format = Self::ALL.into_iter().find(|format| format.key() == text);
        format.ok_or_else(|| {
            let keys = Self::ALL.map(Self::key).join(", ");
            format!("'{text}' is no format; use one of {keys}")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ending_chooses() {
        let of = |name: &str| Format::from_path(Path::new(name)).unwrap();
        assert_eq!(of("a.mp4"), Format::H264);
        assert_eq!(of("dir.x/a.b.WebM"), Format::Vp9);
        assert_eq!(of("a.mov"), Format::ProRes);
        assert_eq!(of("a.mkv"), Format::Ffv1);
        assert_eq!(of("a.gif"), Format::Gif);
        assert_eq!(of("a.png"), Format::Png);
        assert_eq!(of("frames"), Format::PngFolder);
        assert_eq!(of("frames/"), Format::PngFolder);
        let said = Format::from_path(Path::new("a.avi"))
            .unwrap_err()
            .to_string();
        assert!(said.starts_with("'.avi' is no format"), "{said}");
        for ending in Format::ALL.into_iter().filter_map(Format::ending) {
            assert!(said.contains(&format!(".{ending}")), "{said}");
        }
    }

    #[test]
    fn a_chosen_format_needs_its_own_ending() {
        let of = |name: &str, format| Format::of(Path::new(name), Some(format));
        assert_eq!(of("a.mp4", Format::H265).unwrap(), Format::H265);
        assert_eq!(of("a.MP4", Format::H264).unwrap(), Format::H264);
        assert_eq!(of("a.v2", Format::PngFolder).unwrap(), Format::PngFolder);
        for name in ["a.webm", "a"] {
            let said = of(name, Format::H265).unwrap_err().to_string();
            assert!(said.contains("end the name in .mp4"), "{said}");
        }
    }

    #[test]
    fn the_table_has_every_format_in_its_place() {
        for (i, format) in Format::ALL.into_iter().enumerate() {
            assert_eq!(format as usize, i);
            assert_eq!(format.key().parse(), Ok(format));
            if let Some(codec) = format.codec() {
                assert_eq!(codec.format, format);
            }
        }
        assert_eq!(
            [Format::Gif, Format::PngFolder, Format::Png].map(Format::key),
            ["gif", "png-folder", "png"]
        );
        let said = "avi".parse::<Format>().unwrap_err();
        assert!(said.contains("h264, h265"), "{said}");
    }

    #[test]
    fn better_quality_needs_more_room() {
        for format in Format::ALL {
            let Some(quality) = format.quality() else {
                assert!(format.bytes_per_pixel(None) >= 1.0, "{format:?}");
                continue;
            };
            let of = |crf| format.bytes_per_pixel(Some(crf));
            assert!(of(quality.best) > of(quality.default));
            assert!(of(quality.default) > of(quality.worst));
            assert_eq!(format.bytes_per_pixel(None), of(quality.default));
        }
    }
}
