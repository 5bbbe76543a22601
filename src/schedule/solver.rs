use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::SigmaGrid;

/// How a run integrates the velocity from noise to data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Solver {
    /// First order: one straight step a noise level.
    #[default]
    Euler,
}

impl Solver {
    /// Every solver, in the order menus show them.
    pub const ALL: [Self; 1] = [Self::Euler];

    /// The noise levels this solver steps through.
    pub fn grid(self, steps: usize, shift: f64) -> SigmaGrid {
        match self {
            Self::Euler => SigmaGrid::flow_euler(steps, shift),
        }
    }

    /// The word in options, recipes and menus.
    pub fn name(self) -> &'static str {
        match self {
            Self::Euler => "euler",
        }
    }
}

impl fmt::Display for Solver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Solver {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|solver| solver.name().eq_ignore_ascii_case(text))
            .ok_or_else(|| {
                let known: Vec<_> = Self::ALL.iter().map(|s| s.name()).collect();
                format!("there is no solver '{text}'; known: {}", known.join(", "))
            })
    }
}
