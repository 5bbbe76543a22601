use std::path::Path;

use super::files;
use crate::models::ModelError;

/// The conventions under which diffusers runs a model of this family. Its versions came with one
/// pipeline or the other, and they differ in three things: where in time a token lies, whether the
/// text encoder sees a prompt's padding, and the sigma grid.
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
    /// What a model's `model_index.json` asks for. Of a model without one the transformer tells
    /// which it is.
    pub fn read(model: &Path) -> Result<Self, ModelError> {
        files::pipeline(model)
    }

    /// Tokens that prompts are cut to where nothing else is asked for.
    pub fn text_tokens(self) -> usize {
        match self {
            Self::Text => 128,
            Self::Condition => 256,
        }
    }
}
