//! From a prompt to text embeddings: tokens and the T5 v1.1 encoder.

use std::path::{Path, PathBuf};

use candle_core::{DType, Tensor};

use super::{Pipeline, files};
use crate::models::ModelError;
use crate::models::text::{PromptTokenizer, T5, T5Config};
use crate::models::weights::{Loading, Params};

/// T5 v1.1 and its tokenizer, used as LTXPipeline and LTXConditionPipeline in diffusers do.
#[derive(Debug)]
pub struct TextEncoder {
    model: T5,
    tokenizer: PromptTokenizer,
    config: T5Config,
    text_tokens: usize,
    pipeline: Pipeline,
}

impl TextEncoder {
    /// Loads the text encoder and the tokenizer of a model: of a folder in diffusers' layout, or
    /// beside a file as its authors publish it; to be run as the model's `model_index.json` says.
    /// Prompts are cut to `text_tokens` tokens; diffusers takes [`Pipeline::text_tokens`].
    pub fn load(
        model: &Path,
        text_tokens: usize,
        loading: Loading<'_>,
    ) -> Result<Self, ModelError> {
        let (config, weights) = files::text(model)?;
        let path = files::tokenizer(model);
        let tokenizer = PromptTokenizer::read(&path, text_tokens, config.vocab_size)?;
        let construct = |params| T5::new(&config, params);
        let network = weights.build(loading, Self::is_spare, construct)?;
        Ok(Self {
            model: network,
            tokenizer,
            config,
            text_tokens,
            pipeline: Pipeline::read(model)?,
        })
    }

    /// Whether the files may hold `name` though the encoder does not ask for it.
    pub(super) fn is_spare(name: &str) -> bool {
        T5::spare(name)
    }

    /// Asks `params` for all that the network needs.
    pub(super) fn construct(config: &T5Config, params: Params) -> candle_core::Result<()> {
        T5::new(config, params).map(drop)
    }

    /// The file of the model's tokenizer, if it can be read.
    pub(super) fn check_tokenizer(model: &Path) -> Result<PathBuf, ModelError> {
        let path = files::tokenizer(model);
        PromptTokenizer::read(&path, 1, usize::MAX).map(|_| path)
    }

    /// Reads and checks the text encoder's config alone; of a file without one, its header.
    pub fn read_config(model: &Path) -> Result<T5Config, ModelError> {
        files::text_config(model)
    }

    /// Sets whether the encoder sees a prompt's padding.
    pub fn set_pipeline(&mut self, pipeline: Pipeline) {
        self.pipeline = pipeline;
    }

    /// The encoder's config.
    pub fn config(&self) -> &T5Config {
        &self.config
    }

    /// The ids of the prompt's tokens, the end mark included, at most `text_tokens`.
    pub fn tokens(&self, prompt: &str) -> Result<Vec<u32>, ModelError> {
        self.tokenizer.tokens(prompt)
    }

    /// Encodes a prompt to `(1, tokens, dim)`, f32, one row for each true token.
    ///
    /// LTXPipeline lets the encoder see the padding, which changes the rows of the true tokens;
    /// what the padding itself gives is masked in the transformer, and so left out here.
    pub fn encode(&self, prompt: &str) -> Result<Tensor, ModelError> {
        let mut ids = self.tokens(prompt)?;
        if ids.is_empty() {
            // A tokenizer without an end mark; the transformer needs something to look at.
            ids.push(self.config.pad_token_id);
        }
        let count = ids.len();
        if self.pipeline == Pipeline::Text && count < self.text_tokens {
            ids.resize(self.text_tokens, self.config.pad_token_id);
        }
        let states = self.model.forward(&ids)?.narrow(1, 0, count)?;
        Ok(states.to_dtype(DType::F32)?.contiguous()?)
    }
}
