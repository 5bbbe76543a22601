//! From a prompt to text embeddings: tokens and the T5 v1.1 encoder.

use std::path::Path;

use candle_core::{DType, Device, Tensor};

use super::Pipeline;
use crate::models::ModelError;
use crate::models::loader::{self, TRANSFORMERS_STEM};
use crate::models::text::{PromptTokenizer, T5, T5Config};
use crate::models::weights::Weights;

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
    /// Loads `<dir>/text_encoder` and `<dir>/tokenizer/tokenizer.json` of a model folder in
    /// diffusers' layout, to be run as the folder's `model_index.json` says. Prompts are cut to
    /// `text_tokens` tokens; diffusers takes [`Pipeline::text_tokens`].
    pub fn load(
        dir: &Path,
        text_tokens: usize,
        device: &Device,
        dtype: DType,
    ) -> Result<Self, ModelError> {
        let config = Self::read_config(dir)?;
        let folder = loader::component(dir, "tokenizer")?;
        let tokenizer = PromptTokenizer::read(&folder, text_tokens, config.vocab_size)?;
        let weights = Weights::open(&loader::component(dir, "text_encoder")?, TRANSFORMERS_STEM)?;
        let model = weights.build(dtype, device, T5::spare, |params| T5::new(&config, params))?;
        Ok(Self {
            model,
            tokenizer,
            config,
            text_tokens,
            pipeline: Pipeline::read(dir)?,
        })
    }

    /// Reads and checks `<dir>/text_encoder/config.json` alone.
    pub fn read_config(dir: &Path) -> Result<T5Config, ModelError> {
        let config: T5Config = loader::read_config(dir, "text_encoder")?;
        match config.fault("t5") {
            None => Ok(config),
            Some(reason) => Err(ModelError::Config {
                path: dir.join("text_encoder").join("config.json"),
                reason,
                hint: "use the T5 v1.1 text encoder of an LTX-Video model".into(),
            }),
        }
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
