use std::path::{Path, PathBuf};

use tokenizers::{Tokenizer, TruncationDirection, TruncationParams, TruncationStrategy};

use super::spiece;
use crate::models::ModelError;

/// Turns prompts into the ids of their tokens, cut to a length. Padding is left to the encoders.
#[derive(Debug)]
pub(in crate::models) struct PromptTokenizer {
    inner: Tokenizer,
    path: PathBuf,
    vocabulary: usize,
}

impl PromptTokenizer {
    /// Reads a tokenizer.json or a SentencePiece model (`*.model`). Prompts are cut to `text_tokens` tokens, the end mark included; tokens
    /// from `vocabulary` on are refused.
    pub(in crate::models) fn read(
        path: &Path,
        text_tokens: usize,
        vocabulary: usize,
    ) -> Result<Self, ModelError> {
        let fault = |reason: String| ModelError::Tokenizer {
            path: path.to_owned(),
            reason,
        };
        if !path.is_file() {
            return Err(ModelError::Missing {
                what: "the tokenizer".into(),
                path: path.to_owned(),
                hint: "copy tokenizer.json from the model's source".into(),
            });
        }
        let bytes = std::fs::read(path).map_err(|source| ModelError::Io {
            path: path.to_owned(),
            source,
        })?;
        let read = if path.extension().is_some_and(|ending| ending == "model") {
            spiece::tokenizer(&bytes)
        } else {
            Tokenizer::from_bytes(bytes).map_err(|e| e.to_string())
        };
        let mut inner = read.map_err(fault)?;
        inner
            .with_truncation(Some(TruncationParams {
                direction: TruncationDirection::Right,
                max_length: text_tokens,
                strategy: TruncationStrategy::LongestFirst,
                stride: 0,
            }))
            .map_err(|e| fault(e.to_string()))?;
        inner.with_padding(None);
        Ok(Self {
            inner,
            path: path.to_owned(),
            vocabulary,
        })
    }

    /// The ids of a text's tokens, the end mark included.
    pub(in crate::models) fn tokens(&self, text: &str) -> Result<Vec<u32>, ModelError> {
        let fault = |reason: String| ModelError::Tokenizer {
            path: self.path.clone(),
            reason,
        };
        let encoding = self
            .inner
            .encode(text, true)
            .map_err(|e| fault(e.to_string()))?;
        let ids = encoding.get_ids().to_vec();
        match ids.iter().find(|id| **id as usize >= self.vocabulary) {
            Some(id) => Err(fault(format!(
                "it makes token {id}, but the text encoder knows only {} tokens",
                self.vocabulary
            ))),
            None => Ok(ids),
        }
    }
}
