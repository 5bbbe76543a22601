#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp3, DType, Device, Layout, Result, Shape, Tensor, bail};

use super::{cpu, rows_are_fused};

/// Rotary position embedding over three axes (Su et al., arXiv 2104.09864): the channels of a
/// head are split between time, height and width, and neighbouring channels are rotated in pairs.
#[derive(Clone, Debug)]
pub struct Rope3d {
    cos: Tensor,
    sin: Tensor,
}

impl Rope3d {
    /// The angles for a grid of `(frames, height, width)` tokens in row-major order.
    ///
    /// Height and width each get `2 * (head_dim / 6)` channels and time the rest, as in the
    /// reference (`WanRotaryPosEmbed` in diffusers); angles are worked out in f64.
    pub fn new(
        grid: (usize, usize, usize),
        head_dim: usize,
        theta: f64,
        device: &Device,
    ) -> Result<Self> {
        let side = 2 * (head_dim / 6);
        let time = head_dim - 2 * side;
        let half = head_dim / 2;
        let frequencies = |dim: usize| -> Vec<f64> {
            (0..dim / 2)
                .map(|i| theta.powf(-((2 * i) as f64) / dim as f64))
                .collect()
        };
        let (by_time, by_side) = (frequencies(time), frequencies(side));
        let tokens = grid.0 * grid.1 * grid.2;
        let mut cos = Vec::with_capacity(tokens * half);
        let mut sin = Vec::with_capacity(tokens * half);
        for t in 0..grid.0 {
            for y in 0..grid.1 {
                for x in 0..grid.2 {
                    for (position, frequencies) in [(t, &by_time), (y, &by_side), (x, &by_side)] {
                        for frequency in frequencies {
                            let (s, c) = (position as f64 * frequency).sin_cos();
                            cos.push(c as f32);
                            sin.push(s as f32);
                        }
                    }
                }
            }
        }
        Ok(Self {
            cos: Tensor::from_vec(cos, (tokens, half), device)?,
            sin: Tensor::from_vec(sin, (tokens, half), device)?,
        })
    }

    /// The rotation by given angles, token after token: as many for each token as its width, or
    /// one head's, has pairs of channels.
    pub fn from_angles(angles: &[f32], tokens: usize, device: &Device) -> Result<Self> {
        if tokens == 0 || !angles.len().is_multiple_of(tokens) {
            bail!("{} angles cannot turn {tokens} tokens", angles.len());
        }
        let table = |f: fn(f64) -> f64| {
            let values: Vec<f32> = angles.iter().map(|a| f(f64::from(*a)) as f32).collect();
            Tensor::from_vec(values, (tokens, angles.len() / tokens), device)
        };
        Ok(Self {
            cos: table(f64::cos)?,
            sin: table(f64::sin)?,
        })
    }

    /// Rotates `(B, tokens, heads, head_dim)`. Where there are angles for a token's whole width,
    /// its heads are turned as one; worked out in f32, returned in the format of `x`.
    pub fn apply(&self, x: &Tensor) -> Result<Tensor> {
        let (batch, tokens, heads, head_dim) = x.dims4()?;
        if heads > 1 && 2 * self.cos.dim(1)? == heads * head_dim {
            let whole = x.reshape((batch, tokens, 1, heads * head_dim))?;
            return self
                .apply(&whole)?
                .reshape((batch, tokens, heads, head_dim));
        }
        if rows_are_fused(x) {
            return self.fused(x);
        }
        self.composed(x)
    }

    /// [`apply`](Self::apply) as one kernel, where there are angles for a head.
    pub(super) fn fused(&self, x: &Tensor) -> Result<Tensor> {
        x.contiguous()?
            .apply_op3_no_bwd(&self.cos, &self.sin, &Rotate)
    }

    /// [`apply`](Self::apply) where there are angles for a head.
    pub(super) fn composed(&self, x: &Tensor) -> Result<Tensor> {
        let wide = x.to_dtype(DType::F32)?.transpose(1, 2)?.contiguous()?;
        candle_nn::rotary_emb::rope_i(&wide, &self.cos, &self.sin)?
            .transpose(1, 2)?
            .contiguous()?
            .to_dtype(x.dtype())
    }
}

struct Rotate;

