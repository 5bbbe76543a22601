//! Models are built in two goes over the same constructor: the first only compares what it asks for
//! with the headers, the second loads.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{DType, Device, Result, Shape, Tensor};

use super::loading::Loading;
use super::params::{Matrix, NumberFormat, Params, Source};
use super::{Format, Weights};
use crate::models::ModelError;

impl Weights {
    /// Builds a model, after having checked that every tensor it asks for is there in the right
    /// shape. Tensors that it does not ask for are refused, except where `spare` says so.
    pub(in crate::models) fn build<M>(
        self,
        mut loading: Loading<'_>,
        spare: impl Fn(&str) -> bool,
        construct: impl Fn(Params) -> Result<M>,
    ) -> std::result::Result<M, ModelError> {
        let device = loading.device.clone();
        let weights = Arc::new(self);
        let mut seen = weights.ask(loading.format, &construct)?;
        if let Some(first) = weights.take_faults(&mut seen, spare).into_iter().next() {
            return Err(first);
        }
        let ready = weights.load(&seen.requests, &mut loading)?;
        let load = Loader { weights, ready };
        Ok(construct(Params::new(
            Arc::new(load),
            loading.format,
            device,
        ))?)
    }

    /// Loads what a constructor is going to ask for.
    fn load(
        &self,
        requests: &[Request],
        loading: &mut Loading<'_>,
    ) -> std::result::Result<Mutex<HashMap<Request, Matrix>>, ModelError> {
        let size = |request: &Request| {
            let entry = self.entries.get(&request.name);
            entry.map_or(0, |entry| entry.stored.range.len() as u64)
        };
        let of = requests.iter().map(size).sum();
        let (mut ready, mut done) = (HashMap::new(), 0);
        for request in requests {
            loading.cancel.check()?;
            ready.insert(request.clone(), self.answer(request, loading.device)?);
            done += size(request);
            loading.tell(done, of);
        }
        Ok(Mutex::new(ready))
    }

    fn answer(&self, request: &Request, device: &Device) -> Result<Matrix> {
        let Some(entry) = self.entries.get(&request.name) else {
            candle_core::bail!("there is no tensor `{}`", request.name)
        };
        let dtype = request.format.dtype;
        match request.kind {
            Kind::Numbers => self.tensor(entry, dtype, device).map(Matrix::Plain),
            Kind::Matrix => self.matrix(entry, dtype, device),
            Kind::Factor => match self.matrix(entry, dtype, device)? {
                Matrix::Plain(weight) => request.format.factor(weight),
                matrix => Ok(matrix),
            },
        }
    }

    /// All that keeps a model from being built of these weights: tensors that are missing, of
    /// another shape or in a format that cannot be read, in the order in which they are asked for,
    /// then those that have no place.
    pub(in crate::models) fn faults<M>(
        self: &Arc<Self>,
        format: impl Into<NumberFormat>,
        spare: impl Fn(&str) -> bool,
        construct: impl Fn(Params) -> Result<M>,
    ) -> Result<Vec<ModelError>> {
        let mut seen = self.ask(format.into(), construct)?;
        Ok(self.take_faults(&mut seen, spare))
    }

    /// The first go over a constructor.
    fn ask<M>(
        self: &Arc<Self>,
        format: NumberFormat,
        construct: impl Fn(Params) -> Result<M>,
    ) -> Result<Seen> {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let headers = Headers {
            weights: Arc::clone(self),
            seen: Arc::clone(&seen),
        };
        construct(Params::new(Arc::new(headers), format, Device::Cpu))?;
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(std::mem::take(&mut *seen))
    }

