mod direct;
mod im2col;
mod sums;
mod winograd;
mod with;

use candle_core::{DType, Result, Tensor, bail};

use self::direct::Direct;
use self::im2col::Im2Col;
use self::winograd::Winograd;
pub use self::with::With;
use crate::models::weights::Params;

/// Shape and steps of a [`Conv3d`]. Axes are in the order time, height, width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conv3dConfig {
    /// Size of the kernel.
    pub kernel: [usize; 3],
    /// Distance between two outputs.
    pub stride: [usize; 3],
    /// Frames of zeros before the first frame; none follow the last, which makes time causal.
    pub past: usize,
    /// Zeros before and after every row and column.
    pub border: [usize; 2],
}

impl Conv3dConfig {
    /// A kernel of one pixel in one frame.
    pub const POINT: Self = Self {
        kernel: [1, 1, 1],
        stride: [1, 1, 1],
        past: 0,
        border: [0, 0],
    };

    /// A kernel of 3 x 3 x 3 that keeps the size.
    pub const CAUSAL_3: Self = Self {
        kernel: [3, 3, 3],
        stride: [1, 1, 1],
        past: 2,
        border: [1, 1],
    };

    /// A kernel of 3 x 3 within each frame that keeps the size.
    pub const FRAME_3: Self = Self {
        kernel: [1, 3, 3],
        stride: [1, 1, 1],
        past: 0,
        border: [1, 1],
    };

    /// Frames, height and width of the output for an input of `[frames, height, width]` with
    /// `past` frames of zeros before it; `None` where the input is smaller than the kernel.
    fn output(&self, input: [usize; 3], past: usize) -> Option<[usize; 3]> {
        let border = self.border[0] + self.border[1];
        let padded = [input[0] + past, input[1] + border, input[2] + border];
        let mut out = [0; 3];
        for axis in 0..3 {
            out[axis] = padded[axis].checked_sub(self.kernel[axis])? / self.stride[axis] + 1;
        }
        Some(out)
    }
}

/// A 3-D convolution that is causal in time. Frames inside one kernel are added up oldest first,
/// so that a frame's result does not depend on which frames are computed in the same call.
#[derive(Clone, Debug)]
pub struct Conv3d {
    weight: Weight,
    bias: Tensor,
    config: Conv3dConfig,
    channels: (usize, usize),
}

/// The weight in the order in which one of the forms reads it.
#[derive(Clone, Debug)]
enum Weight {
    /// `(kernel frames, out, in * kernel height * kernel width)`.
    ByFrames(Tensor),
    /// [`winograd::pack`]ed, for kernels of 3 x 3 on the CPU.
    Winograd(Tensor),
    /// [`direct::pack`]ed, for others on the CPU that leave out no position.
    Direct(Tensor),
}

impl Weight {
    /// The order of `(kernel frames, out, in * kernel height * kernel width)`.
    fn by_frames(weight: &Tensor) -> Result<Self> {
        let (outputs, inputs, t, h, w) = weight.dims5()?;
        let weight = weight
            .permute((2, 0, 1, 3, 4))?
            .reshape((t, outputs, inputs * h * w))?;
        Ok(Self::ByFrames(weight.contiguous()?))
    }
}

impl Conv3d {
    /// Weight `(outputs, inputs, *kernel)` and bias `(outputs,)`, named as in PyTorch.
    pub fn new(
        inputs: usize,
        outputs: usize,
        config: Conv3dConfig,
        params: Params,
    ) -> Result<Self> {
        let [t, h, w] = config.kernel;
        let weight = params.get((outputs, inputs, t, h, w), "weight")?;
        Self::from_tensors(&weight, params.get(outputs, "bias")?, config)
    }

    /// As [`new`](Self::new) for a layer stored as a 2-D convolution, weight `(outputs, inputs,
    /// height, width)`; the kernel's first axis must be 1.
    pub fn new_2d(
        inputs: usize,
        outputs: usize,
        config: Conv3dConfig,
        params: Params,
    ) -> Result<Self> {
        let [_, h, w] = config.kernel;
        let weight = params
            .get((outputs, inputs, h, w), "weight")?
            .unsqueeze(2)?;
        Self::from_tensors(&weight, params.get(outputs, "bias")?, config)
    }

