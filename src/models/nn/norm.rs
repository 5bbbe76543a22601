#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp2, CustomOp3, DType, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use super::channel_rms::over_channels;
use super::{Activation, activate, cpu, on_cpu_f32, rows_are_fused};
use crate::models::weights::Params;

/// RMS norm over the last axis with a weight (Zhang and Sennrich, arXiv 1910.07467):
/// `x / sqrt(mean(x^2) + eps) * w`, worked out in f32.
#[derive(Clone, Debug)]
pub struct RmsNorm {
    weight: Tensor,
    /// Zeros, for the form that adds something.
    bias: Tensor,
    eps: f64,
}

impl RmsNorm {
    /// Weight `(dim,)`, named as in PyTorch.
    pub fn new(dim: usize, eps: f64, params: Params) -> Result<Self> {
        let weight = params.get(dim, "weight")?;
        Ok(Self {
            bias: weight.zeros_like()?,
            weight,
            eps,
        })
    }

    /// Normalises `(..., dim)`.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        if on_cpu_f32(x) {
            let op = FusedNorm {
                eps: self.eps as f32,
                centred: false,
            };
            return x
                .contiguous()?
                .apply_op3_no_bwd(&self.weight, &self.bias, &op);
        }
        candle_nn::ops::rms_norm(&x.contiguous()?, &self.weight, self.eps as f32)
    }
}

/// Layer norm over the last axis with weight and bias, both kept in f32.
#[derive(Clone, Debug)]
pub struct LayerNorm {
    weight: Tensor,
    bias: Tensor,
    eps: f64,
}

impl LayerNorm {
    /// Weight and bias `(dim,)`, named as in PyTorch, read as f32 whatever the builder's format.
    pub fn new(dim: usize, eps: f64, params: Params) -> Result<Self> {
        let params = params.to_dtype(DType::F32);
        Ok(Self {
            weight: params.get(dim, "weight")?,
            bias: params.get(dim, "bias")?,
            eps,
        })
    }

    /// Normalises `(..., dim)` in f32; the result has the format of `x`.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        layer_norm(x, &self.weight, &self.bias, self.eps)
    }
}

/// `(x - mean) / sqrt(var + eps) * weight + bias` over the last axis, worked out in f32; the
/// result has the format of `x`. `weight` and `bias` are f32, `(dim,)`.
pub fn layer_norm(x: &Tensor, weight: &Tensor, bias: &Tensor, eps: f64) -> Result<Tensor> {
    norm(x, weight, bias, eps as f32, true)
}

/// A layer norm or, where it is not `centred`, an RMS norm.
fn norm(x: &Tensor, weight: &Tensor, bias: &Tensor, eps: f32, centred: bool) -> Result<Tensor> {
    if rows_are_fused(x) {
        let op = FusedNorm { eps, centred };
        return x.contiguous()?.apply_op3_no_bwd(weight, bias, &op);
    }
    composed_norm(x, weight, bias, eps, centred)
}

pub(super) fn composed_norm(
    x: &Tensor,
    weight: &Tensor,
    bias: &Tensor,
    eps: f32,
    centred: bool,
) -> Result<Tensor> {
    let wide = x.to_dtype(DType::F32)?.contiguous()?;
    let normed = match centred {
        true => candle_nn::ops::layer_norm(&wide, weight, bias, eps)?,
        false => candle_nn::ops::rms_norm(&wide, weight, eps)?.broadcast_add(bias)?,
    };
    normed.to_dtype(x.dtype())
}

/// Layer norm without weights, then `* (1 + scale) + shift`: the adaptive norm of diffusion
/// transformers (Peebles and Xie, arXiv 2212.09748, section 3.2). `scale` and `shift` are f32,
/// `(dim,)`; the result has the format of `x`.
pub fn modulated(x: &Tensor, scale: &Tensor, shift: &Tensor, eps: f64) -> Result<Tensor> {
    layer_norm(x, &(scale + 1.0)?, shift, eps)
}

/// As [`modulated`], with an RMS norm in the place of the layer norm.
pub fn rms_modulated(x: &Tensor, scale: &Tensor, shift: &Tensor, eps: f64) -> Result<Tensor> {
    norm(x, &(scale + 1.0)?, shift, eps as f32, false)
}

/// `x + y * gate` with the sum and product in f32: the gated residual of the same paper. `x` and
/// `y` are `(..., dim)`, `gate` is f32, `(dim,)`; the result has the format of `x`.
pub fn gated_add(x: &Tensor, y: &Tensor, gate: &Tensor) -> Result<Tensor> {
    if rows_are_fused(x) {
        return x
            .contiguous()?
            .apply_op3_no_bwd(&y.contiguous()?, &gate.contiguous()?, &GatedAdd);
    }
    composed_gated_add(x, y, gate)
}

pub(super) fn composed_gated_add(x: &Tensor, y: &Tensor, gate: &Tensor) -> Result<Tensor> {
    let scaled = y.to_dtype(DType::F32)?.broadcast_mul(gate)?;
    (x.to_dtype(DType::F32)? + scaled)?.to_dtype(x.dtype())
}

