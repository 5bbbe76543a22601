//! From a prompt to text embeddings: cleaning, tokens, the UMT5 encoder.

mod prompt;

use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};

use super::{TextConfig, files};
use crate::models::ModelError;
use crate::models::text::{PromptTokenizer, T5};
use crate::models::weights::{Loading, Params};

/// UMT5 and its tokenizer, used as WanPipeline in diffusers does.
#[derive(Debug)]
pub struct TextEncoder {
    model: T5,
    tokenizer: PromptTokenizer,
    config: TextConfig,
    text_tokens: usize,
}

impl TextEncoder {
    /// Loads the text encoder and the tokenizer of a model: of a folder in diffusers' layout, or
    /// of the authors' files. Prompts are cut to `text_tokens` tokens.
    pub fn load(
        model: &Path,
        text_tokens: usize,
        loading: Loading<'_>,
    ) -> Result<Self, ModelError> {
        let (config, weights) = files::text(model)?;
        let path = files::tokenizer(model);
        let tokenizer = PromptTokenizer::read(&path, text_tokens, config.vocab_size)?;
        let construct = |params| T5::new(&config, params);
        let model = weights.build(loading, Self::is_spare, construct)?;
        Ok(Self {
            model,
            tokenizer,
            config,
            text_tokens,
        })
    }

    /// Whether the files may hold `name` though the encoder does not ask for it.
    pub(super) fn is_spare(name: &str) -> bool {
        T5::spare(name)
    }

    /// Asks `params` for all that the network needs.
    pub(super) fn construct(config: &TextConfig, params: Params) -> candle_core::Result<()> {
        T5::new(config, params).map(drop)
    }

    /// The file of the model's tokenizer, if it can be read.
    pub(super) fn check_tokenizer(model: &Path) -> Result<PathBuf, ModelError> {
        let path = files::tokenizer(model);
        PromptTokenizer::read(&path, 1, usize::MAX).map(|_| path)
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
        self.tokenizer.tokens(&prompt::clean(prompt))
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
