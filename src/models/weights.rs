//! Weight files: headers read and checked before a single tensor is loaded, so that a folder that
//! does not fit its config is refused at once and in one sentence.

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use candle_core::safetensors::MmapedSafetensors;
use candle_core::{DType, Device, Shape, Tensor};
use candle_nn::var_builder::SimpleBackend;
use candle_nn::{Init, VarBuilder};
use safetensors::tensor::Metadata;
use safetensors::{Dtype, SafeTensors};
use serde::Deserialize;

use super::ModelError;

/// Where networks get their weights from, by name.
pub type Params = VarBuilder<'static>;

/// The tensors of one component (one file, or the shards of an index), memory-mapped.
pub(super) struct Weights {
    /// The file, or the index of sharded weights; errors name it.
    path: PathBuf,
    files: Vec<PathBuf>,
    entries: BTreeMap<String, Entry>,
    mapped: MmapedSafetensors,
}

/// What a header says of one tensor.
struct Entry {
    file: usize,
    /// What the file calls it.
    name: String,
    dtype: Dtype,
    shape: Vec<usize>,
}

/// The part of `*.safetensors.index.json` that is used.
#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

impl Weights {
    /// Opens `<folder>/<stem>.safetensors`, or the shards that `<stem>.safetensors.index.json`
    /// lists, and checks that each file is whole.
    pub(super) fn open(folder: &Path, stem: &str) -> Result<Self, ModelError> {
        let (path, files) = files(folder, stem)?;
        Self::of_files(path, files)
    }

    /// Opens one weight file and checks that it is whole.
    pub(super) fn open_file(path: &Path) -> Result<Self, ModelError> {
        if !path.is_file() {
            return Err(ModelError::Missing {
                what: "the weight file".into(),
                path: path.to_owned(),
                hint: "check the path".into(),
            });
        }
        Self::of_files(path.to_owned(), vec![path.to_owned()])
    }

    fn of_files(path: PathBuf, files: Vec<PathBuf>) -> Result<Self, ModelError> {
        let mut entries = BTreeMap::new();
        for (index, file) in files.iter().enumerate() {
            read_header(file, index, &mut entries)?;
        }
        // SAFETY: as for every memory-mapped file, nobody may cut it short while it is mapped.
        let mapped =
            unsafe { MmapedSafetensors::multi(&files) }.map_err(|error| ModelError::Weights {
                path: path.clone(),
                reason: first_line(&error.to_string()),
            })?;
        Ok(Self {
            path,
            files,
            entries,
            mapped,
        })
    }

    /// The same tensors under the names that `ours` makes of the file's; those of which it makes
    /// none are left out.
    pub(super) fn renamed(mut self, ours: impl Fn(&str) -> Option<String>) -> Self {
        self.entries = self
            .entries
            .into_iter()
            .filter_map(|(name, entry)| Some((ours(&name)?, entry)))
            .collect();
        self
    }

    /// The names of all tensors, in alphabetical order.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    /// The shape of a tensor, where there is one of that name.
    pub(super) fn shape(&self, name: &str) -> Option<&[usize]> {
        self.entries.get(name).map(|entry| entry.shape.as_slice())
    }

    /// The files that hold the tensors, in the order of their names.
    pub(super) fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// The numbers in all tensors.
    pub(super) fn parameters(&self) -> usize {
        let numbers = |entry: &Entry| entry.shape.iter().product::<usize>();
        self.entries.values().map(numbers).sum()
    }

    /// The values of a tensor as f32 on the CPU; `None` where there is no such tensor.
    pub(super) fn values(&self, name: &str) -> Result<Option<Vec<f32>>, ModelError> {
        let Some(entry) = self.entries.get(name) else {
            return Ok(None);
        };
        let tensor = self.mapped.load(&entry.name, &Device::Cpu)?;
        let tensor = tensor.to_dtype(DType::F32)?;
        Ok(Some(tensor.flatten_all()?.to_vec1::<f32>()?))
    }