    /// A layer from weight `(outputs, inputs, *kernel)` and bias `(outputs,)`.
    pub fn from_tensors(weight: &Tensor, bias: Tensor, config: Conv3dConfig) -> Result<Self> {
        let (outputs, inputs, t, h, w) = weight.dims5()?;
        if [t, h, w] != config.kernel {
            bail!(
                "convolution kernel {:?} was given weight {:?}",
                config.kernel,
                weight.shape()
            );
        }
        let channels = (inputs, outputs);
        // Views of one number that only stand in for a weight are not written out, as to flatten one would.
        if weight.stride().iter().all(|stride| *stride == 0) {
            let number = weight.get(0)?.get(0)?.get(0)?.get(0)?.get(0)?;
            let weight = number.broadcast_as((t, outputs, inputs * h * w))?;
            return Ok(Self {
                weight: Weight::ByFrames(weight),
                bias,
                config,
                channels,
            });
        }
        let on_cpu = weight.device().is_cpu();
        let (weight, bias) = match on_cpu {
            // Narrow formats save nothing on the CPU, where the work is done in f32 anyway.
            true => (weight.to_dtype(DType::F32)?, bias.to_dtype(DType::F32)?),
            false => (weight.clone(), bias),
        };
        let weight = match () {
            () if on_cpu && Winograd::fits(&config) => Weight::Winograd(winograd::pack(&weight)?),
            () if on_cpu && config.stride == [1, 1, 1] => Weight::Direct(direct::pack(&weight)?),
            () => Weight::by_frames(&weight)?,
        };
        Ok(Self {
            weight,
            bias,
            config,
            channels,
        })
    }

    /// Frames, height and width of the output for an input `x` that counts as `[frames, height, width]`.
    fn size(
        &self,
        input: [usize; 3],
        past: usize,
        channels: usize,
        x: &Tensor,
    ) -> Result<[usize; 3]> {
        let Some(size) = self.config.output(input, past) else {
            bail!(
                "convolution {:?} was given only {:?}",
                self.config,
                x.shape()
            );
        };
        if channels != self.channels.0 {
            bail!(
                "convolution of {} channels was given {:?}",
                self.channels.0,
                x.shape()
            );
        }
        Ok(size)
    }

    /// Convolves `(B, inputs, T, H, W)`. `earlier` frames at the front of `x` stand in for as
    /// many of the zeros that would otherwise come before it.
    pub fn forward(&self, x: &Tensor, earlier: usize) -> Result<Tensor> {
        let (_, channels, t, h, w) = x.dims5()?;
        let past = self.config.past.saturating_sub(earlier);
        let size = self.size([t, h, w], past, channels, x)?;
        if !x.device().is_cpu() {
            let Weight::ByFrames(weight) = &self.weight else {
                bail!("a convolution made for the CPU was given {:?}", x.device());
            };
            return self.by_frames(weight, x, past, size);
        }
        let dtype = x.dtype();
        let x = x.to_dtype(DType::F32)?.contiguous()?;
        match &self.weight {
            Weight::Winograd(weight) => {
                let op = Winograd::new(self.config, past, size, self.channels.1);
                x.apply_op3_no_bwd(weight, &self.bias, &op)
            }
            Weight::Direct(weight) => {
                let op = Direct::new(self.config, past, size, self.channels.1);
                x.apply_op3_no_bwd(weight, &self.bias, &op)
            }
            Weight::ByFrames(weight) => {
                let op = Im2Col::new(self.config, past, size);
                x.apply_op3_no_bwd(weight, &self.bias, &op)
            }
        }?
        .to_dtype(dtype)
    }

