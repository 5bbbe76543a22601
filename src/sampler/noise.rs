use candle_core::{Device, Tensor};
use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::SeedableRng as _;
use rand_distr::{Distribution as _, StandardNormal};

use super::SampleError;

/// Unit Gaussian noise of `shape`, drawn on the CPU from a named generator, so that a seed means the
/// same noise on every device.
pub fn initial_noise(
    seed: u64,
    shape: (usize, usize, usize, usize, usize),
    device: &Device,
) -> Result<Tensor, SampleError> {
    let count = shape.0 * shape.1 * shape.2 * shape.3 * shape.4;
    let mut rng = ChaCha12Rng::seed_from_u64(seed);
    let values: Vec<f32> = (0..count)
        .map(|_| StandardNormal.sample(&mut rng))
        .collect();
    Ok(Tensor::from_vec(values, shape, device)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_names_its_noise() {
        let shape = (1, 16, 5, 8, 8);
        let draw = |seed| {
            initial_noise(seed, shape, &Device::Cpu)
                .and_then(|t| Ok(t.flatten_all()?.to_vec1::<f32>()?))
                .unwrap()
        };
        let (a, b) = (draw(7), draw(8));
        assert_eq!(a, draw(7));
        assert_ne!(a, b);
        let n = a.len() as f32;
        let mean = a.iter().sum::<f32>() / n;
        let var = a.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / n;
        assert!(
            mean.abs() < 0.05 && (var - 1.0).abs() < 0.05,
            "{mean} {var}"
        );
    }
}
