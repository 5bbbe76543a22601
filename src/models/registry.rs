//! The pairs known on this machine: folders with a `pair.json` under a models root, what the user
//! added, and the public checkpoints that manifests under a root describe.

use std::path::{Path, PathBuf};

use super::manifest::{Manifest, default_place};
use super::user::{UserPair, UserPairs};
use super::{ModelError, PairSpec};
use crate::project::{AtomicError, paths};

/// The variable that names one more models root.
const ROOT_VARIABLE: &str = "FLOWBLEND_MODELS";

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
    /// The two models, or what is wrong with the file that should name them.
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
        let [large, small] = manifest.checkpoints().map(|(folder, _)| place.join(folder));
        KnownPair {
            name: manifest.name.clone(),
            origin: Origin::Manifest,
            spec: Ok(PairSpec {
                name: manifest.name.clone(),
                ..PairSpec::from_folders(large, small)
            }),
            folder: Some(place),
            manifest: Some(manifest),
        }
    }
}

/// Why a pair could not be remembered.
#[derive(Debug, thiserror::Error)]
pub enum RememberError {
    /// The file cannot be written.
    #[error(transparent)]
    Write(#[from] AtomicError),
    /// The file that is there would be lost.
    #[error("{0}")]
    Unreadable(String),
}

/// Why a pair could not be forgotten.
#[derive(Debug, thiserror::Error)]
pub enum ForgetError {
    /// Nobody added it.
    #[error(
        "`{name}` cannot be removed, because it was not added ({added}); pairs in a folder of models go with their files"
    )]
    NotAdded {
        /// What was asked for.
        name: String,
        /// Those that could be.
        added: String,
    },
    /// The list cannot be read or written.
    #[error(transparent)]
    List(#[from] RememberError),
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

/// The names of what `is_wanted` under `root`, in the order of the alphabet.
fn entries(root: &Path, is_wanted: impl Fn(&Path) -> bool) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(root) else {
        return Vec::new();
    };
    let mut names: Vec<String> = entries
        .filter_map(Result::ok)
        .filter(|entry| is_wanted(&entry.path()))
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort();
    names
}

/// The user's own folder of models; the working folder's where the system names none.
fn user_models() -> PathBuf {
    paths::data_dir()
        .unwrap_or_else(|| PathBuf::from("."))
        .join("models")
}

/// The folders in which pairs are looked for, first come first: the one that the environment
/// names, `models/` beside the program or above it, `models/` in the working folder, and the one
/// of the sources that the program was built from.
fn roots() -> Vec<PathBuf> {
    let mut roots = Vec::new();
    if let Some(named) = std::env::var_os(ROOT_VARIABLE).filter(|value| !value.is_empty()) {
        roots.push(PathBuf::from(named));
    }
    if let Ok(program) = std::env::current_exe() {
        roots.extend(
            program
                .ancestors()
                .skip(1)
                .map(|folder| folder.join("models")),
        );
    }
    roots.push(PathBuf::from("models"));
    roots.push(Path::new(env!("CARGO_MANIFEST_DIR")).join("models"));
    let mut seen = std::collections::HashSet::new();
    roots.retain(|root| root.is_dir() && seen.insert(root.clone()));
    roots
}

