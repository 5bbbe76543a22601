use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{FlowSchedule, SigmaGrid};

/// How a run integrates the velocity from noise to data: all are of first order, one straight step a
/// noise level, and differ in the levels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Solver {
    /// The levels of diffusers' Euler scheduler, as WAN is sampled with it.
    #[default]
    #[serde(rename = "euler")]
    Euler,
    /// Levels evenly from 1 to 1 / steps, shifted, as diffusers samples LTX-Video up to 0.9.6.
    #[serde(rename = "euler-linspace")]
    EulerLinspace,
    /// Levels that fall linearly, then quadratically, as diffusers samples LTX-Video 0.9.7.
    #[serde(rename = "euler-quadratic")]
    EulerQuadratic,
}

impl Solver {
    /// Every solver, in the order menus show them.
    pub const ALL: [Self; 3] = [Self::Euler, Self::EulerLinspace, Self::EulerQuadratic];

    /// The noise levels this solver steps through.
    pub fn grid(self, steps: usize, shift: f64) -> SigmaGrid {
        match self {
            Self::Euler => SigmaGrid::flow_euler(steps, shift),
            Self::EulerLinspace => FlowSchedule {
                shift,
                ..FlowSchedule::default()
            }
            .linspace_grid(steps, 0),
            Self::EulerQuadratic => SigmaGrid::linear_quadratic(steps).shifted(shift),
        }
    }

    /// The word in options, recipes and menus.
    pub fn name(self) -> &'static str {
        match self {
            Self::Euler => "euler",
            Self::EulerLinspace => "euler-linspace",
            Self::EulerQuadratic => "euler-quadratic",
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