    /// The faults that were seen, then a fault for each tensor that nobody asked for.
    fn take_faults(&self, seen: &mut Seen, spare: impl Fn(&str) -> bool) -> Vec<ModelError> {
        let mut faults = std::mem::take(&mut seen.faults);
        let extra = self
            .entries
            .iter()
            .filter(|(name, _)| !seen.names.contains(name.as_str()) && !spare(name))
            .map(|(_, entry)| ModelError::UnexpectedTensor {
                path: self.files[entry.file].clone(),
                tensor: entry.name.clone(),
                found: entry.stored.shape.clone(),
            });
        faults.extend(extra);
        faults
    }
}

/// What the first go over a constructor found out.
#[derive(Default)]
struct Seen {
    names: HashSet<String>,
    /// In the order in which they were made, none twice.
    requests: Vec<Request>,
    faults: Vec<ModelError>,
}

/// What a constructor asks for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Request {
    name: String,
    format: NumberFormat,
    kind: Kind,
}

/// As what a tensor is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Numbers,
    /// As it is stored.
    Matrix,
    /// As products are made with it.
    Factor,
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

impl Headers {
    fn answer(&self, request: Request, shape: &Shape, device: &Device) -> Result<Tensor> {
        let dtype = request.format.dtype;
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.names.insert(request.name.clone()) {
            let fault = self.check(shape.dims(), &request.name);
            seen.faults.extend(fault);
            seen.requests.push(request);
        } else if !seen.requests.contains(&request) {
            seen.requests.push(request);
        }
        Tensor::zeros((), dtype, device)?.broadcast_as(shape)
    }
}

impl Source for Headers {
    fn tensor(&self, name: &str, shape: &Shape, dtype: DType, device: &Device) -> Result<Tensor> {
        self.answer(Request::new(name, dtype, Kind::Numbers), shape, device)
    }

    fn matrix(&self, name: &str, shape: &Shape, dtype: DType, device: &Device) -> Result<Matrix> {
        let request = Request::new(name, dtype, Kind::Matrix);
        self.answer(request, shape, device).map(Matrix::Plain)
    }

    fn factor(
        &self,
        name: &str,
        shape: &Shape,
        format: NumberFormat,
        device: &Device,
    ) -> Result<Matrix> {
        let request = Request::new(name, format, Kind::Factor);
        self.answer(request, shape, device).map(Matrix::Plain)
    }

    fn contains(&self, name: &str) -> bool {
        self.weights.entries.contains_key(name)
    }
}

impl Request {
    fn new(name: &str, format: impl Into<NumberFormat>, kind: Kind) -> Self {
        Self {
            name: name.to_owned(),
            format: format.into(),
            kind,
        }
    }
}

/// Hands out tensors that are loaded already. Each is given away, so that what a constructor makes
/// into something else is not held twice.
struct Loader {
    weights: Arc<Weights>,
    ready: Mutex<HashMap<Request, Matrix>>,
}

impl Loader {
    fn answer(&self, request: Request, device: &Device) -> Result<Matrix> {
        let mut ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
        match ready.remove(&request) {
            Some(matrix) => Ok(matrix),
            // Asked for once more.
            None => self.weights.answer(&request, device),
        }
    }
}

impl Source for Loader {
    fn tensor(&self, name: &str, _: &Shape, dtype: DType, device: &Device) -> Result<Tensor> {
        match self.answer(Request::new(name, dtype, Kind::Numbers), device)? {
            Matrix::Plain(tensor) => Ok(tensor),
            Matrix::Integers(_) | Matrix::Blocks(_) => {
                candle_core::bail!("`{name}` was loaded as a matrix")
            }
        }
    }

    fn matrix(&self, name: &str, _: &Shape, dtype: DType, device: &Device) -> Result<Matrix> {
        self.answer(Request::new(name, dtype, Kind::Matrix), device)
    }

    fn factor(
        &self,
        name: &str,
        _: &Shape,
        format: NumberFormat,
        device: &Device,
    ) -> Result<Matrix> {
        self.answer(Request::new(name, format, Kind::Factor), device)
    }

    fn contains(&self, name: &str) -> bool {
        self.weights.entries.contains_key(name)
    }
}
