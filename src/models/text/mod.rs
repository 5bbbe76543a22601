//! What the families' text encoders share: the T5 network in its two kinds, and tokenizers.

mod config;
mod spiece;
mod t5;
mod tokenizer;

pub use config::T5Config;
pub(in crate::models) use t5::T5;
pub(in crate::models) use tokenizer::PromptTokenizer;
