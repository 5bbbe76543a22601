use nalgebra::{DMatrix, DVector};
use serde::{Deserialize, Serialize};

use super::{CacheMethod, CacheRule, MOST_SKIPPED, ModelRole, SigmaGrid, StepPlan};

/// What a cache wants to know of a model beforehand, and what tells how many steps it will spare: measured along one
/// run of the model, every step of it computed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CacheProfile {
    /// Noise levels of the run's steps, falling.
    pub sigmas: Vec<f64>,
    /// At each, how long what the blocks add to a token is: the geometric mean over tokens, so that the quotient of two
    /// is MagCache's mean ratio.
    pub magnitudes: Vec<f64>,
    /// At each, by what part of it the velocity changed since the step before; 0 at the first.
    pub velocity: Vec<f64>,
    /// At each, by what part of it what the first block adds changed since the step before; 0 at the first.
    pub first_block: Vec<f64>,
    /// At each, the change of what all blocks add, as TeaCache estimates it by the timesteps; 0 at the first.
    pub by_time: Vec<f64>,
    /// At each, how far the negative prompt's velocity is from the prompt's, as a part of that one; nothing where the run had no
    /// guidance.
    #[serde(default)]
    pub guidance: Vec<f64>,
    /// TeaCache's polynomial of the fourth degree, without its constant: from the distance of two timesteps' modulations to
    /// that change. It goes through zero, for where nothing moves nothing changes.
    pub coefficients: [f64; 4],
    /// The largest distance that was measured; beyond, the polynomial says nothing.
    pub farthest: f64,
}

/// Two steps of one run as TeaCache sees them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TimeChange {
    /// Mean absolute difference of their modulations over the mean of the earlier one's absolute values.
    pub distance: f64,
    /// The same of what the blocks add.
    pub change: f64,
}

/// The part by which guidance has to move the velocity for its second pass to be worth it.
const MEASURABLE: f64 = 0.01;

impl CacheProfile {
    /// Fits TeaCache's polynomial to pairs of steps by least squares. Without pairs it is zero.
    pub fn fit(pairs: &[TimeChange]) -> ([f64; 4], f64) {
        let farthest = pairs.iter().map(|pair| pair.distance).fold(0.0, f64::max);
        if farthest == 0.0 {
            return ([0.0; 4], 0.0);
        }
        // In parts of the farthest, so that the powers stay near to one another.
        let power =
            |row: usize, column: usize| (pairs[row].distance / farthest).powi(column as i32 + 1);
        let powers = DMatrix::from_fn(pairs.len(), 4, power);
        let changes = DVector::from_iterator(pairs.len(), pairs.iter().map(|pair| pair.change));
        let solved = powers.svd(true, true).solve(&changes, 1e-9).ok();
        let fitted = |i: usize| {
            let scaled = solved.as_ref().map_or(0.0, |solved| solved[i]);
            scaled / farthest.powi(i as i32 + 1)
        };
        (std::array::from_fn(fitted), farthest)
    }

    /// The change that TeaCache expects of two modulations at a distance.
    pub fn change_by_time(&self, distance: f64) -> f64 {
        let at = distance.min(self.farthest);
        let sum = self
            .coefficients
            .iter()
            .rev()
            .fold(0.0, |sum, c| (sum + c) * at);
        sum.max(0.0)
    }

    /// How long what the blocks add is at a noise level.
    pub fn magnitude(&self, sigma: f64) -> f64 {
        self.at(sigma, |i| self.magnitudes[i])
    }

    /// The noise levels, the lower one first, between which guidance of this scale moves the velocity by a part that shows. `None`
    /// where it does so nowhere, as far as that was measured.
    pub fn guided_between(&self, cfg: f64) -> Option<[f64; 2]> {
        let shows = |i: &usize| (cfg - 1.0).abs() * self.guidance[*i] >= MEASURABLE;
        let mut steps = (0..self.guidance.len()).filter(shows);
        let first = steps.next()?;
        let last = steps.next_back().unwrap_or(first);
        // A step takes its guidance where it begins, and what is between two levels nobody has measured.
        let low = self.sigmas.get(last + 1).copied().unwrap_or(0.0);
        let high = match first {
            0 => 1.0,
            first => self.sigmas[first - 1],
        };
        Some([low, high])
    }

