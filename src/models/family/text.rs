use std::path::Path;

use candle_core::Tensor;

use super::Family;
use crate::models::{Loading, ModelError, ltx, wan};

/// A text encoder of any family.
#[derive(Debug)]
pub enum TextEncoder {
    /// UMT5 as WAN 2.1 uses it.
    Wan(wan::TextEncoder),
    /// T5 as LTX-Video uses it.
    Ltx(ltx::TextEncoder),
}

impl TextEncoder {
    /// Loads the text encoder of a model. Prompts are cut to `text_tokens` tokens.
    pub fn load(
        model: &Path,
        text_tokens: usize,
        loading: Loading<'_>,
    ) -> Result<Self, ModelError> {
        Ok(match Family::of(model) {
            Family::Wan => Self::Wan(wan::TextEncoder::load(model, text_tokens, loading)?),
            Family::Ltx => Self::Ltx(ltx::TextEncoder::load(model, text_tokens, loading)?),
        })
    }

    /// Encodes a prompt to what the family's transformers take, `(1, tokens, dim)`, f32.
    pub fn encode(&self, prompt: &str) -> Result<Tensor, ModelError> {
        match self {
            Self::Wan(encoder) => encoder.encode(prompt),
            Self::Ltx(encoder) => encoder.encode(prompt),
        }
    }
}
