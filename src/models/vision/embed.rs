use candle_core::{Device, Result, Tensor, bail};

use crate::models::nn::Linear;
use crate::models::weights::Params;

/// Cuts pictures into square patches and maps each to a token: a convolution whose stride is its kernel,
/// written as one matrix product.
#[derive(Clone, Debug)]
pub(super) struct PatchEmbed {
    projection: Linear,
    patch: usize,
}

impl PatchEmbed {
    /// Weight `(hidden, 3, patch, patch)` and, where the family has one, bias `(hidden,)`.
    pub(super) fn new(hidden: usize, patch: usize, has_bias: bool, params: Params) -> Result<Self> {
        let weight = params.get((hidden, 3, patch, patch), "weight")?;
        let bias = match has_bias {
            true => Some(params.get(hidden, "bias")?),
            false => None,
        };
        Ok(Self {
            projection: Linear::new(weight.flatten_from(1)?, bias)?,
            patch,
        })
    }

    /// Maps `(batch, 3, height, width)` to `(batch, patches, hidden)`, row by row. What is left over at the
    /// right and the bottom is not seen.
    pub(super) fn forward(&self, pictures: &Tensor) -> Result<Tensor> {
        let (batch, channels, height, width) = pictures.dims4()?;
        let patch = self.patch;
        let (rows, columns) = (height / patch, width / patch);
        let patches = pictures
            .narrow(2, 0, rows * patch)?
            .narrow(3, 0, columns * patch)?
            .reshape((batch, channels, rows, patch, columns, patch))?
            .permute((0, 2, 4, 1, 3, 5))?
            .reshape((batch, rows * columns, channels * patch * patch))?;
        self.projection.forward(&patches)
    }
}

/// Learned positions of a square of patches, `(side * side, hidden)`, as they are for `rows` by `columns`
/// patches: bicubic with a = -0.75 and clamped edges, as torch interpolates without aligning corners.
pub(super) fn positions_for(positions: &Tensor, rows: usize, columns: usize) -> Result<Tensor> {
    let (count, hidden) = positions.dims2()?;
    let side = count.isqrt();
    if side * side != count {
        bail!("{count} positions are no square");
    }
    if (rows, columns) == (side, side) {
        return Ok(positions.clone());
    }
    let device = positions.device();
    // Rows, then columns, each by a matrix of weights.
    let grid = positions.reshape((side, side * hidden))?;
    let grid = bicubic(side, rows, device)?.matmul(&grid)?;
    let grid = grid.reshape((rows, side, hidden))?;
    let across = bicubic(side, columns, device)?;
    let across = across.unsqueeze(0)?.broadcast_as((rows, columns, side))?;
    across
        .contiguous()?
        .matmul(&grid)?
        .reshape((rows * columns, hidden))
}

/// The matrix `(to, from)` that interpolates `from` values at `to` places.
fn bicubic(from: usize, to: usize, device: &Device) -> Result<Tensor> {
    const A: f64 = -0.75;
    let near = |x: f64| ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0;
    let far = |x: f64| ((A * x - 5.0 * A) * x + 8.0 * A) * x - 4.0 * A;
    let mut weights = vec![0f32; from * to];
    for (place, row) in weights.chunks_mut(from).enumerate() {
        let at = (place as f64 + 0.5) * from as f64 / to as f64 - 0.5;
        let (left, t) = (at.floor(), at - at.floor());
        let taps = [far(t + 1.0), near(t), near(1.0 - t), far(2.0 - t)];
        for (tap, weight) in taps.into_iter().enumerate() {
            let source = (left as i64 + tap as i64 - 1).clamp(0, from as i64 - 1);
            row[source as usize] += weight as f32;
        }
    }
    Tensor::from_vec(weights, (to, from), device)
}
