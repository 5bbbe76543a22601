//! The pairs that the user added: a small file that remembers where they lie. Nothing is copied.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::loader::read_json;
use super::{Distilled, ModelError, PairSpec};
use crate::project::{AtomicError, write_bytes_atomic};

/// A pair and where it lies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UserPair {
    /// The name it is asked for by.
    pub name: String,
    /// Where its models are.
    #[serde(flatten)]
    pub place: UserPlace,
}

/// Where the models of a pair are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum UserPlace {
    /// Models in folders or files of any layout.
    Models {
        /// The large one.
        large: PathBuf,
        /// The small one.
        small: PathBuf,
        /// A step-distilled one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        distilled: Option<Distilled>,
    },
    /// A folder with a `pair.json`, or the one that a manifest's pair was put into.
    Folder {
        /// The folder.
        folder: PathBuf,
    },
}

/// The file and what it says.
#[derive(Debug, Default)]
pub struct UserPairs {
    path: Option<PathBuf>,
    pairs: Vec<UserPair>,
}

#[derive(Serialize, Deserialize)]
struct File {
    pairs: Vec<UserPair>,
}

impl UserPairs {
    /// Reads the file at `path`; none is the same as an empty one.
    pub fn read(path: Option<PathBuf>) -> Result<Self, ModelError> {
        let pairs = match &path {
            Some(path) if path.is_file() => read_json::<File>(path)?.pairs,
            _ => Vec::new(),
        };
        Ok(Self { path, pairs })
    }

    /// The pairs, in the order they were added.
    pub fn pairs(&self) -> &[UserPair] {
        &self.pairs
    }

    /// The pair of that name.
    pub fn get(&self, name: &str) -> Option<&UserPair> {
        self.pairs.iter().find(|pair| pair.name == name)
    }

    /// Remembers a pair, in the place of one of the same name.
    pub fn remember(&mut self, pair: UserPair) -> Result<(), AtomicError> {
        self.pairs.retain(|known| known.name != pair.name);
        self.pairs.push(pair);
        self.write()
    }

    /// Forgets the pair of that name, and gives what was known of it. Its files stay.
    pub fn forget(&mut self, name: &str) -> Result<Option<UserPair>, AtomicError> {
        let Some(at) = self.pairs.iter().position(|pair| pair.name == name) else {
            return Ok(None);
        };
        let pair = self.pairs.remove(at);
        self.write()?;
        Ok(Some(pair))
    }

    fn write(&self) -> Result<(), AtomicError> {
        let Some(path) = &self.path else {
            return Ok(());
        };
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(|why| AtomicError::from_io(folder, why))?;
        }
        let file = File {
            pairs: self.pairs.clone(),
        };
        // Paths and names always become JSON, unless a path is not Unicode.
        let text = serde_json::to_vec_pretty(&file)
            .map_err(|why| AtomicError::from_io(path, std::io::Error::other(why)))?;
        write_bytes_atomic(path, true, &text)
    }
}

impl UserPair {
    /// The models, under the pair's name.
    pub fn spec(&self) -> Result<PairSpec, ModelError> {
        Ok(PairSpec {
            name: self.name.clone(),
            ..self.place.spec()?
        })
    }

    /// The folder, where the pair is one.
    pub fn folder(&self) -> Option<&Path> {
        match &self.place {
            UserPlace::Folder { folder } => Some(folder),
            UserPlace::Models { .. } => None,
        }
    }
}

impl UserPlace {
    /// The models that are there.
    pub fn spec(&self) -> Result<PairSpec, ModelError> {
        match self {
            Self::Models {
                large,
                small,
                distilled,
            } => Ok(PairSpec::from_folders(large, small).with_distilled(distilled.clone())),
            Self::Folder { folder } => PairSpec::read(folder),
        }
    }
}
