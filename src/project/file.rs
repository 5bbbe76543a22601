use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{AtomicError, RunSettings, write_bytes_atomic};

/// The newest format this build writes and the newest it reads.
const FORMAT: u32 = 1;
/// The one key of the outer object; tells our projects from everybody else's JSON.
const TAG: &str = "flowblend-project";

/// What a person works on, as a file of its own: `{"flowblend-project": {"format": 1, ...}}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProjectFile {
    /// Version of this structure.
    pub format: u32,
    /// Version of the program that wrote it.
    pub version: String,
    /// The settings as they stood.
    pub settings: RunSettings,
}

/// Why a project cannot be opened or saved. Each is a whole sentence for the user.
#[derive(Debug, thiserror::Error)]
pub enum ProjectError {
    /// The file cannot be read.
    #[error("{path} cannot be opened ({source}); check the path and try again")]
    Unreadable {
        /// The file.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// No project of ours.
    #[error(
        "{0} is no flowblend project; open a .flowblend file or a clip that flowblend exported"
    )]
    Foreign(String),
    /// Written by a later version.
    #[error(
        "{path} has format {found}, but this version reads up to {FORMAT}; update flowblend to open it"
    )]
    Newer {
        /// The file.
        path: String,
        /// The format it has.
        found: u64,
    },
    /// Ours, but unreadable.
    #[error("{path} is damaged ({source}); an older copy may still open")]
    Damaged {
        /// The file.
        path: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// Settings that no text can hold: a model folder whose name is no Unicode.
    #[error("the settings cannot be written as a project ({0}); rename the model's folder")]
    Unwritable(serde_json::Error),
    /// The file could not be written.
    #[error(transparent)]
    Write(#[from] AtomicError),
}

impl ProjectFile {
    /// The ending of project files, without the dot.
    pub const ENDING: &str = "flowblend";

    /// A project of this version of the program.
    pub fn new(settings: RunSettings) -> Self {
        Self {
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            settings,
        }
    }

    /// Writes it to `path` whole or not at all, in place of what is there.
    pub fn save(&self, path: &Path) -> Result<(), ProjectError> {
        let inner = serde_json::to_value(self).map_err(ProjectError::Unwritable)?;
        let outer = Value::from_iter([(TAG, inner)]);
        let json = serde_json::to_vec_pretty(&outer).map_err(ProjectError::Unwritable)?;
        Ok(write_bytes_atomic(path, true, &json)?)
    }

    /// Reads what [`save`](Self::save) wrote. Unknown fields of the same format are ignored.
    pub fn open(path: &Path) -> Result<Self, ProjectError> {
        let name = || path.display().to_string();
        let json = std::fs::read(path).map_err(|source| ProjectError::Unreadable {
            path: name(),
            source,
        })?;
        let mut outer: Value =
            serde_json::from_slice(&json).map_err(|source| match json.first() {
                Some(b'{') => ProjectError::Damaged {
                    path: name(),
                    source,
                },
                _ => ProjectError::Foreign(name()),
            })?;
        let inner = outer
            .get_mut(TAG)
            .ok_or_else(|| ProjectError::Foreign(name()))?
            .take();
        match inner.get("format").and_then(Value::as_u64) {
            Some(found) if found > u64::from(FORMAT) => Err(ProjectError::Newer {
                path: name(),
                found,
            }),
            _ => serde_json::from_value(inner).map_err(|source| ProjectError::Damaged {
                path: name(),
                source,
            }),
        }
    }
}

#[cfg(test)]
#[allow(
    clippy::disallowed_methods,
    reason = "tests write and wait as they like"
)]
mod tests {
    use super::*;
    use crate::project::PairRef;
    use crate::schedule::{Guidance, History, Plan, Solver};

    fn settings() -> RunSettings {
        RunSettings {
            pair: PairRef::default(),
            prompt: "a \"red\" circle".to_owned(),
            negative: String::new(),
            seed: u64::MAX,
            plan: Plan::parse("LSL", &[0.4, 1.0 / 3.0 + 0.4]).unwrap(),
            steps: 20,
            shift: 3.1,
            solver: Solver::Euler,
            history: History::default(),
            distilled_sigmas: None,
            cfg: 4.5,
            guidance: Guidance::default(),
            cache: None,
            width: 64,
            height: 48,
            frames: 17,
            fps: 23.976,
        }
    }

    #[test]
    fn what_was_saved_opens_to_the_last_bit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.flowblend");
        let project = ProjectFile::new(settings());
        project.save(&path).unwrap();
        assert_eq!(ProjectFile::open(&path).unwrap(), project);
        // Again, over the old one.
        project.save(&path).unwrap();
    }

    #[test]
    fn what_is_no_project_is_refused_with_a_reason() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.flowblend");
        let said = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            ProjectFile::open(&path).unwrap_err().to_string()
        };
        assert!(said(b"\x00\x01").contains("is no flowblend project"));
        assert!(said(b"{}").contains("is no flowblend project"));
        assert!(said(b"{\"flowblend-project\": {\"format\": 9}}").contains("update flowblend"));
        assert!(said(b"{\"flowblend-project\": {\"format\": 1}}").contains("is damaged"));
        assert!(said(b"{\"flowblend-project\": {\"for").contains("is damaged"));
        std::fs::remove_file(&path).unwrap();
        let missing = ProjectFile::open(&path).unwrap_err().to_string();
        assert!(missing.contains("cannot be opened"), "{missing}");
    }
}
