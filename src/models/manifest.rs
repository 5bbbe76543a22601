//! Public checkpoints that make a pair: where a model hub keeps them, file by file.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use serde::Deserialize;

use super::loader::read_json;
use super::pair::DISTILLED_ALONE;
use super::{Distilled, ModelError, TransformerConfig};
use crate::schedule::{DistilledGrid, ModelRole};

/// What ends the name of a list of shards.
pub const INDEX_ENDING: &str = ".index.json";

/// A pair of public checkpoints, read from `<root>/<name>.json`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The name the pair is asked for by.
    pub name: String,
    /// What it is, for people.
    pub title: String,
    /// Under which terms its authors give it away.
    pub licence: String,
    /// Bytes of all files, where a file's own size is not stated: an estimate from the shapes of the
    /// tensors and the number format they are published in.
    pub estimated_bytes: u64,
    /// Parameters of all parts.
    pub parameters: Parameters,
    /// The configurations of its transformers, where the program knows them.
    pub published: Option<Published>,
    /// The large model, which also gives VAE and text encoder.
    pub large: Checkpoint,
    /// The small model; only its transformer is used, so only that is listed.
    pub small: Checkpoint,
    /// A step-distilled model, of which also only the transformer is used. The pair works without it.
    pub distilled: Option<Checkpoint>,
    /// The noise levels that the distilled model was taught; stated where there is one.
    pub distilled_sigmas: Option<DistilledGrid>,
}

/// How many numbers the parts of a pair hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameters {
    /// The large transformer.
    pub large: u64,
    /// The small transformer.
    pub small: u64,
    /// The distilled transformer; 0 where there is none.
    #[serde(default)]
    pub distilled: u64,
    /// The VAE.
    pub vae: u64,
    /// The text encoder.
    pub text_encoder: u64,
}

/// The transformers of a pair by the names of
/// [`TransformerConfig::PUBLISHED`](super::TransformerConfig::PUBLISHED), so that its costs can be told before
/// any file is there.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Published {
    /// The large transformer.
    pub large: String,
    /// The small transformer.
    pub small: String,
    /// That of the step-distilled model.
    pub distilled: Option<String>,
}

/// The files of one model on the hub.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    /// The repository, `owner/name`.
    pub repo: String,
    /// A commit, a tag or a branch.
    pub revision: String,
    /// The files that are needed.
    pub files: Vec<ManifestFile>,
}

/// A file of a checkpoint. A list of shards (`*.index.json`) stands for the shards as well.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManifestFile {
    /// Where it lies in the repository, and below the model's folder.
    pub path: String,
    /// Its bytes, where they are known.
    pub size: Option<u64>,
    /// Its SHA-256 in hexadecimal, where it is known.
    pub sha256: Option<String>,
}

impl Manifest {
    /// Reads and checks a manifest.
    pub fn read(path: &Path) -> Result<Self, ModelError> {
        let manifest: Self = read_json(path)?;
        match manifest.fault(path) {
            None => Ok(manifest),
            Some(reason) => Err(ModelError::Config {
                path: path.to_owned(),
                reason,
                hint: "correct the file, or take it from the program's sources again".into(),
            }),
        }
    }

    /// The models by their role, whose name is the folder that each goes into below the pair's own.
    pub fn checkpoints(&self) -> impl Iterator<Item = (ModelRole, &Checkpoint)> {
        let distilled = self.distilled.as_ref();
        [
            (ModelRole::Large, &self.large),
            (ModelRole::Small, &self.small),
        ]
        .into_iter()
        .chain(distilled.map(|distilled| (ModelRole::Distilled, distilled)))
    }

    /// The distilled model, once its files lie below the pair's folder `place`: the pair works without it.
    pub fn distilled_in(&self, place: &Path) -> Option<Distilled> {
        let model = place.join(ModelRole::Distilled.name());
        let mut files = self.distilled.as_ref()?.files.iter();
        let sigmas = self.distilled_sigmas.clone()?;
        files
            .all(|file| model.join(&file.path).is_file())
            .then_some(Distilled { model, sigmas })
    }

