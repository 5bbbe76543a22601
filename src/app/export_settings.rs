use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::media::{EncodeOptions, Format, ScaleFilter};
use crate::project::write_bytes_atomic;

/// What was last chosen for an export.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ExportSettings {
    /// What the clip is written as.
    pub format: Format,
    /// Quality on the encoder's own scale; `None` is its default.
    pub crf: Option<u8>,
    /// Frames a second; `None` is the clip's own rate.
    pub fps: Option<f64>,
    /// Size, with that of the clip as 100.
    pub scale_percent: f64,
    /// Blend pixels where the size changes; else they stay sharp squares.
    pub is_smooth: bool,
    /// How often a GIF plays; 0 is for ever.
    pub plays: u16,
    /// The frame that a picture shows, from 0. Belongs to the clip, so it is not kept.
    #[serde(skip)]
    pub frame: usize,
    /// Keep the recipe in the file.
    pub has_recipe: bool,
}

impl Default for ExportSettings {
    fn default() -> Self {
        Self {
            format: Format::H264,
            crf: None,
            fps: None,
            scale_percent: 100.0,
            is_smooth: true,
            plays: 0,
            frame: 0,
            has_recipe: true,
        }
    }
}

impl ExportSettings {
    /// As the encoder takes them, for a clip with this recipe.
    pub fn encode_options(&self, recipe: Option<&str>) -> EncodeOptions {
        EncodeOptions {
            format: Some(self.format),
            crf: self.crf,
            fps: self.fps,
            scale: (self.scale_percent != 100.0).then_some(self.scale_percent / 100.0),
            filter: if self.is_smooth {
                ScaleFilter::Smooth
            } else {
                ScaleFilter::Nearest
            },
            plays: self.plays,
            frame: self.frame,
            comment: recipe.filter(|_| self.has_recipe).map(str::to_owned),
        }
    }

    /// Those that were kept; the usual ones where there are none that can be read.
    pub(super) fn read(file: Option<&Path>) -> Self {
        file.and_then(|file| fs::read(file).ok())
            .and_then(|text| serde_json::from_slice(&text).ok())
            .unwrap_or_default()
    }

    /// Keeps them, on a thread of its own. A choice that could not be kept is made again, so nothing
    /// is said of a failure.
    pub(super) fn keep(&self, file: PathBuf) {
        let Ok(text) = serde_json::to_vec_pretty(self) else {
            return;
        };
        let write = move || {
            if let Some(folder) = file.parent() {
                let _ = fs::create_dir_all(folder);
            }
            let _ = write_bytes_atomic(&file, true, &text);
        };
        let _ = std::thread::Builder::new()
            .name("flowblend-keep-settings".to_owned())
            .spawn(write);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_kept_comes_back_and_damage_does_no_harm() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("export.json");
        let write = |text: &str| write_bytes_atomic(&file, true, text.as_bytes()).unwrap();
        let settings = ExportSettings {
            format: Format::Av1,
            crf: Some(30),
            fps: Some(24.0),
            scale_percent: 200.0,
            is_smooth: false,
            plays: 3,
            frame: 0,
            has_recipe: false,
        };
        write(&serde_json::to_string(&settings).unwrap());
        assert_eq!(ExportSettings::read(Some(&file)), settings);
        for damaged in ["", "[]", "{\"format\":\"avi\"}"] {
            write(damaged);
            assert_eq!(
                ExportSettings::read(Some(&file)),
                ExportSettings::default(),
                "{damaged}"
            );
        }
        write("{\"format\":\"gif\"}");
        assert_eq!(ExportSettings::read(Some(&file)).format, Format::Gif);
        assert_eq!(ExportSettings::read(None), ExportSettings::default());
    }

    #[test]
    fn the_recipe_goes_along_only_where_it_is_wanted() {
        let mut settings = ExportSettings::default();
        let options = settings.encode_options(Some("recipe"));
        assert_eq!(options.comment.as_deref(), Some("recipe"));
        assert_eq!(options.scale, None);
        settings.has_recipe = false;
        settings.scale_percent = 50.0;
        let options = settings.encode_options(Some("recipe"));
        assert_eq!((options.comment, options.scale), (None, Some(0.5)));
    }
}