    /// What `changes` sum up to from one noise level down to another.
    fn between(&self, changes: &[f64], from: f64, to: f64) -> f64 {
        let mut sum = 0.0;
        let sums: Vec<f64> = changes
            .iter()
            .map(|change| {
                sum += change;
                sum
            })
            .collect();
        self.at(to, |i| sums[i]) - self.at(from, |i| sums[i])
    }

    /// A value at a noise level, between those of the steps around it.
    fn at(&self, sigma: f64, value: impl Fn(usize) -> f64) -> f64 {
        let after = self.sigmas.partition_point(|level| *level > sigma);
        match (after.checked_sub(1), after < self.sigmas.len()) {
            (None, true) => value(0),
            (Some(before), true) => {
                let (high, low) = (self.sigmas[before], self.sigmas[after]);
                let share = (high - sigma) / (high - low);
                value(before) + (value(after) - value(before)) * share
            }
            (Some(last), false) => value(last),
            (None, false) => 0.0,
        }
    }

    /// The change since the step `last` that was computed, as far as `step` can be told without running it; `before` is
    /// what was told of the step before.
    fn expected(
        &self,
        rule: CacheRule,
        grid: &SigmaGrid,
        last: usize,
        step: usize,
        before: f64,
    ) -> f64 {
        let [since, at] = [last, step].map(|i| grid.sigma(i));
        let previous = grid.sigma(step - 1);
        match rule.method {
            CacheMethod::TeaCache => before + self.between(&self.by_time, previous, at),
            CacheMethod::MagCache => {
                before + (1.0 - self.magnitude(at) / self.magnitude(since)).abs()
            }
            CacheMethod::EasyCache => before + self.between(&self.velocity, previous, at),
            CacheMethod::FirstBlock => self.between(&self.first_block, since, at),
        }
    }
}

