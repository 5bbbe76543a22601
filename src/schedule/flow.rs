use serde::Deserialize;

use super::grid::{SigmaGrid, shift_sigma};

/// How a shift that depends on the clip's size bends the noise levels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TimeShift {
    /// By the exponential of mu.
    #[default]
    Exponential,
    /// By mu itself.
    Linear,
}

/// The keys of scheduler_config.json that decide the noise levels of diffusers'
/// `FlowMatchEulerDiscreteScheduler`; absent keys take its defaults.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default)]
pub struct FlowSchedule {
    /// The class that diffusers would make of the file.
    #[serde(rename = "_class_name")]
    pub class_name: String,
    /// The shift, where it does not depend on the clip's size.
    pub shift: f64,
    /// Whether it does.
    pub use_dynamic_shifting: bool,
    /// mu of a clip of `base_image_seq_len` tokens.
    pub base_shift: f64,
    /// mu of a clip of `max_image_seq_len` tokens.
    pub max_shift: f64,
    /// Tokens of a clip with `base_shift`.
    pub base_image_seq_len: usize,
    /// Tokens of a clip with `max_shift`.
    pub max_image_seq_len: usize,
    /// What the last level before 0 is stretched to; absent or 0 leaves it.
    pub shift_terminal: Option<f64>,
    /// How mu bends the levels.
    pub time_shift_type: TimeShift,
    /// Not supported.
    pub invert_sigmas: bool,
    /// Not supported.
    pub use_karras_sigmas: bool,
    /// Not supported.
    pub use_exponential_sigmas: bool,
    /// Not supported.
    pub use_beta_sigmas: bool,
    /// Not supported.
    pub stochastic_sampling: bool,
}

impl Default for FlowSchedule {
    fn default() -> Self {
        Self {
            class_name: "FlowMatchEulerDiscreteScheduler".into(),
            shift: 1.0,
            use_dynamic_shifting: false,
            base_shift: 0.5,
            max_shift: 1.15,
            base_image_seq_len: 256,
            max_image_seq_len: 4096,
            shift_terminal: None,
            time_shift_type: TimeShift::Exponential,
            invert_sigmas: false,
            use_karras_sigmas: false,
            use_exponential_sigmas: false,
            use_beta_sigmas: false,
            stochastic_sampling: false,
        }
    }
}

impl FlowSchedule {
    /// The one terminal level that was published, in the scheduler_config.json of LTX-Video 0.9.0 and 0.9.1.
    pub const TERMINAL: f64 = 0.1;

    /// The scheduler of LTX-Video 0.9.0 and 0.9.1. Later versions have the default, without a shift.
    pub fn ltx_090() -> Self {
        Self {
            use_dynamic_shifting: true,
            base_shift: 0.95,
            max_shift: 2.05,
            base_image_seq_len: 1024,
            max_image_seq_len: 4096,
            shift_terminal: Some(Self::TERMINAL),
            ..Self::default()
        }
    }

    /// What no grid here can be made from, in words; `None` where all is well.
    pub fn fault(&self) -> Option<String> {
        if self.class_name != "FlowMatchEulerDiscreteScheduler" {
            return Some(format!(
                "it describes a {}, not a FlowMatchEulerDiscreteScheduler",
                self.class_name
            ));
        }
        let unsupported = [
            ("invert_sigmas", self.invert_sigmas),
            ("use_karras_sigmas", self.use_karras_sigmas),
            ("use_exponential_sigmas", self.use_exponential_sigmas),
            ("use_beta_sigmas", self.use_beta_sigmas),
            ("stochastic_sampling", self.stochastic_sampling),
        ];
        if let Some((key, _)) = unsupported.iter().find(|(_, set)| *set) {
            return Some(format!("{key} is set, which is not supported"));
        }
        if !(self.shift > 0.0 && self.shift.is_finite()) {
            return Some(format!("shift is {}, but must be above 0", self.shift));
        }
        let finite = self.base_shift.is_finite() && self.max_shift.is_finite();
        if self.use_dynamic_shifting
            && !(finite && self.base_image_seq_len < self.max_image_seq_len)
        {
            return Some("base_image_seq_len must be below max_image_seq_len".into());
        }
        match self.shift_terminal {
            Some(terminal) if !(0.0..1.0).contains(&terminal) => Some(format!(
                "shift_terminal is {terminal}, but must be from 0 to less than 1"
            )),
            _ => None,
        }
    }

