use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{SigmaGrid, Solver, Span, StepPlan};

/// What a multistep solver does with the estimates of other models at a boundary.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum History {
    /// It goes on with them: both models look for the same clip.
    Keep,
    /// It begins anew, with a step of first order: the models differ by more than that step costs. On the bundled pair every
    /// multistep solver comes nearer to the large model's clip this way (models/demo/README.md has the figures).
    #[default]
    Reset,
}

/// All that a run's way depends on beside its noise, its models and its text.
#[derive(Clone, Debug, PartialEq)]
pub struct Course {
    /// The noise levels of the run, those of distilled stages among them.
    pub grid: SigmaGrid,
    /// The model and guidance of every step.
    pub steps: Vec<StepPlan>,
    /// Steps of the solver's own grid, some of which distilled stages replace.
    pub own_steps: usize,
    /// How the velocity is integrated, but for the steps of distilled stages, which are straight: what they find is no
    /// velocity of a moment.
    pub solver: Solver,
    /// What becomes of older estimates where the model changes.
    pub history: History,
}

impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Keep => "keep",
            Self::Reset => "reset",
        })
    }
}

impl FromStr for History {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "keep" => Ok(Self::Keep),
            "reset" => Ok(Self::Reset),
            _ => Err(format!("'{text}' is no history; write keep or reset")),
        }
    }
}

impl Course {
    /// Straight steps from level to level.
    pub fn euler(grid: SigmaGrid, steps: Vec<StepPlan>) -> Self {
        Self {
            own_steps: grid.steps(),
            grid,
            steps,
            solver: Solver::Euler,
            history: History::default(),
        }
    }

    /// Where step `i` begins, in steps of the solver's own grid, which is `own`; the end of the run for its number of
    /// steps.
    pub fn place(&self, i: usize, own: &SigmaGrid) -> f64 {
        match self.steps.get(i).map(|step| step.span) {
            Some(Span::Own(at)) => at as f64,
            Some(Span::Distilled { from, .. }) => own.position_of_sigma(from),
            None => self.own_steps as f64,
        }
    }

    /// Whether step `i` forgets what earlier steps estimated.
    pub fn begins_anew(&self, i: usize) -> bool {
        i == 0 || (self.history == History::Reset && self.steps[i].model != self.steps[i - 1].model)
    }
}
