use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::thumbnail::Thumbnail;
use super::{RecordError, RunRecord};
use crate::media::{Clip, EncodeOptions, Format, MediaError, encode, read_clip};
use crate::project::{AtomicError, Recipe, sync_folder, write_bytes_atomic};

const RECORD: &str = "run.json";
const CLIP: &str = "clip.mkv";
const THUMBNAIL: &str = "thumbnail.png";
/// Folders being filled, and folders whose deletion can still be undone. Neither is listed.
const NEW: &str = ".new-";
const DELETED: &str = ".deleted-";
/// Age at which what another start of the program left behind under these names is swept away. Younger
/// ones may belong to a program that is running beside this one.
const SWEEP_AGE: Duration = Duration::from_hours(24);

/// The name of a run's folder; names sort by the time the runs were over.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunName(String);

impl fmt::Display for RunName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a run cannot be kept or fetched. Each is a whole sentence for the user.
#[derive(Debug, thiserror::Error)]
pub enum ShelfError {
    /// A file could not be written.
    #[error(transparent)]
    Write(#[from] AtomicError),
    /// The clip could not be encoded or decoded.
    #[error(transparent)]
    Clip(#[from] MediaError),
    /// The record makes no sense.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// No run has such a name.
    #[error("no run in {} is called {beginning}; the names of runs are those of the folders there", folder.display())]
    Unknown {
        /// What was asked for.
        beginning: String,
        /// Where runs are.
        folder: PathBuf,
    },
    /// Several runs have such a name.
    #[error("{count} runs are called {beginning}…; write more of the name, such as {first}")]
    Ambiguous {
        /// What was asked for.
        beginning: String,
        /// How many there are.
        count: usize,
        /// The first of them.
        first: RunName,
    },
    /// A folder or file could not be reached.
    #[error("{} cannot be reached ({source}); check the disk and try again", path.display())]
    Io {
        /// The file it was about.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// The folder of finished runs. Every change is whole: a run is there with clip, thumbnail and record,
/// or it is not there.
#[derive(Clone, Debug)]
pub struct Shelf {
    folder: PathBuf,
}

impl Shelf {
    /// The runs in `folder`, which is made with the first one.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Where they lie.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Every run, the oldest first. What cannot be read is told as sentences beside them.
    pub fn list(&self) -> (Vec<(RunName, RunRecord)>, Vec<String>) {
        let (mut runs, mut problems) = (Vec::new(), Vec::new());
        for name in self.names() {
            match self.record(&name) {
                Ok(record) => runs.push((name, record)),
                // Somebody else's folder is none of our business.
                Err(ShelfError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
                Err(why) => problems.push(format!("{why} ({})", self.path(&name).display())),
            }
        }
        (runs, problems)
    }

    /// The run whose name begins so.
    ///
    /// # Errors
    /// A sentence where there is none, or more than one and none is called exactly so.
    pub fn find(&self, beginning: &str) -> Result<RunName, ShelfError> {
        let is_meant =
            |name: &RunName| name.0.starts_with(beginning) && self.clip_path(name).exists();
        let mut found: Vec<_> = self.names().into_iter().filter(is_meant).collect();
        // Names sort, so that the one without anything behind it comes first.
        let is_exact = found.first().is_some_and(|name| name.0 == beginning);
        match (found.len(), is_exact) {
            (1, _) | (_, true) => Ok(found.swap_remove(0)),
            (0, _) => Err(ShelfError::Unknown {
                beginning: beginning.to_owned(),
                folder: self.folder.clone(),
            }),
            (count, _) => Err(ShelfError::Ambiguous {
                beginning: beginning.to_owned(),
                count,
                first: found.swap_remove(0),
            }),
        }
    }

    /// The names of all folders that may be runs, in order.
    fn names(&self) -> Vec<RunName> {
        let mut names: Vec<_> = match fs::read_dir(&self.folder) {
            Ok(entries) => entries
                .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
                .filter(|name| !name.starts_with('.'))
                .map(RunName)
                .collect(),
            Err(_) => Vec::new(),
        };
        names.sort();
        names
    }

    /// The record of one run.
    pub fn record(&self, name: &RunName) -> Result<RunRecord, ShelfError> {
        let path = self.path(name).join(RECORD);
        Ok(RunRecord::from_json(
            &fs::read(&path).map_err(|source| ShelfError::Io { path, source })?,
        )?)
    }

    /// Writes a run down. Afterwards it is on the disk under its name, also if the power fails.
    pub fn keep(&self, record: &RunRecord, clip: &Clip) -> Result<RunName, ShelfError> {
        fs::create_dir_all(&self.folder).map_err(|why| self.failed(why))?;
        let stamp = record.finished.strftime("%Y%m%dT%H%M%S.%6f").to_string();
        let new = self
            .folder
            .join(format!("{NEW}{stamp}-{}", std::process::id()));
        let kept = self.fill(&new, record, clip).and_then(|()| {
            // Two runs in one microsecond: one program has one engine, but there may be two programs.
            let mut name = RunName(stamp.clone());
            let mut extra = 0;
            while self.path(&name).exists() {
                extra += 1;
                name = RunName(format!("{stamp}-{extra}"));
            }
            fs::rename(&new, self.path(&name)).map_err(|why| self.failed(why))?;
            sync_folder(&self.path(&name));
            Ok(name)
        });
        if kept.is_err() {
            let _ = fs::remove_dir_all(&new);
        }
        kept
    }

    fn fill(&self, new: &Path, record: &RunRecord, clip: &Clip) -> Result<(), ShelfError> {
        fs::create_dir(new).map_err(|why| self.failed(why))?;
        let recipe = Recipe::new(record.settings.clone(), record.report.model_hashes.clone());
        let options = EncodeOptions {
            format: Some(Format::Ffv1),
            comment: recipe.to_json().ok(),
            ..EncodeOptions::default()
        };
        encode(
            clip,
            &new.join(CLIP),
            &options,
            false,
            &mut |_, _| {},
            &|| false,
        )?;
        if let Some(small) = Thumbnail::of(clip) {
            let path = new.join(THUMBNAIL);
            let written = small.write(&path);
            written.map_err(|why| AtomicError::from_io(&path, why))?;
        }
        write_bytes_atomic(&new.join(RECORD), false, &record.to_json()?)?;
        Ok(())
    }

    /// Writes a run's record anew.
    pub fn rewrite(&self, name: &RunName, record: &RunRecord) -> Result<(), ShelfError> {
        write_bytes_atomic(&self.path(name).join(RECORD), true, &record.to_json()?)?;
        Ok(())
    }

    /// The clip of a run, to the last bit.
    pub fn clip(&self, name: &RunName) -> Result<Clip, ShelfError> {
        Ok(read_clip(&self.path(name).join(CLIP))?.0)
    }

    /// The file of a run's clip.
    pub fn clip_path(&self, name: &RunName) -> PathBuf {
        self.path(name).join(CLIP)
    }

    /// The small picture of a run, where it has one.
    pub fn thumbnail(&self, name: &RunName) -> Option<Thumbnail> {
        Thumbnail::read(&self.path(name).join(THUMBNAIL))
    }

    /// Takes a run off the shelf. [`put_back`](Self::put_back) undoes it until [`sweep`](Self::sweep).
    pub fn delete(&self, name: &RunName) -> Result<(), ShelfError> {
        fs::rename(self.path(name), self.deleted(name)).map_err(|why| self.failed(why))
    }

    /// Undoes [`delete`](Self::delete).
    pub fn put_back(&self, name: &RunName) -> Result<(), ShelfError> {
        fs::rename(self.deleted(name), self.path(name)).map_err(|why| self.failed(why))
    }

    /// Removes for good what was deleted by this start of the program.
    pub fn empty_bin(&self, names: impl IntoIterator<Item = RunName>) {
        for name in names {
            let _ = fs::remove_dir_all(self.deleted(&name));
        }
    }

    /// Removes for good what earlier starts deleted or never finished writing.
    pub fn sweep(&self) {
        let Ok(entries) = fs::read_dir(&self.folder) else {
            return;
        };
        let now = SystemTime::now();
        for entry in entries.flatten() {
            let name = entry.file_name();
            let is_ours = [NEW, DELETED]
                .iter()
                .any(|start| name.to_string_lossy().starts_with(start));
            let is_old = entry
                .metadata()
                .and_then(|meta| meta.modified())
                .is_ok_and(|time| now.duration_since(time).is_ok_and(|age| age > SWEEP_AGE));
            if is_ours && is_old {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
    }

    fn path(&self, name: &RunName) -> PathBuf {
        self.folder.join(&name.0)
    }

    fn deleted(&self, name: &RunName) -> PathBuf {
        self.folder.join(format!("{DELETED}{name}"))
    }

    fn failed(&self, source: io::Error) -> ShelfError {
        match source.kind() {
            io::ErrorKind::NotFound => ShelfError::Io {
                path: self.folder.clone(),
                source,
            },
            _ => AtomicError::from_io(&self.folder.join(RECORD), source).into(),
        }
    }
}
