//! All files of a pair: what is missing, whether it fits on the disk, one after the other.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use super::HubError;
use super::client::{Client, Remote};
use super::fetch::{Patience, Stated, Wanted, fetch, hash_file};
use super::sums::{Sum, Sums};
use crate::models::manifest::{self, Checkpoint, INDEX_ENDING, Manifest, ManifestFile};
use crate::models::registry::Registry;
use crate::models::{UserPair, UserPlace};
use crate::project::{AtomicError, free_bytes};
use crate::schedule::ModelRole;

const BY_MANIFEST: &str = "the manifest";
const BY_HUB: &str = "the hub";

/// Where from, where to, how patiently.
#[derive(Clone, Debug)]
pub struct PullOptions {
    /// The hub's address; `None` takes the environment's, else the usual one.
    pub endpoint: Option<String>,
    /// The pair's folder; `None` takes the one it was put into before, else the user's folder of models.
    pub to: Option<PathBuf>,
    /// How long to wait after the first broken connection.
    pub retry_wait: Duration,
    /// Leaves out the distilled model, without which a pair works too.
    pub without_distilled: bool,
}

impl Default for PullOptions {
    fn default() -> Self {
        Self {
            endpoint: None,
            to: None,
            retry_wait: Duration::from_millis(500),
            without_distilled: false,
        }
    }
}

/// How far a pull is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PullProgress {
    /// The file in work, below the pair's folder.
    pub file: String,
    /// Bytes that are there, of those that were missing at the start.
    pub done: u64,
    /// Bytes that were missing at the start, as far as they are known.
    pub total: u64,
}

/// What a file was held against.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Checked {
    /// The checksum that the manifest states.
    Manifest,
    /// The checksum that the hub states.
    Hub,
    /// Only the length: nobody states a checksum, as for small files.
    Size,
    /// The checksum that was recorded when it was downloaded.
    Before,
}

/// A file that is there now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PulledFile {
    /// Below the pair's folder.
    pub path: String,
    /// Its length.
    pub bytes: u64,
    /// Its checksum.
    pub sha256: String,
    /// What it was held against.
    pub checked: Checked,
    /// Whether this pull brought it.
    pub is_new: bool,
}

/// A pair that is whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Pulled {
    /// The pair.
    pub name: String,
    /// Its folder.
    pub folder: PathBuf,
    /// Every file.
    pub files: Vec<PulledFile>,
}

/// Pulls the pair of the manifest called `name`, and remembers its folder where that was chosen.
pub fn pull_named(
    name: &str,
    options: &PullOptions,
    cancelled: &dyn Fn() -> bool,
    progress: &mut dyn FnMut(&PullProgress),
) -> Result<Pulled, HubError> {
    let mut registry = Registry::open();
    let (manifest, place) = registry.manifest(name)?;
    let folder = match &options.to {
        None => place,
        Some(to) => {
            make_folder(to)?;
            let folder = to
                .canonicalize()
                .map_err(|why| AtomicError::from_io(to, why))?;
            // At once: a pull that is broken off goes on there.
            registry.remember(UserPair {
                name: name.to_owned(),
                place: UserPlace::Folder {
                    folder: folder.clone(),
                },
            })?;
            folder
        }
    };
    pull(&manifest, &folder, options, cancelled, progress)
}

/// Pulls what is missing of a manifest's pair into `folder`. What is there and right is left alone; a
/// pair that is whole costs no request.
pub fn pull(
    manifest: &Manifest,
    folder: &Path,
    options: &PullOptions,
    cancelled: &dyn Fn() -> bool,
    progress: &mut dyn FnMut(&PullProgress),
) -> Result<Pulled, HubError> {
    let is_wanted = |role| !options.without_distilled || role != ModelRole::Distilled;
    let models = manifest.checkpoints().filter(|(role, _)| is_wanted(*role));
    Pull {
        client: Client::new(options.endpoint.as_deref())?,
        folder,
        patience: Patience {
            wait: options.retry_wait,
            cancelled,
        },
        sums: Sums::read(folder),
        files: Vec::new(),
        progress,
    }
    .run(&manifest.name, models)
}

