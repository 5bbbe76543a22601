//! The plans that have a name.

use super::PAPER_BOUNDARIES;
use crate::schedule::{ModelRole, Plan};

/// Share of the steps that T-Stitch gives to the small model: 40 % without loss in its paper
/// (arXiv 2402.14167, DiT-S before DiT-XL).
const STITCH: [f64; 1] = [0.4];

/// A plan with a name.
#[derive(Debug)]
pub struct NamedPlan {
    /// What people call it.
    pub name: &'static str,
    /// Its stages.
    pub letters: &'static str,
    /// What it is for, for tooltips.
    pub hint: &'static str,
}

/// The plans of the FlowBlending paper and that of T-Stitch.
pub const NAMED_PLANS: [NamedPlan; 8] = [
    NamedPlan {
        name: "LLL",
        letters: "LLL",
        hint: "The large model alone: the reference",
    },
    NamedPlan {
        name: "LSL",
        letters: "LSL",
        hint: "Large for structure and for detail, small between: nearly the reference, much faster",
    },
    NamedPlan {
        name: "LSS",
        letters: "LSS",
        hint: "Large for structure, small for the rest",
    },
    NamedPlan {
        name: "SLL",
        letters: "SLL",
        hint: "Small first, large for the rest",
    },
    NamedPlan {
        name: "SSS",
        letters: "SSS",
        hint: "The small model alone: the fastest",
    },
    NamedPlan {
        name: "LDL",
        letters: "LDL",
        hint: "Large for structure and for detail, a distilled model between",
    },
    NamedPlan {
        name: "DDD",
        letters: "DDD",
        hint: "The distilled model alone: its few steps from noise to clip",
    },
    NamedPlan {
        name: "T-Stitch",
        letters: "SL",
        hint: "Small first, then large, with one boundary (T-Stitch, arXiv 2402.14167)",
    },
];

impl NamedPlan {
    /// Whether a plan is this one, wherever its boundaries are.
    pub fn is(&self, plan: &Plan) -> bool {
        plan.letters() == self.letters
    }

    /// The models that it needs.
    pub fn models(&self) -> impl Iterator<Item = ModelRole> {
        ModelRole::ALL
            .into_iter()
            .filter(|role| self.letters.contains(role.letter()))
    }

    /// This plan with the boundaries where `plan` has them, so that plans can be compared; with its own
    /// where `plan` has another number, or is this plan already.
    pub fn from(&self, plan: &Plan, pair: &[f64]) -> Option<Plan> {
        let kept = Plan::parse(self.letters, plan.boundaries());
        match kept {
            Ok(kept) if !self.is(plan) => Some(kept),
            _ => {
                let own = [pair, &PAPER_BOUNDARIES, &STITCH];
                own.into_iter()
                    .find_map(|own| Plan::parse(self.letters, own).ok())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> &'static NamedPlan {
        NAMED_PLANS.iter().find(|plan| plan.name == name).unwrap()
    }

    #[test]
    fn every_plan_is_made_from_every_other_and_knows_itself() {
        let pair = [0.4333, 0.9667];
        for from in &NAMED_PLANS {
            let before = from.from(&Plan::parse("S", &[]).unwrap(), &pair).unwrap();
            for to in &NAMED_PLANS {
                let plan = to.from(&before, &pair).unwrap();
                assert!(to.is(&plan));
                assert_eq!(NAMED_PLANS.iter().filter(|n| n.is(&plan)).count(), 1);
            }
        }
    }

    #[test]
    fn boundaries_stay_for_comparing_and_come_back_at_the_second_choice() {
        let pair = [0.4333, 0.9667];
        let dragged = Plan::parse("LSL", &[0.3, 0.7]).unwrap();
        let reference = named("LLL").from(&dragged, &pair).unwrap();
        assert_eq!(reference.boundaries(), &[0.3, 0.7]);
        assert_eq!(named("LSL").from(&reference, &pair), Some(dragged.clone()));
        let own = named("LSL").from(&dragged, &pair).unwrap();
        assert_eq!(own.boundaries(), &pair);
        // A pair of one boundary has no place for two: the paper's.
        let own = named("LSL").from(&dragged, &[0.5]).unwrap();
        assert_eq!(own.boundaries(), &PAPER_BOUNDARIES);
    }

    #[test]
    fn stitching_has_one_boundary_of_its_own() {
        let lsl = Plan::parse("LSL", &[0.3, 0.7]).unwrap();
        let plan = named("T-Stitch").from(&lsl, &[0.4333, 0.9667]).unwrap();
        assert_eq!(
            (plan.letters().as_str(), plan.boundaries()),
            ("SL", &STITCH[..])
        );
        assert!(
            named("LDL")
                .models()
                .any(|role| role == ModelRole::Distilled)
        );
        assert!(
            named("T-Stitch")
                .models()
                .all(|role| role != ModelRole::Distilled)
        );
    }
}