    /// Builds a model in two goes over the same constructor: the first only compares the names
    /// and shapes it asks for with the headers, the second loads.
    ///
    /// Tensors that the constructor does not ask for are refused, except where `spare` says so.
    pub(super) fn build<M>(
        self,
        dtype: DType,
        device: &Device,
        spare: impl Fn(&str) -> bool,
        construct: impl Fn(Params) -> candle_core::Result<M>,
    ) -> Result<M, ModelError> {
        let weights = Arc::new(self);
        let seen = Arc::new(Mutex::new(Seen::default()));
        let check = HeaderBackend {
            weights: Arc::clone(&weights),
            seen: Arc::clone(&seen),
        };
        let vb = VarBuilder::from_backend(Box::new(check), dtype, Device::Cpu);
        let outcome = construct(vb).map(drop);
        let mut seen = seen
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(error) = seen.error.take() {
            return Err(error);
        }
        outcome?;
        let extra = weights
            .entries
            .iter()
            .find(|(name, _)| !seen.names.contains(name.as_str()) && !spare(name));
        if let Some((_, entry)) = extra {
            return Err(ModelError::UnexpectedTensor {
                path: weights.files[entry.file].clone(),
                tensor: entry.name.clone(),
                found: entry.shape.clone(),
            });
        }
        let load = LoadBackend {
            weights: Arc::clone(&weights),
        };
        Ok(construct(VarBuilder::from_backend(
            Box::new(load),
            dtype,
            device.clone(),
        ))?)
    }
}

/// Where the weights of a component lie.
fn files(folder: &Path, stem: &str) -> Result<(PathBuf, Vec<PathBuf>), ModelError> {
    let single = folder.join(format!("{stem}.safetensors"));
    if single.is_file() {
        return Ok((single.clone(), vec![single]));
    }
    let index = folder.join(format!("{stem}.safetensors.index.json"));
    if !index.is_file() {
        let pickled = ["bin", "pth", "pt"].iter().any(|ending| {
            folder.join(format!("{stem}.{ending}")).is_file()
                || folder.join(format!("pytorch_model.{ending}")).is_file()
        });
        let hint = if pickled {
            "there are only pickled weights, save them again with safe_serialization=True"
        } else {
            "download or export the model again"
        };
        return Err(ModelError::Missing {
            what: "the weight file".into(),
            path: single,
            hint: hint.into(),
        });
    }
    let parsed: Index = super::loader::read_json(&index)?;
    let names: std::collections::BTreeSet<_> = parsed.weight_map.into_values().collect();
    let shards: Vec<_> = names.iter().map(|name| folder.join(name)).collect();
    match shards.iter().find(|shard| !shard.is_file()) {
        Some(shard) => Err(ModelError::Missing {
            what: format!("a shard listed in {}", index.display()),
            path: shard.clone(),
            hint: "download the missing shard".into(),
        }),
        None => Ok((index, shards)),
    }
}