    fn fault(&self, path: &Path) -> Option<String> {
        if path.file_stem().and_then(|stem| stem.to_str()) != Some(&self.name) {
            return Some(format!("it must be called {}.json", self.name));
        }
        if self.distilled.is_some() != self.distilled_sigmas.is_some() {
            return Some(DISTILLED_ALONE.into());
        }
        if let Some(name) = self.published.iter().find_map(Published::unknown) {
            return Some(format!(
                "`{name}` is no published transformer; there are {}",
                TransformerConfig::PUBLISHED.join(", ")
            ));
        }
        self.checkpoints()
            .flat_map(|(_, checkpoint)| &checkpoint.files)
            .find_map(ManifestFile::fault)
    }
}

impl Published {
    /// The names of its models in the order of their roles.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        [&self.large, &self.small]
            .into_iter()
            .chain(&self.distilled)
            .map(String::as_str)
    }

    fn unknown(&self) -> Option<&str> {
        self.names()
            .find(|name| TransformerConfig::published(name).is_none())
    }
}

impl ManifestFile {
    /// A file of which only the name is known, such as a shard.
    pub fn named(path: String) -> Self {
        Self {
            path,
            size: None,
            sha256: None,
        }
    }

    fn fault(&self) -> Option<String> {
        if !is_inside(&self.path) {
            return Some(format!(
                "`{}` is no path inside a model's folder",
                self.path
            ));
        }
        let is_hash = |hash: &String| hash.len() == 64 && hash.bytes().all(is_lower_hex);
        match &self.sha256 {
            Some(hash) if !is_hash(hash) => Some(format!(
                "the sha256 of {} is not 64 hexadecimal digits in lower case",
                self.path
            )),
            _ => None,
        }
    }
}

/// The shards that the list at `index` names, as paths beside `path`, which is the list's own in its
/// repository. A list comes from the network: names that lead out of the folder are refused.
pub fn shards(index: &Path, path: &str) -> Result<Vec<String>, ModelError> {
    #[derive(Deserialize)]
    struct Index {
        weight_map: std::collections::BTreeMap<String, String>,
    }
    let parsed: Index = read_json(index)?;
    let names: BTreeSet<_> = parsed.weight_map.into_values().collect();
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    names
        .into_iter()
        .map(|name| match folder {
            _ if name.contains(['/', '\\']) || !is_inside(&name) => Err(ModelError::Config {
                path: index.to_owned(),
                reason: format!("its shard `{name}` is no plain file name"),
                hint: "fetch the file again".into(),
            }),
            "" => Ok(name),
            folder => Ok(format!("{folder}/{name}")),
        })
        .collect()
}

fn is_inside(path: &str) -> bool {
    let mut parts = Path::new(path).components().peekable();
    parts.peek().is_some()
        && !path.contains('\\')
        && parts.all(|part| matches!(part, Component::Normal(_)))
}

