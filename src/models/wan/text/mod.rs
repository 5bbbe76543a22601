//! From a prompt to text embeddings: cleaning, tokens, the UMT5 encoder.

mod prompt;

use std::path::Path;

use candle_core::{DType, Device, Tensor};

use super::TextConfig;
use crate::models::ModelError;
use crate::models::loader::{self, TRANSFORMERS_STEM};
use crate::models::text::{PromptTokenizer, T5};
use crate::models::weights::Weights;

/// UMT5 and its tokenizer, used as WanPipeline in diffusers does.
#[derive(Debug)]
pub struct TextEncoder {
    model: T5,
    tokenizer: PromptTokenizer,
    config: TextConfig,
    text_tokens: usize,
}

impl TextEncoder {
    /// Loads `<dir>/text_encoder` and `<dir>/tokenizer/tokenizer.json` of a model folder in
    /// diffusers' layout. Prompts are cut to `text_tokens` tokens.
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
        let model = weights.build(dtype, device, T5::spare, |vb| T5::new(&config, vb))?;
        Ok(Self {
            model,
            tokenizer,
            config,
            text_tokens,
        })
    }

    /// Reads and checks `<dir>/text_encoder/config.json` alone.
    pub fn read_config(dir: &Path) -> Result<TextConfig, ModelError> {
        let config: TextConfig = loader::read_config(dir, "text_encoder")?;
        match config.fault("umt5") {
            None => Ok(config),
            Some(reason) => Err(ModelError::Config {
                path: dir.join("text_encoder").join("config.json"),
                reason,
                hint: "use the UMT5 text encoder of a WAN 2.1 model".into(),
            }),
        }
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
