use std::path::PathBuf;

use crate::models::ModelError;

/// What can go wrong while clips are measured or the reader is loaded. Each message is one sentence
/// with cause and next step.
#[derive(Debug, thiserror::Error)]
pub enum AnalysisError {
    /// Two clips of different size or length cannot be compared pixel by pixel.
    #[error(
        "clips of {one} and {other} (width x height x frames) cannot be compared; render both at one size"
    )]
    Differ {
        /// Size of the first, as `width x height x frames`.
        one: String,
        /// Size of the second.
        other: String,
    },
    /// A clip without enough pixels or frames for a measure.
    #[error(
        "{measure} needs clips of at least {needed}, but this one is {found}; render a larger one"
    )]
    TooSmall {
        /// The measure.
        measure: &'static str,
        /// The smallest size, in words.
        needed: &'static str,
        /// The clip's size, as `width x height x frames`.
        found: String,
    },
    /// The reader only knows clips of the size it was trained on.
    #[error(
        "the reader reads clips of {needed} (width x height x frames), but this one is {found}; render clips of that size"
    )]
    ReaderSize {
        /// The size it was trained on.
        needed: String,
        /// The clip's.
        found: String,
    },
    /// A file of the reader that is not there or does not parse.
    #[error("the reader's file {} cannot be used ({reason}); make it with models/demo/training/train_reader.py", path.display())]
    ReaderFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A tensor that the reader's file lacks or has in another shape.
    #[error("tensor `{tensor}` in {} {found}, but the reader needs {expected:?}; make the file again with models/demo/training/train_reader.py", path.display())]
    ReaderTensor {
        /// The file.
        path: PathBuf,
        /// The tensor's name.
        tensor: String,
        /// What was found, in words.
        found: String,
        /// The shape that fits.
        expected: Vec<usize>,
    },
    /// A set of vectors without a covariance.
    #[error(
        "a set of {found} vectors has no covariance; take two clips at the least, better some thousand"
    )]
    TooFew {
        /// Vectors in the set.
        found: usize,
    },
    /// Vectors of different networks.
    #[error("vectors of {one} and {other} numbers cannot be compared; take both from one network")]
    Lengths {
        /// Numbers in the first vector.
        one: usize,
        /// Numbers in another.
        other: usize,
    },
    /// A network that sees what frames show failed.
    #[error(transparent)]
    Network(#[from] ModelError),
    /// A tensor operation failed: out of memory, or a fault of ours.
    #[error("a tensor operation failed: {0}")]
    Tensor(#[from] candle_core::Error),
}
