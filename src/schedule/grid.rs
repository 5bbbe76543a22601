/// The length of the training schedule: a timestep is `sigma * TRAIN_TIMESTEPS`.
pub const TRAIN_TIMESTEPS: f64 = 1000.0;

/// Moves a noise level towards 1 by the flow shift: `s * x / (1 + (s - 1) * x)` (Esser et al. 2024,
/// "Scaling Rectified Flow Transformers", eq. 23). 0 and 1 stay where they are.
pub fn shift_sigma(sigma: f64, shift: f64) -> f64 {
    shift * sigma / (1.0 + (shift - 1.0) * sigma)
}

/// The noise levels of a run: `steps + 1` values that fall from about 1 to exactly 0.
///
/// Step `i` integrates from `sigma(i)` to `sigma(i + 1)`.
#[derive(Clone, Debug, PartialEq)]
pub struct SigmaGrid {
    sigmas: Vec<f64>,
    /// What the models are told at each of them.
    timesteps: Vec<f64>,
}

impl SigmaGrid {
    /// The grid of diffusers' `FlowMatchEulerDiscreteScheduler` with a static shift.
    ///
    /// That scheduler shifts twice at the low end: the training levels 1/1000..1 are shifted once, the
    /// run's levels are spaced evenly between the shifted ends, and then shifted again. Hence the
    /// last level before 0 is `shift(shift(1/1000))` and not the uniform grid's `shift(1/steps)`.
    /// We keep it, so that a folder gives the same clip here and in diffusers;
    /// [`flow_uniform`](Self::flow_uniform) is WAN's own.
    pub fn flow_euler(steps: usize, shift: f64) -> Self {
        let low = shift_sigma(1.0 / TRAIN_TIMESTEPS, shift);
        Self::evenly(steps, 1.0, low, steps.saturating_sub(1), shift)
    }

    /// The grid of WAN's own sampler and of diffusers' `UniPCMultistepScheduler` with flow sigmas:
    /// `steps` levels of an even spacing from 1 towards 1/1000, without its end, shifted once.
    pub fn flow_uniform(steps: usize, shift: f64) -> Self {
        Self::evenly(steps, 1.0, 1.0 / TRAIN_TIMESTEPS, steps, shift)
    }

    /// The grid of diffusers' `UniPCMultistepScheduler` with flow sigmas: [`flow_uniform`](Self::flow_uniform), but a
    /// little below 1 at the start, where the solver's time would be infinite, and with timesteps cut to whole numbers.
    pub fn flow_unipc(steps: usize, shift: f64) -> Self {
        let mut levels = Self::flow_uniform(steps, shift).sigmas;
        levels.pop();
        // The solver's first span hangs on how far below: as near as f32, which diffusers keeps levels in, comes to it.
        levels[0] = levels[0].min(f64::from((1.0 - 1e-6) as f32));
        Self::falling_to_zero(levels).with_whole_timesteps()
    }

    /// The grid of diffusers' `DPMSolverMultistepScheduler` with flow sigmas: `steps` levels of an even spacing from
    /// 999/1000 towards 0, without its end, shifted once, and timesteps cut to whole numbers.
    pub fn flow_dpm_solver(steps: usize, shift: f64) -> Self {
        // Reckoned in the order in which diffusers does, since the last bit may decide on a whole timestep.
        let alpha = |from_end: usize| match from_end == steps {
            true => 1.0 / TRAIN_TIMESTEPS,
            false => 1.0 + from_end as f64 * ((1.0 / TRAIN_TIMESTEPS - 1.0) / steps as f64),
        };
        let levels = (1..=steps)
            .rev()
            .map(|i| shift_sigma(1.0 - alpha(i), shift));
        Self::falling_to_zero(levels.collect()).with_whole_timesteps()
    }

    /// `levels`, which fall, and then 0.
    pub(super) fn falling_to_zero(levels: Vec<f64>) -> Self {
        Self::through(
            levels
                .into_iter()
                .map(|sigma| (sigma, Self::timestep_of(sigma)))
                .collect(),
        )
    }

    /// Noise levels, which fall, each with what the models are told there, and then 0.
    pub(super) fn through(places: Vec<(f64, f64)>) -> Self {
        let (sigmas, timesteps) = places.into_iter().chain([(0.0, 0.0)]).unzip();
        Self { sigmas, timesteps }
    }

    /// Level `i` and its timestep.
    pub(super) fn place(&self, i: usize) -> (f64, f64) {
        (self.sigmas[i], self.timesteps[i])
    }

    /// The timestep of a noise level, in 0..=1000.
    pub(super) fn timestep_of(sigma: f64) -> f64 {
        sigma * TRAIN_TIMESTEPS
    }

    fn with_whole_timesteps(mut self) -> Self {
        self.timesteps.iter_mut().for_each(|t| *t = t.floor());
        self
    }

    fn evenly(steps: usize, high: f64, low: f64, intervals: usize, shift: f64) -> Self {
        let spacing = if intervals == 0 {
            0.0
        } else {
            (high - low) / intervals as f64
        };
        let levels = (0..steps).map(|i| shift_sigma(high - spacing * i as f64, shift));
        Self::falling_to_zero(levels.collect())
    }

    /// The number of steps.
    pub fn steps(&self) -> usize {
        self.sigmas.len() - 1
    }

