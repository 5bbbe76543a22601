use std::path::PathBuf;

use crate::sampler::SampleError;

/// What can go wrong while a model folder is read or a model runs. Each message is one sentence
/// that says what, where, and what to do next.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// Somebody asked to stop.
    #[error("cancelled")]
    Cancelled,
    /// A file or folder that the layout asks for is not there.
    #[error("{what} is missing: {} does not exist; {hint}", path.display())]
    Missing {
        /// What the file is for.
        what: String,
        /// Where it was looked for.
        path: PathBuf,
        /// What the user can do.
        hint: String,
    },
    /// The operating system refused to read a file.
    #[error("cannot read {}: {source}; check that the file exists and that you may read it", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's own words.
        source: std::io::Error,
    },
    /// A JSON file cannot be parsed, or says something no model here can do.
    #[error("{} cannot be used: {reason}; {hint}", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
        /// What the user can do.
        hint: String,
    },
    /// A weight file is cut short or not a safetensors file.
    #[error("{} is not a whole safetensors file: {reason}; download or export it again", path.display())]
    Weights {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The config asks for a tensor that the weight files do not hold.
    #[error("{} has no tensor `{tensor}`, which config.json needs with shape {expected:?}; the config and the weights are not of the same model, fetch both again", path.display())]
    MissingTensor {
        /// The weight file or, for sharded weights, their index.
        path: PathBuf,
        /// The tensor's name.
        tensor: String,
        /// The shape the config implies.
        expected: Vec<usize>,
    },
    /// A tensor has another shape than the config implies.
    #[error("tensor `{tensor}` in {} has shape {found:?}, but config.json implies {expected:?}; the config and the weights are not of the same model, fetch both again", path.display())]
    TensorShape {
        /// The weight file.
        path: PathBuf,
        /// The tensor's name.
        tensor: String,
        /// Its shape in the file.
        found: Vec<usize>,
        /// The shape the config implies.
        expected: Vec<usize>,
    },
    /// The weight files hold a tensor that the config has no place for.
    #[error("{} holds the tensor `{tensor}` {found:?}, for which config.json has no place; the config and the weights are not of the same model, fetch both again", path.display())]
    UnexpectedTensor {
        /// The weight file.
        path: PathBuf,
        /// The tensor's name.
        tensor: String,
        /// Its shape in the file.
        found: Vec<usize>,
    },
    /// A tensor is stored in a number format that is not supported.
    #[error("tensor `{tensor}` in {} is stored as {found}, but only F32, F16 and BF16 are supported; convert the weights to one of these", path.display())]
    TensorDType {
        /// The weight file.
        path: PathBuf,
        /// The tensor's name.
        tensor: String,
        /// The format in the file's words.
        found: String,
    },
    /// The tokenizer's file cannot be read, or cannot turn a prompt into tokens.
    #[error("the tokenizer {} cannot be used: {reason}; copy tokenizer.json from the model's source again", path.display())]
    Tokenizer {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A clip's size that the family cannot do; the sentence names the nearest that it can.
    #[error("{0}")]
    Size(String),
    /// Two models that cannot share one denoising run; the sentence names the first difference.
    #[error("the models cannot be blended: {0}")]
    Incompatible(String),
    /// No pair of that name is known.
    #[error(
        "no model pair is called `{name}`; known pairs: {known}; give one of these, or two folders with --large and --small"
    )]
    UnknownPair {
        /// The name that was asked for.
        name: String,
        /// The names that would have worked, or `none`.
        known: String,
    },
    /// A pair of public checkpoints that is not on this machine yet.
    #[error(
        "the models of `{name}` are not here yet; `flowblend models pull {name}` fetches them, or put them into {}", folder.display()
    )]
    NotFetched {
        /// The pair.
        name: String,
        /// Where they would be.
        folder: PathBuf,
    },
    /// No manifest of that name is known.
    #[error("there is no manifest called `{name}` to download by; known manifests: {known}")]
    NoManifest {
        /// The name that was asked for.
        name: String,
        /// The names that would have worked.
        known: String,
    },
    /// What another error said, where that error is still needed.
    #[error("{0}")]
    Unusable(String),
    /// A tensor handed to a model has the wrong shape.
    #[error("{what} has shape {found:?}, but {expected} is needed")]
    Input {
        /// The tensor's name.
        what: &'static str,
        /// Its shape.
        found: Vec<usize>,
        /// The shape that fits, in words.
        expected: String,
    },
    /// The denoise loop's own errors, where they pass through a model.
    #[error(transparent)]
    Sample(SampleError),
    /// A tensor operation failed: out of memory, or a fault of ours.
    #[error("a tensor operation failed: {0}")]
    Tensor(#[from] candle_core::Error),
}

impl From<SampleError> for ModelError {
    fn from(error: SampleError) -> Self {
        match error {
            SampleError::Cancelled => Self::Cancelled,
            SampleError::Tensor(error) => Self::Tensor(error),
            other => Self::Sample(other),
        }
    }
}
