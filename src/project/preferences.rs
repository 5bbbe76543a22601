use std::path::{Path, PathBuf};
use std::{fs, io};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::DeviceChoice;
use super::autosave::PACE_SECS;

/// The version of the file that this build writes.
const FORMAT: u32 = 1;

/// The look of the window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Look {
    /// As the desktop has it.
    #[default]
    System,
    /// Dark.
    Dark,
    /// Light.
    Light,
}

/// What a person sets once, for every project.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Preferences {
    /// Version of this structure.
    pub format: u32,
    /// Where runs compute.
    pub device: DeviceChoice,
    /// CPU threads; `None` takes all cores.
    pub threads: Option<u16>,
    /// Gigabytes of earlier runs' steps that are kept in memory.
    pub steps_in_memory_gb: f64,
    /// Gigabytes of them that are kept on disk.
    pub steps_on_disk_gb: f64,
    /// Folder of finished runs; `None` is the usual one.
    pub runs_folder: Option<PathBuf>,
    /// Folder that an export suggests first; `None` is that of the user's videos.
    pub export_folder: Option<PathBuf>,
    /// Show the estimate of the clip after every so many steps; 0 shows none.
    pub preview_every: usize,
    /// Blend neighbouring pixels in the preview.
    pub is_smooth: bool,
    /// Play clips in a loop.
    pub is_looping: bool,
    /// Least seconds between two drafts of unsaved work; `None` writes none.
    pub autosave_secs: Option<f64>,
    /// The look of the window.
    pub look: Look,
    /// Size of everything in the window, in percent.
    pub scale_percent: f64,
    /// What a later version has beyond these; kept for it.
    #[serde(flatten)]
    other: Map<String, Value>,
}

impl Default for Preferences {
    fn default() -> Self {
        Self {
            format: FORMAT,
            device: DeviceChoice::Best,
            threads: None,
            steps_in_memory_gb: 2.0,
            steps_on_disk_gb: 8.0,
            runs_folder: None,
            export_folder: None,
            preview_every: 1,
            is_smooth: true,
            is_looping: true,
            autosave_secs: Some(PACE_SECS),
            look: Look::System,
            scale_percent: 100.0,
            other: Map::new(),
        }
    }
}

impl Preferences {
    /// Threads that can be asked for.
    pub const THREADS: std::ops::RangeInclusive<u16> = 1..=1024;
    /// Gigabytes that can be set aside for steps.
    pub const GIGABYTES: std::ops::RangeInclusive<f64> = 0.0..=4096.0;
    /// Steps from one estimate to the next.
    pub const PREVIEW_EVERY: std::ops::RangeInclusive<usize> = 1..=1000;
    /// Seconds between two drafts.
    pub const AUTOSAVE_SECS: std::ops::RangeInclusive<f64> = 0.5..=3600.0;
    /// Sizes of the window's contents.
    pub const SCALE_PERCENT: std::ops::RangeInclusive<f64> = 50.0..=300.0;

    /// Those that were kept in `file`, and a sentence where something of it could not be read: then the usual
    /// ones stand in, for as little of it as possible. A missing file is no fault.
    pub fn read(file: &Path) -> (Self, Option<String>) {
        let text = match fs::read(file) {
            Ok(text) => text,
            Err(why) if why.kind() == io::ErrorKind::NotFound => return (Self::default(), None),
            Err(why) => return (Self::default(), Some(told(file, &why.to_string()))),
        };
        match serde_json::from_slice(&text) {
            Ok(kept) => {
                let (preferences, broken) = Self::from_fields(kept);
                let why = (!broken.is_empty())
                    .then(|| told(file, &format!("it has no usable {}", broken.join(", "))));
                (preferences, why)
            }
            Err(why) => (Self::default(), Some(told(file, &why.to_string()))),
        }
    }

    /// Field by field, with the names of those that make no sense.
    fn from_fields(kept: Map<String, Value>) -> (Self, Vec<String>) {
        let mut preferences = Self::default();
        let mut broken = Vec::new();
        for (name, value) in kept {
            let taken = preferences.with_field(&name, value);
            match taken.filter(Self::is_in_range) {
                Some(taken) => preferences = taken,
                None => broken.push(name),
            }
        }
        (preferences, broken)
    }

