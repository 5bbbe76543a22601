//! The pairs known on this machine: folders with a `pair.json` under a models root, what the user
//! added, and the public checkpoints that manifests under a root describe.

mod error;
mod places;

use std::path::{Path, PathBuf};

use super::manifest::{Manifest, default_place};
use super::user::{UserPair, UserPairs};
use super::{ModelError, PairSpec};
use crate::project::paths;
use crate::schedule::ModelRole;
pub use error::{ForgetError, RememberError};
use places::{entries, roots, user_models};

/// Why a pair is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A folder under a models root; the bundled pair is one.
    Root,
    /// The user added it.
    Added,
    /// A manifest describes it.
    Manifest,
}

/// A pair that is known, whether it can be used or not.
#[derive(Debug)]
pub struct KnownPair {
    /// The name it is asked for by.
    pub name: String,
    /// Why it is known.
    pub origin: Origin,
    /// What the public checkpoints are, for a pair that a manifest describes.
    pub manifest: Option<Manifest>,
    /// The folder it lies in, or would: `None` where its models lie apart.
    pub folder: Option<PathBuf>,
    /// The models, or what is wrong with the file that should name them.
    pub spec: Result<PairSpec, ModelError>,
}

/// Where pairs are looked for.
#[derive(Debug)]
pub struct Registry {
    roots: Vec<PathBuf>,
    /// The user's folder of models, where downloads go.
    models: PathBuf,
    user: Result<UserPairs, ModelError>,
}

impl Registry {
    /// The registry of this machine and this user.
    pub fn open() -> Self {
        let models = user_models();
        let mut roots = roots();
        if models.is_dir() && !roots.contains(&models) {
            roots.push(models.clone());
        }
        let file = paths::config_dir().map(|dir| dir.join("models.json"));
        Self {
            roots,
            models,
            user: UserPairs::read(file),
        }
    }

    /// Every pair, each name once: those under the roots first, then what the user added, then the
    /// manifests. A file that cannot be read is a pair with an error, and hides no other.
    pub fn known(&self) -> Vec<KnownPair> {
        let mut known: Vec<KnownPair> = Vec::new();
        for root in &self.roots {
            for name in entries(root, |path| path.join("pair.json").is_file()) {
                if known.iter().all(|pair| pair.name != name) {
                    known.push(in_root(root, name));
                }
            }
        }
        let manifests = self.manifests();
        let described = |name: &str| manifests.iter().any(|(known, _)| known == name);
        match &self.user {
            Ok(user) => known.extend(
                user.pairs()
                    .iter()
                    .filter(|pair| !described(&pair.name))
                    .map(added),
            ),
            Err(why) => known.push(KnownPair {
                name: "the pairs that were added".into(),
                origin: Origin::Added,
                manifest: None,
                folder: None,
                spec: Err(ModelError::Unusable(why.to_string())),
            }),
        }
        for (name, manifest) in manifests {
            if known.iter().all(|pair| pair.name != name) {
                known.push(match manifest {
                    Ok(manifest) => self.described(manifest),
                    Err(why) => KnownPair {
                        name,
                        origin: Origin::Manifest,
                        manifest: None,
                        folder: None,
                        spec: Err(why),
                    },
                });
            }
        }
        known
    }

    /// The pair called `name`. A manifest's pair is found once its folders are there.
    pub fn find(&self, name: &str) -> Result<PairSpec, ModelError> {
        let mut known = self.known();
        let Some(at) = known.iter().position(|pair| pair.name == name) else {
            if let Err(why) = &self.user {
                // It might have been one of those.
                return Err(ModelError::Unusable(why.to_string()));
            }
            let names: Vec<_> = known.into_iter().map(|pair| pair.name).collect();
            let known = if names.is_empty() {
                "none".into()
            } else {
                names.join(", ")
            };
            return Err(ModelError::UnknownPair {
                name: name.into(),
                known,
            });
        };
        let pair = known.swap_remove(at);
        let spec = pair.spec?;
        match pair.manifest {
            Some(_) if !spec.large.is_dir() || !spec.small.is_dir() => {
                Err(ModelError::NotFetched {
                    name: name.into(),
                    folder: pair.folder.unwrap_or_default(),
                })
            }
            _ => Ok(spec),
        }
    }

