//! The values of options that are more than a number, as they are typed.

use std::str::FromStr;

use crate::sampler::OnlineRule;
use crate::schedule::{CacheRule, CacheRuleError, SigmaGrid};

/// Where the stages start.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Boundaries {
    At(Vec<BoundaryAt>),
    /// Wherever they are found to do well.
    Auto,
    /// Where the best of many plans has them.
    Sweep,
    /// Where a rule says so in the course of the run.
    Online(OnlineRule),
}

impl FromStr for Boundaries {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.trim() {
            "auto" => Ok(Self::Auto),
            "auto:sweep" => Ok(Self::Sweep),
            "auto:online" => Ok(Self::Online(OnlineRule::Bend)),
            "auto:srdiffusion" => Ok(Self::Online(OnlineRule::SrDiffusion)),
            text if text.starts_with("auto") => Err(
                "there are auto, auto:sweep, auto:online and auto:srdiffusion; or give fractions, for example 0.4,0.8"
                    .to_owned(),
            ),
            text => text.split(',').map(str::parse).collect::<Result<_, _>>().map(Self::At),
        }
    }
}

/// Where a stage starts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum BoundaryAt {
    /// A fraction of the steps.
    Fraction(f64),
    /// A noise level.
    Sigma(f64),
}

impl FromStr for BoundaryAt {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |text: &str| {
            text.trim().parse::<f64>().map_err(|_| {
                format!("'{text}' is not a number; write for example 0.4 or sigma:0.875")
            })
        };
        match text.trim().strip_prefix("sigma:") {
            None => number(text).map(Self::Fraction),
            Some(sigma) => match number(sigma)? {
                sigma if (0.0..=1.0).contains(&sigma) => Ok(Self::Sigma(sigma)),
                sigma => Err(format!("the noise level {sigma} is not between 0 and 1")),
            },
        }
    }
}

impl BoundaryAt {
    /// As a fraction of the grid's steps.
    pub(super) fn fraction(self, grid: &SigmaGrid) -> f64 {
        match self {
            Self::Fraction(fraction) => fraction,
            Self::Sigma(sigma) => grid.first_step_below(sigma) as f64 / grid.steps().max(1) as f64,
        }
    }
}

/// A cache, or none.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct CacheOption(pub(super) Option<CacheRule>);

impl FromStr for CacheOption {
    type Err = CacheRuleError;

    fn from_str(text: &str) -> Result<Self, CacheRuleError> {
        match text.trim() {
            "off" => Ok(Self(None)),
            text => text.parse().map(Some).map(Self),
        }
    }
}

/// Between which noise levels there is guidance.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum IntervalOption {
    Between([f64; 2]),
    /// Wherever it shows.
    Auto,
}

impl FromStr for IntervalOption {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.trim() == "auto" {
            return Ok(Self::Auto);
        }
        let wrong =
            || format!("'{text}' is no interval; write two noise levels, for example 0.2,0.95");
        let (low, high) = text.split_once(',').ok_or_else(wrong)?;
        let number = |t: &str| t.trim().parse().map_err(|_| wrong());
        Ok(Self::Between([number(low)?, number(high)?]))
    }
}

/// A width and a height.
pub(super) fn parse_size(text: &str) -> Result<(usize, usize), String> {
    let wrong = || format!("'{text}' is not a size; write for example 64x64");
    let (width, height) = text.split_once(['x', 'X', '×']).ok_or_else(wrong)?;
    let number = |t: &str| t.trim().parse().map_err(|_| wrong());
    Ok((number(width)?, number(height)?))
}
