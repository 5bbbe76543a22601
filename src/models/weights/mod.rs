//! Weight files of every format people have: headers read and checked before a single tensor is
//! loaded, so that files that do not fit their config are refused at once and in one sentence.

mod build;
mod gguf;
mod header;
mod loading;
mod params;
mod pickle;
mod safetensors;

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::quantized::ggml_file::qtensor_from_ggml;
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{DType, Device, Tensor};
use memmap2::Mmap;

use header::is_large;
pub use header::{Format, Stored, read_header};
pub use loading::Loading;
pub use params::{Made, Matrix, NumberFormat, Params};

use super::ModelError;
use super::names::Names;
use super::nn::Integers;

/// The tensors of one component (one file, or several shards), memory-mapped, under the names that
/// diffusers and transformers have for them.
pub(super) struct Weights {
    /// The file, or the index of sharded weights; errors name it.
    path: PathBuf,
    files: Vec<PathBuf>,
    maps: Vec<Mmap>,
    entries: BTreeMap<String, Entry>,
}

/// What a part of a model takes, told by headers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PartSize {
    /// The numbers in all its tensors.
    pub parameters: u64,
    /// Those of them that stay quantised in memory.
    pub quantised: u64,
    /// Bytes that these take.
    pub quantised_bytes: u64,
    /// The numbers in matrices that are plain, and large enough to take fewer bits than f32 on a processor.
    pub large: LargeMatrices,
    /// The numbers in kernels of 3 x 3, of which a processor keeps four times as many: Winograd's mixes.
    pub in_kernels: u64,
}

impl PartSize {
    /// What is known of a part before its files are here: of those of a published size nearly all is in large matrices.
    pub fn published(parameters: u64) -> Self {
        Self {
            parameters,
            large: LargeMatrices {
                factors: parameters,
                ..LargeMatrices::default()
            },
            ..Self::default()
        }
    }

    /// Bytes in memory in this format, on a processor or on a GPU.
    pub fn bytes(&self, format: NumberFormat, on_cpu: bool) -> u64 {
        let value = format.dtype.size_in_bytes() as u64;
        let large = self.large;
        let (integers, halves) = match (on_cpu, format.integers) {
            (false, _) => (0, 0),
            (true, true) => (large.factors, large.half_tables),
            (true, false) => (0, large.half_factors + large.half_tables),
        };
        let plain = self.parameters - self.quantised - integers - halves;
        plain * value + Integers::bytes(integers) + halves * value.min(2) + self.quantised_bytes
    }
}

/// Numbers in large matrices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LargeMatrices {
    /// Of those that products are made with.
    pub factors: u64,
    /// Those of them that are stored in bf16 or f16.
    pub half_factors: u64,
    /// Of tables that rows are picked from, stored so.
    pub half_tables: u64,
}

/// One tensor and the file that holds it.
struct Entry {
    file: usize,
    /// What the file calls it.
    name: String,
    stored: Stored,
}

impl Weights {
    /// Opens weight files and checks that each is whole. Errors about all of them name `path`.
    pub(super) fn open(path: PathBuf, files: Vec<PathBuf>) -> Result<Self, ModelError> {
        let mut maps = Vec::with_capacity(files.len());
        let mut entries = BTreeMap::new();
        for (file, path) in files.iter().enumerate() {
            let map = map(path)?;
            let tensors = read_header(&map).map_err(|reason| ModelError::Weights {
                path: path.clone(),
                reason,
            })?;
            for (name, stored) in tensors {
                let entry = Entry {
                    file,
                    name: name.clone(),
                    stored,
                };
                entries.insert(name, entry);
            }
            maps.push(map);
        }
        Ok(Self {
            path,
            files,
            maps,
            entries,
        })
    }

    /// The same tensors under our names, where the files use the model's authors'. Tensors that the
    /// table does not know keep theirs, so that they can be named in an error.
    pub(super) fn renamed(mut self, names: &Names) -> Self {
        self.entries = self
            .entries
            .into_iter()
            .filter_map(|(name, entry)| Some((names.ours(&name)?, entry)))
            .collect();
        self
    }

    /// The file, or the index of sharded weights.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The files that hold the tensors, in the order of their names.
    pub(super) fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// The numbers in all tensors.
    pub(super) fn parameters(&self) -> usize {
        let numbers = |entry: &Entry| entry.stored.shape.iter().product::<usize>();
        self.entries.values().map(numbers).sum()
    }

