use candle_core::{DType, Tensor};

use super::AnalysisError;

/// How far one velocity is from another at the same state and step.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Divergence {
    /// `|small - large| / |large|`, l2 norms over all values.
    pub relative_l2: f64,
    /// `1 - cos(small, large)` over all values: the direction alone.
    pub one_minus_cosine: f64,
}

/// How far the small model's velocity is from the large one's, both guided and of one shape.
pub fn divergence(small: &Tensor, large: &Tensor) -> Result<Divergence, AnalysisError> {
    let dot = |a: &Tensor, b: &Tensor| -> candle_core::Result<f64> {
        (a * b)?.sum_all()?.to_scalar::<f64>()
    };
    // f64: one minus a cosine near one would drown in the rounding of f32.
    let (small, large) = (small.to_dtype(DType::F64)?, large.to_dtype(DType::F64)?);
    let difference = (&small - &large)?;
    let (norm_small, norm_large) = (dot(&small, &small)?.sqrt(), dot(&large, &large)?.sqrt());
    Ok(Divergence {
        relative_l2: dot(&difference, &difference)?.sqrt() / norm_large,
        one_minus_cosine: 1.0 - dot(&small, &large)? / (norm_small * norm_large),
    })
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Tensor};

    use super::divergence;

    #[test]
    fn length_and_direction_are_told_apart() {
        let tensor = |values: [f32; 2]| Tensor::new(&values, &Device::Cpu).unwrap();
        let large = tensor([3.0, 4.0]);
        for (small, relative_l2, one_minus_cosine) in [
            ([3.0, 4.0], 0.0, 0.0),
            ([6.0, 8.0], 1.0, 0.0),
            ([-4.0, 3.0], 2f64.sqrt(), 1.0),
            ([-3.0, -4.0], 2.0, 2.0),
        ] {
            let found = divergence(&tensor(small), &large).unwrap();
            assert!((found.relative_l2 - relative_l2).abs() < 1e-12, "{found:?}");
            assert!(
                (found.one_minus_cosine - one_minus_cosine).abs() < 1e-12,
                "{found:?}"
            );
        }
    }
}