struct Pull<'a> {
    client: Client,
    folder: &'a Path,
    patience: Patience<'a>,
    sums: Sums,
    /// What is there.
    files: Vec<PulledFile>,
    progress: &'a mut dyn FnMut(&PullProgress),
}

impl Pull<'_> {
    fn run<'m>(
        mut self,
        name: &str,
        models: impl Iterator<Item = (ModelRole, &'m Checkpoint)>,
    ) -> Result<Pulled, HubError> {
        // First of all: a place that takes no files is better known now.
        make_folder(self.folder)?;
        let mut missing = Vec::new();
        for (role, checkpoint) in models {
            self.look(role.name(), checkpoint, &mut missing)?;
        }
        self.check_space(&missing)?;
        let total = missing.iter().filter_map(size).sum();
        let mut done = 0;
        for wanted in &missing {
            done += self.fetch(wanted, done, total)?;
        }
        Ok(Pulled {
            name: name.to_owned(),
            folder: self.folder.to_owned(),
            files: self.files,
        })
    }

    /// Finds out what is missing of a model. Lists of shards come at once, since they are needed to
    /// know it.
    fn look(
        &mut self,
        model: &str,
        checkpoint: &Checkpoint,
        missing: &mut Vec<Wanted>,
    ) -> Result<(), HubError> {
        let mut files = checkpoint.files.clone();
        let (lists, _): (Vec<_>, Vec<_>) = files
            .clone()
            .into_iter()
            .partition(|file| file.path.ends_with(INDEX_ENDING));
        for list in &lists {
            let wanted = self.wanted(model, checkpoint, list)?;
            if let Some(wanted) = &wanted {
                self.check_space(std::slice::from_ref(wanted))?;
                self.fetch(wanted, 0, size(wanted).unwrap_or(0))?;
            }
            let index = self.folder.join(model).join(&list.path);
            let shards = manifest::shards(&index, &list.path);
            if let (Err(_), Some(wanted)) = (&shards, &wanted) {
                // Not kept: the next pull may get a better one.
                let _ = fs::remove_file(&index);
                self.sums.forget(&wanted.path)?;
            }
            for shard in shards? {
                if files.iter().all(|file| file.path != shard) {
                    files.push(ManifestFile::named(shard));
                }
            }
        }
        for file in files.iter().filter(|file| !lists.contains(file)) {
            missing.extend(self.wanted(model, checkpoint, file)?);
        }
        Ok(())
    }

    /// What to fetch of a file; `None` where it is there and right.
    fn wanted(
        &mut self,
        model: &str,
        checkpoint: &Checkpoint,
        file: &ManifestFile,
    ) -> Result<Option<Wanted>, HubError> {
        let path = format!("{model}/{}", file.path);
        let target = self.folder.join(&path);
        let length = fs::metadata(&target).ok().map(|about| about.len());
        if let Some(bytes) = length
            && let Some(recorded) = self.recorded(&path, file, bytes)
        {
            self.files.push(recorded);
            return Ok(None);
        }
        let url = self.client.url(checkpoint, &file.path);
        let remote = match (file.size, &file.sha256) {
            (Some(_), Some(_)) => Remote::default(),
            _ => self.patience.retry(&path, |_| self.client.about(&url))?,
        };
        let by_manifest = |value| Stated {
            value,
            by: BY_MANIFEST,
        };
        let size = file.size.map(by_manifest);
        if let (Some(size), Some(found)) = (&size, remote.size)
            && size.value != found
        {
            return Err(HubError::Size {
                path,
                stated: size.value,
                by: size.by,
                found,
            });
        }
        let wanted = Wanted {
            url,
            path,
            target,
            size: size.or(remote.size.map(|value| Stated { value, by: BY_HUB })),
            sha256: match (&file.sha256, remote.sha256) {
                (Some(hash), _) => Some(Stated {
                    value: hash.clone(),
                    by: BY_MANIFEST,
                }),
                (None, hash) => hash.map(|value| Stated { value, by: BY_HUB }),
            },
        };
        match length {
            None => Ok(Some(wanted)),
            Some(bytes) => self.accept(&wanted, bytes).map(|()| None),
        }
    }

    /// A file that an earlier pull brought, unless the manifest asks for another one by now.
    fn recorded(&self, path: &str, file: &ManifestFile, bytes: u64) -> Option<PulledFile> {
        let sum = self.sums.get(path)?;
        let same = sum.bytes == bytes
            && file.size.is_none_or(|size| size == bytes)
            && file.sha256.as_ref().is_none_or(|hash| *hash == sum.sha256);
        same.then(|| PulledFile {
            path: path.to_owned(),
            bytes,
            sha256: sum.sha256.clone(),
            checked: Checked::Before,
            is_new: false,
        })
    }

    /// Takes a file that somebody else put there, if it is the one that is wanted.
    fn accept(&mut self, wanted: &Wanted, bytes: u64) -> Result<(), HubError> {
        let foreign = |by, reason| HubError::Foreign {
            path: wanted.target.clone(),
            by,
            reason,
        };
        if let Some(size) = wanted.size.as_ref().filter(|size| size.value != bytes) {
            let reason = format!("it has {bytes} bytes instead of {}", size.value);
            return Err(foreign(size.by, reason));
        }
        self.tell(&wanted.path, 0, 0);
        let found = hash_file(&wanted.target, &self.patience)?;
        if let Some(hash) = wanted.sha256.as_ref().filter(|hash| hash.value != found) {
            return Err(foreign(hash.by, "its SHA-256 is another".into()));
        }
        self.keep(wanted, bytes, found, false)
    }

    /// Fetches a file, `done` of `total` bytes being there before it; gives its length.
    fn fetch(&mut self, wanted: &Wanted, done: u64, total: u64) -> Result<u64, HubError> {
        if let Some(folder) = wanted.target.parent() {
            make_folder(folder)?;
        }
        let mut told = PullProgress {
            file: wanted.path.clone(),
            done,
            total,
        };
        let progress = &mut *self.progress;
        let sha256 = fetch(&self.client, wanted, &self.patience, &mut |bytes| {
            told.done = done + bytes;
            // A length that nobody stated beforehand.
            told.total = told.total.max(told.done);
            progress(&told);
        })?;
        let about = fs::metadata(&wanted.target);
        let bytes = about
            .map_err(|why| AtomicError::from_io(&wanted.target, why))?
            .len();
        self.keep(wanted, bytes, sha256, true)?;
        Ok(bytes)
    }

    fn keep(
        &mut self,
        wanted: &Wanted,
        bytes: u64,
        sha256: String,
        is_new: bool,
    ) -> Result<(), HubError> {
        let sum = Sum {
            bytes,
            sha256: sha256.clone(),
        };
        self.sums.record(&wanted.path, sum)?;
        let by = wanted.sha256.as_ref().map(|hash| hash.by);
        self.files.push(PulledFile {
            path: wanted.path.clone(),
            bytes,
            sha256,
            checked: match by {
                Some(BY_MANIFEST) => Checked::Manifest,
                Some(_) => Checked::Hub,
                None => Checked::Size,
            },
            is_new,
        });
        Ok(())
    }

    fn check_space(&self, missing: &[Wanted]) -> Result<(), HubError> {
        let needed = missing
            .iter()
            .map(|wanted| size(wanted).unwrap_or(0).saturating_sub(wanted.started()))
            .fold(0, u64::saturating_add);
        match free_bytes(self.folder) {
            Some(free) if free < needed => Err(HubError::NoSpace {
                folder: self.folder.to_owned(),
                free,
                needed,
            }),
            _ => Ok(()),
        }
    }

    fn tell(&mut self, file: &str, done: u64, total: u64) {
        (self.progress)(&PullProgress {
            file: file.to_owned(),
            done,
            total,
        });
    }
}

fn size(wanted: &Wanted) -> Option<u64> {
    wanted.size.as_ref().map(|size| size.value)
}

fn make_folder(folder: &Path) -> Result<(), HubError> {
    fs::create_dir_all(folder).map_err(|why| {
        // The folder that is missing is made; what refuses that is the one above it.
        let above = folder.ancestors().find(|path| path.exists());
        AtomicError::from_io(&above.unwrap_or(folder).join("models"), why).into()
    })
}
