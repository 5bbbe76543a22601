use std::fmt::{self, Display};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use candle_core::quantized::QTensor;
use candle_core::{DType, Device, Result, Shape, Tensor};

use super::header::is_large;
use crate::models::nn::Integers;

/// Where networks get their weights from, by name. Much like candle's `VarBuilder`, but matrices can
/// stay quantised.
#[derive(Clone)]
pub struct Params {
    source: Arc<dyn Source>,
    prefix: String,
    format: NumberFormat,
    device: Device,
}

/// The number format of weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NumberFormat {
    /// Of all numbers, or of matrices alone: see [`numbers`](Self::numbers).
    pub dtype: DType,
    /// Whether a CPU makes products with large matrices in [`Integers`], where it is faster so.
    pub integers: bool,
}

impl From<DType> for NumberFormat {
    /// Without integers.
    fn from(dtype: DType) -> Self {
        Self {
            dtype,
            integers: false,
        }
    }
}

impl NumberFormat {
    /// The format of what is no matrix, and of activations. A CPU computes in f32, but its matrices may take half of that.
    fn numbers(self, device: &Device) -> DType {
        match self.dtype {
            DType::BF16 | DType::F16 if device.is_cpu() => DType::F32,
            dtype => dtype,
        }
    }

    fn makes_integers_of(self, shape: &[usize], device: &Device) -> bool {
        self.integers && device.is_cpu() && is_large(shape)
    }

    /// `weight` as products are made with it on `device`, where it is one of `numbers`.
    pub fn factor(self, weight: Tensor) -> Result<Matrix> {
        let integers = match self.makes_integers_of(weight.dims(), weight.device()) {
            true => Integers::of_weight(&weight)?,
            false => None,
        };
        Ok(match integers {
            Some(integers) => Matrix::Integers(Arc::new(integers)),
            None => Matrix::Plain(weight),
        })
    }
}

impl fmt::Display for NumberFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.dtype.as_str())?;
        match self.integers {
            true => f.write_str(", products in integers"),
            false => Ok(()),
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
    /// For products of integers on a CPU.
    Integers(Arc<Integers>),
}

/// What answers for tensors by their full name.
pub(super) trait Source: Send + Sync {
    fn tensor(&self, name: &str, shape: &Shape, dtype: DType, device: &Device) -> Result<Tensor>;

    /// As it is stored.
    fn matrix(&self, name: &str, shape: &Shape, dtype: DType, device: &Device) -> Result<Matrix>;

    /// As products are made with it.
    fn factor(
        &self,
        name: &str,
        shape: &Shape,
        format: NumberFormat,
        device: &Device,
    ) -> Result<Matrix>;

    fn contains(&self, name: &str) -> bool;
}

impl Params {
    pub(super) fn new(source: Arc<dyn Source>, format: NumberFormat, device: Device) -> Self {
        Self {
            source,
            prefix: String::new(),
            format,
            device,
        }
    }

    /// Standard-normal numbers times `scale` for whatever is asked for, and ones for the weights of
    /// norms: a network of any size without a file. The second value tells how many were made.
    pub fn random(scale: f64, format: impl Into<NumberFormat>, device: &Device) -> (Self, Made) {
        let made = Made::default();
        let source = Random {
            scale,
            made: made.clone(),
        };
        let params = Self::new(Arc::new(source), format.into(), device.clone());
        (params, made)
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
            params.format.dtype = dtype;
        }
        params
    }

    /// The number format that tensors come in.
    pub fn dtype(&self) -> DType {
        self.format.numbers(&self.device)
    }

    /// Whether a CPU may make products with a matrix of this shape in integers.
    pub fn makes_integers_of(&self, shape: &[usize]) -> bool {
        self.format.makes_integers_of(shape, &self.device)
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
            .tensor(&name, &shape.into(), self.dtype(), &self.device)
    }

    /// The matrix `name`, which has to have this shape, quantised if the file has it so.
    pub fn matrix(&self, shape: impl Into<Shape>, name: &str) -> Result<Matrix> {
        let name = self.full(name);
        self.source
            .matrix(&name, &shape.into(), self.format.dtype, &self.device)
    }

    /// The same, to make products with.
    pub fn factor(&self, shape: impl Into<Shape>, name: &str) -> Result<Matrix> {
        let name = self.full(name);
        self.source
            .factor(&name, &shape.into(), self.format, &self.device)
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

    fn factor(
        &self,
        name: &str,
        shape: &Shape,
        format: NumberFormat,
        device: &Device,
    ) -> Result<Matrix> {
        format.factor(self.tensor(name, shape, format.dtype, device)?)
    }

    fn contains(&self, _: &str) -> bool {
        true
    }
}
