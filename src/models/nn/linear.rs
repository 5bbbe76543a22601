use std::sync::Arc;

use candle_core::quantized::QTensor;
use candle_core::{
    CpuStorage, CustomOp1, CustomOp2, CustomOp3, DType, Device, Layout, Module as _, Result, Shape,
    Storage, Tensor, WithDType, bail,
};
use half::slice::HalfFloatSliceExt;
use rayon::prelude::*;

use super::product::{Integers, Numbers, Panels, integer_product, product};
use super::{Activation, activate, cpu};
use crate::models::weights::{Matrix, NumberFormat, Params};

/// `y = x W^T + b` over the last axis. On the CPU the bias and an activation ride along with the
/// matrix product.
#[derive(Clone, Debug)]
pub struct Linear {
    weight: Weight,
    bias: Option<Tensor>,
}

#[derive(Clone, Debug)]
enum Weight {
    /// `(outputs, inputs)`.
    Plain(Tensor),
    /// Laid out for the CPU's products, which are f32, also where the weight takes half of that.
    Panels(Tensor, Panels),
    /// For the CPU's products of integers.
    Integers(Arc<Integers>),
    /// `(outputs, inputs)`, quantised, the format that products are to be made in, and whether integers may stand for it. The weight
    /// is turned into that anew for every product: it costs little beside one of many rows, and the result is that of the plain
    /// weight, where a product of numbers quantised so coarsely would round the activations as much.
    Blocks(Arc<QTensor>, DType, bool),
}

/// A layer with weight `(outputs, inputs)` and bias `(outputs,)`, named as in PyTorch.
pub fn linear(inputs: usize, outputs: usize, params: Params) -> Result<Linear> {
    Linear::load((outputs, inputs), true, &params)
}

/// A layer with weight `(outputs, inputs)` alone.
pub fn linear_no_bias(inputs: usize, outputs: usize, params: Params) -> Result<Linear> {
    Linear::load((outputs, inputs), false, &params)
}

impl Linear {
    /// A layer from tensors that are there already: weight `(outputs, inputs)`, bias `(outputs,)`.
    pub fn new(weight: Tensor, bias: Option<Tensor>) -> Result<Self> {
        let dtype = weight.dtype();
        Self::with_products_in(dtype, weight, bias)
    }

    /// A layer of weight `(outputs, inputs)` alone, in the format that its kind is loaded in.
    pub fn in_format(weight: Tensor, format: NumberFormat) -> Result<Self> {
        let dtype = weight.dtype();
        Self::from_matrix(format.factor(weight)?, None, dtype, format.integers)
    }

    fn load(shape: (usize, usize), biased: bool, params: &Params) -> Result<Self> {
        let weight = params.factor(shape, "weight")?;
        let bias = biased.then(|| params.get(shape.0, "bias")).transpose()?;
        let integers = params.makes_integers_of(&[shape.0, shape.1]);
        Self::from_matrix(weight, bias, params.dtype(), integers)
    }

    fn with_products_in(dtype: DType, weight: Tensor, bias: Option<Tensor>) -> Result<Self> {
        let is_ours = weight.device().is_cpu() && dtype == DType::F32;
        // Views that only stand in for a weight are left alone.
        let weight = if is_ours && weight.is_contiguous() {
            let (outputs, inputs) = weight.dims2()?;
            let layout = Panels::new(inputs, outputs);
            Weight::Panels(laid_out(&weight, layout)?, layout)
        } else {
            Weight::Plain(weight)
        };
        Ok(Self { weight, bias })
    }

    fn from_matrix(
        weight: Matrix,
        bias: Option<Tensor>,
        dtype: DType,
        integers: bool,
    ) -> Result<Self> {
        match weight {
            Matrix::Plain(weight) => Self::with_products_in(dtype, weight, bias),
            Matrix::Blocks(blocks) => Ok(Self {
                weight: Weight::Blocks(blocks, dtype, integers),
                bias,
            }),
            Matrix::Integers(integers) => Ok(Self {
                weight: Weight::Integers(integers),
                bias,
            }),
        }
    }

    /// The number format that products are made in.
    pub fn dtype(&self) -> DType {
        match &self.weight {
            Weight::Plain(weight) => weight.dtype(),
            Weight::Panels(..) | Weight::Integers(_) => DType::F32,
            Weight::Blocks(_, dtype, _) => *dtype,
        }
    }

