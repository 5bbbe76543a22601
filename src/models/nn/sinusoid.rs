use candle_core::{Device, Result, Tensor};

/// The sinusoidal embedding `(1, dim)` of a timestep, cosines first (`get_timestep_embedding` in
/// diffusers with `flip_sin_to_cos` and no frequency shift; Vaswani et al., arXiv 1706.03762,
/// section 3.5). Frequencies and angles are f32 as there: at 1000 the rounding shows.
pub fn sinusoid(timestep: f64, dim: usize, device: &Device) -> Result<Tensor> {
    let half = dim / 2;
    let rate = -(10_000f64.ln()) as f32;
    let angles: Vec<f32> = (0..half)
        .map(|i| timestep as f32 * (rate * i as f32 / half as f32).exp())
        .collect();
    let wave: Vec<f32> = angles
        .iter()
        .map(|a| a.cos())
        .chain(angles.iter().map(|a| a.sin()))
        .collect();
    Tensor::from_vec(wave, (1, dim), device)
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    #[test]
    fn the_sinusoid_starts_with_the_cosines() {
        let wave = super::sinusoid(3.0, 8, &Device::Cpu).unwrap();
        let wave = wave.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(wave[0], 3f32.cos());
        assert_eq!(wave[4], 3f32.sin());
        assert!((wave[5] - (3.0f32 * 0.1).sin()).abs() < 1e-6);
    }
}
