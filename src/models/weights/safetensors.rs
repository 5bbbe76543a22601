//! Headers of safetensors files.

use candle_core::DType;
use safetensors::tensor::Metadata;
use safetensors::{Dtype, SafeTensors};

use super::header::{Format, Stored};

/// The tensors of a safetensors file.
pub(super) fn header(bytes: &[u8]) -> Result<Vec<(String, Stored)>, String> {
    let length = bytes.len() as u64;
    let Some((head, _)) = bytes.split_first_chunk::<8>() else {
        return Err(format!("it is only {length} bytes long"));
    };
    let header = u64::from_le_bytes(*head);
    if header > length - 8 {
        return Err(format!(
            "its header should take {header} bytes, but the file has {length} in all"
        ));
    }
    // The header is parsed apart from the data, so that of a file cut short it can be said by how
    // much. Its length fits: the file, which is mapped, is longer.
    let start = 8 + header as usize;
    let metadata: Metadata = serde_json::from_slice(&bytes[8..start])
        .map_err(|error| format!("its header cannot be read ({error})"))?;
    let needed = (start as u64).saturating_add(metadata.data_len() as u64);
    if needed != length {
        return Err(format!("it should be {needed} bytes long, but is {length}"));
    }
    SafeTensors::read_metadata(bytes)
        .map_err(|error| format!("its header cannot be read ({error})"))?;
    let stored = |info: &safetensors::tensor::TensorInfo| Stored {
        format: match info.dtype {
            Dtype::F32 => Format::Plain(DType::F32),
            Dtype::F16 => Format::Plain(DType::F16),
            Dtype::BF16 => Format::Plain(DType::BF16),
            other => Format::Other(format!("{other:?}")),
        },
        shape: info.shape.clone(),
        range: start + info.data_offsets.0..start + info.data_offsets.1,
    };
    Ok(metadata
        .tensors()
        .into_iter()
        .map(|(name, info)| (name, stored(info)))
        .collect())
}