pub(super) struct GatedAdd;

impl CustomOp3 for GatedAdd {
    fn name(&self) -> &'static str {
        "gated-add"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        y: &CpuStorage,
        y_layout: &Layout,
        gate: &CpuStorage,
        gate_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let gate = cpu::slice(gate, gate_layout)?;
        if x_layout.dims() != y_layout.dims() || x_layout.dims().last() != Some(&gate.len()) {
            bail!(
                "gated add was given {:?} and {:?}",
                x_layout.shape(),
                y_layout.shape()
            );
        }
        let mut out = cpu::slice(x, x_layout)?.to_vec();
        let y = cpu::slice(y, y_layout)?;
        let rows = out.par_chunks_mut(gate.len()).zip(y.par_chunks(gate.len()));
        rows.with_min_len(32).for_each(|(out, y)| {
            for ((out, y), gate) in out.iter_mut().zip(y).zip(gate) {
                *out += y * gate;
            }
        });
        cpu::output(out, x_layout.shape())
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        x: &CudaStorage,
        x_layout: &Layout,
        y: &CudaStorage,
        y_layout: &Layout,
        gate: &CudaStorage,
        gate_layout: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        super::cuda::gated_add((x, x_layout), (y, y_layout), (gate, gate_layout))
    }
}

pub(super) struct FusedNorm {
    pub eps: f32,
    /// Whether the mean is taken away first: a layer norm, else an RMS norm.
    pub centred: bool,
}

impl CustomOp3 for FusedNorm {
    fn name(&self) -> &'static str {
        "norm"
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
        let x = cpu::slice(x, x_layout)?;
        let weight = cpu::slice(weight, weight_layout)?;
        let bias = cpu::slice(bias, bias_layout)?;
        let dim = weight.len();
        if x_layout.dims().last() != Some(&dim) || bias.len() != dim {
            bail!("norm over {dim} was given {:?}", x_layout.shape());
        }
        let work = |row: usize, out: &mut [f32]| {
            let x = &x[row * dim..][..dim];
            normalise(out, x, weight, bias, self.eps, self.centred);
        };
        // SAFETY: a row is as long as what it is made of.
        let out = unsafe { cpu::written_rows(x.len() / dim.max(1), dim, work) };
        cpu::output(out, x_layout.shape())
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        x: &CudaStorage,
        x_layout: &Layout,
        weight: &CudaStorage,
        weight_layout: &Layout,
        bias: &CudaStorage,
        bias_layout: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        let (weight, bias) = ((weight, weight_layout), (bias, bias_layout));
        super::cuda::norm((x, x_layout), weight, bias, self.eps, self.centred)
    }
}

cpu::vectorised! {
    /// One row of a layer norm or, where it is not `centred`, of an RMS norm.
    fn normalise(
        out: &mut [f32],
        x: &[f32],
        weight: &[f32],
        bias: &[f32],
        eps: f32,
        centred: bool
    ) {
        let dim = x.len() as f32;
        // Two passes: the difference of squares would lose digits where |mean| >> deviation.
        let mean = if centred { sum(x, |v| v) / dim } else { 0.0 };
        let variance = sum(x, |v| (v - mean) * (v - mean)) / dim;
        let inverse = (variance + eps).sqrt().recip();
        for (((out, x), w), b) in out.iter_mut().zip(x).zip(weight).zip(bias) {
            *out = (x - mean) * inverse * w + b;
        }
    }
}

/// The sum of `f` over `x` in sixteen lanes, which is faster and more exact than one.
#[inline(always)]
fn sum(x: &[f32], f: impl Fn(f32) -> f32) -> f32 {
    let mut lanes = [0f32; 16];
    let (chunks, tail) = x.as_chunks::<16>();
    for chunk in chunks {
        for (lane, &v) in lanes.iter_mut().zip(chunk) {
            *lane += f(v);
        }
    }
    lanes.iter().sum::<f32>() + tail.iter().map(|&v| f(v)).sum::<f32>()
}

/// RMS norm over the channel axis, `x / max(|x|, 1e-12) * sqrt(C) * gamma`: the norm of the
/// reference Wan VAE (`WanRMS_norm` in diffusers).
#[derive(Clone, Debug)]
pub struct ChannelRmsNorm {
    gamma: Tensor,
}

impl ChannelRmsNorm {
    /// `gamma` is stored with `axes` axes of length one after the channels: 3 for video, 2 for
    /// single frames.
    pub fn new(channels: usize, axes: usize, params: Params) -> Result<Self> {
        let mut shape = vec![channels];
        shape.resize(1 + axes, 1);
        Ok(Self {
            gamma: params.get(shape, "gamma")?.flatten_all()?,
        })
    }

