use std::sync::Arc;

use candle_core::quantized::QTensor;
use candle_core::{
    CpuStorage, CustomOp2, CustomOp3, DType, Layout, Module as _, Result, Shape, Tensor, bail,
};
use rayon::prelude::*;

use super::{Activation, activate, cpu, on_cpu_f32};
use crate::models::weights::{Matrix, Params};

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
    /// `(inputs, outputs)`, for the CPU.
    Transposed(Tensor),
    /// `(outputs, inputs)`, quantised, and the format that products are to be made in. The weight
    /// is turned into that anew for every product: it costs little beside one of many rows, and the
    /// result is that of the plain weight, where a product of quantised numbers would round the
    /// activations too.
    Blocks(Arc<QTensor>, DType),
}

/// A layer with weight `(outputs, inputs)` and bias `(outputs,)`, named as in PyTorch.
pub fn linear(inputs: usize, outputs: usize, params: Params) -> Result<Linear> {
    let weight = params.matrix((outputs, inputs), "weight")?;
    Linear::from_matrix(weight, Some(params.get(outputs, "bias")?), params.dtype())
}

/// A layer with weight `(outputs, inputs)` alone.
pub fn linear_no_bias(inputs: usize, outputs: usize, params: Params) -> Result<Linear> {
    let weight = params.matrix((outputs, inputs), "weight")?;
    Linear::from_matrix(weight, None, params.dtype())
}

impl Linear {
    /// A layer from tensors that are there already: weight `(outputs, inputs)`, bias `(outputs,)`.
    pub fn new(weight: Tensor, bias: Option<Tensor>) -> Result<Self> {
        // The CPU's matrix product copies the weight on every call unless its outputs lie next to
        // each other: a fifth to a half of the time where there are few rows. Views that only
        // stand in for a weight are left alone.
        let weight = if on_cpu_f32(&weight) && weight.is_contiguous() {
            Weight::Transposed(weight.t()?.contiguous()?)
        } else {
            Weight::Plain(weight)
        };
        Ok(Self { weight, bias })
    }

    fn from_matrix(weight: Matrix, bias: Option<Tensor>, dtype: DType) -> Result<Self> {
        match weight {
            Matrix::Plain(weight) => Self::new(weight, bias),
            Matrix::Blocks(blocks) => Ok(Self {
                weight: Weight::Blocks(blocks, dtype),
                bias,
            }),
        }
    }

    /// The number format that products are made in.
    pub fn dtype(&self) -> DType {
        match &self.weight {
            Weight::Plain(weight) | Weight::Transposed(weight) => weight.dtype(),
            Weight::Blocks(_, dtype) => *dtype,
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
            Weight::Transposed(weight) => {
                let x = x.contiguous()?;
                return match &self.bias {
                    Some(bias) => x.apply_op3_no_bwd(weight, bias, &Fused { activation }),
                    None => x.apply_op2_no_bwd(weight, &Fused { activation }),
                };
            }
            Weight::Plain(weight) => weight.clone(),
            Weight::Blocks(blocks, dtype) => blocks.dequantize(x.device())?.to_dtype(*dtype)?,
        };
        let y = candle_nn::Linear::new(weight, self.bias.clone()).forward(x)?;
        match activation {
            Some(activation) => activate(&y, activation),
            None => Ok(y),
        }
    }
}

struct Fused {
    activation: Option<Activation>,
}

impl Fused {
    fn run(
        &self,
        x: (&CpuStorage, &Layout),
        weight: (&CpuStorage, &Layout),
        bias: Option<(&CpuStorage, &Layout)>,
    ) -> Result<(CpuStorage, Shape)> {
        let (inputs, outputs) = weight.1.shape().dims2()?;
        let mut dims = x.1.dims().to_vec();
        match dims.last_mut() {
            Some(last) if *last == inputs => *last = outputs,
            _ => bail!(
                "linear layer of {inputs} inputs was given {:?}",
                x.1.shape()
            ),
        }
        let x = cpu::slice(x.0, x.1)?;
        let weight = cpu::slice(weight.0, weight.1)?;
        let rows = x.len() / inputs;
        let mut out = Vec::with_capacity(rows * outputs);
        match bias {
            Some((bias, layout)) => {
                let bias = cpu::slice(bias, layout)?;
                for _ in 0..rows {
                    out.extend_from_slice(bias);
                }
            }
            None => out.resize(rows * outputs, 0.0),
        }
        // SAFETY: x is (rows, inputs), weight (inputs, outputs), out (rows, outputs); all three
        // are whole slices.
        unsafe {
            cpu::gemm(
                (rows, outputs, inputs),
                (out.as_mut_ptr(), outputs, 1),
                bias.is_some(),
                cpu::Mat(x.as_ptr(), inputs, 1),
                cpu::Mat(weight.as_ptr(), outputs, 1),
                rayon::current_num_threads(),
            );
        }
        if let Some(activation) = self.activation {
            out.par_chunks_mut(1 << 14)
                .for_each(|chunk| activation.apply_to(chunk));
        }
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
    use candle_core::{DType, Device, Tensor};

    use super::{Activation, Linear};

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
}
