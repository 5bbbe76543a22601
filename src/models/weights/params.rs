use std::fmt::Display;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use candle_core::quantized::QTensor;
use candle_core::{DType, Device, Result, Shape, Tensor};

/// Where networks get their weights from, by name. Much like candle's `VarBuilder`, but matrices can
/// stay quantised.
#[derive(Clone)]
pub struct Params {
    source: Arc<dyn Source>,
    prefix: String,
    formats: Formats,
    device: Device,
}

/// The number formats of weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Formats {
    numbers: DType,
    matrices: DType,
}

impl Formats {
    /// Where `dtype` is wanted on `device`. A CPU computes in f32, but its matrices may take half of that: they are widened when they
    /// are used.
    pub(super) fn on(device: &Device, dtype: DType) -> Self {
        let is_half = matches!(dtype, DType::BF16 | DType::F16);
        Self {
            numbers: if device.is_cpu() && is_half {
                DType::F32
            } else {
                dtype
            },
            matrices: dtype,
        }
    }
}

/// The weight of a matrix product, `(outputs, inputs)`.
#[derive(Clone, Debug)]
pub enum Matrix {
    /// In one of candle's number formats.
    Plain(Tensor),
    /// In blocks, turned into plain numbers anew for every product.
    Blocks(Arc<QTensor>),
}

/// What answers for tensors by their full name.
pub(super) trait Source: Send + Sync {
    fn tensor(&self, name: &str, shape: &Shape, dtype: DType, device: &Device) -> Result<Tensor>;

    /// As it is stored.
    fn matrix(&self, name: &str, shape: &Shape, dtype: DType, device: &Device) -> Result<Matrix>;

    fn contains(&self, name: &str) -> bool;
}

impl Params {
    pub(super) fn new(source: Arc<dyn Source>, formats: Formats, device: Device) -> Self {
        Self {
            source,
            prefix: String::new(),
            formats,
            device,
        }
    }

    /// Standard-normal numbers times `scale` for whatever is asked for, and ones for the weights of
    /// norms: a network of any size without a file. The second value tells how many were made.
    pub fn random(scale: f64, dtype: DType, device: &Device) -> (Self, Made) {
        let made = Made::default();
        let source = Random {
            scale,
            made: made.clone(),
        };
        let formats = Formats::on(device, dtype);
        (Self::new(Arc::new(source), formats, device.clone()), made)
    }

    /// The parameters below `name`.
    #[must_use]
    pub fn pp(&self, name: impl Display) -> Self {
        Self {
            prefix: self.full(name),
            ..self.clone()
        }
    }

    /// The same parameters in another number format.
    #[must_use]
    pub fn to_dtype(&self, dtype: DType) -> Self {
        let mut params = self.clone();
        if dtype != self.dtype() {
            params.formats = Formats {
                numbers: dtype,
                matrices: dtype,
            };
        }
        params
    }

    /// The number format that tensors come in.
    pub fn dtype(&self) -> DType {
        self.formats.numbers
    }

    /// Where tensors come to lie.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Whether there is a tensor of that name.
    pub fn contains(&self, name: &str) -> bool {
        self.source.contains(&self.full(name))
    }

    /// The tensor `name`, which has to have this shape.
    pub fn get(&self, shape: impl Into<Shape>, name: &str) -> Result<Tensor> {
        let name = self.full(name);
        self.source
            .tensor(&name, &shape.into(), self.formats.numbers, &self.device)
    }

    /// The matrix `name`, which has to have this shape, quantised if the file has it so.
    pub fn matrix(&self, shape: impl Into<Shape>, name: &str) -> Result<Matrix> {
        let name = self.full(name);
        self.source
            .matrix(&name, &shape.into(), self.formats.matrices, &self.device)
    }

    fn full(&self, name: impl Display) -> String {
        if self.prefix.is_empty() {
            name.to_string()
        } else {
            format!("{}.{name}", self.prefix)
        }
    }
}

/// Counts the numbers that [`Params::random`] makes.
#[derive(Clone, Debug, Default)]
pub struct Made(Arc<AtomicU64>);

impl Made {
    /// How many were made so far.
    pub fn numbers(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

struct Random {
    scale: f64,
    made: Made,
}

impl Source for Random {
    fn tensor(&self, name: &str, shape: &Shape, dtype: DType, device: &Device) -> Result<Tensor> {
        let count = shape.elem_count() as u64;
        self.made.0.fetch_add(count, Ordering::Relaxed);
        // The only weights of one axis are those of norms.
        if shape.rank() == 1 && name.ends_with("weight") {
            return Tensor::ones(shape, dtype, device);
        }
        Tensor::randn(0f32, self.scale as f32, shape, device)?.to_dtype(dtype)
    }

    fn matrix(&self, name: &str, shape: &Shape, dtype: DType, device: &Device) -> Result<Matrix> {
        self.tensor(name, shape, dtype, device).map(Matrix::Plain)
    }

    fn contains(&self, _: &str) -> bool {
        true
    }
}