    /// mu of a clip of `tokens` tokens: on the straight line through the two that the config states
    /// (`calculate_shift` in diffusers' LTXPipeline).
    pub fn mu(&self, tokens: usize) -> f64 {
        let (base, max) = (
            self.base_image_seq_len as f64,
            self.max_image_seq_len as f64,
        );
        let slope = (self.max_shift - self.base_shift) / (max - base);
        self.base_shift + slope * (tokens as f64 - base)
    }

    /// The shift of a clip of `tokens` tokens. The ways in which mu bends the levels, such as
    /// `e^mu / (e^mu + 1 / x - 1)`, are the static shift with another number.
    pub fn shift_of(&self, tokens: usize) -> f64 {
        match (self.use_dynamic_shifting, self.time_shift_type) {
            (false, _) => self.shift,
            (true, TimeShift::Exponential) => self.mu(tokens).exp(),
            (true, TimeShift::Linear) => self.mu(tokens),
        }
    }

    /// The noise levels of a run of `steps` over a clip of `tokens` tokens as LTXPipeline asks for
    /// them: evenly from 1 to 1 / `steps`, shifted, stretched to the terminal level, then 0.
    pub fn linspace_grid(&self, steps: usize, tokens: usize) -> SigmaGrid {
        let shift = self.shift_of(tokens);
        let spacing = (1.0 - 1.0 / steps as f64) / steps.saturating_sub(1).max(1) as f64;
        let mut levels: Vec<f64> = (0..steps)
            .map(|i| shift_sigma(1.0 - spacing * i as f64, shift))
            .collect();
        if let (Some(terminal), Some(last)) = (self.shift_terminal, levels.last().copied()) {
            // A single step has nothing to stretch.
            if terminal > 0.0 && last < 1.0 {
                let factor = (1.0 - terminal) / (1.0 - last);
                for level in &mut levels {
                    *level = 1.0 - (1.0 - *level) * factor;
                }
            }
        }
        SigmaGrid::falling_to_zero(levels)
    }
}

impl SigmaGrid {
    /// The grid of LTXConditionPipeline in diffusers: the first half of the steps goes evenly down
    /// by 0.025 in all, the second half quadratically to 0 (`linear_quadratic_schedule` there).
    pub fn linear_quadratic(steps: usize) -> Self {
        const THRESHOLD: f64 = 0.025;
        let linear = steps / 2;
        let (l, q) = (linear as f64, (steps - linear) as f64);
        // Both halves meet at the threshold with the same slope; the second ends at 1.
        let slope = THRESHOLD / l;
        let bend = (l - THRESHOLD * steps as f64) / (l * q * q);
        let levels = (0..steps)
            .map(|i| {
                let past = i.saturating_sub(linear) as f64;
                if i == 0 {
                    1.0
                } else {
                    1.0 - slope * i as f64 - bend * past * past
                }
            })
            .collect();
        Self::falling_to_zero(levels)
    }