/// Which steps a run will skip, as far as the models' profiles tell; none of a model without one.
pub fn expected_skips<'a>(
    steps: &[StepPlan],
    grid: &SigmaGrid,
    profile: impl Fn(ModelRole) -> Option<&'a CacheProfile>,
) -> Vec<bool> {
    let (mut last, mut change) = (0, 0.0);
    let mut skips = Vec::with_capacity(steps.len());
    for (i, step) in steps.iter().enumerate() {
        let told = step.cache.zip(profile(step.model)).map(|(rule, profile)| {
            change = profile.expected(rule, grid, last, i, change);
            change <= rule.threshold && i - last <= MOST_SKIPPED
        });
        let is_skipped = told == Some(true);
        if !is_skipped {
            (last, change) = (i, 0.0);
        }
        skips.push(is_skipped);
    }
    skips
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::{CacheRule, Plan};

    /// A model that changes evenly with the noise level.
    fn even(steps: usize, a_step: f64) -> CacheProfile {
        let sigmas: Vec<f64> = (0..steps).map(|i| 1.0 - i as f64 / steps as f64).collect();
        let mut changes = vec![a_step; steps];
        changes[0] = 0.0;
        CacheProfile {
            magnitudes: (0..steps).map(|i| 1.0 + a_step * i as f64).collect(),
            velocity: changes.clone(),
            first_block: changes.clone(),
            by_time: changes,
            guidance: Vec::new(),
            coefficients: [1.0, 0.0, 0.0, 0.0],
            farthest: 1.0,
            sigmas,
        }
    }

    fn skips(letters: &str, boundaries: &[f64], rule: CacheRule, profile: &CacheProfile) -> String {
        let mut steps = Plan::parse(letters, boundaries).unwrap().steps(20, 1.0);
        rule.mark(&mut steps, 20);
        let grid = SigmaGrid::flow_uniform(20, 1.0);
        let skips = expected_skips(&steps, &grid, |_| Some(profile));
        skips
            .iter()
            .map(|skip| if *skip { '-' } else { '#' })
            .collect()
    }

    #[test]
    fn steps_are_skipped_until_their_changes_sum_up_to_the_threshold() {
        let profile = even(20, 0.01);
        let rule = |method, threshold| CacheRule { method, threshold };
        for method in [
            CacheMethod::TeaCache,
            CacheMethod::EasyCache,
            CacheMethod::FirstBlock,
        ] {
            // The first fifth and the last step are computed; two changes of 0.01 fit under 0.025.
            assert_eq!(
                skips("L", &[], rule(method, 0.025), &profile),
                "####--#--#--#--#--##"
            );
            // However little changes, three in a row are the most.
            assert_eq!(
                skips("L", &[], rule(method, 9.0), &profile),
                "####---#---#---#---#"
            );
            // A model's first step is its own.
            assert_eq!(
                skips("LSL", &[0.3, 0.6], rule(method, 9.0), &profile),
                "####--#---#-#---#--#"
            );
            assert_eq!(
                skips("L", &[], rule(method, 0.005), &profile),
                "#".repeat(20)
            );
        }
        // MagCache sums up how far the length has come: a hundredth of about it, then two more.
        assert_eq!(
            skips("L", &[], rule(CacheMethod::MagCache, 0.03), &profile),
            "####--#--#--#--#--##"
        );
    }

    #[test]
    fn a_profile_of_other_steps_serves_by_its_noise_levels() {
        let rule = CacheRule {
            method: CacheMethod::EasyCache,
            threshold: 0.025,
        };
        // Half as many steps of twice the change are the same way.
        assert_eq!(
            skips("L", &[], rule, &even(10, 0.02)),
            skips("L", &[], rule, &even(20, 0.01))
        );
        let steps = Plan::parse("L", &[]).unwrap().steps(20, 1.0);
        let grid = SigmaGrid::flow_uniform(20, 1.0);
        assert!(!expected_skips(&steps, &grid, |_| None).contains(&true));
    }

    #[test]
    fn guidance_is_worth_a_pass_where_it_shows() {
        let of = |guidance: &[f64]| CacheProfile {
            guidance: guidance.to_vec(),
            ..even(4, 0.0)
        };
        // At 1, 0.75, 0.5 and 0.25.
        let middle = of(&[0.001, 0.01, 0.01, 0.002]);
        assert_eq!(middle.guided_between(3.0), Some([0.25, 1.0]));
        // With more of it more shows; with none nothing.
        assert_eq!(middle.guided_between(6.0), Some([0.0, 1.0]));
        assert_eq!(middle.guided_between(1.0), None);
        assert_eq!(
            of(&[0.0, 0.0, 0.5, 0.0]).guided_between(3.0),
            Some([0.25, 0.75])
        );
        assert_eq!(of(&[]).guided_between(3.0), None);
    }

    #[test]
    fn the_polynomial_is_found_again() {
        let truth = |d: f64| 3.0 * d - 2.0 * d * d + 0.5 * d.powi(4);
        let pairs: Vec<TimeChange> = (1..30)
            .map(|i| f64::from(i) * 0.01)
            .map(|distance| TimeChange {
                distance,
                change: truth(distance),
            })
            .collect();
        let (coefficients, farthest) = CacheProfile::fit(&pairs);
        let profile = CacheProfile {
            coefficients,
            farthest,
            ..even(4, 0.0)
        };
        for distance in [0.0, 0.05, 0.17, 0.29] {
            assert!((profile.change_by_time(distance) - truth(distance)).abs() < 1e-6);
        }
        // Beyond what was measured it goes no further.
        assert_eq!(profile.change_by_time(5.0), profile.change_by_time(0.29));
        assert_eq!(CacheProfile::fit(&[]), ([0.0; 4], 0.0));
    }
}