    /// The form for other devices: a sum of 2-D convolutions over the kernel's frames.
    fn by_frames(
        &self,
        weight: &Tensor,
        x: &Tensor,
        past: usize,
        [frames, _, _]: [usize; 3],
    ) -> Result<Tensor> {
        let (batch, inputs, _, _, _) = x.dims5()?;
        let outputs = self.channels.1;
        let [kernel_t, kernel_h, kernel_w] = self.config.kernel;
        let [stride_t, stride_h, stride_w] = self.config.stride;
        let [before, after] = self.config.border;
        if stride_h != stride_w {
            bail!("convolution strides {stride_h} and {stride_w} differ");
        }
        let x = x
            .pad_with_zeros(2, past, 0)?
            .pad_with_zeros(3, before, after)?
            .pad_with_zeros(4, before, after)?
            .transpose(1, 2)?
            .contiguous()?;
        let (_, _, _, padded_h, padded_w) = x.dims5()?;
        let mut sum: Option<Tensor> = None;
        for kt in 0..kernel_t {
            let mut taken = Vec::with_capacity(frames);
            for frame in 0..frames {
                taken.push(x.narrow(1, frame * stride_t + kt, 1)?);
            }
            let frames_in =
                Tensor::cat(&taken, 1)?.reshape((batch * frames, inputs, padded_h, padded_w))?;
            let weight = weight
                .get(kt)?
                .reshape((outputs, inputs, kernel_h, kernel_w))?
                .to_dtype(x.dtype())?
                .contiguous()?;
            let part = frames_in.conv2d(&weight, 0, stride_h, 1, 1)?;
            sum = Some(match sum {
                Some(sum) => (sum + part)?,
                None => part,
            });
        }
        let Some(sum) = sum else {
            bail!("convolution with an empty kernel")
        };
        let bias = self.bias.to_dtype(x.dtype())?.reshape((1, outputs, 1, 1))?;
        let (_, _, h, w) = sum.dims4()?;
        sum.broadcast_add(&bias)?
            .reshape((batch, frames, outputs, h, w))?
            .transpose(1, 2)?
            .contiguous()
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device, Tensor};

    use super::{Conv3d, Conv3dConfig, Weight};

    /// The definition, in f64.
    fn naive(x: &Tensor, w: &Tensor, b: &Tensor, c: Conv3dConfig, past: usize) -> Vec<f64> {
        let flat = |t: &Tensor| {
            t.flatten_all()
                .unwrap()
                .to_dtype(DType::F64)
                .unwrap()
                .to_vec1::<f64>()
                .unwrap()
        };
        let (nb, ni, nt, nh, nw) = x.dims5().unwrap();
        let (no, _, kt, kh, kw) = w.dims5().unwrap();
        let [ot, oh, ow] = c.output([nt, nh, nw], past).unwrap();
        let (x, w, b) = (flat(x), flat(w), flat(b));
        let mut out = Vec::new();
        for (n, o) in (0..nb).flat_map(|n| (0..no).map(move |o| (n, o))) {
            for (t, y, z) in
                (0..ot).flat_map(|t| (0..oh).flat_map(move |y| (0..ow).map(move |z| (t, y, z))))
            {
                let mut sum = b[o];
                for (i, dt) in (0..ni).flat_map(|i| (0..kt).map(move |dt| (i, dt))) {
                    for (dy, dz) in (0..kh).flat_map(|dy| (0..kw).map(move |dz| (dy, dz))) {
                        let st = (t * c.stride[0] + dt).wrapping_sub(past);
                        let sy = (y * c.stride[1] + dy).wrapping_sub(c.border[0]);
                        let sz = (z * c.stride[2] + dz).wrapping_sub(c.border[0]);
                        if st < nt && sy < nh && sz < nw {
                            sum += x[(((n * ni + i) * nt + st) * nh + sy) * nw + sz]
                                * w[(((o * ni + i) * kt + dt) * kh + dy) * kw + dz];
                        }
                    }
                }
                out.push(sum);
            }
        }
        out
    }

    fn max_error(got: &Tensor, want: &[f64]) -> f64 {
        let got = got.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(got.len(), want.len());
        got.iter()
            .zip(want)
            .map(|(a, b)| (f64::from(*a) - b).abs())
            .fold(0.0, f64::max)
    }

    /// Of the root mean square of what is wanted.
    fn rms_error(got: &Tensor, want: &[f64]) -> f64 {
        let got = got.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let squares = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>();
        let errors = got.iter().zip(want).map(|(a, b)| f64::from(*a) - b);
        (squares(&mut { errors }) / squares(&mut want.iter().copied())).sqrt()
    }

