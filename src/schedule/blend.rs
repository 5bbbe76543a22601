//! Plans made of what each step is to be.

use super::{ModelRole, Plan, SigmaGrid, Stage};

impl Plan {
    /// The plan in which step `i` of as many is taken by model `i`, each with the run's guidance; no model
    /// at all is the large one's.
    pub fn of_models(models: &[ModelRole]) -> Self {
        let first = *models.first().unwrap_or(&ModelRole::Large);
        let mut plan = Self::only(first);
        for (step, pair) in models.windows(2).enumerate() {
            if let [before, model] = *pair
                && before != model
            {
                plan.stages.push(Stage { model, cfg: None });
                plan.boundaries
                    .push((step + 1) as f64 / models.len() as f64);
            }
        }
        plan
    }

    /// LSL with its boundaries at two fractions of the steps of `grid`, but for a last step that hardly moves:
    /// that one is the small model's.
    pub fn blend(boundaries: [f64; 2], grid: &SigmaGrid) -> Self {
        let steps = grid.steps();
        let [early, late] = boundaries.map(|at| (at * steps as f64).round() as usize);
        let model = |step: usize| match step {
            _ if step + 1 == steps && grid.hardly_moves(step) => ModelRole::Small,
            _ if (early..late).contains(&step) => ModelRole::Small,
            _ => ModelRole::Large,
        };
        Self::of_models(&(0..steps).map(model).collect::<Vec<_>>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_blend_leaves_a_last_step_that_hardly_moves_to_the_small_model() {
        let words = |boundaries, grid: &SigmaGrid| Plan::blend(boundaries, grid).words();
        let euler = SigmaGrid::flow_euler(10, 1.0);
        assert!(euler.hardly_moves(9) && !euler.hardly_moves(8));
        assert_eq!(words([0.4, 0.8], &euler), "LSLS 0.40/0.80/0.90");
        assert_eq!(words([0.4, 0.9], &euler), "LS 0.40");
        let uniform = SigmaGrid::flow_uniform(10, 5.0);
        assert_eq!(words([0.4, 0.8], &uniform), "LSL 0.40/0.80");
        assert_eq!(words([0.0, 1.0], &uniform), "S");
    }

    proptest! {
        #[test]
        fn models_step_by_step_make_a_plan_of_them(
            models in proptest::collection::vec(0usize..3, 1..60),
        ) {
            let models: Vec<ModelRole> = models.into_iter().map(|i| ModelRole::ALL[i]).collect();
            let steps = Plan::of_models(&models).steps(models.len(), 1.0);
            prop_assert_eq!(steps.iter().map(|step| step.model).collect::<Vec<_>>(), models);
        }
    }
}
