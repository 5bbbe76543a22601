//! Steps that take up what an earlier one computed.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{Span, StepPlan};

/// How a run sees that a step may take up what the last computed one found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CacheMethod {
    /// By what the timestep makes of the blocks' modulation (Liu et al. 2024, arXiv 2411.19108). What the blocks add to the
    /// tokens is taken up.
    TeaCache,
    /// By how the length of what the blocks add changes with the noise level (Ma et al. 2025, arXiv 2506.09045). That is
    /// taken up.
    MagCache,
    /// By how the velocity changed with the state so far (Zhou et al. 2025, arXiv 2507.02860). Its distance from the state
    /// is taken up, so that the step takes no pass at all.
    EasyCache,
    /// By what the first block adds, which is computed at every step (ParaAttention's first block cache). What the other
    /// blocks add is taken up.
    #[serde(rename = "first-block")]
    FirstBlock,
}

impl CacheMethod {
    /// Every method, in the order menus show them.
    pub const ALL: [Self; 4] = [
        Self::TeaCache,
        Self::MagCache,
        Self::EasyCache,
        Self::FirstBlock,
    ];

    /// The word in options and recipes.
    pub fn name(self) -> &'static str {
        match self {
            Self::TeaCache => "teacache",
            Self::MagCache => "magcache",
            Self::EasyCache => "easycache",
            Self::FirstBlock => "first-block",
        }
    }

    /// What people call it.
    pub fn words(self) -> &'static str {
        match self {
            Self::TeaCache => "TeaCache",
            Self::MagCache => "MagCache",
            Self::EasyCache => "EasyCache",
            Self::FirstBlock => "First block",
        }
    }

    /// The threshold where none is given: those that the methods' authors give for WAN, the first block's that of
    /// diffusers.
    pub fn default_threshold(self) -> f64 {
        match self {
            Self::TeaCache => 0.08,
            Self::MagCache => 0.12,
            Self::EasyCache | Self::FirstBlock => 0.05,
        }
    }

    /// Whether it stands on what the blocks compute, and not on states and velocities alone.
    pub fn looks_into_the_network(self) -> bool {
        self != Self::EasyCache
    }
}

/// A cache and how readily it is used.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CacheRule {
    /// How a step is judged.
    pub method: CacheMethod,
    /// The change, by the method's own measure, up to which a step is not computed. More is faster and less exact.
    pub threshold: f64,
}

/// Share of a run's first steps that are always computed: structure forms there (MagCache's retention).
const FIRST_SHARE: f64 = 0.2;
/// Steps in a row that take up the same, at the most. After them one is computed, which also tells how good they were.
pub const MOST_SKIPPED: usize = 3;

impl CacheRule {
    /// A method with its own threshold.
    pub fn new(method: CacheMethod) -> Self {
        Self {
            method,
            threshold: method.default_threshold(),
        }
    }

    /// Marks the steps of a run that this rule may skip. Those that it may not: the first fifth of the `own_steps` of the solver's
    /// grid and its last; the first of a model or of a guidance scale; the steps of distilled models, which are long, and of solvers that
    /// evaluate twice, whose second velocity is that of another state.
    pub fn mark(self, steps: &mut [StepPlan], own_steps: usize) {
        let first = (FIRST_SHARE * own_steps as f64).round() as usize;
        let mut before: Option<StepPlan> = None;
        for step in steps {
            let is_inside = matches!(step.span, Span::Own(at) if (first..own_steps.saturating_sub(1)).contains(&at));
            let goes_on = before.is_some_and(|before| {
                before.model == step.model && before.cfg == step.cfg && !before.span.is_distilled()
            });
            let may = is_inside && goes_on && step.evaluations == 1;
            before = Some(*step);
            step.cache = may.then_some(self);
        }
    }
}

impl fmt::Display for CacheRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.method.name(), self.threshold)
    }
}

/// Why a text is no cache. A whole sentence for the user.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum CacheRuleError {
    /// A name that no method has.
    #[error(
        "there is no cache '{0}'; write off, teacache, magcache, easycache or first-block, with a threshold after a colon if need be"
    )]
    Unknown(String),
    /// A threshold that is none.
    #[error(
        "a cache cannot have the threshold {0}; give a number above 0, up to 10, for example 0.05"
    )]
    Threshold(String),
}

impl CacheRule {
    /// Refuses a threshold that skips nothing or is no number.
    ///
    /// # Errors
    /// Says so.
    pub fn check(&self) -> Result<(), CacheRuleError> {
        match self.threshold > 0.0 && self.threshold <= 10.0 {
            true => Ok(()),
            false => Err(CacheRuleError::Threshold(self.threshold.to_string())),
        }
    }
}

impl FromStr for CacheRule {
    type Err = CacheRuleError;

    fn from_str(text: &str) -> Result<Self, CacheRuleError> {
        let (name, threshold) = match text.trim().split_once(':') {
            Some((name, threshold)) => (name, Some(threshold.trim())),
            None => (text.trim(), None),
        };
        let method = CacheMethod::ALL
            .into_iter()
            .find(|method| method.name() == name)
            .ok_or_else(|| CacheRuleError::Unknown(name.to_owned()))?;
        let mut rule = Self::new(method);
        if let Some(text) = threshold {
            let wrong = |_| CacheRuleError::Threshold(text.to_owned());
            rule.threshold = text.parse().map_err(wrong)?;
        }
        rule.check()?;
        Ok(rule)
    }
}
