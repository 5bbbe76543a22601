use candle_core::{Shape, Tensor};

use super::{Cancel, SampleError};

/// What a model derives from the text once a run and reuses at every step, such as the keys and
/// values of its cross-attention. Opaque to everyone but the model that made it.
#[derive(Clone, Debug)]
pub struct Context(pub Vec<Tensor>);

impl Context {
    /// What it takes in memory.
    pub fn bytes(&self) -> usize {
        let bytes = |tensor: &Tensor| tensor.elem_count() * tensor.dtype().size_in_bytes();
        self.0.iter().map(bytes).sum()
    }
}

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

    /// The network in parts, for a cache that leaves some out; `None` where it cannot be taken apart.
    fn parts(&self) -> Option<&dyn Parts> {
        None
    }
}

/// A transformer whose blocks, each of which adds to the tokens, can be left out. One after the other its parts are a
/// [`VelocityModel::velocity`].
pub trait Parts: Sync {
    /// What goes into the blocks.
    fn enter(&self, latents: &Tensor, timestep: f64) -> Result<Entered, SampleError>;

    /// The tokens `(1, tokens, dim)` after some of the blocks. Looks at `cancel` between them.
    fn blocks(
        &self,
        entered: &Entered,
        tokens: &Tensor,
        blocks: std::ops::Range<usize>,
        context: &Context,
        cancel: &Cancel,
    ) -> Result<Tensor, SampleError>;

    /// Blocks there are.
    fn block_count(&self) -> usize;

    /// The velocity, of the tokens after the last block.
    fn leave(&self, entered: &Entered, tokens: &Tensor) -> Result<Tensor, SampleError>;

    /// All parts in a row, with nothing left out.
    fn whole(
        &self,
        latents: &Tensor,
        timestep: f64,
        context: &Context,
        cancel: &Cancel,
    ) -> Result<Tensor, SampleError> {
        let entered = self.enter(latents, timestep)?;
        let all = 0..self.block_count();
        let tokens = self.blocks(&entered, &entered.tokens, all, context, cancel)?;
        self.leave(&entered, &tokens)
    }
}

/// What goes into a transformer's blocks at one step.
#[derive(Clone, Debug)]
pub struct Entered {
    /// The latents as tokens, `(1, tokens, dim)`.
    pub tokens: Tensor,
    /// The embedded timestep, for the output.
    pub embedding: Tensor,
    /// What it makes of every block's modulation, f32 `(6, dim)`.
    pub modulation: Tensor,
    /// The latents' shape.
    pub shape: Shape,
}
