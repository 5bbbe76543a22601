//! Convolutions together with what belongs to their input.

use candle_core::{DType, Result, Tensor};

use super::winograd::Winograd;
use super::{Conv3d, Weight};

/// What belongs to the input of a [`Conv3d`].
#[derive(Clone, Copy, Debug, Default)]
pub struct With<'a> {
    /// Frames `(B, inputs, t, H, W)` that come before it, in place of as many zeros.
    pub earlier: Option<&'a Tensor>,
    /// What the result is added to, of the result's shape.
    pub onto: Option<&'a Tensor>,
    /// The input counts as twice as high and wide, every value four times. Not together with `earlier`.
    pub doubled: bool,
}

impl Conv3d {
    /// Convolves `(B, inputs, T, H, W)` together with what belongs to it. One pass over memory does it all where the CPU
    /// has a kernel for that.
    pub fn forward_with(&self, x: &Tensor, with: With<'_>) -> Result<Tensor> {
        let Weight::Winograd(weight) = &self.weight else {
            return self.composed(x, with);
        };
        if !(x.device().is_cpu() && x.dtype() == DType::F32) {
            return self.composed(x, with);
        }
        let (_, channels, mut t, mut h, mut w) = x.dims5()?;
        let earlier = with.earlier.map_or(Ok(0), |kept| kept.dim(2))?;
        t += earlier;
        if with.doubled {
            (h, w) = (2 * h, 2 * w);
        }
        let past = self.config.past.saturating_sub(earlier);
        let size = self.size([t, h, w], past, channels, x)?;
        let mut op = Winograd::new(self.config, past, size, self.channels.1);
        op.doubled = with.doubled;
        op.earlier = with.earlier.map(Tensor::contiguous).transpose()?;
        op.onto = with.onto.map(Tensor::contiguous).transpose()?;
        x.contiguous()?.apply_op3_no_bwd(weight, &self.bias, &op)
    }

    /// [`forward_with`](Self::forward_with) by operations of their own.
    fn composed(&self, x: &Tensor, with: With<'_>) -> Result<Tensor> {
        let wide = match with.doubled {
            true => {
                let (batch, channels, frames, height, width) = x.dims5()?;
                x.reshape((batch * channels, frames, height, width))?
                    .upsample_nearest2d(2 * height, 2 * width)?
                    .reshape((batch, channels, frames, 2 * height, 2 * width))?
            }
            false => x.clone(),
        };
        let out = match with.earlier {
            Some(kept) => self.forward(&Tensor::cat(&[kept, &wide], 2)?, kept.dim(2)?)?,
            None => self.forward(&wide, 0)?,
        };
        match with.onto {
            Some(onto) => out + onto,
            None => Ok(out),
        }
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device, Tensor};

    use super::super::Conv3dConfig;
    use super::{Conv3d, With};

    #[test]
    fn what_belongs_to_the_input_is_as_by_operations_of_its_own() {
        let dev = Device::Cpu;
        let random = |dims: &[usize]| Tensor::randn(0f32, 1.0, dims, &dev).unwrap();
        for (config, kept, doubled) in [
            (Conv3dConfig::CAUSAL_3, 0, false),
            (Conv3dConfig::CAUSAL_3, 1, false),
            (Conv3dConfig::CAUSAL_3, 2, false),
            (Conv3dConfig::FRAME_3, 0, true),
            // Not the kernel's.
            (Conv3dConfig::POINT, 0, true),
        ] {
            let (inputs, outputs, frames, height, width) = (5, 11, 3, 7, 9);
            let mut kernel = vec![outputs, inputs];
            kernel.extend(config.kernel);
            let conv = Conv3d::from_tensors(&random(&kernel), random(&[outputs]), config).unwrap();
            let scale = if doubled { 2 } else { 1 };
            let x = random(&[2, inputs, frames, height, width]);
            let earlier = (kept > 0).then(|| random(&[2, inputs, kept, height, width]));
            let onto = random(&[2, outputs, frames, scale * height, scale * width]);
            for onto in [None, Some(&onto)] {
                let with = With {
                    earlier: earlier.as_ref(),
                    onto,
                    doubled,
                };
                let numbers = |t: Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
                let at_once = numbers(conv.forward_with(&x, with).unwrap());
                let one_by_one = numbers(conv.composed(&x, with).unwrap());
                // The same sums in the same order.
                assert_eq!(at_once, one_by_one, "{config:?} {kept} {doubled}");
            }
        }
    }

    #[test]
    fn what_does_not_belong_to_the_input_is_refused() {
        let dev = Device::Cpu;
        let zeros = |dims: &[usize]| Tensor::zeros(dims, DType::F32, &dev).unwrap();
        let conv = Conv3d::from_tensors(
            &zeros(&[4, 4, 3, 3, 3]),
            zeros(&[4]),
            Conv3dConfig::CAUSAL_3,
        )
        .unwrap();
        let x = zeros(&[1, 4, 2, 6, 6]);
        let (narrow, short) = (zeros(&[1, 4, 2, 6, 5]), zeros(&[1, 4, 1, 6, 6]));
        let with = |earlier, onto| With {
            earlier,
            onto,
            doubled: false,
        };
        assert!(conv.forward_with(&x, with(Some(&narrow), None)).is_err());
        assert!(conv.forward_with(&x, with(None, Some(&short))).is_err());
        assert!(conv.forward_with(&x, with(Some(&short), Some(&x))).is_ok());
    }
}
