//! Models are built in two goes over the same constructor: the first only compares what it asks for
//! with the headers, the second loads.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{DType, Device, Result, Shape, Tensor};

use super::params::{Matrix, Params, Source};
use super::{Format, Weights};
use crate::models::ModelError;

impl Weights {
    /// Builds a model, after having checked that every tensor it asks for is there in the right
    /// shape. Tensors that it does not ask for are refused, except where `spare` says so.
    pub(in crate::models) fn build<M>(
        self,
        dtype: DType,
        device: &Device,
        spare: impl Fn(&str) -> bool,
        construct: impl Fn(Params) -> Result<M>,
    ) -> std::result::Result<M, ModelError> {
        let weights = Arc::new(self);
        let faults = weights.faults(dtype, spare, &construct)?;
        if let Some(first) = faults.into_iter().next() {
            return Err(first);
        }
        let load = Loader { weights };
        Ok(construct(Params::new(
            Arc::new(load),
            dtype,
            device.clone(),
        ))?)
    }

    /// All that keeps a model from being built of these weights: tensors that are missing, of
    /// another shape or in a format that cannot be read, in the order in which they are asked for,
    /// then those that have no place.
    pub(in crate::models) fn faults<M>(
        self: &Arc<Self>,
        dtype: DType,
        spare: impl Fn(&str) -> bool,
        construct: impl Fn(Params) -> Result<M>,
    ) -> Result<Vec<ModelError>> {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let headers = Headers {
            weights: Arc::clone(self),
            seen: Arc::clone(&seen),
        };
        construct(Params::new(Arc::new(headers), dtype, Device::Cpu))?;
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        let mut faults = std::mem::take(&mut seen.faults);
        let extra = self
            .entries
            .iter()
            .filter(|(name, _)| !seen.names.contains(name.as_str()) && !spare(name));
        faults.extend(extra.map(|(_, entry)| ModelError::UnexpectedTensor {
            path: self.files[entry.file].clone(),
            tensor: entry.name.clone(),
            found: entry.stored.shape.clone(),
        }));
        Ok(faults)
    }
}

/// What the first go over a constructor found out.
#[derive(Default)]
struct Seen {
    names: HashSet<String>,
    faults: Vec<ModelError>,
}

/// Answers each request from the headers alone, with a view of a single zero.
struct Headers {
    weights: Arc<Weights>,
    seen: Arc<Mutex<Seen>>,
}

impl Headers {
    fn check(&self, expected: &[usize], name: &str) -> Option<ModelError> {
        let Some(entry) = self.weights.entries.get(name) else {
            return Some(ModelError::MissingTensor {
                path: self.weights.path.clone(),
                tensor: name.to_owned(),
                expected: expected.to_vec(),
            });
        };
        let path = self.weights.files[entry.file].clone();
        if entry.stored.shape != expected {
            return Some(ModelError::TensorShape {
                path,
                tensor: entry.name.clone(),
                found: entry.stored.shape.clone(),
                expected: expected.to_vec(),
            });
        }
        match &entry.stored.format {
            Format::Other(found) => Some(ModelError::TensorDType {
                path,
                tensor: entry.name.clone(),
                found: found.clone(),
            }),
            _ => None,
        }
    }
}

impl Source for Headers {
    fn tensor(&self, name: &str, shape: &Shape, dtype: DType, device: &Device) -> Result<Tensor> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.names.insert(name.to_owned()) {
            let fault = self.check(shape.dims(), name);
            seen.faults.extend(fault);
        }
        Tensor::zeros((), dtype, device)?.broadcast_as(shape)
    }

    fn matrix(&self, name: &str, shape: &Shape, dtype: DType, device: &Device) -> Result<Matrix> {
        self.tensor(name, shape, dtype, device).map(Matrix::Plain)
    }

    fn contains(&self, name: &str) -> bool {
        self.weights.entries.contains_key(name)
    }
}

/// Loads tensors whose shapes the first go has checked.
struct Loader {
    weights: Arc<Weights>,
}

impl Loader {
    fn entry(&self, name: &str) -> Result<&super::Entry> {
        match self.weights.entries.get(name) {
            Some(entry) => Ok(entry),
            None => candle_core::bail!("there is no tensor `{name}`"),
        }
    }
}

impl Source for Loader {
    fn tensor(&self, name: &str, _: &Shape, dtype: DType, device: &Device) -> Result<Tensor> {
        self.weights.tensor(self.entry(name)?, dtype, device)
    }

    fn matrix(&self, name: &str, _: &Shape, dtype: DType, device: &Device) -> Result<Matrix> {
        self.weights.matrix(self.entry(name)?, dtype, device)
    }

    fn contains(&self, name: &str) -> bool {
        self.weights.entries.contains_key(name)
    }
}