    /// What the tensors take.
    pub(super) fn size(&self) -> PartSize {
        let mut size = PartSize::default();
        for (name, entry) in &self.entries {
            let count = entry.stored.shape.iter().product::<usize>() as u64;
            size.parameters += count;
            // Matrices stay as they are; all else becomes plain numbers.
            match entry.stored.format {
                _ if entry.stored.shape.len() != 2 => {}
                Format::Blocks(_) => {
                    size.quantised += count;
                    size.quantised_bytes += entry.stored.range.len() as u64;
                }
                _ if is_large(&entry.stored.shape) => {
                    let half = if entry.stored.stays_half() { count } else { 0 };
                    if is_table(name) {
                        size.large.half_tables += half;
                    } else {
                        size.large.factors += count;
                        size.large.half_factors += half;
                    }
                }
                _ => {}
            }
            if entry.stored.shape.len() >= 4 && entry.stored.shape.ends_with(&[3, 3]) {
                size.in_kernels += count;
            }
        }
        size
    }

    /// The names of all tensors, in alphabetical order.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    /// The shape of a tensor, where there is one of that name.
    pub(super) fn shape(&self, name: &str) -> Option<&[usize]> {
        self.entries.get(name).map(|e| e.stored.shape.as_slice())
    }

    /// The first two axes `(outputs, inputs)` of a tensor that tells a network's size, or in words which
    /// one is missing.
    pub(super) fn sizes(&self, name: &str) -> Result<(usize, usize), String> {
        match self.shape(name) {
            Some([outputs, inputs, ..]) => Ok((*outputs, *inputs)),
            Some(shape) => Err(format!("its tensor for `{name}` has the shape {shape:?}")),
            None => Err(format!("it holds no tensor for `{name}`")),
        }
    }

    /// How many there are of what is numbered after `prefix`.
    pub(super) fn count(&self, prefix: &str) -> usize {
        let numbers = self
            .names()
            .filter_map(|name| name.strip_prefix(prefix)?.split('.').next()?.parse().ok());
        numbers
            .max()
            .map_or(0, |last: usize| last.saturating_add(1))
    }

    /// The values of a tensor as f32 on the CPU; `None` where there is no such tensor.
    pub(super) fn values(&self, name: &str) -> Result<Option<Vec<f32>>, ModelError> {
        let Some(entry) = self.entries.get(name) else {
            return Ok(None);
        };
        let tensor = self.tensor(entry, DType::F32, &Device::Cpu)?;
        Ok(Some(tensor.flatten_all()?.to_vec1::<f32>()?))
    }

    fn bytes(&self, entry: &Entry) -> &[u8] {
        // Headers are refused where a range leaves its file.
        &self.maps[entry.file][entry.stored.range.clone()]
    }

    /// Loads a tensor as plain numbers.
    fn tensor(&self, entry: &Entry, dtype: DType, device: &Device) -> candle_core::Result<Tensor> {
        let Stored { format, shape, .. } = &entry.stored;
        match format {
            Format::Plain(stored) => {
                Tensor::from_raw_buffer(self.bytes(entry), *stored, shape, device)?.to_dtype(dtype)
            }
            Format::Blocks(blocks) => self
                .blocks(entry, *blocks, device)?
                .dequantize(device)?
                .to_dtype(dtype),
            Format::Other(name) => candle_core::bail!("{name} cannot be read"),
        }
    }

    fn blocks(
        &self,
        entry: &Entry,
        blocks: GgmlDType,
        device: &Device,
    ) -> candle_core::Result<QTensor> {
        let shape = entry.stored.shape.clone();
        qtensor_from_ggml(blocks, self.bytes(entry), shape, device)
    }

    /// Loads a tensor as it is stored, quantised or plain. On the CPU what is stored in half the size of f32 stays so: the products
    /// are the same.
    fn matrix(&self, entry: &Entry, dtype: DType, device: &Device) -> candle_core::Result<Matrix> {
        match &entry.stored.format {
            Format::Plain(stored)
                if device.is_cpu() && dtype == DType::F32 && entry.stored.stays_half() =>
            {
                self.tensor(entry, *stored, device).map(Matrix::Plain)
            }
            Format::Blocks(blocks) => {
                let loaded = self.blocks(entry, *blocks, device)?;
                Ok(Matrix::Blocks(Arc::new(loaded)))
            }
            _ => self.tensor(entry, dtype, device).map(Matrix::Plain),
        }
    }
}

/// Whether rows are picked from what has this name.
fn is_table(name: &str) -> bool {
    ["shared.weight", "embed_tokens.weight"]
        .iter()
        .any(|table| name.ends_with(table))
}

fn map(path: &Path) -> Result<Mmap, ModelError> {
    let io = |source| ModelError::Io {
        path: path.to_owned(),
        source,
    };
    let file = File::open(path).map_err(io)?;
    // SAFETY: as for every memory-mapped file, nobody may cut it short while it is mapped.
    unsafe { Mmap::map(&file) }.map_err(io)
}