/// Adds the tensors of `path` to `entries`.
fn read_header(
    path: &Path,
    index: usize,
    entries: &mut BTreeMap<String, Entry>,
) -> Result<(), ModelError> {
    let io = |source| ModelError::Io {
        path: path.to_owned(),
        source,
    };
    let corrupt = |reason: String| ModelError::Weights {
        path: path.to_owned(),
        reason,
    };
    let file = File::open(path).map_err(io)?;
    let length = file.metadata().map_err(io)?.len();
    if length < 8 {
        return Err(corrupt(format!("it is only {length} bytes long")));
    }
    // SAFETY: as for every memory-mapped file, nobody may cut it short while it is mapped.
    let bytes = unsafe { memmap2::Mmap::map(&file) }.map_err(io)?;
    let mut head = [0u8; 8];
    head.copy_from_slice(&bytes[..8]);
    let header = u64::from_le_bytes(head);
    if header > length - 8 {
        return Err(corrupt(format!(
            "its header should take {header} bytes, but the file has {length} in all"
        )));
    }
    // The header is parsed apart from the data, so that of a file cut short it can be said by how
    // much. Its length fits: the file, which is mapped, is longer.
    let metadata: Metadata = serde_json::from_slice(&bytes[8..8 + header as usize])
        .map_err(|error| corrupt(format!("its header cannot be read ({error})")))?;
    let needed = 8 + header + metadata.data_len() as u64;
    if needed != length {
        return Err(corrupt(format!(
            "it should be {needed} bytes long, but is {length}"
        )));
    }
    SafeTensors::read_metadata(&bytes)
        .map_err(|error| corrupt(format!("its header cannot be read ({error})")))?;
    for (name, info) in metadata.tensors() {
        let entry = Entry {
            file: index,
            name: name.clone(),
            dtype: info.dtype,
            shape: info.shape.clone(),
        };
        entries.insert(name, entry);
    }
    Ok(())
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

/// What the first go over a constructor found out.
#[derive(Default)]
struct Seen {
    names: HashSet<String>,
    error: Option<ModelError>,
}

/// Answers each request from the headers alone, with a view of a single zero.
struct HeaderBackend {
    weights: Arc<Weights>,
    seen: Arc<Mutex<Seen>>,
}

impl HeaderBackend {
    fn check(&self, expected: &[usize], name: &str) -> Option<ModelError> {
        let Some(entry) = self.weights.entries.get(name) else {
            return Some(ModelError::MissingTensor {
                path: self.weights.path.clone(),
                tensor: name.to_owned(),
                expected: expected.to_vec(),
            });
        };
        let path = self.weights.files[entry.file].clone();
        if entry.shape != expected {
            return Some(ModelError::TensorShape {
                path,
                tensor: entry.name.clone(),
                found: entry.shape.clone(),
                expected: expected.to_vec(),
            });
        }
        if !matches!(entry.dtype, Dtype::F32 | Dtype::F16 | Dtype::BF16) {
            return Some(ModelError::TensorDType {
                path,
                tensor: entry.name.clone(),
                found: format!("{:?}", entry.dtype),
            });
        }
        None
    }
}

impl SimpleBackend for HeaderBackend {
    fn get(
        &self,
        shape: Shape,
        name: &str,
        _: Init,
        dtype: DType,
        device: &Device,
    ) -> candle_core::Result<Tensor> {
        let mut seen = self
            .seen
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        seen.names.insert(name.to_owned());
        if let Some(error) = self.check(shape.dims(), name) {
            let message = error.to_string();
            seen.error.get_or_insert(error);
            candle_core::bail!("{message}");
        }
        Tensor::zeros((), dtype, device)?.broadcast_as(shape)
    }

    fn get_unchecked(&self, name: &str, _: DType, _: &Device) -> candle_core::Result<Tensor> {
        candle_core::bail!("tensor `{name}` was asked for without a shape")
    }

    fn contains_tensor(&self, name: &str) -> bool {
        self.weights.entries.contains_key(name)
    }
}

/// Loads tensors whose shapes the first go has checked.
struct LoadBackend {
    weights: Arc<Weights>,
}

impl LoadBackend {
    fn load(&self, name: &str, dtype: DType, device: &Device) -> candle_core::Result<Tensor> {
        let entry = self.weights.entries.get(name);
        let name = entry.map_or(name, |entry| entry.name.as_str());
        self.weights.mapped.load(name, device)?.to_dtype(dtype)
    }
}

impl SimpleBackend for LoadBackend {
    fn get(
        &self,
        _: Shape,
        name: &str,
        _: Init,
        dtype: DType,
        device: &Device,
    ) -> candle_core::Result<Tensor> {
        self.load(name, dtype, device)
    }

    fn get_unchecked(
        &self,
        name: &str,
        dtype: DType,
        device: &Device,
    ) -> candle_core::Result<Tensor> {
        self.load(name, dtype, device)
    }

    fn contains_tensor(&self, name: &str) -> bool {
        self.weights.entries.contains_key(name)
    }
}
