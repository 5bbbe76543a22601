//! What the header of a weight file says of its tensors, whatever the file's format.

use std::ops::Range;

use candle_core::DType;
use candle_core::quantized::GgmlDType;

use super::{gguf, pickle, safetensors};

/// One tensor as a file stores it.
#[derive(Clone, Debug, PartialEq)]
pub struct Stored {
    /// How its numbers are written.
    pub format: Format,
    /// Outermost axis first.
    pub shape: Vec<usize>,
    /// The bytes that hold it.
    pub range: Range<usize>,
}

impl Stored {
    /// Whether it is a matrix in bf16 or f16 that a processor keeps as it is, to widen it for each product. A small one is not worth that.
    pub(super) fn stays_half(&self) -> bool {
        matches!(self.format, Format::Plain(DType::BF16 | DType::F16)) && is_large(&self.shape)
    }
}

/// How a tensor's numbers are written.
#[derive(Clone, Debug, PartialEq)]
pub enum Format {
    /// One number after the other.
    Plain(DType),
    /// Blocks of quantised numbers with a scale each.
    Blocks(GgmlDType),
    /// Something that cannot be read here, in the file's own word for it.
    Other(String),
}

impl Format {
    /// The bytes that `numbers` take; `None` where they cannot be counted.
    pub(super) fn bytes(&self, numbers: usize) -> Option<usize> {
        match self {
            Self::Plain(dtype) => numbers.checked_mul(dtype.size_in_bytes()),
            Self::Blocks(dtype) if numbers.is_multiple_of(dtype.block_size()) => {
                (numbers / dtype.block_size()).checked_mul(dtype.type_size())
            }
            Self::Blocks(_) | Self::Other(_) => None,
        }
    }

    /// The format's name in messages.
    pub fn name(&self) -> String {
        match self {
            Self::Plain(dtype) => format!("{dtype:?}"),
            Self::Blocks(dtype) => format!("{dtype:?}"),
            Self::Other(name) => name.clone(),
        }
    }
}

/// The tensors of a weight file given as its bytes: safetensors, GGUF (versions 2 and 3) or a
/// PyTorch checkpoint, told apart by how they begin. The error says in words what is wrong with it.
///
/// Nothing is allocated on a mere claim of the file, and no tensor's data is looked at.
pub fn read_header(bytes: &[u8]) -> Result<Vec<(String, Stored)>, String> {
    match bytes {
        [b'G', b'G', b'U', b'F', ..] => gguf::header(bytes),
        [b'P', b'K', 3, 4, ..] => pickle::header(bytes),
        _ => safetensors::header(bytes),
    }
}

/// Whether it is a matrix that is worth keeping in fewer bits than f32.
pub(super) fn is_large(shape: &[usize]) -> bool {
    const SMALL: usize = 1 << 20;
    shape.len() == 2 && numbers(shape).is_some_and(|numbers| numbers >= SMALL)
}

/// The numbers of a shape; `None` where there are more than can be counted.
pub(super) fn numbers(shape: &[usize]) -> Option<usize> {
    shape
        .iter()
        .try_fold(1usize, |product, n| product.checked_mul(*n))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_matrices_of_half_the_size_stay_so() {
        let stays = |dtype, shape: &[usize]| {
            let stored = Stored {
                format: Format::Plain(dtype),
                shape: shape.to_vec(),
                range: 0..0,
            };
            stored.stays_half()
        };
        assert!(stays(DType::BF16, &[1024, 1024]) && stays(DType::F16, &[2048, 1536]));
        assert!(!stays(DType::BF16, &[1023, 1024]) && !stays(DType::F32, &[2048, 1536]));
        assert!(!stays(DType::BF16, &[1 << 21]) && !stays(DType::BF16, &[1024, 512, 3, 3]));
    }
}
