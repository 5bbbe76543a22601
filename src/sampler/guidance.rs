use candle_core::Tensor;

use super::{Cancel, Context, SampleError, VelocityModel};
use crate::schedule::{CacheProfile, StepPlan};

/// A model with the text it is guided by.
#[derive(Clone, Copy)]
pub struct Guided<'a> {
    /// The network.
    pub model: &'a dyn VelocityModel,
    /// What the prompt gave.
    pub prompt: &'a Context,
    /// What the negative prompt gave.
    pub negative: &'a Context,
    /// What caches want to know of the model, where it was measured.
    pub profile: Option<&'a CacheProfile>,
}

impl Guided<'_> {
    /// The guided velocity at a step's scale, see [`combine`].
    pub fn velocity(
        &self,
        latents: &Tensor,
        timestep: f64,
        plan: &StepPlan,
        cancel: &Cancel,
    ) -> Result<Tensor, SampleError> {
        let velocities = self.passes(plan, latents, |_, context| {
            self.model.velocity(latents, timestep, context, cancel)
        })?;
        combine(velocities, plan)
    }

    /// Does something for the prompt and, where there is guidance, for the negative prompt, both at once where `latents` are
    /// small. `of` is told which, 0 or 1.
    pub(super) fn passes<T: Send>(
        &self,
        plan: &StepPlan,
        latents: &Tensor,
        of: impl Fn(usize, &Context) -> Result<T, SampleError> + Sync,
    ) -> Result<Vec<T>, SampleError> {
        let (prompt, negative) = (|| of(0, self.prompt), || of(1, self.negative));
        if !plan.is_guided() {
            return Ok(vec![prompt()?]);
        }
        let (prompt, negative) = match side_by_side(latents) {
            true => rayon::join(prompt, negative),
            false => (prompt(), negative()),
        };
        Ok(vec![prompt?, negative?])
    }
}

/// Classifier-free guidance (Ho & Salimans 2022), `v_neg + cfg * (v_prompt - v_neg)`, of the velocities that the prompt and, where
/// it counts, the negative prompt gave; rescaled as Lin et al. 2023 do: by the share
/// `rescale` towards the standard deviation of `v_prompt`.
pub(super) fn combine(velocities: Vec<Tensor>, plan: &StepPlan) -> Result<Tensor, SampleError> {
    let mut velocities = velocities.into_iter();
    let (Some(prompt), negative) = (velocities.next(), velocities.next()) else {
        return Err(candle_core::Error::Msg("no pass was made; please report this".into()).into());
    };
    let Some(negative) = negative else {
        return Ok(prompt);
    };
    let guided = (&negative + ((&prompt - &negative)? * plan.cfg)?)?;
    if plan.rescale == 0.0 {
        return Ok(guided);
    }
    let factor = deviation(&prompt)? / deviation(&guided)?;
    Ok((guided * (plan.rescale * factor + 1.0 - plan.rescale))?)
}

/// The standard deviation of all numbers.
fn deviation(tensor: &Tensor) -> Result<f64, SampleError> {
    let mean = f64::from(tensor.mean_all()?.to_scalar::<f32>()?);
    let squares = (tensor - mean)?.sqr()?.mean_all()?.to_scalar::<f32>()?;
    // One less than there are, as the reference counts; of a single number there is none.
    let count = tensor.elem_count() as f64;
    Ok((f64::from(squares) * count / (count - 1.0).max(1.0)).sqrt())
}

/// Numbers of latents up to which both passes are made at once on a CPU: 4096 tokens of WAN's. Beyond, a pass keeps all cores
/// busy by itself, and two would need its memory twice.
pub const TOGETHER: usize = 1 << 18;

/// Whether both passes are made at once. Small passes share their work out badly: there is more waiting between their
/// many short operations than where each core has a pass of its own.
fn side_by_side(latents: &Tensor) -> bool {
    latents.device().is_cpu() && latents.elem_count() <= TOGETHER
}