    /// The noise level before step `i`; `sigma(steps())` is 0.
    pub fn sigma(&self, i: usize) -> f64 {
        self.sigmas[i]
    }

    /// The timestep a model is told at step `i`, in 0..=1000.
    pub fn timestep(&self, i: usize) -> f64 {
        self.timesteps[i]
    }

    /// The noise level at a position between steps, interpolated; for axes and labels.
    pub fn sigma_at(&self, position: f64) -> f64 {
        let position = position.clamp(0.0, self.steps() as f64);
        let i = (position.floor() as usize).min(self.steps().saturating_sub(1));
        let part = position - i as f64;
        self.sigmas[i] * (1.0 - part) + self.sigmas[(i + 1).min(self.steps())] * part
    }

    /// The position, in steps, at which the noise level is `sigma`: the inverse of
    /// [`sigma_at`](Self::sigma_at).
    pub fn position_of_sigma(&self, sigma: f64) -> f64 {
        let after = self.sigmas.partition_point(|&s| s > sigma);
        if after == 0 {
            return 0.0;
        }
        if after > self.steps() {
            return self.steps() as f64;
        }
        let (high, low) = (self.sigmas[after - 1], self.sigmas[after]);
        (after - 1) as f64 + (high - sigma) / (high - low)
    }

    /// Whether a step changes next to nothing, whatever model takes it: it goes less than a tenth of the way
    /// of an even step. The last step of diffusers' grids, from a noise level of 0.001 to 0, is one.
    pub fn hardly_moves(&self, step: usize) -> bool {
        let moved = self.sigmas[step] - self.sigmas[step + 1];
        moved * self.steps() as f64 <= 0.1 * self.sigmas[0]
    }

    /// Where the noise level at `fraction` of these steps lies in the steps of `other`, as a fraction of
    /// those.
    pub fn carried(&self, fraction: f64, other: &Self) -> f64 {
        let sigma = self.sigma_at(fraction * self.steps() as f64);
        other.position_of_sigma(sigma) / other.steps().max(1) as f64
    }

    /// The first step that starts below the noise level `sigma`; the number of steps where none does.
    /// That is where a model trained for lower noise takes over, as WAN 2.2's second one does at 0.875.
    pub fn first_step_below(&self, sigma: f64) -> usize {
        self.sigmas[..self.steps()].partition_point(|&s| s >= sigma)
    }

    /// All `steps + 1` levels.
    pub fn sigmas(&self) -> &[f64] {
        &self.sigmas
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// `FlowMatchEulerDiscreteScheduler(shift=3).set_timesteps(10).sigmas` of diffusers 0.42.1.
    const DIFFUSERS_EULER_SHIFT_3: [f64; 11] = [
        1.0, 0.9601, 0.9133, 0.8577, 0.7904, 0.7073, 0.6022, 0.4649, 0.2780, 0.0089, 0.0,
    ];

    #[test]
    fn euler_grid_is_that_of_diffusers() {
        let grid = SigmaGrid::flow_euler(10, 3.0);
        for (ours, theirs) in grid.sigmas().iter().zip(DIFFUSERS_EULER_SHIFT_3) {
            assert!((ours - theirs).abs() < 1e-4, "{ours} against {theirs}");
        }
        assert!((grid.timestep(1) - 960.1293).abs() < 1e-3);
    }

    #[test]
    fn uniform_grid_gives_the_published_sigmas() {
        // Sigma at steps 20 and 40 of 50, by shift, as UniPC with flow sigmas has them.
        for (shift, early, late) in [
            (3.0, 0.8184, 0.4298),
            (5.0, 0.8825, 0.5568),
            (8.0, 0.9232, 0.6678),
        ] {
            let grid = SigmaGrid::flow_uniform(50, shift);
            assert!((grid.sigma(20) - early).abs() < 1e-4);
            assert!((grid.sigma(40) - late).abs() < 1e-4);
        }
    }

    #[test]
    fn one_step_goes_from_noise_to_data() {
        assert_eq!(SigmaGrid::flow_euler(1, 5.0).sigmas(), &[1.0, 0.0]);
        assert_eq!(SigmaGrid::flow_uniform(1, 5.0).sigmas(), &[1.0, 0.0]);
    }

    proptest! {
        #[test]
        fn grids_fall_to_zero(steps in 1usize..200, shift in 0.2f64..20.0) {
            for grid in [
                SigmaGrid::flow_euler(steps, shift),
                SigmaGrid::flow_uniform(steps, shift),
                SigmaGrid::flow_unipc(steps, shift),
                SigmaGrid::flow_dpm_solver(steps, shift),
            ] {
                prop_assert_eq!(grid.steps(), steps);
                prop_assert_eq!(grid.sigma(steps), 0.0);
                prop_assert!(grid.sigmas().windows(2).all(|w| w[0] > w[1]));
            }
        }

        #[test]
        fn positions_and_sigmas_are_inverse(steps in 1usize..100, shift in 0.5f64..10.0, part in 0.0f64..1.0) {
            let grid = SigmaGrid::flow_euler(steps, shift);
            let position = part * steps as f64;
            prop_assert!((grid.position_of_sigma(grid.sigma_at(position)) - position).abs() < 1e-6);
        }
    }
}
