//! Where the parts of a model lie: in folders as diffusers saves them, or in files as the models'
//! authors publish them and as other programs keep them.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::ModelError;
use super::loader::{component, read_json, weight_files};
use super::names::Names;
use super::weights::Weights;

/// A part of a model, and how it is called in either layout.
#[derive(Debug)]
pub(super) struct Part {
    /// Its folder in diffusers' layout.
    pub(super) folder: &'static str,
    /// The stem of its weight files there.
    pub(super) stem: &'static str,
    /// The names its own file goes by, without the ending. Empty for a transformer, whose file is
    /// the model itself and may be called anything.
    pub(super) files: &'static [&'static str],
    /// How its tensors are called in such a file.
    pub(super) names: &'static Names,
}

/// A part of a model that was found.
pub(super) enum Place {
    /// A folder of diffusers' layout, with its config.json.
    Folder(PathBuf),
    /// A file of the model's authors (or the index of a sharded one) and the files themselves.
    Native(PathBuf, Vec<PathBuf>),
}

/// Endings of weight files, the best first.
const ENDINGS: [&str; 6] = ["safetensors", "gguf", "pth", "pt", "bin", "ckpt"];

/// Folders beside a model's file in which other programs keep VAEs and text encoders.
const BESIDE: [&str; 7] = [
    "",
    "vae",
    "text_encoder",
    "text_encoders",
    "../vae",
    "../text_encoders",
    "../clip",
];

/// The folder in which a model's parts are looked for.
pub(super) fn home(model: &Path) -> &Path {
    match model.parent() {
        Some(parent) if model.is_file() => parent,
        _ => model,
    }
}

/// Finds a part of the model in a folder of either layout, or beside a transformer's file.
pub(super) fn find(model: &Path, part: &Part) -> Result<Place, ModelError> {
    let home = home(model);
    let folder = home.join(part.folder);
    if part.files.is_empty() {
        if model.is_file() {
            return Ok(Place::Native(model.to_owned(), vec![model.to_owned()]));
        }
        if folder.is_dir() {
            return Ok(Place::Folder(folder));
        }
        if is_component(model) {
            return Ok(Place::Folder(model.to_owned()));
        }
        return match only_transformer(model, part)? {
            Some(place) => Ok(place),
            None => component(model, part.folder).map(Place::Folder),
        };
    }
    if folder.join("config.json").is_file() {
        return Ok(Place::Folder(folder));
    }
    for place in BESIDE {
        for stem in part.files {
            for ending in ENDINGS {
                let file = home.join(place).join(format!("{stem}.{ending}"));
                if file.is_file() {
                    return Ok(Place::Native(file.clone(), vec![file]));
                }
            }
        }
    }
    if model.is_file() || is_native(model) {
        return Err(ModelError::Missing {
            what: format!("the model's {}", part.folder.replace('_', " ")),
            path: home.join(format!("{}.safetensors", part.files[0])),
            hint: format!(
                "put it there, or a folder {}/ as diffusers saves it",
                part.folder
            ),
        });
    }
    component(model, part.folder).map(Place::Folder)
}

/// Opens the weights of a part, under our names.
pub(super) fn open(place: &Place, part: &Part) -> Result<Weights, ModelError> {
    match place {
        Place::Folder(folder) => {
            let (path, files) = weight_files(folder, part.stem)?;
            Weights::open(path, files)
        }
        Place::Native(path, files) => {
            Ok(Weights::open(path.clone(), files.clone())?.renamed(part.names))
        }
    }
}

/// The config in a folder, or what `told` makes of a file's tensors, unless `fault` finds one.
pub(super) fn read_config<C: DeserializeOwned>(
    place: &Place,
    told: impl FnOnce() -> Result<Result<C, String>, ModelError>,
    fault: impl FnOnce(&C) -> Option<String>,
    hint: &str,
) -> Result<C, ModelError> {
    let (config, path) = match place {
        Place::Folder(folder) => {
            let path = folder.join("config.json");
            (Ok(read_json::<C>(&path)?), path)
        }
        Place::Native(path, _) => (told()?, path.clone()),
    };
    check_config(config, path, fault, hint)
}

/// A config, unless `fault` finds one in it.
pub(super) fn check_config<C>(
    config: Result<C, String>,
    path: PathBuf,
    fault: impl FnOnce(&C) -> Option<String>,
    hint: &str,
) -> Result<C, ModelError> {
    let checked = config.and_then(|config| match fault(&config) {
        None => Ok(config),
        Some(fault) => Err(fault),
    });
    checked.map_err(|reason| ModelError::Config {
        path,
        reason,
        hint: hint.into(),
    })
}

/// Whether a folder is a transformer's own in diffusers' layout, such as `transformer_2/`, the second
/// expert of Wan 2.2.
fn is_component(model: &Path) -> bool {
    #[derive(Deserialize)]
    struct Config {
        #[serde(rename = "_class_name", default)]
        class_name: String,
    }
    read_json::<Config>(&model.join("config.json"))
        .is_ok_and(|config| config.class_name.ends_with("Transformer3DModel"))
}

/// Whether a folder holds a model as its authors publish it.
fn is_native(model: &Path) -> bool {
    model.is_dir() && !model.join("transformer").is_dir() && !transformers(model).is_empty()
}

/// The transformer of a folder without diffusers' layout.
fn only_transformer(model: &Path, part: &Part) -> Result<Option<Place>, ModelError> {
    let index = model.join(format!("{}.safetensors.index.json", part.stem));
    let single = model.join(format!("{}.safetensors", part.stem));
    if index.is_file() || single.is_file() {
        let (path, files) = weight_files(model, part.stem)?;
        return Ok(Some(Place::Native(path, files)));
    }
    match &transformers(model)[..] {
        [] => Ok(None),
        [file] => Ok(Some(Place::Native(file.clone(), vec![file.clone()]))),
        [first, second, ..] => Err(ModelError::Incompatible(format!(
            "{} holds several weight files, {} and {} among them; name the one you mean instead of \
             the folder",
            model.display(),
            file_name(first),
            file_name(second)
        ))),
    }
}

/// The weight files of a folder that may be a transformer's.
fn transformers(model: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(model) else {
        return Vec::new();
    };
    let mut files: Vec<PathBuf> = entries
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .filter(|path| {
            let ending = path.extension().and_then(|e| e.to_str());
            let name = file_name(path).to_lowercase();
            let other = ["vae", "t5", "clip"].iter().any(|word| name.contains(word));
            ending.is_some_and(|e| ["safetensors", "gguf"].contains(&e)) && !other
        })
        .collect();
    files.sort();
    files
}

fn file_name(path: &Path) -> String {
    path.file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default()
}
