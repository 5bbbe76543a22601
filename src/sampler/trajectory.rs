use candle_core::{Device, Result, Tensor};
use serde::{Deserialize, Serialize};

/// How a step came by its velocity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// The model was evaluated.
    #[default]
    Computed,
    /// What the last computed step found was taken up.
    Skipped,
    /// The model was evaluated, and what would have been taken up was so far off that nothing of this model is from here on.
    GaveUp,
}

/// The way a run took: the state before its first step, then state and guided velocity of each step.
#[derive(Clone, Debug)]
pub struct Trajectory {
    states: Vec<Tensor>,
    velocities: Vec<Tensor>,
    origins: Vec<Origin>,
}

impl Trajectory {
    /// A run that is about to start from `initial`, `(1, C, T, H, W)`, f32.
    pub fn starting_at(initial: Tensor) -> Self {
        Self {
            states: vec![initial],
            velocities: Vec::new(),
            origins: Vec::new(),
        }
    }

    /// A way that was kept: the state before each of its steps and after the last, the steps' velocities and how they
    /// came by them. `None` where there is not one state more than velocities, or not one origin to each.
    pub fn from_parts(
        states: Vec<Tensor>,
        velocities: Vec<Tensor>,
        origins: Vec<Origin>,
    ) -> Option<Self> {
        let fits = states.len() == velocities.len() + 1 && origins.len() == velocities.len();
        fits.then_some(Self {
            states,
            velocities,
            origins,
        })
    }

    pub(super) fn push(&mut self, velocity: Tensor, after: Tensor, origin: Origin) {
        self.velocities.push(velocity);
        self.states.push(after);
        self.origins.push(origin);
    }

    /// The same on another device; the numbers stay as they are.
    pub fn to_device(&self, device: &Device) -> Result<Self> {
        let moved = |tensors: &[Tensor]| -> Result<Vec<Tensor>> {
            tensors.iter().map(|t| t.to_device(device)).collect()
        };
        Ok(Self {
            states: moved(&self.states)?,
            velocities: moved(&self.velocities)?,
            origins: self.origins.clone(),
        })
    }

    /// Bytes of all its tensors.
    pub fn bytes(&self) -> u64 {
        let tensors = self.states.iter().chain(&self.velocities);
        tensors
            .map(|t| (t.elem_count() * t.dtype().size_in_bytes()) as u64)
            .sum()
    }

    /// Steps taken.
    pub fn steps(&self) -> usize {
        self.velocities.len()
    }

    /// The state before step `i`, `(1, C, T, H, W)`; `state(steps())` is the result.
    pub fn state(&self, i: usize) -> &Tensor {
        &self.states[i]
    }

    /// The guided velocity of step `i`.
    pub fn velocity(&self, i: usize) -> &Tensor {
        &self.velocities[i]
    }

    /// How step `i` came by its velocity.
    pub fn origin(&self, i: usize) -> Origin {
        self.origins[i]
    }

    /// The same of all steps.
    pub fn origins(&self) -> &[Origin] {
        &self.origins
    }

    /// The way up to `steps`, or all of it where it is shorter; what another run may go on from. Shares
    /// the tensors.
    pub fn first_steps(&self, steps: usize) -> Self {
        let steps = steps.min(self.steps());
        Self {
            states: self.states[..=steps].to_vec(),
            velocities: self.velocities[..steps].to_vec(),
            origins: self.origins[..steps].to_vec(),
        }
    }

    /// Where the run stands: the result, once all steps are taken.
    pub fn last(&self) -> &Tensor {
        &self.states[self.velocities.len()]
    }
}
