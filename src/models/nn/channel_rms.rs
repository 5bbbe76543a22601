use candle_core::{CpuStorage, CustomOp3, DType, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use super::lanes::WIDEST;
use super::{Activation, activate, cpu, on_cpu_f32};

/// RMS norm over the channel axis of `(B, C, ...)` without weights, `x / sqrt(mean(x^2) + eps)`,
/// then `* (1 + scale) + shift` where a modulation is given, then `activation`. `scale` and `shift`
/// are f32, `(C,)`; the norm is worked out in f32, the result has the format of `x`.
pub fn channel_rms(
    x: &Tensor,
    modulation: Option<(&Tensor, &Tensor)>,
    eps: f64,
    activation: Option<Activation>,
) -> Result<Tensor> {
    let channels = x.dim(1)?;
    let (gain, shift) = match modulation {
        Some((scale, shift)) => ((scale + 1.0)?, shift.contiguous()?),
        None => (
            Tensor::ones(channels, DType::F32, x.device())?,
            Tensor::zeros(channels, DType::F32, x.device())?,
        ),
    };
    if on_cpu_f32(x) {
        let op = Fused {
            eps: eps as f32,
            activation,
        };
        return x.contiguous()?.apply_op3_no_bwd(&gain, &shift, &op);
    }
    let mut shape = vec![1usize; x.rank()];
    shape[1] = channels;
    let wide = x.to_dtype(DType::F32)?;
    let root = (wide.sqr()?.mean_keepdim(1)? + eps)?.sqrt()?;
    let y = wide
        .broadcast_div(&root)?
        .broadcast_mul(&gain.reshape(shape.as_slice())?)?
        .broadcast_add(&shift.reshape(shape.as_slice())?)?
        .to_dtype(x.dtype())?;
    match activation {
        Some(activation) => activate(&y, activation),
        None => Ok(y),
    }
}

struct Fused {
    eps: f32,
    activation: Option<Activation>,
}

impl CustomOp3 for Fused {
    fn name(&self) -> &'static str {
        "channel-rms"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        gain: &CpuStorage,
        gain_layout: &Layout,
        shift: &CpuStorage,
        shift_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let gain = cpu::slice(gain, gain_layout)?;
        let shift = cpu::slice(shift, shift_layout)?;
        let factor = |squares: f32| (squares / gain.len() as f32 + self.eps).sqrt().recip();
        over_channels(x, x_layout, gain, Some(shift), self.activation, factor)
    }
}

/// The work of a norm over the channel axis of `(B, C, ...)`: at each position `factor` of the sum of the channels' squares, times
/// each channel and its `gain`, plus its `shift`, then `activation`.
pub(super) fn over_channels(
    x: &CpuStorage,
    layout: &Layout,
    gain: &[f32],
    shift: Option<&[f32]>,
    activation: Option<Activation>,
    factor: impl Fn(f32) -> f32 + Sync,
) -> Result<(CpuStorage, Shape)> {
    /// The most positions a task works on: the block's sums stay in the first cache.
    const BLOCK: usize = 512;
    /// Tasks that each thread gets at least, where there are positions enough.
    const TASKS_A_THREAD: usize = 2;
    let x = cpu::slice(x, layout)?;
    let has_shifts = |shift: &[f32]| shift.len() == gain.len();
    let (batch, channels) = match layout.dims() {
        [batch, channels, ..] if *channels == gain.len() && shift.is_none_or(has_shifts) => {
            (*batch, *channels)
        }
        dims => bail!("channel norm over {} was given {dims:?}", gain.len()),
    };
    let positions = x.len() / (batch * channels).max(1);
    let tasks = TASKS_A_THREAD * rayon::current_num_threads();
    let block_len = (batch * positions / tasks)
        .next_multiple_of(WIDEST)
        .clamp(WIDEST, BLOCK);
    let blocks = positions.div_ceil(block_len);
    let task = |task: usize, shared: cpu::Shared| {
        let (b, block) = (task / blocks, task % blocks);
        let start = block * block_len;
        let len = block_len.min(positions - start);
        let at = |c: usize| (b * channels + c) * positions + start;
        let mut factors = [0f32; BLOCK];
        for c in 0..channels {
            add_squares(&mut factors, &x[at(c)..at(c) + len]);
        }
        for value in &mut factors[..len] {
            *value = factor(*value);
        }
        for (c, gain) in gain.iter().enumerate() {
            // SAFETY: a task owns its batch item's block of positions in every channel.
            let out = unsafe { shared.slice(at(c), len) };
            let shift = shift.map_or(0.0, |shift| shift[c]);
            modulate(out, &x[at(c)..at(c) + len], &factors, *gain, shift);
            if let Some(activation) = activation {
                activation.apply_to(out);
            }
        }
    };
    let tasks = (0..batch * blocks).into_par_iter();
    // SAFETY: the blocks make up all positions.
    let out = unsafe { cpu::written(x.len(), |out| tasks.for_each(|index| task(index, out))) };
    cpu::output(out, layout.shape())
}

cpu::vectorised! {
    /// The squares of `x`, added to `sums` place by place.
    fn add_squares(sums: &mut [f32], x: &[f32]) {
        for (sum, x) in sums.iter_mut().zip(x) {
            *sum += x * x;
        }
    }
}

cpu::vectorised! {
    /// `x * factors * gain + shift`, place by place.
    fn modulate(out: &mut [f32], x: &[f32], factors: &[f32], gain: f32, shift: f32) {
        for ((out, x), factor) in out.iter_mut().zip(x).zip(factors) {
            *out = x * factor * gain + shift;
        }
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device, Tensor};

    use super::{Activation, channel_rms};

    #[test]
    fn fused_agrees_with_composed() {
        let dev = Device::Cpu;
        let x = Tensor::randn(0f32, 2.0, (2, 6, 3, 17, 23), &dev).unwrap();
        let scale = Tensor::randn(0f32, 1.0, 6, &dev).unwrap();
        let shift = Tensor::randn(0f32, 1.0, 6, &dev).unwrap();
        // A format of its own takes the composed way; f64 would be rounded to f32 in it as well.
        let wide = x.to_dtype(DType::F64).unwrap();
        for modulation in [None, Some((&scale, &shift))] {
            for activation in [None, Some(Activation::Silu)] {
                let got = channel_rms(&x, modulation, 1e-8, activation).unwrap();
                let want = channel_rms(&wide, modulation, 1e-8, activation).unwrap();
                let error = (got - want.to_dtype(DType::F32).unwrap()).unwrap();
                let error = error.abs().unwrap().flatten_all().unwrap().max(0).unwrap();
                assert!(error.to_scalar::<f32>().unwrap() < 2e-5);
            }
        }
        let zero = channel_rms(&x.zeros_like().unwrap(), None, 1e-8, None).unwrap();
        let sum = zero.abs().unwrap().sum_all().unwrap();
        assert_eq!(sum.to_scalar::<f32>().unwrap(), 0.0);
    }
}