/// The pair called `name`; see [`Registry::find`].
pub fn find(name: &str) -> Result<PairSpec, ModelError> {
    Registry::open().find(name)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use crate::models::UserPlace;

    fn root_with(name: &str, json: &str) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join(name)).unwrap();
        let mut file = std::fs::File::create(root.path().join(name).join("pair.json")).unwrap();
        file.write_all(json.as_bytes()).unwrap();
        root
    }

    #[test]
    fn a_pair_is_found_and_read() {
        let root = root_with(
            "toy",
            r#"{"name":"toy","large":"large","small":"small","steps":30,"shift":2,"cfg":3,
                "width":64,"height":64,"frames":17,"fps":8,"boundaries":[0.5,0.75],
                "text_tokens":64,"prompt":"a dot","negative":"",
                "preview":{"factors":[[1,0,0]],"bias":[0,0,0.5]},
                "vocabulary":{"colour":["red","blue"]},
                "presets":[{"name":"Dot","prompt":"a red dot","seed":18446744073709551615}]}"#,
        );
        let registry = registry(root.path());
        let pair = registry.find("toy").unwrap();
        assert_eq!(pair.large, root.path().join("toy").join("large"));
        assert_eq!((pair.defaults.steps, pair.defaults.fps), (30, 8.0));
        assert_eq!(pair.defaults.boundaries, [0.5, 0.75]);
        assert_eq!(pair.defaults.preview.unwrap().bias, [0.0, 0.0, 0.5]);
        let preset = &pair.defaults.presets[0];
        assert_eq!(
            (preset.name.as_str(), preset.prompt.as_str(), preset.seed),
            ("Dot", "a red dot", u64::MAX)
        );
        assert_eq!(names(&registry), ["toy"]);
        let unknown = registry.find("other").unwrap_err().to_string();
        assert!(
            unknown.contains("`other`") && unknown.contains("known pairs: toy"),
            "{unknown}"
        );
        assert!(registry.find("../toy").is_err());
    }

    fn registry(root: &Path) -> Registry {
        Registry {
            roots: vec![root.to_owned()],
            models: root.join("downloads"),
            user: UserPairs::read(Some(root.join("config/models.json"))),
        }
    }

    fn names(registry: &Registry) -> Vec<String> {
        registry.known().into_iter().map(|pair| pair.name).collect()
    }

    /// What is said of a pair file.
    fn fault(json: &str) -> String {
        let root = root_with("x", json);
        let error = registry(root.path()).find("x").unwrap_err();
        let error = error.to_string();
        assert!(error.contains("pair.json"), "{error}");
        error
    }

    #[test]
    fn a_bad_pair_file_is_named() {
        let boundaries = r#"{"name":"x","large":"l","small":"s","boundaries":[0.8,0.4]}"#;
        let misspelt = r#"{"name":"x","large":"l","small":"s","stepps":3}"#;
        for (json, said) in [
            (boundaries, "must rise"),
            (misspelt, "unknown field `stepps`"),
            ("{", "does not parse"),
        ] {
            let error = fault(json);
            assert!(error.contains(said), "{error}");
        }
    }

    #[test]
    fn a_bad_preset_is_named() {
        let good = r#"{"name":"a","prompt":"b","seed":1}"#;
        for (bad, said) in [
            (r#"{"name":"c","prompt":"b"}"#, "2: missing field `seed`"),
            (
                r#"{"name":"c","prompt":"b","seed":1,"size":2}"#,
                "2: unknown field `size`",
            ),
            (r#"{"name":"c","prompt":"b","seed":-1}"#, "2: invalid value"),
            (r#"{"name":" ","prompt":"b","seed":1}"#, "2 needs a name"),
            (good, "2 has the name of an earlier one, `a`"),
        ] {
            let error = fault(&format!(
                r#"{{"name":"x","large":"l","small":"s","presets":[{good},{bad}]}}"#
            ));
            assert!(error.contains(&format!("preset {said}")), "{error}");
        }
    }

    fn models(name: &str, folder: &Path) -> UserPair {
        UserPair {
            name: name.into(),
            place: UserPlace::Models {
                large: folder.join("l"),
                small: folder.join("s"),
            },
        }
    }

    #[test]
    fn what_was_added_is_found_at_the_next_start() {
        let root = root_with("toy", r#"{"name":"toy","large":"l","small":"s"}"#);
        let folder = root.path().join("toy");
        registry(root.path())
            .remember(models("mine", &folder))
            .unwrap();
        let mut again = registry(root.path());
        assert_eq!(names(&again), ["toy", "mine"]);
        assert_eq!(again.find("mine").unwrap().small, folder.join("s"));
        // The same name again is the same pair in another place.
        again.remember(models("mine", root.path())).unwrap();
        let third = registry(root.path());
        assert_eq!(names(&third), ["toy", "mine"]);
        assert_eq!(third.find("mine").unwrap().small, root.path().join("s"));
    }

    #[test]
    fn only_what_was_added_is_forgotten_and_can_be_remembered_again() {
        let root = root_with("toy", r#"{"name":"toy","large":"l","small":"s"}"#);
        let mine = models("mine", root.path());
        let mut first = registry(root.path());
        let said = first.forget("toy").unwrap_err().to_string();
        assert!(
            said.contains("`toy`") && said.contains("none was"),
            "{said}"
        );
        first.remember(mine.clone()).unwrap();
        let said = first.forget("toy").unwrap_err().to_string();
        assert!(said.contains("added were mine"), "{said}");
        assert_eq!(first.forget("mine").unwrap(), mine);
        let mut again = registry(root.path());
        assert_eq!(names(&again), ["toy"]);
        again.remember(mine).unwrap();
        assert_eq!(names(&registry(root.path())), ["toy", "mine"]);
    }

    #[test]
    fn what_cannot_be_read_hides_no_other() {
        let root = root_with("toy", r#"{"name":"toy","large":"l","small":"s"}"#);
        let spoil = |path: &str| {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            let mut file = std::fs::File::create(path).unwrap();
            file.write_all(b"{").unwrap();
        };
        spoil("bad/pair.json");
        spoil("wan.json");
        spoil("config/models.json");
        let mut registry = registry(root.path());
        let known = registry.known();
        assert_eq!(known.len(), 4);
        assert_eq!(known.iter().filter(|pair| pair.spec.is_err()).count(), 3);
        assert!(registry.find("toy").is_ok());
        let said = registry.find("mine").unwrap_err().to_string();
        assert!(said.contains("models.json"), "{said}");
        // A file that cannot be read is not written over.
        assert!(registry.remember(models("mine", root.path())).is_err());
        assert!(registry.forget("mine").is_err());
    }

    #[test]
    fn a_pair_of_a_manifest_is_found_once_its_folders_are_there() {
        let root = tempfile::tempdir().unwrap();
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
        std::fs::copy(sources.join("wan2.1.json"), root.path().join("wan2.1.json")).unwrap();
        let mut registry = registry(root.path());
        let said = registry.find("wan2.1").unwrap_err().to_string();
        assert!(said.contains("models pull wan2.1"), "{said}");
        let (manifest, place) = registry.manifest("wan2.1").unwrap();
        assert_eq!(place, root.path().join("downloads/wan2.1"));
        assert_eq!(manifest.licence, "Apache-2.0");
        let elsewhere = root.path().join("disk");
        let chosen = UserPair {
            name: "wan2.1".into(),
            place: UserPlace::Folder {
                folder: elsewhere.clone(),
            },
        };
        registry.remember(chosen).unwrap();
        for folder in ["large", "small"] {
            std::fs::create_dir_all(elsewhere.join(folder)).unwrap();
        }
        let spec = registry.find("wan2.1").unwrap();
        assert_eq!(spec.large, elsewhere.join("large"));
        assert_eq!(names(&registry), ["wan2.1"]);
    }
}