    /// Maps `(..., inputs)` to `(..., outputs)`.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.run(x, None)
    }

    /// [`forward`](Self::forward), then `activation`.
    pub fn forward_activated(&self, x: &Tensor, activation: Activation) -> Result<Tensor> {
        self.run(x, Some(activation))
    }

    fn run(&self, x: &Tensor, activation: Option<Activation>) -> Result<Tensor> {
        let weight = match &self.weight {
            Weight::Panels(weight, layout) => {
                let x = x.contiguous()?;
                let layout = *layout;
                let op = Fused { layout, activation };
                return match &self.bias {
                    Some(bias) => x.apply_op3_no_bwd(weight, bias, &op),
                    None => x.apply_op2_no_bwd(weight, &op),
                };
            }
            Weight::Integers(weight) => return self.of_integers(x, Arc::clone(weight), activation),
            Weight::Plain(weight) => weight.clone(),
            Weight::Blocks(blocks, dtype, integers) => {
                let weight = blocks.dequantize(x.device())?;
                if *integers && let Some(integers) = Integers::of_weight(&weight)? {
                    return self.of_integers(x, Arc::new(integers), activation);
                }
                weight.to_dtype(*dtype)?
            }
        };
        let y = candle_nn::Linear::new(weight, self.bias.clone()).forward(x)?;
        match activation {
            Some(activation) => activate(&y, activation),
            None => Ok(y),
        }
    }

    fn of_integers(
        &self,
        x: &Tensor,
        weight: Arc<Integers>,
        activation: Option<Activation>,
    ) -> Result<Tensor> {
        let bias = self.bias.clone();
        let op = IntegerProduct {
            weight,
            bias,
            activation,
        };
        x.contiguous()?.apply_op1_no_bwd(&op)
    }
}

/// A weight `(outputs, inputs)` in panels.
fn laid_out(weight: &Tensor, layout: Panels) -> Result<Tensor> {
    let (storage, place) = weight.storage_and_layout();
    let Storage::Cpu(storage) = &*storage else {
        bail!("a weight for the CPU was given on {:?}", weight.device());
    };
    match Numbers::of(storage, place)? {
        Numbers::F32(numbers) => {
            let mut panels = vec![0f32; layout.len()];
            cpu::in_large_pages(&mut panels);
            let each = panels.par_chunks_mut(layout.panel_len().max(1));
            each.enumerate().for_each(|(index, panel)| {
                layout.fill_from_columns(index, panel, numbers, layout.depth);
            });
            Tensor::from_vec(panels, layout.len(), weight.device())
        }
        Numbers::Bf16(numbers) => halves_laid_out(numbers, layout),
        Numbers::F16(numbers) => halves_laid_out(numbers, layout),
    }
}

/// The same of numbers that take half the room.
fn halves_laid_out<T: WithDType>(numbers: &[T], layout: Panels) -> Result<Tensor>
where
    [T]: HalfFloatSliceExt,
{
    let mut panels = vec![T::zero(); layout.len()];
    cpu::in_large_pages(&mut panels);
    let each = panels.par_chunks_mut(layout.panel_len().max(1));
    let buffers = || (Vec::new(), vec![0f32; layout.panel_len()]);
    each.enumerate()
        .for_each_init(buffers, |(columns, wide), (index, panel)| {
            let part = layout.alone(index);
            let first = index * layout.width() * part.depth;
            let numbers = &numbers[first..][..part.columns * part.depth];
            columns.resize(numbers.len(), 0f32);
            numbers.convert_to_f32_slice(columns);
            part.fill_from_columns(0, wide, columns, part.depth);
            // They come back to what they were.
            panel.convert_from_f32_slice(wide);
        });
    Tensor::from_vec(panels, layout.len(), &Device::Cpu)
}

/// The shape of what a layer makes of `x`.
fn outputs(x: &Layout, inputs: usize, outputs: usize) -> Result<Vec<usize>> {
    let mut dims = x.dims().to_vec();
    match dims.last_mut() {
        Some(last) if *last == inputs => *last = outputs,
        _ => bail!("linear layer of {inputs} inputs was given {:?}", x.shape()),
    }
    Ok(dims)
}

struct IntegerProduct {
    weight: Arc<Integers>,
    bias: Option<Tensor>,
    activation: Option<Activation>,
}

impl CustomOp1 for IntegerProduct {
    fn name(&self) -> &'static str {
        "linear of integers"
    }

    fn cpu_fwd(&self, x: &CpuStorage, x_layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (columns, depth) = self.weight.dims();
        let dims = outputs(x_layout, depth, columns)?;
        let bias = self.bias.as_ref().map(Tensor::storage_and_layout);
        let bias = match &bias {
            None => None,
            Some((storage, layout)) => match &**storage {
                Storage::Cpu(storage) if layout.dims() == [columns] => {
                    Some(cpu::slice(storage, layout)?)
                }
                _ => bail!(
                    "a layer of {columns} outputs was given a bias {:?}",
                    layout.shape()
                ),
            },
        };
        let x = cpu::slice(x, x_layout)?;
        let out = integer_product(x, &self.weight, bias, self.activation);
        cpu::output(out, dims)
    }
}

struct Fused {
    layout: Panels,
    activation: Option<Activation>,
}

impl Fused {
    fn run(
        &self,
        x: (&CpuStorage, &Layout),
        weight: (&CpuStorage, &Layout),
        bias: Option<(&CpuStorage, &Layout)>,
    ) -> Result<(CpuStorage, Shape)> {
        let dims = outputs(x.1, self.layout.depth, self.layout.columns)?;
        let bias = bias
            .map(|(bias, layout)| cpu::slice(bias, layout))
            .transpose()?;
        let (x, weight) = (cpu::slice(x.0, x.1)?, Numbers::of(weight.0, weight.1)?);
        let out = product(x, self.layout, weight, bias, self.activation);
        cpu::output(out, dims)
    }
}