fn is_lower_hex(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

/// Where a manifest's pair lies below `models`, the user's folder of models, unless the user chose
/// another place.
pub fn default_place(models: &Path, name: &str) -> PathBuf {
    models.join(name)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::path::{Path, PathBuf};

    use super::*;
    use crate::schedule::SigmaGrid;

    fn file(folder: &Path, name: &str, text: &str) -> PathBuf {
        let path = folder.join(name);
        std::fs::File::create(&path)
            .unwrap()
            .write_all(text.as_bytes())
            .unwrap();
        path
    }

    #[test]
    fn the_manifests_that_come_with_the_program_are_in_order() {
        let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
        for name in ["wan2.1", "ltx-video"] {
            let manifest = Manifest::read(&models.join(format!("{name}.json"))).unwrap();
            // The small model is a transformer and no more.
            assert!(manifest.small.files.len() < manifest.large.files.len());
            let stated: u64 = manifest
                .checkpoints()
                .flat_map(|(_, checkpoint)| &checkpoint.files)
                .filter_map(|file| file.size)
                .sum();
            assert!(stated < manifest.estimated_bytes, "{name}");
            assert!(manifest.published.is_some(), "{name}");
        }
    }

    /// LTX-Video's authors sample 0.9.6 along this grid, its distilled model in eight steps.
    #[test]
    fn the_distilled_ltx_video_steps_along_its_authors_grid() {
        let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
        let manifest = Manifest::read(&models.join("ltx-video.json")).unwrap();
        let roles: Vec<_> = manifest.checkpoints().map(|(role, _)| role).collect();
        assert_eq!(roles, ModelRole::ALL);
        let (own, taught) = (
            SigmaGrid::linear_quadratic(8),
            manifest.distilled_sigmas.unwrap(),
        );
        assert_eq!(taught.steps(), own.steps());
        for (taught, own) in taught.sigmas().iter().zip(own.sigmas()) {
            assert!((taught - own).abs() < 1e-12, "{taught} against {own}");
        }
    }

    #[test]
    fn a_distilled_model_and_its_noise_levels_need_one_another() {
        let folder = tempfile::tempdir().unwrap();
        let read = |more: &str| {
            let text = format!(
                r#"{{"name":"m","title":"t","licence":"l","estimated_bytes":1,
                    "parameters":{{"large":1,"small":1,"vae":1,"text_encoder":1}},
                    "large":{{"repo":"a/b","revision":"main","files":[]}},
                    "small":{{"repo":"a/b","revision":"main","files":[]}}{more}}}"#
            );
            Manifest::read(&file(folder.path(), "m.json", &text)).map_err(|why| why.to_string())
        };
        let model = r#","distilled":{"repo":"a/c","revision":"main","files":[{"path":"../w"}]}"#;
        let sigmas = r#","distilled_sigmas":[1,0.5,0]"#;
        assert!(read("").unwrap().distilled.is_none());
        for alone in [model, sigmas] {
            let said = read(alone).unwrap_err();
            assert!(said.contains("need one another"), "{said}");
        }
        // Its files are looked at as all others are.
        let said = read(&format!("{model}{sigmas}")).unwrap_err();
        assert!(said.contains("`../w`"), "{said}");
        let said = read(&format!(r#"{model},"distilled_sigmas":[0.5,0]"#)).unwrap_err();
        assert!(said.contains("from 1 to 0"), "{said}");
    }

    #[test]
    fn paths_that_lead_out_of_the_folder_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let manifest = |path: &str, hash: &str| {
            let text = format!(
                r#"{{"name":"m","title":"t","licence":"l","estimated_bytes":1,
                    "parameters":{{"large":1,"small":1,"vae":1,"text_encoder":1}},
                    "large":{{"repo":"a/b","revision":"main","files":[]}},
                    "small":{{"repo":"a/b","revision":"main",
                              "files":[{{"path":"{path}","sha256":"{hash}"}}]}}}}"#
            );
            Manifest::read(&file(folder.path(), "m.json", &text))
        };
        let good = "0".repeat(64);
        assert!(manifest("vae/config.json", &good).is_ok());
        for path in ["../x", "/x", "a/../../x", "", "a\\\\..\\\\x"] {
            let said = manifest(path, &good).unwrap_err().to_string();
            assert!(said.contains("no path inside"), "{path}: {said}");
        }
        assert!(manifest("x", "ABC").unwrap_err().to_string().contains("64"));
    }

    #[test]
    fn a_transformer_that_nobody_published_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let text = r#"{"name":"m","title":"t","licence":"l","estimated_bytes":1,
            "parameters":{"large":1,"small":1,"vae":1,"text_encoder":1},
            "published":{"large":"wan-14b","small":"wan-2b"},
            "large":{"repo":"a/b","revision":"main","files":[]},
            "small":{"repo":"a/b","revision":"main","files":[]}}"#;
        let said = Manifest::read(&file(folder.path(), "m.json", text)).unwrap_err();
        assert!(said.to_string().contains("`wan-2b`"), "{said}");
    }

    #[test]
    fn shards_lie_beside_their_list_and_nowhere_else() {
        let folder = tempfile::tempdir().unwrap();
        let list = |shard: &str| {
            let text = format!(r#"{{"weight_map":{{"a":"{shard}","b":"{shard}"}}}}"#);
            file(folder.path(), "i.index.json", &text)
        };
        assert_eq!(
            shards(&list("m-1.safetensors"), "vae/i.index.json").unwrap(),
            ["vae/m-1.safetensors"]
        );
        for bad in ["../m", "a/m", "/m", ".."] {
            assert!(shards(&list(bad), "vae/i.index.json").is_err(), "{bad}");
        }
    }
}
