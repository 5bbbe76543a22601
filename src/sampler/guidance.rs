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
        let of = |context| self.model.velocity(latents, timestep, context, cancel);
        if cfg == 1.0 {
            return of(self.prompt);
        }
        let (prompt, negative) = if side_by_side(latents) {
            let (prompt, negative) = rayon::join(|| of(self.prompt), || of(self.negative));
            (prompt?, negative?)
        } else {
            (of(self.prompt)?, of(self.negative)?)
        };
        Ok((&negative + ((prompt - &negative)? * cfg)?)?)
    }
}

/// Numbers of latents up to which both passes are made at once on a CPU: 4096 tokens of WAN's. Beyond, a pass keeps all cores
/// busy by itself, and two would need its memory twice.
pub const TOGETHER: usize = 1 << 18;

/// Whether both passes are made at once. Small passes share their work out badly: there is more waiting between their
/// many short operations than where each core has a pass of its own.
fn side_by_side(latents: &Tensor) -> bool {
    latents.device().is_cpu() && latents.elem_count() <= TOGETHER
}