impl CustomOp2 for Fused {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        self.run((x, x_layout), (weight, weight_layout), None)
    }
}

impl CustomOp3 for Fused {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
        bias: &CpuStorage,
        bias_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let bias = (bias, bias_layout);
        self.run((x, x_layout), (weight, weight_layout), Some(bias))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use candle_core::quantized::{GgmlDType, QTensor};
    use candle_core::{DType, Device, Tensor};

    use super::{Activation, Integers, Linear, Matrix, NumberFormat, Weight};

    #[test]
    fn fused_agrees_with_composed() {
        let dev = Device::Cpu;
        let x = Tensor::randn(0f32, 1.0, (2, 7, 24), &dev).unwrap();
        let w = Tensor::randn(0f32, 0.3, (40, 24), &dev).unwrap();
        let b = Tensor::randn(0f32, 1.0, 40, &dev).unwrap();
        let to64 = |t: &Tensor| t.to_dtype(DType::F64).unwrap();
        let layer = Linear::new(w.clone(), Some(b.clone())).unwrap();
        let exact = Linear::new(to64(&w), Some(to64(&b))).unwrap();
        for (got, want) in [
            (layer.forward(&x), exact.forward(&to64(&x))),
            (
                layer.forward_activated(&x, Activation::GeluTanh),
                exact.forward_activated(&to64(&x), Activation::GeluTanh),
            ),
        ] {
            let (got, want) = (got.unwrap(), want.unwrap());
            assert_eq!(got.dims(), &[2, 7, 40]);
            let error = (to64(&got) - want).unwrap().abs().unwrap();
            assert!(
                error
                    .flatten_all()
                    .unwrap()
                    .max(0)
                    .unwrap()
                    .to_scalar::<f64>()
                    .unwrap()
                    < 1e-5
            );
        }
    }
    #[test]
    fn a_weight_of_half_the_size_makes_the_products_of_its_numbers() {
        let dev = Device::Cpu;
        let x = Tensor::randn(0f32, 1.0, (13, 300), &dev).unwrap();
        let weight = Tensor::randn(0f32, 0.3, (41, 300), &dev).unwrap();
        let bias = Tensor::randn(0f32, 1.0, 41, &dev).unwrap();
        for dtype in [DType::BF16, DType::F16] {
            let half = weight.to_dtype(dtype).unwrap();
            let wide = half.to_dtype(DType::F32).unwrap();
            let wide = Linear::new(wide, Some(bias.clone())).unwrap();
            let half = Matrix::Plain(half);
            let half = Linear::from_matrix(half, Some(bias.clone()), DType::F32, false).unwrap();
            let [want, got] =
                [wide, half].map(|layer| layer.forward(&x).unwrap().to_vec2::<f32>().unwrap());
            assert_eq!(got, want);
        }
    }

    #[test]
    fn products_with_large_matrices_are_made_in_integers_where_that_is_faster() {
        let dev = Device::Cpu;
        let x = Tensor::randn(0f32, 1.0, (13, 1024), &dev).unwrap();
        let weight = Tensor::randn(0f32, 0.3, (1024, 1024), &dev).unwrap();
        let integers = NumberFormat {
            dtype: DType::F32,
            integers: true,
        };
        let layer = |weight: &Tensor, format| Linear::in_format(weight.clone(), format).unwrap();
        let of = |layer: Linear| layer.forward(&x).unwrap();
        let want = of(Linear::new(weight.clone(), None).unwrap());
        let rms = |x: &Tensor| {
            x.sqr()
                .unwrap()
                .mean_all()
                .unwrap()
                .to_scalar::<f32>()
                .unwrap()
                .sqrt()
        };
        let off = |got: Tensor| rms(&(got - &want).unwrap()) / rms(&want);
        assert_eq!(off(of(layer(&weight, DType::F32.into()))), 0.0);
        let found = layer(&weight, integers);
        let is_faster = Integers::are_faster();
        assert_eq!(matches!(found.weight, Weight::Integers(_)), is_faster);
        // Each factor is off by 1e-4 of its root mean square.
        let error = off(of(found));
        assert!(error < 2e-4 && (error > 0.0) == is_faster, "{error}");
        // Quantised ones are turned into integers for each product.
        let blocks = QTensor::quantize(&weight, GgmlDType::Q8_0).unwrap();
        let plain = blocks.dequantize(&dev).unwrap();
        let blocks = Matrix::Blocks(Arc::new(blocks));
        let blocks = Linear::from_matrix(blocks, None, DType::F32, true).unwrap();
        assert_eq!(off(of(blocks)), off(of(layer(&plain, integers))));
        let few = layer(&weight.narrow(0, 0, 1023).unwrap(), integers);
        assert!(!matches!(few.weight, Weight::Integers(_)));
    }
}