    /// The manifest called `name`, and the folder its pair lies in, or will.
    pub fn manifest(&self, name: &str) -> Result<(Manifest, PathBuf), ModelError> {
        let manifests = self.manifests();
        let names: Vec<_> = manifests.iter().map(|(name, _)| name.clone()).collect();
        match manifests.into_iter().find(|(known, _)| known == name) {
            Some((_, manifest)) => {
                let place = self.place(name);
                Ok((manifest?, place))
            }
            None => Err(ModelError::NoManifest {
                name: name.into(),
                known: names.join(", "),
            }),
        }
    }

    /// Remembers where a pair lies, for every start from now on.
    pub fn remember(&mut self, pair: UserPair) -> Result<(), RememberError> {
        match &mut self.user {
            Ok(user) => Ok(user.remember(pair)?),
            Err(why) => Err(RememberError::Unreadable(why.to_string())),
        }
    }

    /// Forgets where a pair lies that was added, or that a download put elsewhere; gives what was known
    /// of it. No file of it is touched.
    pub fn forget(&mut self, name: &str) -> Result<UserPair, ForgetError> {
        let user = self.user.as_mut().map_err(|why| {
            // The file that is there would be lost.
            RememberError::Unreadable(why.to_string())
        })?;
        let added: Vec<_> = user.pairs().iter().map(|pair| pair.name.clone()).collect();
        user.forget(name)
            .map_err(RememberError::from)?
            .ok_or_else(|| ForgetError::NotAdded {
                name: name.to_owned(),
                added: if added.is_empty() {
                    "none was".to_owned()
                } else {
                    format!("added were {}", added.join(", "))
                },
            })
    }

    fn manifests(&self) -> Vec<(String, Result<Manifest, ModelError>)> {
        let mut manifests: Vec<(String, _)> = Vec::new();
        for root in &self.roots {
            let is_manifest =
                |path: &Path| path.is_file() && path.extension().is_some_and(|e| e == "json");
            for file in entries(root, is_manifest) {
                let name = file.trim_end_matches(".json").to_owned();
                if manifests.iter().all(|(known, _)| *known != name) {
                    manifests.push((name, Manifest::read(&root.join(file))));
                }
            }
        }
        manifests
    }

    /// Where a manifest's pair lies, or will.
    fn place(&self, name: &str) -> PathBuf {
        let chosen = self.user.as_ref().ok().and_then(|user| user.get(name));
        chosen
            .and_then(UserPair::folder)
            .map_or_else(|| default_place(&self.models, name), Path::to_owned)
    }

    fn described(&self, manifest: Manifest) -> KnownPair {
        let place = self.place(&manifest.name);
        let folder = |role: ModelRole| place.join(role.name());
        let spec = PairSpec::from_folders(folder(ModelRole::Large), folder(ModelRole::Small));
        KnownPair {
            name: manifest.name.clone(),
            origin: Origin::Manifest,
            spec: Ok(PairSpec {
                name: manifest.name.clone(),
                ..spec.with_distilled(manifest.distilled_in(&place))
            }),
            folder: Some(place),
            manifest: Some(manifest),
        }
    }
}

fn in_root(root: &Path, name: String) -> KnownPair {
    let folder = root.join(&name);
    KnownPair {
        origin: Origin::Root,
        manifest: None,
        spec: PairSpec::read(&folder),
        folder: Some(folder),
        name,
    }
}

fn added(pair: &UserPair) -> KnownPair {
    KnownPair {
        name: pair.name.clone(),
        origin: Origin::Added,
        manifest: None,
        folder: pair.folder().map(Path::to_owned),
        spec: pair.spec(),
    }
}

/// The pair called `name`; see [`Registry::find`].
pub fn find(name: &str) -> Result<PairSpec, ModelError> {
    Registry::open().find(name)
}

#[cfg(test)]
mod tests;
