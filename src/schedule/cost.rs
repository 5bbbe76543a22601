use serde::Serialize;

use super::{ModelRole, StepPlan};

/// Floating-point operations, two a multiply-add.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Flops {
    /// Linear layers and convolutions.
    pub linear: f64,
    /// Attention's score and value products.
    pub attention: f64,
    /// The same pass as the FlowBlending paper counts it.
    pub paper: PaperCount,
}

/// What FlowBlending's tables (project page of arXiv 2512.24724) count of a step: linear layers and no
/// attention products, but of guidance's two passes one for WAN and both for LTX-Video.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PaperCount {
    /// So many operations a step, whatever its passes.
    OnePass(f64),
    /// So many in each pass.
    EveryPass(f64),
}

impl Default for PaperCount {
    fn default() -> Self {
        Self::OnePass(0.0)
    }
}

impl PaperCount {
    /// Operations of a step of so many passes.
    pub fn of_step(self, passes: usize) -> f64 {
        match self {
            Self::OnePass(flops) => flops,
            Self::EveryPass(flops) => flops * passes as f64,
        }
    }

    /// What is counted, in words.
    pub fn words(self) -> &'static str {
        match self {
            Self::OnePass(_) => "linear layers, one pass a step",
            Self::EveryPass(_) => {
                "linear layers, the timestep's for every token, both passes of guidance"
            }
        }
    }
}

impl Flops {
    /// Everything counted.
    pub fn full(self) -> f64 {
        self.linear + self.attention
    }
}

/// What one forward pass of a model costs at a run's size.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ModelCost {
    /// Operations of one pass.
    pub flops: Flops,
    /// Seconds of one pass, measured on this device, or `None` before anything was measured.
    pub pass_secs: Option<f64>,
}

/// What a whole plan costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct PlanCost {
    /// FLOPs as FlowBlending's tables count them, see [`PaperCount`].
    pub paper_flops: f64,
    /// FLOPs with attention and with both passes of classifier-free guidance.
    pub full_flops: f64,
    /// Predicted seconds of the denoise; `None` while a model of the plan has no measured time.
    pub denoise_secs: Option<f64>,
    /// Share of the steps that the large model takes, 0..=1.
    pub large_share: f64,
}

/// Adds up a plan's steps, each at the cost of its model.
pub fn plan_cost(steps: &[StepPlan], cost: impl Fn(ModelRole) -> ModelCost) -> PlanCost {
    let mut total = PlanCost {
        denoise_secs: Some(0.0),
        ..PlanCost::default()
    };
    for step in steps {
        let model = cost(step.model);
        let passes = step.passes() as f64;
        total.paper_flops += model.flops.paper.of_step(step.passes());
        total.full_flops += model.flops.full() * passes;
        total.denoise_secs = total
            .denoise_secs
            .zip(model.pass_secs)
            .map(|(sum, secs)| sum + secs * passes);
    }
    let large = steps.iter().filter(|s| s.model == ModelRole::Large).count();
    total.large_share = large as f64 / steps.len().max(1) as f64;
    total
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::Plan;

    fn wan(role: ModelRole) -> ModelCost {
        // TFLOPs of one forward in the paper's convention: 29950 and 3129 over 50 steps.
        let linear = if role == ModelRole::Large {
            599.0
        } else {
            62.58
        };
        ModelCost {
            flops: Flops {
                linear,
                attention: 100.0,
                paper: PaperCount::OnePass(linear),
            },
            pass_secs: (role == ModelRole::Large).then_some(2.0),
        }
    }

    #[test]
    fn the_papers_table_for_wan() {
        for (letters, boundaries, published) in [
            ("LLL", vec![0.4, 0.8], 29950.0),
            ("SSS", vec![0.4, 0.8], 3129.0),
            ("LSS", vec![0.4, 0.8], 13858.0),
            ("SLL", vec![0.2, 0.8], 24586.0),
            ("LSL", vec![0.4, 0.8], 19222.0),
        ] {
            let plan = Plan::parse(letters, &boundaries).unwrap();
            let cost = plan_cost(&plan.steps(50, 5.0), wan);
            assert!(
                (cost.paper_flops / published - 1.0).abs() < 1e-3,
                "{letters}: {} against {published}",
                cost.paper_flops
            );
        }
    }

    #[test]
    fn guidance_of_one_takes_one_pass() {
        let plan = Plan::parse("L", &[]).unwrap();
        let one = plan_cost(&plan.steps(10, 1.0), wan);
        let two = plan_cost(&plan.steps(10, 5.0), wan);
        assert_eq!(two.full_flops, 2.0 * one.full_flops);
        assert_eq!(two.denoise_secs, Some(40.0));
        assert_eq!(one.paper_flops, two.paper_flops);
    }

    #[test]
    fn a_count_of_every_pass_knows_what_guidance_costs() {
        let cost = |cfg| {
            let plan = Plan::parse("L", &[]).unwrap();
            plan_cost(&plan.steps(10, cfg), |_| ModelCost {
                flops: Flops {
                    paper: PaperCount::EveryPass(3.0),
                    ..Flops::default()
                },
                pass_secs: None,
            })
        };
        assert_eq!((cost(1.0).paper_flops, cost(5.0).paper_flops), (30.0, 60.0));
    }

    #[test]
    fn an_unmeasured_model_leaves_the_time_open() {
        let plan = Plan::parse("LS", &[0.5]).unwrap();
        assert_eq!(plan_cost(&plan.steps(10, 5.0), wan).denoise_secs, None);
    }
}
