use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::{cpu, on_cpu_f32};

/// A pointwise non-linearity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// GELU by its tanh approximation (Hendrycks and Gimpel, arXiv 1606.08415, section 2).
    GeluTanh,
    /// SiLU, `x * sigmoid(x)`.
    Silu,
    /// What lies outside [-1, 1], moved to its ends.
    Clip,
}

impl Activation {
    /// The function of every number in `values`, in place.
    pub(super) fn apply_to(self, values: &mut [f32]) {
        match self {
            Self::GeluTanh => gelu_tanh(values),
            Self::Silu => silu(values),
            Self::Clip => clip(values),
        }
    }
}

cpu::vectorised! {
    fn gelu_tanh(values: &mut [f32]) {
        // 0.5 x (1 + tanh(u)) = x / (1 + e^(-2 u))
        const C: f32 = 2.0 * 0.797_884_6; // 2 sqrt(2 / pi)
        for x in values {
            *x /= 1.0 + cpu::exp(-C * (*x + 0.044_715 * *x * *x * *x), FUSED);
        }
    }
}

cpu::vectorised! {
    fn silu(values: &mut [f32]) {
        for x in values {
            *x /= 1.0 + cpu::exp(-*x, FUSED);
        }
    }
}

cpu::vectorised! {
    fn clip(values: &mut [f32]) {
        for x in values {
            *x = x.clamp(-1.0, 1.0);
        }
    }
}

impl CustomOp1 for Activation {
    fn name(&self) -> &'static str {
        "activation"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let mut out = cpu::slice(storage, layout)?.to_vec();
        out.par_chunks_mut(1 << 14)
            .for_each(|chunk| self.apply_to(chunk));
        cpu::output(out, layout.shape())
    }
}

/// Applies `activation` to every element of `x` (any shape).
pub fn activate(x: &Tensor, activation: Activation) -> Result<Tensor> {
    if on_cpu_f32(x) {
        return x.contiguous()?.apply_op1_no_bwd(&activation);
    }
    match activation {
        Activation::GeluTanh => x.gelu(),
        Activation::Silu => x.silu(),
        Activation::Clip => x.clamp(-1f32, 1f32),
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Tensor};

    use super::{Activation, activate};

    #[test]
    fn agrees_with_f64() {
        let x: Vec<f32> = (-400..400).map(|i| i as f32 * 0.05).collect();
        let t = Tensor::new(x.as_slice(), &Device::Cpu).unwrap();
        let gelu = activate(&t, Activation::GeluTanh)
            .unwrap()
            .to_vec1::<f32>()
            .unwrap();
        let silu = activate(&t, Activation::Silu)
            .unwrap()
            .to_vec1::<f32>()
            .unwrap();
        let clipped = activate(&t, Activation::Clip).unwrap();
        let by_candle = t.clamp(-1f32, 1f32).unwrap();
        assert_eq!(
            clipped.to_vec1::<f32>().unwrap(),
            by_candle.to_vec1::<f32>().unwrap()
        );
        for ((&x, g), s) in x.iter().zip(gelu).zip(silu) {
            let x = f64::from(x);
            let u = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x * x * x);
            let want_gelu = 0.5 * x * (1.0 + u.tanh());
            let want_silu = x / (1.0 + (-x).exp());
            assert!(
                (f64::from(g) - want_gelu).abs() < 1e-6 * (1.0 + x.abs()),
                "gelu({x})"
            );
            assert!(
                (f64::from(s) - want_silu).abs() < 1e-6 * (1.0 + x.abs()),
                "silu({x})"
            );
        }
    }
}
