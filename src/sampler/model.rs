use candle_core::Tensor;

use super::{Cancel, SampleError};

/// What a model derives from the text once a run and reuses at every step, such as the keys and
/// values of its cross-attention. Opaque to everyone but the model that made it.
#[derive(Clone, Debug)]
pub struct Context(pub Vec<Tensor>);

/// A network that predicts the flow-matching velocity `v = noise - x0`.
pub trait VelocityModel: Sync {
    /// Turns text embeddings `(1, tokens, dim)` into what [`velocity`](Self::velocity) needs.
    fn context(&self, embeddings: &Tensor) -> Result<Context, SampleError>;

    /// Predicts the velocity at `latents` `(1, C, T, H, W)`, f32, normalised as in training.
    ///
    /// `timestep` is in the training scale, 1000 at pure noise. The result is f32 and has the
    /// latents' shape. Looks at `cancel` between blocks.
    fn velocity(
        &self,
        latents: &Tensor,
        timestep: f64,
        context: &Context,
        cancel: &Cancel,
    ) -> Result<Tensor, SampleError>;
}
