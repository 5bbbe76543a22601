//! Headers of GGUF files, versions 2 and 3 (the specification is in ggml's repository, docs/gguf.md).
//!
//! candle has a reader too, but it refuses tensors of five axes, and the files of WAN that people
//! have hold the patch embedding so.

use std::collections::HashMap;

use candle_core::DType;
use candle_core::quantized::GgmlDType;

use super::header::{Format, Stored, numbers};

/// More axes than any weight has.
const MOST_AXES: u32 = 8;
/// Arrays may hold arrays, this deep at most.
const DEEPEST: usize = 8;
/// Where no other alignment is stated, data starts at a multiple of this.
const ALIGNMENT: u64 = 32;
/// The key under which converters keep a shape that they had to flatten.
const TRUE_SHAPE: &str = "comfy.gguf.orig_shape.";

/// The tensors of a GGUF file.
pub(super) fn header(bytes: &[u8]) -> Result<Vec<(String, Stored)>, String> {
    let mut cursor = Cursor { bytes, at: 4 };
    let version = cursor.u32()?;
    if !(2..=3).contains(&version) {
        return Err(format!("it is GGUF version {version}, not 2 or 3"));
    }
    let (tensors, values) = (cursor.u64()?, cursor.u64()?);
    let mut alignment = ALIGNMENT;
    let mut shapes = HashMap::new();
    for _ in 0..values {
        let key = cursor.text()?;
        let kind = cursor.u32()?;
        if key == "general.alignment" && kind == 4 {
            alignment = u64::from(cursor.u32()?);
        } else if let Some(name) = key.strip_prefix(TRUE_SHAPE) {
            let name = name.to_owned();
            shapes.insert(name, cursor.shape(kind)?);
        } else {
            cursor.skip(kind, 0)?;
        }
    }
    if !alignment.is_power_of_two() || alignment > 1 << 20 {
        return Err(format!(
            "its data is said to be aligned to {alignment} bytes"
        ));
    }
    let mut found = Vec::new();
    for _ in 0..tensors {
        let name = cursor.text()?.to_owned();
        let axes = cursor.u32()?;
        if axes > MOST_AXES {
            return Err(format!("its tensor `{name}` is said to have {axes} axes"));
        }
        // The innermost axis comes first in the file.
        let mut shape = (0..axes)
            .map(|_| cursor.size())
            .collect::<Result<Vec<_>, _>>()?;
        shape.reverse();
        let format = format(cursor.u32()?);
        let offset = cursor.u64()?;
        found.push((name, shape, format, offset));
    }
    let data = (cursor.at as u64).next_multiple_of(alignment);
    found
        .into_iter()
        .map(|(name, shape, format, offset)| {
            let count = numbers(&shape);
            let size = count.and_then(|count| format.bytes(count));
            let start = usize::try_from(data.saturating_add(offset)).unwrap_or(usize::MAX);
            let range = match size {
                Some(size) => start..start.saturating_add(size),
                None if matches!(format, Format::Other(_)) => 0..0,
                None => return Err(format!("its tensor `{name}` has the shape {shape:?}")),
            };
            if range.end > bytes.len() {
                return Err(format!(
                    "its tensor `{name}` should end at byte {}, but the file has {} in all",
                    range.end,
                    bytes.len()
                ));
            }
            // A flattened tensor takes its true shape back where that has as many numbers.
            let shape = match shapes.remove(&name) {
                Some(whole) if numbers(&whole) == count => whole,
                _ => shape,
            };
            let stored = Stored {
                format,
                shape,
                range,
            };
            Ok((name, stored))
        })
        .collect()
}

/// The formats by their numbers in the file (`ggml_type` in ggml.h).
fn format(number: u32) -> Format {
    match number {
        0 => Format::Plain(DType::F32),
        1 => Format::Plain(DType::F16),
        30 => Format::Plain(DType::BF16),
        2 => Format::Blocks(GgmlDType::Q4_0),
        3 => Format::Blocks(GgmlDType::Q4_1),
        6 => Format::Blocks(GgmlDType::Q5_0),
        7 => Format::Blocks(GgmlDType::Q5_1),
        8 => Format::Blocks(GgmlDType::Q8_0),
        10 => Format::Blocks(GgmlDType::Q2K),
        11 => Format::Blocks(GgmlDType::Q3K),
        12 => Format::Blocks(GgmlDType::Q4K),
        13 => Format::Blocks(GgmlDType::Q5K),
        14 => Format::Blocks(GgmlDType::Q6K),
        other => Format::Other(format!("ggml type {other}")),
    }
}

/// Reads on and on, never past the end.
struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], String> {
        let end = self.at.checked_add(count);
        match end.and_then(|end| self.bytes.get(self.at..end)) {
            Some(taken) => {
                self.at += count;
                Ok(taken)
            }
            None => Err(format!(
                "its header goes on past its end at byte {}",
                self.bytes.len()
            )),
        }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    fn u32(&mut self) -> Result<u32, String> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, String> {
        self.array().map(u64::from_le_bytes)
    }

    /// A length or an axis.
    fn size(&mut self) -> Result<usize, String> {
        let size = self.u64()?;
        usize::try_from(size).map_err(|_| format!("it claims a size of {size}"))
    }

    fn text(&mut self) -> Result<&'a str, String> {
        let length = self.size()?;
        std::str::from_utf8(self.take(length)?)
            .map_err(|_| "a name in its header is not text".to_owned())
    }

    /// An array of i32, which is how shapes are kept.
    fn shape(&mut self, kind: u32) -> Result<Vec<usize>, String> {
        let array = (kind == 9).then(|| self.u32()).transpose()?;
        let count = match array {
            Some(5) => self.u64()?,
            _ => return Err("a shape in its header is not an array of numbers".into()),
        };
        if count > u64::from(MOST_AXES) {
            return Err(format!(
                "a shape in its header is said to have {count} axes"
            ));
        }
        (0..count)
            .map(|_| {
                let axis = i32::from_le_bytes(self.array()?);
                usize::try_from(axis).map_err(|_| format!("a shape in its header holds {axis}"))
            })
            .collect()
    }

    /// Passes over a value of some kind.
    fn skip(&mut self, kind: u32, depth: usize) -> Result<(), String> {
        let size = match kind {
            0 | 1 | 7 => 1,
            2 | 3 => 2,
            4..=6 => 4,
            10..=12 => 8,
            8 => self.size()?,
            9 if depth < DEEPEST => {
                let (kind, count) = (self.u32()?, self.u64()?);
                for _ in 0..count {
                    self.skip(kind, depth + 1)?;
                }
                return Ok(());
            }
            _ => return Err(format!("its header holds a value of unknown kind {kind}")),
        };
        self.take(size).map(drop)
    }
}
