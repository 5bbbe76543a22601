use std::ffi::OsStr;
use std::path::Path;

use ffmpeg_next::format::Pixel;

use super::MediaError;

/// What a clip can be written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// H.264 in MP4: plays everywhere.
    Mp4,
    /// VP9 in WebM: for the web.
    WebM,
    /// ProRes 422 HQ in QuickTime: for editing.
    Mov,
    /// An endless animation of at most 256 colours a frame.
    Gif,
    /// A new folder of lossless pictures.
    PngFolder,
}

impl Format {
    /// Every format, in the order menus show them.
    pub const ALL: [Self; 5] = [Self::Mp4, Self::WebM, Self::Mov, Self::Gif, Self::PngFolder];

    /// The format a path asks for by its ending: a known one, or none at all for a folder of PNGs.
    pub fn from_path(path: &Path) -> Result<Self, MediaError> {
        // `frames.v2` may well be an existing folder; a video never replaces a folder.
        if path.is_dir() {
            return Ok(Self::PngFolder);
        }
        let Some(ending) = path.extension().map(OsStr::to_string_lossy) else {
            return Ok(Self::PngFolder);
        };
        Self::ALL
            .into_iter()
            .find(|f| {
                f.ending()
                    .is_some_and(|own| own.eq_ignore_ascii_case(&ending))
            })
            .ok_or_else(|| MediaError::UnknownFormat {
                ending: ending.into_owned(),
            })
    }

    /// The ending of its files, without the dot; none for a folder.
    pub fn ending(self) -> Option<&'static str> {
        match self {
            Self::Mp4 => Some("mp4"),
            Self::WebM => Some("webm"),
            Self::Mov => Some("mov"),
            Self::Gif => Some("gif"),
            Self::PngFolder => None,
        }
    }

    /// The words menus and messages use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mp4 => "MP4 (H.264)",
            Self::WebM => "WebM (VP9)",
            Self::Mov => "MOV (ProRes 422 HQ)",
            Self::Gif => "GIF",
            Self::PngFolder => "PNG folder",
        }
    }

    /// The quality used when none is asked for, and the worst there is (0 is best), on the encoder's
    /// own CRF scale; `None` where the format has no such choice.
    pub fn crf_default_and_worst(self) -> Option<(u8, u8)> {
        self.codec().and_then(|row| row.crf)
    }

    /// How FFmpeg encodes it; `None` for what the `image` crate writes.
    pub(super) fn codec(self) -> Option<&'static CodecRow> {
        CODECS.iter().find(|row| row.format == self)
    }
}

/// One format as FFmpeg makes it. A further format is a further row.
pub(super) struct CodecRow {
    pub format: Format,
    /// FFmpeg's name of the container.
    pub container: &'static str,
    /// FFmpeg's name of the encoder.
    pub encoder: &'static str,
    pub pixels: Pixel,
    /// Default and largest CRF.
    pub crf: Option<(u8, u8)>,
    pub encoder_options: &'static [(&'static str, &'static str)],
    pub container_options: &'static [(&'static str, &'static str)],
}

static CODECS: [CodecRow; 3] = [
    CodecRow {
        format: Format::Mp4,
        container: "mp4",
        encoder: "libx264",
        // Every browser and television decodes 4:2:0; 4:4:4 plays in few.
        pixels: Pixel::YUV420P,
        crf: Some((18, 51)),
        encoder_options: &[("preset", "medium")],
        // The index before the data: a player on the web starts before the last byte is there.
        container_options: &[("movflags", "+faststart")],
    },
    CodecRow {
        format: Format::WebM,
        container: "webm",
        encoder: "libvpx-vp9",
        pixels: Pixel::YUV420P,
        crf: Some((24, 63)),
        // A bit rate of 0 makes the CRF the only rule.
        encoder_options: &[
            ("b", "0"),
            ("deadline", "good"),
            ("cpu-used", "3"),
            ("row-mt", "1"),
        ],
        container_options: &[],
    },
    CodecRow {
        format: Format::Mov,
        container: "mov",
        encoder: "prores_ks",
        pixels: Pixel::YUV422P10LE,
        crf: None,
        // Editors look at the vendor before they trust a ProRes file.
        encoder_options: &[("profile", "3"), ("vendor", "apl0")],
        container_options: &[("movflags", "+faststart")],
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ending_chooses() {
        let of = |name: &str| Format::from_path(Path::new(name)).unwrap();
        assert_eq!(of("a.mp4"), Format::Mp4);
        assert_eq!(of("dir.x/a.b.WebM"), Format::WebM);
        assert_eq!(of("a.mov"), Format::Mov);
        assert_eq!(of("a.gif"), Format::Gif);
        assert_eq!(of("frames"), Format::PngFolder);
        assert_eq!(of("frames/"), Format::PngFolder);
        let said = Format::from_path(Path::new("a.avi"))
            .unwrap_err()
            .to_string();
        assert!(
            said.starts_with("'.avi' is no format") && said.contains(".mp4"),
            "{said}"
        );
    }

    #[test]
    fn every_format_is_in_the_table_or_a_picture_format() {
        for format in Format::ALL {
            let pictures = matches!(format, Format::Gif | Format::PngFolder);
            assert_eq!(format.codec().is_none(), pictures, "{format:?}");
        }
    }
}
