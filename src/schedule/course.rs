use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{SigmaGrid, Solver, StepPlan};

/// What a multistep solver does with the estimates of other models at a boundary.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum History {
    /// It goes on with them: both models look for the same clip.
    #[default]
    Keep,
    /// It begins anew, with a step of first order.
    Reset,
}

/// All that a run's way depends on beside its noise, its models and its text.
#[derive(Clone, Debug, PartialEq)]
pub struct Course {
    /// The noise levels.
    pub grid: SigmaGrid,
    /// The model and guidance of every step.
    pub steps: Vec<StepPlan>,
    /// How the velocity is integrated.
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
            grid,
            steps,
            solver: Solver::Euler,
            history: History::default(),
        }
    }

    /// Whether step `i` forgets what earlier steps estimated.
    pub fn begins_anew(&self, i: usize) -> bool {
        i == 0 || (self.history == History::Reset && self.steps[i].model != self.steps[i - 1].model)
    }
}
