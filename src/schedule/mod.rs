//! Sigma grids, stages, the step -> model plan and what a plan costs. Pure f64 arithmetic.

mod blend;
mod caching;
mod cost;
mod course;
mod distilled;
mod edit;
mod flow;
mod grid;
mod guidance;
mod multistep;
mod plan;
mod profile;
mod role;
mod sharing;
mod solver;

pub use caching::{CacheMethod, CacheRule, CacheRuleError, MOST_SKIPPED};
pub use cost::{Flops, ModelCost, PaperCount, PlanCost, plan_cost};
pub use course::{Course, History};
pub use distilled::{DistilledGrid, DistilledGridError, Span};
pub use edit::{PlanEditError, Survivor};
pub use flow::{FlowSchedule, TimeShift};
pub use grid::{SigmaGrid, TRAIN_TIMESTEPS, shift_sigma};
pub use guidance::{Guidance, GuidanceError};
pub use multistep::Mix;
pub use plan::{Plan, PlanError, Stage, StepPlan, shared_steps};
pub use profile::{CacheProfile, TimeChange, expected_skips};
pub use role::ModelRole;
pub use sharing::{sharing_order, steps_to_compute};
pub use solver::Solver;
