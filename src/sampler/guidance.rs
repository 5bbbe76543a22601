use candle_core::Tensor;

use super::{Cancel, Context, SampleError, VelocityModel};

/// A model with the text it is guided by.
#[derive(Clone, Copy)]
pub struct Guided<'a> {
    /// The network.
    pub model: &'a dyn VelocityModel,
    /// What the prompt gave.
    pub prompt: &'a Context,
    /// What the negative prompt gave.
    pub negative: &'a Context,
}

impl Guided<'_> {
    /// Classifier-free guidance (Ho & Salimans 2022): `v_neg + cfg * (v_prompt - v_neg)`.
    ///
    /// At a scale of exactly 1 the second pass cancels out and is not made.
    pub fn velocity(
        &self,
        latents: &Tensor,
        timestep: f64,
        cfg: f64,
        cancel: &Cancel,
    ) -> Result<Tensor, SampleError> {
        let prompt = self
            .model
            .velocity(latents, timestep, self.prompt, cancel)?;
        if cfg == 1.0 {
            return Ok(prompt);
        }
        let negative = self
            .model
            .velocity(latents, timestep, self.negative, cancel)?;
        Ok((&negative + ((prompt - &negative)? * cfg)?)?)
    }
}
