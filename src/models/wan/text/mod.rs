//! From a prompt to text embeddings: cleaning, tokens, the UMT5 encoder.

mod prompt;
mod umt5;

use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use tokenizers::{Tokenizer, TruncationDirection, TruncationParams, TruncationStrategy};

use self::umt5::Umt5;
use super::{TextConfig, files};
use crate::models::ModelError;
use crate::models::weights::Params;

/// UMT5 and its tokenizer, used as WanPipeline in diffusers does.
#[derive(Debug)]
pub struct TextEncoder {
    model: Umt5,
    tokenizer: Tokenizer,
    tokenizer_path: PathBuf,
    config: TextConfig,
    text_tokens: usize,
}

impl TextEncoder {
    /// Loads the text encoder and the tokenizer of a model: of a folder in diffusers' layout, or
    /// of the authors' files. Prompts are cut to `text_tokens` tokens.
    pub fn load(
        model: &Path,
        text_tokens: usize,
        device: &Device,
        dtype: DType,
    ) -> Result<Self, ModelError> {
        let (config, weights) = files::text(model)?;
        let tokenizer_path = files::tokenizer(model);
        let tokenizer = read_tokenizer(&tokenizer_path, text_tokens)?;
        let construct = |params| Umt5::new(&config, params);
        let model = weights.build(dtype, device, Self::is_spare, construct)?;
        Ok(Self {
            model,
            tokenizer,
            tokenizer_path,
            config,
            text_tokens,
        })
    }

    /// A whole UMT5 also holds a decoder, and some files hold the embedding table twice.
    pub(super) fn is_spare(name: &str) -> bool {
        name.starts_with("decoder.")
            || ["lm_head.weight", "encoder.embed_tokens.weight"].contains(&name)
    }

    /// Asks `params` for all that the network needs.
    pub(super) fn construct(config: &TextConfig, params: Params) -> candle_core::Result<()> {
        Umt5::new(config, params).map(drop)
    }

    /// The file of the model's tokenizer, if it can be read.
    pub(super) fn check_tokenizer(model: &Path) -> Result<PathBuf, ModelError> {
        let path = files::tokenizer(model);
        read_tokenizer(&path, 1).map(|_| path)
    }

    /// Reads and checks the text encoder's config alone; of a file without one, its header.
    pub fn read_config(model: &Path) -> Result<TextConfig, ModelError> {
        files::text_config(model)
    }

    /// The encoder's config.
    pub fn config(&self) -> &TextConfig {
        &self.config
    }

    /// The ids of the cleaned prompt's tokens, the end mark included, at most `text_tokens`.
    pub fn tokens(&self, prompt: &str) -> Result<Vec<u32>, ModelError> {
        let fault = |reason: String| ModelError::Tokenizer {
            path: self.tokenizer_path.clone(),
            reason,
        };
        let encoding = self
            .tokenizer
            .encode(prompt::clean(prompt), true)
            .map_err(|e| fault(e.to_string()))?;
        let ids = encoding.get_ids().to_vec();
        match ids
            .iter()
            .find(|id| **id as usize >= self.config.vocab_size)
        {
            Some(id) => Err(fault(format!(
                "it makes token {id}, but the text encoder knows only {} tokens",
                self.config.vocab_size
            ))),
            None => Ok(ids),
        }
    }

    /// Encodes a prompt to `(1, text_tokens, dim)`, f32. Only the true tokens pass the encoder;
    /// the rest is zeros.
    pub fn encode(&self, prompt: &str) -> Result<Tensor, ModelError> {
        let ids = self.tokens(prompt)?;
        if ids.is_empty() {
            let shape = (1, self.text_tokens, self.config.d_model);
            return Ok(Tensor::zeros(shape, DType::F32, &Device::Cpu)?);
        }
        let states = self.model.forward(&ids)?.to_dtype(DType::F32)?;
        Ok(states.pad_with_zeros(1, 0, self.text_tokens - ids.len())?)
    }
}

/// Reads a tokenizer and sets its cutting; padding is left to the encoder.
fn read_tokenizer(path: &Path, text_tokens: usize) -> Result<Tokenizer, ModelError> {
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
    let mut tokenizer = Tokenizer::from_bytes(bytes).map_err(|e| fault(e.to_string()))?;
    tokenizer
        .with_truncation(Some(TruncationParams {
            direction: TruncationDirection::Right,
            max_length: text_tokens,
            strategy: TruncationStrategy::LongestFirst,
            stride: 0,
        }))
        .map_err(|e| fault(e.to_string()))?;
    tokenizer.with_padding(None);
    Ok(tokenizer)
}