    /// The same grid with every level shifted; see [`shift_sigma`].
    #[must_use]
    pub fn shifted(&self, shift: f64) -> Self {
        let levels = self.sigmas()[..self.steps()].iter();
        Self::falling_to_zero(levels.map(|sigma| shift_sigma(*sigma, shift)).collect())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;
    use crate::schedule::Solver;

    #[derive(Deserialize)]
    struct Reference {
        linspace: Vec<Linspace>,
        linear_quadratic: Vec<Vec<f64>>,
    }

    #[derive(Deserialize)]
    struct Linspace {
        config: FlowSchedule,
        steps: usize,
        tokens: usize,
        sigmas: Vec<f64>,
        timesteps: Vec<f64>,
    }

    fn reference() -> Reference {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/ltx/sigmas.json");
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    }

    #[test]
    fn grids_are_those_of_diffusers() {
        let cases = reference().linspace;
        assert!(cases.len() > 20);
        for case in cases {
            assert_eq!(case.config.fault(), None);
            let grid = case.config.linspace_grid(case.steps, case.tokens);
            assert_eq!(grid.sigmas().len(), case.sigmas.len());
            for (ours, theirs) in grid.sigmas().iter().zip(&case.sigmas) {
                assert!((ours - theirs).abs() < 1e-6, "{ours} against {theirs}");
            }
            for (i, theirs) in case.timesteps.iter().enumerate() {
                assert!((grid.timestep(i) - theirs).abs() < 1e-3);
            }
        }
    }

    /// What a run of a model with such a scheduler goes by: a solver and a number for the shift.
    #[test]
    fn a_solver_and_a_shift_give_the_grid_of_a_published_scheduler() {
        for (solver, schedule) in [
            (Solver::EulerLinspace, FlowSchedule::default()),
            (Solver::EulerStretched, FlowSchedule::ltx_090()),
        ] {
            let cases = reference().linspace.into_iter();
            let cases: Vec<_> = cases.filter(|case| case.config == schedule).collect();
            assert_eq!(cases.len(), 4);
            for case in cases {
                let grid = solver.grid(case.steps, schedule.shift_of(case.tokens));
                for (ours, theirs) in grid.sigmas().iter().zip(&case.sigmas) {
                    assert!((ours - theirs).abs() < 1e-6, "{ours} against {theirs}");
                }
            }
        }
    }

    #[test]
    fn linear_quadratic_grids_are_those_of_diffusers() {
        for levels in reference().linear_quadratic {
            let grid = SigmaGrid::linear_quadratic(levels.len());
            assert_eq!(grid.steps(), levels.len());
            for (ours, theirs) in grid.sigmas().iter().zip(levels) {
                assert!((ours - theirs).abs() < 1e-6, "{ours} against {theirs}");
            }
        }
    }

    #[test]
    fn unusable_schedules_are_named() {
        let fault = |json: &str| {
            let schedule: FlowSchedule = serde_json::from_str(json).unwrap();
            schedule.fault().unwrap_or_default()
        };
        assert_eq!(fault("{}"), "");
        for (json, said) in [
            (r#"{"_class_name":"UniPCMultistepScheduler"}"#, "UniPC"),
            (r#"{"use_karras_sigmas":true}"#, "use_karras_sigmas is set"),
            (r#"{"shift":-1}"#, "shift is -1"),
            (r#"{"shift_terminal":1.0}"#, "shift_terminal is 1"),
            (
                r#"{"use_dynamic_shifting":true,"max_image_seq_len":10}"#,
                "below max_image_seq_len",
            ),
        ] {
            assert!(fault(json).contains(said), "{json}: {}", fault(json));
        }
    }

    proptest! {
        #[test]
        fn grids_fall_to_zero(steps in 1usize..200, tokens in 1usize..20_000) {
            for grid in [
                FlowSchedule::default().linspace_grid(steps, tokens),
                FlowSchedule::ltx_090().linspace_grid(steps, tokens),
                SigmaGrid::linear_quadratic(steps),
            ] {
                prop_assert_eq!(grid.steps(), steps);
                prop_assert_eq!(grid.sigma(0), 1.0);
                prop_assert_eq!(grid.sigma(steps), 0.0);
                prop_assert!(grid.sigmas().windows(2).all(|w| w[0] > w[1]));
            }
        }
    }
}
