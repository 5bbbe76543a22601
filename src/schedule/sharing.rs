//! Many plans from one noise: which ones, and in which order they cost the least.

use std::cmp::Ordering;

use super::{ModelRole, Plan, PlanError, StepPlan, shared_steps};

impl Plan {
    /// The plans LSL, LS and SL with boundaries at every multiple of `1 / parts` of the steps, and the small
    /// model alone. Of fewer than two parts only that one is left.
    pub fn lattice(parts: usize) -> Result<Vec<Self>, PlanError> {
        let at = |part: usize| part as f64 / parts as f64;
        let mut plans = vec![Self::only(ModelRole::Small)];
        for early in 1..parts {
            plans.push(Self::parse("LS", &[at(early)])?);
            plans.push(Self::parse("SL", &[at(early)])?);
            for late in early + 1..parts {
                plans.push(Self::parse("LSL", &[at(early), at(late)])?);
            }
        }
        Ok(plans)
    }
}

/// Orders the steps of plans that start from one noise. Sorted like that each plan has its longest beginning
/// in common with the one right before it, so that it need not be looked for any further back, and `first`
/// comes first.
pub fn sharing_order(first: &[StepPlan], one: &[StepPlan], other: &[StepPlan]) -> Ordering {
    let key = |at: usize, step: &StepPlan| {
        let departs = first
            .get(at)
            .is_none_or(|first| (first.model, first.cfg) != (step.model, step.cfg));
        (departs, step.model.letter())
    };
    let differs = shared_steps(one, other);
    match (one.get(differs), other.get(differs)) {
        (Some(a), Some(b)) => key(differs, a)
            .cmp(&key(differs, b))
            .then(a.cfg.total_cmp(&b.cfg))
            .then(a.cache.is_some().cmp(&b.cache.is_some()))
            .then(a.span.order(b.span)),
        (a, b) => a.is_some().cmp(&b.is_some()),
    }
}

/// The steps that have to be computed for plans in [`sharing_order`], all from one noise.
pub fn steps_to_compute(plans: &[Vec<StepPlan>]) -> Vec<StepPlan> {
    let before = std::iter::once(&[][..]).chain(plans.iter().map(Vec::as_slice));
    let pairs = before.zip(plans);
    let new = pairs.flat_map(|(before, plan)| &plan[shared_steps(before, plan)..]);
    new.copied().collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;
    use crate::schedule::{DistilledGrid, SigmaGrid};

    fn sorted(plans: &[Plan], steps: usize) -> Vec<Vec<StepPlan>> {
        let first = Plan::only(ModelRole::Large).steps(steps, 4.0);
        let grid = SigmaGrid::flow_uniform(steps, 3.0);
        let distilled = DistilledGrid::even(4).unwrap();
        let taken = |plan: &Plan| plan.along(&grid, 4.0, Some(&distilled)).1;
        let mut all: Vec<_> = plans.iter().map(taken).collect();
        all.push(first.clone());
        all.sort_by(|a, b| sharing_order(&first, a, b));
        all
    }

    fn any_plans() -> impl Strategy<Value = Vec<Plan>> {
        let plan = (proptest::collection::vec((0usize..3, 1u8..3), 1..5)).prop_flat_map(|stages| {
            let count = stages.len();
            proptest::collection::vec(0.0f64..=1.0, count - 1).prop_map(move |mut boundaries| {
                boundaries.sort_by(f64::total_cmp);
                let letters: String = stages.iter().map(|(i, _)| ['L', 'S', 'D'][*i]).collect();
                let cfgs: Vec<_> = stages
                    .iter()
                    .map(|(_, cfg)| f64::from(*cfg) * 2.0)
                    .collect();
                let plan = Plan::parse(&letters, &boundaries).unwrap();
                plan.with_stage_cfgs(&cfgs).unwrap()
            })
        });
        proptest::collection::vec(plan, 0..12)
    }

    proptest! {
        #[test]
        fn the_one_before_has_the_longest_beginning_in_common(plans in any_plans(), steps in 1usize..20) {
            let sorted = sorted(&plans, steps);
            for (i, plan) in sorted.iter().enumerate().skip(1) {
                let longest = sorted[..i].iter().map(|other| shared_steps(other, plan)).max();
                prop_assert_eq!(Some(shared_steps(&sorted[i - 1], plan)), longest);
            }
            // Each beginning that occurs is computed once.
            let beginnings: HashSet<String> = sorted
                .iter()
                .flat_map(|plan| (1..=plan.len()).map(|end| {
                    plan[..end].iter().map(|s| format!("{}{}{:?} ", s.model.letter(), s.cfg, s.span)).collect()
                }))
                .collect();
            prop_assert_eq!(steps_to_compute(&sorted).len(), beginnings.len());
        }
    }

    #[test]
    fn the_reference_comes_first_whatever_its_letters() {
        let plans = [
            Plan::only(ModelRole::Small),
            Plan::parse("LS", &[0.5]).unwrap(),
        ];
        let order = sorted(&plans, 4);
        let letters =
            |plan: &Vec<StepPlan>| -> String { plan.iter().map(|s| s.model.letter()).collect() };
        assert_eq!(
            order.iter().map(letters).collect::<Vec<_>>(),
            ["LLLL", "LLSS", "SSSS"]
        );
        assert_eq!(steps_to_compute(&order).len(), 4 + 2 + 4);
    }

    #[test]
    fn a_lattice_has_every_pair_of_its_places() {
        let words: Vec<_> = Plan::lattice(3).unwrap().iter().map(Plan::spec).collect();
        let third = 1.0 / 3.0;
        let expected = [
            "S".to_owned(),
            format!("LS@{third}"),
            format!("SL@{third}"),
            format!("LSL@{third}/{}", 2.0 * third),
            format!("LS@{}", 2.0 * third),
            format!("SL@{}", 2.0 * third),
        ];
        assert_eq!(words, expected);
        assert_eq!(Plan::lattice(10).unwrap().len(), 55);
        assert_eq!(Plan::lattice(0).unwrap().len(), 1);
    }
}