    #[test]
    fn all_forms_agree_with_the_definition() {
        let dev = Device::Cpu;
        let half = Conv3dConfig {
            kernel: [1, 3, 3],
            stride: [1, 2, 2],
            past: 0,
            border: [0, 1],
        };
        let time = Conv3dConfig {
            kernel: [3, 1, 1],
            stride: [1, 1, 1],
            past: 2,
            border: [0, 0],
        };
        let pace = Conv3dConfig {
            kernel: [3, 1, 1],
            stride: [2, 1, 1],
            past: 0,
            border: [0, 0],
        };
        let cases = [
            (Conv3dConfig::CAUSAL_3, [1, 6, 7], 0),
            (Conv3dConfig::CAUSAL_3, [11, 5, 9], 1),
            (Conv3dConfig::CAUSAL_3, [3, 40, 50], 2),
            (Conv3dConfig::FRAME_3, [2, 9, 4], 0),
            (Conv3dConfig::POINT, [3, 5, 6], 0),
            (half, [2, 8, 10], 0),
            (half, [1, 7, 5], 0),
            (time, [4, 3, 5], 1),
            (pace, [5, 3, 5], 0),
        ];
        for (config, [t, h, w], earlier) in cases {
            let x = Tensor::randn(0f32, 1.0, (2, 3, t, h, w), &dev).unwrap();
            let [kt, kh, kw] = config.kernel;
            let weight = Tensor::randn(0f32, 0.3, (5, 3, kt, kh, kw), &dev).unwrap();
            let bias = Tensor::randn(0f32, 1.0, 5, &dev).unwrap();
            let conv = Conv3d::from_tensors(&weight, bias.clone(), config).unwrap();
            let past = config.past.saturating_sub(earlier);
            let want = naive(&x, &weight, &bias, config, past);
            // Winograd's mixes are up to ten times as large as the numbers and are taken from one another again, along two
            // axes, so that a sum of 81 products loses a digit against a plain one.
            let most = match conv.weight {
                Weight::Winograd(_) => 1e-4,
                _ => 2e-5,
            };
            let fast = conv.forward(&x, earlier).unwrap();
            assert!(max_error(&fast, &want) < most, "{config:?}");
            let lost = rms_error(&fast, &want);
            assert!(
                lost < most / 20.0,
                "{config:?}: {lost} of the root mean square"
            );
            let size = config.output([t, h, w], past).unwrap();
            if config.stride == [1, 1, 1] {
                let direct = Conv3d {
                    weight: Weight::Direct(super::direct::pack(&weight).unwrap()),
                    ..conv.clone()
                };
                let direct = direct.forward(&x, earlier).unwrap();
                assert!(max_error(&direct, &want) < 2e-5, "direct {config:?}");
            }
            let by_frames = Conv3d {
                weight: Weight::by_frames(&weight).unwrap(),
                ..conv
            };
            let columns = by_frames.forward(&x, earlier).unwrap();
            assert!(max_error(&columns, &want) < 2e-5, "columns {config:?}");
            let Weight::ByFrames(weight) = &by_frames.weight else {
                unreachable!()
            };
            let portable = by_frames.by_frames(weight, &x, past, size).unwrap();
            assert!(max_error(&portable, &want) < 2e-5, "portable {config:?}");
        }
    }

    #[test]
    fn a_frame_does_not_depend_on_its_neighbours_in_the_call() {
        let dev = Device::Cpu;
        let x = Tensor::randn(0f32, 1.0, (1, 4, 12, 9, 11), &dev).unwrap();
        let weight = Tensor::randn(0f32, 0.3, (6, 4, 3, 3, 3), &dev).unwrap();
        let bias = Tensor::randn(0f32, 1.0, 6, &dev).unwrap();
        let conv = Conv3d::from_tensors(&weight, bias, Conv3dConfig::CAUSAL_3).unwrap();
        let whole = conv.forward(&x, 0).unwrap();
        let part = conv.forward(&x.narrow(2, 5, 7).unwrap(), 2).unwrap();
        let bits = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(bits(&whole.narrow(2, 7, 5).unwrap()), bits(&part));
    }

    #[test]
    fn too_small_an_input_is_refused() {
        let dev = Device::Cpu;
        let weight = Tensor::zeros((1, 1, 3, 3, 3), DType::F32, &dev).unwrap();
        let bias = Tensor::zeros(1, DType::F32, &dev).unwrap();
        let config = Conv3dConfig {
            border: [0, 0],
            ..Conv3dConfig::CAUSAL_3
        };
        let conv = Conv3d::from_tensors(&weight, bias, config).unwrap();
        assert!(
            conv.forward(
                &Tensor::zeros((1, 1, 1, 2, 2), DType::F32, &dev).unwrap(),
                0
            )
            .is_err()
        );
    }
}