    fn with_field(&self, name: &str, value: Value) -> Option<Self> {
        let mut all = serde_json::to_value(self).ok()?;
        all.as_object_mut()?.insert(name.to_owned(), value);
        serde_json::from_value(all).ok()
    }

    fn is_in_range(&self) -> bool {
        self.threads.is_none_or(|n| Self::THREADS.contains(&n))
            && Self::GIGABYTES.contains(&self.steps_in_memory_gb)
            && Self::GIGABYTES.contains(&self.steps_on_disk_gb)
            && (self.preview_every == 0 || Self::PREVIEW_EVERY.contains(&self.preview_every))
            && self
                .autosave_secs
                .is_none_or(|secs| Self::AUTOSAVE_SECS.contains(&secs))
            && Self::SCALE_PERCENT.contains(&self.scale_percent)
    }

    /// The usual ones, with what a later version has beyond them.
    #[must_use]
    pub fn usual(&self) -> Self {
        Self {
            format: self.format,
            other: self.other.clone(),
            ..Self::default()
        }
    }

    /// As they are written.
    ///
    /// # Errors
    /// Where a folder's name is no Unicode.
    pub fn to_json(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec_pretty(self)
    }
}

fn told(file: &Path, why: &str) -> String {
    format!(
        "the settings in {} could not all be read ({why}); the usual ones stand in, and the file stays as it is until you change a setting",
        file.display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project::write_bytes_atomic;

    fn read(text: &str) -> (Preferences, Option<String>) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("settings.json");
        write_bytes_atomic(&file, true, text.as_bytes()).unwrap();
        Preferences::read(&file)
    }

    #[test]
    fn what_was_kept_comes_back() {
        let set = Preferences {
            device: DeviceChoice::Cuda(1),
            threads: Some(3),
            steps_in_memory_gb: 0.5,
            runs_folder: Some("/clips/runs".into()),
            preview_every: 0,
            is_smooth: false,
            autosave_secs: None,
            look: Look::Light,
            scale_percent: 125.0,
            ..Preferences::default()
        };
        let text = String::from_utf8(set.to_json().unwrap()).unwrap();
        assert!(text.contains("\"format\": 1") && text.contains("\"cuda:1\""));
        assert_eq!(read(&text), (set, None));
        assert_eq!(read("{}"), (Preferences::default(), None));
        let missing = Path::new("/nowhere/settings.json");
        assert_eq!(Preferences::read(missing), (Preferences::default(), None));
    }

    #[test]
    fn fields_that_make_no_sense_cost_only_themselves() {
        for (field, name) in [
            ("\"threads\": 0", "threads"),
            ("\"threads\": \"many\"", "threads"),
            ("\"device\": \"tpu\"", "device"),
            ("\"look\": \"pink\"", "look"),
            ("\"scale_percent\": 5", "scale_percent"),
            ("\"autosave_secs\": -1", "autosave_secs"),
        ] {
            let (set, why) = read(&format!("{{\"is_smooth\": false, {field}}}"));
            let usual = Preferences {
                is_smooth: false,
                ..Preferences::default()
            };
            assert_eq!(set, usual, "{field}");
            let why = why.unwrap();
            assert!(why.contains(&format!("no usable {name}")), "{why}");
        }
    }

    #[test]
    fn a_broken_file_gives_the_usual_ones_and_a_sentence() {
        for text in ["", "not json", "[1]", "{\"threads\": 3"] {
            let (set, why) = read(text);
            assert_eq!(set, Preferences::default(), "{text}");
            assert!(why.unwrap().contains("stays as it is until you change"));
        }
    }

    #[test]
    fn what_a_later_version_wrote_is_kept_for_it() {
        let (set, why) = read("{\"format\": 9, \"threads\": 2, \"holograms\": [true]}");
        assert_eq!((set.threads, why), (Some(2), None));
        let text = String::from_utf8(set.to_json().unwrap()).unwrap();
        assert!(text.contains("\"format\": 9") && text.contains("holograms"));
    }
}
