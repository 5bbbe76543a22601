use std::path::Path;

use serde::Deserialize;

use super::layout::{self, Place};
use super::loader::read_json;
use super::ltx;

/// The families of models that can be run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// WAN 2.1.
    Wan,
    /// LTX-Video.
    Ltx,
}

impl Family {
    /// The family of a model, told by its transformer's config or the names of its tensors. What
    /// cannot be told, or read, is taken for WAN, whose loader says what is wrong.
    pub fn of(model: &Path) -> Self {
        #[derive(Deserialize)]
        struct Config {
            #[serde(rename = "_class_name", default)]
            class_name: String,
        }
        let is_ltx = match layout::find(model, &ltx::TRANSFORMER) {
            Err(_) => false,
            Ok(Place::Folder(folder)) => read_json::<Config>(&folder.join("config.json"))
                .is_ok_and(|config| config.class_name.starts_with("LTX")),
            Ok(place) => layout::open(&place, &ltx::TRANSFORMER)
                .is_ok_and(|weights| weights.shape("proj_in.weight").is_some()),
        };
        if is_ltx { Self::Ltx } else { Self::Wan }
    }

    /// The name for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Wan => "WAN 2.1",
            Self::Ltx => "LTX-Video",
        }
    }
}