impl CustomOp3 for Rotate {
    fn name(&self) -> &'static str {
        "rope-3d"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        cos: &CpuStorage,
        cos_layout: &Layout,
        sin: &CpuStorage,
        sin_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let x = cpu::slice(x, x_layout)?;
        let cos = cpu::slice(cos, cos_layout)?;
        let sin = cpu::slice(sin, sin_layout)?;
        let (_, tokens, heads, head_dim) = x_layout.shape().dims4()?;
        let half = head_dim / 2;
        if cos.len() != tokens * half || sin.len() != cos.len() || head_dim % 2 != 0 {
            bail!(
                "rope for {} angles was given {:?}",
                cos.len(),
                x_layout.shape()
            );
        }
        let row_len = heads * head_dim;
        let work = |row: usize, out: &mut [f32]| {
            let x = &x[row * row_len..][..row_len];
            let angles = (row % tokens) * half..(row % tokens + 1) * half;
            let (cos, sin) = (&cos[angles.clone()], &sin[angles]);
            for (out, x) in out.chunks_exact_mut(head_dim).zip(x.chunks_exact(head_dim)) {
                for (((out, x), c), s) in out
                    .chunks_exact_mut(2)
                    .zip(x.chunks_exact(2))
                    .zip(cos)
                    .zip(sin)
                {
                    out[0] = x[0] * c - x[1] * s;
                    out[1] = x[0] * s + x[1] * c;
                }
            }
        };
        // SAFETY: a row is made of heads, and a head of pairs.
        let out = unsafe { cpu::written_rows(x.len() / row_len.max(1), row_len, work) };
        cpu::output(out, x_layout.shape())
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        x: &CudaStorage,
        x_layout: &Layout,
        cos: &CudaStorage,
        cos_layout: &Layout,
        sin: &CudaStorage,
        sin_layout: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        super::cuda::rotate((x, x_layout), (cos, cos_layout), (sin, sin_layout))
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device, Tensor};

    use super::Rope3d;

    #[test]
    fn fast_form_agrees_with_candle() {
        let dev = Device::Cpu;
        let rope = Rope3d::new((3, 2, 5), 20, 1e4, &dev).unwrap();
        let x = Tensor::randn(0f32, 1.0, (2, 30, 3, 20), &dev).unwrap();
        let got = rope.apply(&x).unwrap();
        let want = candle_nn::rotary_emb::rope_i(
            &x.transpose(1, 2).unwrap().contiguous().unwrap(),
            &rope.cos,
            &rope.sin,
        )
        .unwrap()
        .transpose(1, 2)
        .unwrap();
        let error = (got - want)
            .unwrap()
            .abs()
            .unwrap()
            .flatten_all()
            .unwrap()
            .max(0)
            .unwrap();
        assert!(
            error
                .to_dtype(DType::F64)
                .unwrap()
                .to_scalar::<f64>()
                .unwrap()
                < 1e-6
        );
    }

    #[test]
    fn angles_of_the_whole_width_turn_the_heads_as_one() {
        let dev = Device::Cpu;
        let angles: Vec<f32> = (0..12).map(|i| i as f32).collect();
        let rope = Rope3d::from_angles(&angles, 3, &dev).unwrap();
        let x = Tensor::ones((1, 3, 2, 4), DType::F32, &dev).unwrap();
        let y = rope.apply(&x).unwrap();
        assert_eq!(y.dims(), [1, 3, 2, 4]);
        let y = y.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        for (pair, angle) in y.chunks(2).zip(&angles) {
            assert!((pair[0] - (angle.cos() - angle.sin())).abs() < 1e-6);
            assert!((pair[1] - (angle.sin() + angle.cos())).abs() < 1e-6);
        }
        assert!(Rope3d::from_angles(&angles, 5, &dev).is_err());
    }

    #[test]
    fn the_first_token_is_not_turned() {
        let dev = Device::Cpu;
        let rope = Rope3d::new((1, 1, 1), 12, 1e4, &dev).unwrap();
        let x = Tensor::randn(0f32, 1.0, (1, 1, 2, 12), &dev).unwrap();
        let got = rope
            .apply(&x)
            .unwrap()
            .flatten_all()
            .unwrap()
            .to_vec1::<f32>()
            .unwrap();
        assert_eq!(got, x.flatten_all().unwrap().to_vec1::<f32>().unwrap());
    }
}
