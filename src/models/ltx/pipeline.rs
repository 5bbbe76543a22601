use std::path::Path;

use serde::Deserialize;

use crate::models::ModelError;
use crate::models::loader::read_json;

/// The conventions under which diffusers runs a model of this family. Its versions came with one
/// pipeline or the other, as `model_index.json` says, and they differ in three things: where in time
/// a token lies, whether the text encoder sees a prompt's padding, and the sigma grid.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Pipeline {
    /// `LTXPipeline`, which came with 0.9.0 to 0.9.6: a token lies at its latent frame's number
    /// times 8; the padding is seen; the scheduler's config decides on the grid.
    #[default]
    Text,
    /// `LTXConditionPipeline`, which came with 0.9.7: a token lies at the first frame of video that
    /// its latent frame covers; the padding is not seen; the grid is linear, then quadratic.
    Condition,
}

impl Pipeline {
    /// What `<dir>/model_index.json` asks for; [`Text`](Self::Text) where there is no such file.
    pub fn read(dir: &Path) -> Result<Self, ModelError> {
        #[derive(Deserialize)]
        struct Index {
            #[serde(rename = "_class_name", default)]
            class_name: String,
        }
        let path = dir.join("model_index.json");
        if !path.is_file() {
            return Ok(Self::default());
        }
        let index: Index = read_json(&path)?;
        match index.class_name.as_str() {
            "LTXPipeline" | "LTXImageToVideoPipeline" => Ok(Self::Text),
            "LTXConditionPipeline" => Ok(Self::Condition),
            other => Err(ModelError::Config {
                path,
                reason: format!("it describes a {other}"),
                hint: "use a folder of LTX-Video 0.9.5, 0.9.6 or 0.9.7 in diffusers' layout".into(),
            }),
        }
    }

    /// Tokens that prompts are cut to where nothing else is asked for.
    pub fn text_tokens(self) -> usize {
        match self {
            Self::Text => 128,
            Self::Condition => 256,
        }
    }
}
