use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::multistep::{Mix, dpm_solver, unipc_corrector, unipc_predictor};
use super::{FlowSchedule, SigmaGrid};

/// How a run integrates the velocity from noise to data, and along which noise levels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Solver {
    /// The levels of diffusers' Euler scheduler, as WAN is sampled with it.
    #[default]
    #[serde(rename = "euler")]
    Euler,
    /// Levels evenly from 1 to 1 / steps, shifted, as diffusers samples LTX-Video 0.9.5 and 0.9.6.
    #[serde(rename = "euler-linspace")]
    EulerLinspace,
    /// The same, stretched so that the last level before 0 is 0.1, as diffusers samples LTX-Video 0.9.0 and 0.9.1.
    #[serde(rename = "euler-stretched")]
    EulerStretched,
    /// Levels that fall linearly, then quadratically, as diffusers samples LTX-Video 0.9.7.
    #[serde(rename = "euler-quadratic")]
    EulerQuadratic,
    /// Each step is taken with the mean of the velocities at its two ends, which costs a second evaluation.
    #[serde(rename = "heun")]
    Heun,
    /// UniPC of first order: a straight step, corrected by the next one.
    #[serde(rename = "unipc-1")]
    UniPc1,
    /// UniPC of second order, as WAN's authors and diffusers sample WAN.
    #[serde(rename = "unipc")]
    UniPc2,
    /// UniPC of third order.
    #[serde(rename = "unipc-3")]
    UniPc3,
    /// DPM-Solver++ of second order.
    #[serde(rename = "dpm++2m")]
    DpmPp2M,
    /// DPM-Solver++ of third order.
    #[serde(rename = "dpm++3m")]
    DpmPp3M,
}

impl Solver {
    /// Every solver, in the order menus show them.
    pub const ALL: [Self; 10] = [
        Self::Euler,
        Self::EulerLinspace,
        Self::EulerStretched,
        Self::EulerQuadratic,
        Self::Heun,
        Self::UniPc1,
        Self::UniPc2,
        Self::UniPc3,
        Self::DpmPp2M,
        Self::DpmPp3M,
    ];

    /// The noise levels this solver steps through.
    pub fn grid(self, steps: usize, shift: f64) -> SigmaGrid {
        match self {
            Self::Euler | Self::Heun => SigmaGrid::flow_euler(steps, shift),
            Self::EulerLinspace | Self::EulerStretched => FlowSchedule {
                shift,
                shift_terminal: (self == Self::EulerStretched).then_some(FlowSchedule::TERMINAL),
                ..FlowSchedule::default()
            }
            .linspace_grid(steps, 0),
            Self::EulerQuadratic => SigmaGrid::linear_quadratic(steps).shifted(shift),
            Self::UniPc1 | Self::UniPc2 | Self::UniPc3 => SigmaGrid::flow_unipc(steps, shift),
            Self::DpmPp2M | Self::DpmPp3M => SigmaGrid::flow_dpm_solver(steps, shift),
        }
    }

    /// The word in options, recipes and menus.
    pub fn name(self) -> &'static str {
        match self {
            Self::Euler => "euler",
            Self::EulerLinspace => "euler-linspace",
            Self::EulerStretched => "euler-stretched",
            Self::EulerQuadratic => "euler-quadratic",
            Self::Heun => "heun",
            Self::UniPc1 => "unipc-1",
            Self::UniPc2 => "unipc",
            Self::UniPc3 => "unipc-3",
            Self::DpmPp2M => "dpm++2m",
            Self::DpmPp3M => "dpm++3m",
        }
    }

    /// Whether a step stands on what earlier ones estimated.
    pub fn is_multistep(self) -> bool {
        self.is_unipc() || self.is_dpm_solver()
    }

    fn is_unipc(self) -> bool {
        matches!(self, Self::UniPc1 | Self::UniPc2 | Self::UniPc3)
    }

    fn is_dpm_solver(self) -> bool {
        matches!(self, Self::DpmPp2M | Self::DpmPp3M)
    }

    /// The estimates that a step stands on, its own among them, once there are so many.
    pub fn most_estimates(self) -> usize {
        match self {
            Self::UniPc2 | Self::DpmPp2M => 2,
            Self::UniPc3 | Self::DpmPp3M => 3,
            _ => 1,
        }
    }

    /// Evaluations of the guided velocity that step `i` of `steps` takes. The last one ends at sigma 0, where there is
    /// no velocity.
    pub fn evaluations(self, steps: usize, i: usize) -> usize {
        match self {
            Self::Heun if i + 1 < steps => 2,
            _ => 1,
        }
    }

    /// Order of step `i` of `steps` of a multistep solver with `known` estimates at hand, its own among them. Towards the
    /// end orders fall as in diffusers, for the last spans are long.
    pub fn order(self, steps: usize, i: usize, known: usize) -> usize {
        let left = steps - i;
        let allowed = match self {
            _ if self.is_unipc() => left,
            _ if left == 1 => 1,
            _ if left == 2 && steps < 15 => 2,
            _ => usize::MAX,
        };
        self.most_estimates().min(allowed).min(known)
    }

    /// What step `i` of a multistep solver mixes, at `order`.
    pub fn predictor(self, grid: &SigmaGrid, i: usize, order: usize) -> Mix {
        match self.is_unipc() {
            true => unipc_predictor(grid.sigmas(), i, order),
            false => dpm_solver(grid.sigmas(), i, order),
        }
    }

    /// What puts the state at level `i` right, now that its estimate is known, from the state before the step of `order`
    /// that led there; the first estimate mixed is the new one. `None` where the solver takes states as they are.
    pub fn corrector(self, grid: &SigmaGrid, i: usize, order: usize) -> Option<Mix> {
        (self.is_unipc() && order > 0).then(|| unipc_corrector(grid.sigmas(), i, order))
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