    /// Normalises `(B, C, ...)` and then applies `activation`.
    pub fn forward(&self, x: &Tensor, activation: Option<Activation>) -> Result<Tensor> {
        if on_cpu_f32(x) {
            return x
                .contiguous()?
                .apply_op2_no_bwd(&self.gamma, &FusedChannelNorm { activation });
        }
        let channels = x.dim(1)?;
        let mut shape = vec![1usize; x.rank()];
        shape[1] = channels;
        let wide = x.to_dtype(DType::F32)?;
        let length = wide.sqr()?.sum_keepdim(1)?.sqrt()?.maximum(1e-12f32)?;
        let unit = wide.broadcast_div(&length)?.to_dtype(x.dtype())?;
        let y = (unit * (channels as f64).sqrt())?.broadcast_mul(&self.gamma.reshape(shape)?)?;
        match activation {
            Some(activation) => activate(&y, activation),
            None => Ok(y),
        }
    }
}

struct FusedChannelNorm {
    activation: Option<Activation>,
}

impl CustomOp2 for FusedChannelNorm {
    fn name(&self) -> &'static str {
        "channel-rms-norm"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        gamma: &CpuStorage,
        gamma_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let gamma = cpu::slice(gamma, gamma_layout)?;
        let root = (gamma.len() as f32).sqrt();
        let factor = |squares: f32| root / squares.sqrt().max(1e-12);
        over_channels(x, x_layout, gamma, None, self.activation, factor)
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{D, DType, Device, Tensor};

    use super::*;

    fn mean(x: &Tensor) -> Result<Tensor> {
        x.mean_keepdim(D::Minus1)
    }

    fn max_error(a: &Tensor, b: &Tensor) -> f64 {
        let d = (a.to_dtype(DType::F64).unwrap() - b.to_dtype(DType::F64).unwrap()).unwrap();
        d.abs()
            .unwrap()
            .flatten_all()
            .unwrap()
            .max(0)
            .unwrap()
            .to_scalar::<f64>()
            .unwrap()
    }

    #[test]
    fn layer_norm_agrees_with_its_definition_also_far_from_zero() {
        let dev = Device::Cpu;
        let x = (Tensor::randn(0f32, 1.0, (3, 5, 50), &dev).unwrap() + 300.0).unwrap();
        let w = Tensor::randn(0f32, 1.0, 50, &dev).unwrap();
        let b = Tensor::randn(0f32, 1.0, 50, &dev).unwrap();
        let x64 = x.to_dtype(DType::F64).unwrap();
        let centred = x64.broadcast_sub(&mean(&x64).unwrap()).unwrap();
        let deviation = (mean(&centred.sqr().unwrap()).unwrap() + 1e-6)
            .unwrap()
            .sqrt()
            .unwrap();
        let want = centred
            .broadcast_div(&deviation)
            .unwrap()
            .broadcast_mul(&w.to_dtype(DType::F64).unwrap())
            .unwrap()
            .broadcast_add(&b.to_dtype(DType::F64).unwrap())
            .unwrap();
        let got = layer_norm(&x, &w, &b, 1e-6).unwrap();
        assert!(max_error(&got, &want) < 5e-4);
    }

    #[test]
    fn modulated_norms_agree_with_their_composed_forms() {
        let dev = Device::Cpu;
        let x = (Tensor::randn(0f32, 1.0, (1, 9, 37), &dev).unwrap() + 0.5).unwrap();
        let scale = Tensor::randn(0f32, 1.0, 37, &dev).unwrap();
        let shift = Tensor::randn(0f32, 1.0, 37, &dev).unwrap();
        let x64 = x.to_dtype(DType::F64).unwrap();
        let root = (mean(&x64.sqr().unwrap()).unwrap() + 1e-6).unwrap();
        let want = x64
            .broadcast_div(&root.sqrt().unwrap())
            .unwrap()
            .broadcast_mul(&(scale.to_dtype(DType::F64).unwrap() + 1.0).unwrap())
            .unwrap()
            .broadcast_add(&shift.to_dtype(DType::F64).unwrap())
            .unwrap();
        let got = rms_modulated(&x, &scale, &shift, 1e-6).unwrap();
        assert!(max_error(&got, &want) < 1e-5);
        let half = rms_modulated(&x.to_dtype(DType::BF16).unwrap(), &scale, &shift, 1e-6).unwrap();
        assert_eq!(half.dtype(), DType::BF16);
        assert!(max_error(&half, &want) < 0.05);
    }

    #[test]
    fn channel_norm_agrees_with_its_composed_form() {
        let dev = Device::Cpu;
        let x = Tensor::randn(0f32, 2.0, (2, 6, 3, 17, 23), &dev).unwrap();
        let norm = ChannelRmsNorm {
            gamma: Tensor::randn(0f32, 1.0, 6, &dev).unwrap(),
        };
        let exact = ChannelRmsNorm {
            gamma: norm.gamma.to_dtype(DType::F64).unwrap(),
        };
        for activation in [None, Some(Activation::Silu)] {
            let want = exact
                .forward(&x.to_dtype(DType::F64).unwrap(), activation)
                .unwrap();
            assert!(max_error(&norm.forward(&x, activation).unwrap(), &want) < 2e-5);
        }
        let zero = norm.forward(&x.zeros_like().unwrap(), None).unwrap();
        assert_eq!(max_error(&zero, &zero.zeros_like().unwrap()), 0.0);
    }
}
