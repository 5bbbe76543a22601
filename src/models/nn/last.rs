use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use super::{cpu, on_cpu_f32};

/// A copy of the last `count` frames of `(B, C, T, H, W)`, which does not keep the others alive.
pub fn last_frames(x: &Tensor, count: usize) -> Result<Tensor> {
    if on_cpu_f32(x) {
        return x.contiguous()?.apply_op1_no_bwd(&LastFrames(count));
    }
    let first = x.dim(2)?.saturating_sub(count);
    x.narrow(2, first, x.dim(2)? - first)?.force_contiguous()
}

struct LastFrames(usize);

impl CustomOp1 for LastFrames {
    fn name(&self) -> &'static str {
        "last-frames"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (batch, channels, frames, height, width) = layout.shape().dims5()?;
        let x = cpu::slice(x, layout)?;
        let count = self.0.min(frames);
        let (all, kept) = (frames * height * width, count * height * width);
        if kept == 0 {
            bail!("the last frames of {:?} are none", layout.shape());
        }
        // SAFETY: each channel's task writes all of its own.
        let out = unsafe {
            cpu::written(batch * channels * kept, |out| {
                x.par_chunks(all).enumerate().for_each(|(channel, x)| {
                    out.slice(channel * kept, kept)
                        .copy_from_slice(&x[all - kept..]);
                });
            })
        };
        cpu::output(out, (batch, channels, count, height, width))
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device, Tensor};

    use super::last_frames;

    #[test]
    fn both_forms_keep_the_same_frames() {
        let x = Tensor::randn(0f32, 1.0, (2, 3, 4, 5, 7), &Device::Cpu).unwrap();
        for count in [1, 2, 4, 9] {
            let fast = last_frames(&x, count).unwrap();
            let wide = last_frames(&x.to_dtype(DType::F64).unwrap(), count).unwrap();
            assert_eq!(fast.dims(), [2, 3, count.min(4), 5, 7]);
            let lost = (fast - wide.to_dtype(DType::F32).unwrap()).unwrap();
            let lost = lost.abs().unwrap().sum_all().unwrap();
            assert_eq!(lost.to_scalar::<f32>().unwrap(), 0.0);
        }
    }
}
