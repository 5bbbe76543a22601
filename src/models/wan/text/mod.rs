//! From a prompt to text embeddings: cleaning, tokens, the UMT5 encoder.

mod prompt;
mod umt5;

use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use tokenizers::{Tokenizer, TruncationDirection, TruncationParams, TruncationStrategy};

use self::umt5::Umt5;
use super::TextConfig;
use crate::models::ModelError;
use crate::models::loader::{self, TRANSFORMERS_STEM};
use crate::models::weights::Weights;

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
    /// Loads `<dir>/text_encoder` and `<dir>/tokenizer/tokenizer.json` of a model folder in
    /// diffusers' layout. Prompts are cut to `text_tokens` tokens.
    pub fn load(
        dir: &Path,
        text_tokens: usize,
        device: &Device,
        dtype: DType,
    ) -> Result<Self, ModelError> {
        let config = Self::read_config(dir)?;
        let tokenizer_path = loader::component(dir, "tokenizer")?.join("tokenizer.json");
        let tokenizer = read_tokenizer(&tokenizer_path, text_tokens)?;
        let weights = Weights::open(&loader::component(dir, "text_encoder")?, TRANSFORMERS_STEM)?;
        // A whole UMT5 also holds a decoder, and some files hold the embedding table twice.
        let spare = |name: &str| {
            name.starts_with("decoder.")
                || ["lm_head.weight", "encoder.embed_tokens.weight"].contains(&name)
        };
        let model = weights.build(dtype, device, spare, |vb| Umt5::new(&config, vb))?;
        Ok(Self {
            model,
            tokenizer,
            tokenizer_path,
            config,
            text_tokens,
        })
    }

    /// Reads and checks `<dir>/text_encoder/config.json` alone.
    pub fn read_config(dir: &Path) -> Result<TextConfig, ModelError> {
        let config: TextConfig = loader::read_config(dir, "text_encoder")?;
        match config.fault() {
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
