//! Edits of a plan's stages. Each gives another plan or says why it makes no sense.

use super::{ModelRole, Plan, Stage};

/// The largest guidance scale; more is a slip.
const MAX_CFG: f64 = 100.0;

/// Which of the stages beside a boundary stays when the boundary goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Survivor {
    /// The stage before the boundary.
    Before,
    /// The stage after it.
    After,
}

/// Why a plan cannot be edited that way. Each is a whole sentence for the user.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum PlanEditError {
    /// No such stage; counted from 1.
    #[error("the plan has no stage {0}; choose one that it has")]
    NoStage(usize),
    /// No such boundary; counted from 1.
    #[error("the plan has no boundary {0}; choose one that it has")]
    NoBoundary(usize),
    /// A split where a stage begins or ends.
    #[error(
        "a stage begins or ends at step {0} already; split between its first and its last step"
    )]
    AtEdge(usize),
    /// A stage that cannot be divided; counted from 1.
    #[error("stage {0} has too few steps to be split; make it longer or raise the run's steps")]
    TooShort(usize),
    /// As many stages as steps.
    #[error("the run has {0} steps, and every stage needs one; raise the steps or merge stages")]
    TooManyStages(usize),
    /// The one stage that a plan must have.
    #[error("this is the only stage, and a plan needs one; split it first")]
    OnlyStage,
    /// No neighbour on that side.
    #[error("there is no stage before the first one; merge it with the one after")]
    NoneBefore,
    /// No neighbour on that side.
    #[error("there is no stage after the last one; merge it with the one before")]
    NoneAfter,
    /// A guidance scale that is no number or out of range.
    #[error("a CFG of {0} cannot be used; give a number from 0 to 100, 1 switches guidance off")]
    Cfg(f64),
}

impl Plan {
    /// The plan with the stage under `fraction` of the steps split there. Both parts do what the whole
    /// did, so the run stays the same until one of them is changed.
    pub fn split(&self, fraction: f64, steps: usize) -> Result<Self, PlanEditError> {
        let at = (fraction * steps as f64).round() as usize;
        let stages = self.stages.len();
        let stage = (0..stages)
            .find(|&stage| self.stage_steps(stage, steps).contains(&at))
            .ok_or(PlanEditError::AtEdge(at))?;
        let range = self.stage_steps(stage, steps);
        if stages >= steps {
            return Err(PlanEditError::TooManyStages(steps));
        }
        if range.len() < 2 {
            return Err(PlanEditError::TooShort(stage + 1));
        }
        if range.start == at {
            return Err(PlanEditError::AtEdge(at));
        }
        let mut plan = self.clone();
        plan.stages.insert(stage, self.stages[stage]);
        plan.boundaries.insert(stage, fraction);
        Ok(plan)
    }

    /// The plan with a new stage of `model`, at the run's guidance, on the later half of stage `stage`.
    pub fn add_after(
        &self,
        stage: usize,
        model: ModelRole,
        steps: usize,
    ) -> Result<Self, PlanEditError> {
        self.stage(stage)?;
        let range = self.stage_steps(stage, steps);
        if range.len() < 2 {
            return Err(PlanEditError::TooShort(stage + 1));
        }
        let half = range.start + range.len().div_ceil(2);
        let mut plan = self.split(half as f64 / steps as f64, steps)?;
        plan.stages[stage + 1] = Stage { model, cfg: None };
        Ok(plan)
    }

    /// The plan without boundary `boundary`: the survivor takes the steps of the other stage.
    pub fn merge(&self, boundary: usize, survivor: Survivor) -> Result<Self, PlanEditError> {
        if boundary >= self.boundaries.len() {
            return Err(PlanEditError::NoBoundary(boundary + 1));
        }
        let mut plan = self.clone();
        plan.boundaries.remove(boundary);
        plan.stages.remove(match survivor {
            Survivor::Before => boundary + 1,
            Survivor::After => boundary,
        });
        Ok(plan)
    }

    /// The plan in which stage `stage` takes the steps of the one before.
    pub fn merge_before(&self, stage: usize) -> Result<Self, PlanEditError> {
        self.stage(stage)?;
        let boundary = stage.checked_sub(1).ok_or(PlanEditError::NoneBefore)?;
        self.merge(boundary, Survivor::After)
    }

    /// The plan in which stage `stage` takes the steps of the one after.
    pub fn merge_after(&self, stage: usize) -> Result<Self, PlanEditError> {
        self.stage(stage)?;
        if stage == self.boundaries.len() {
            return Err(PlanEditError::NoneAfter);
        }
        self.merge(stage, Survivor::Before)
    }

    /// The plan without stage `stage`: the one before takes its steps, or the one after where there is
    /// none before.
    pub fn remove(&self, stage: usize) -> Result<Self, PlanEditError> {
        self.stage(stage)?;
        if self.boundaries.is_empty() {
            return Err(PlanEditError::OnlyStage);
        }
        match stage.checked_sub(1) {
            Some(boundary) => self.merge(boundary, Survivor::Before),
            None => self.merge(0, Survivor::After),
        }
    }

    /// The plan with another model for stage `stage`.
    pub fn with_model(&self, stage: usize, model: ModelRole) -> Result<Self, PlanEditError> {
        self.stage(stage)?;
        let mut plan = self.clone();
        plan.stages[stage].model = model;
        Ok(plan)
    }

    /// The plan with another guidance scale for stage `stage`; `None` takes the run's.
    pub fn with_cfg(&self, stage: usize, cfg: Option<f64>) -> Result<Self, PlanEditError> {
        self.stage(stage)?;
        if let Some(bad) = cfg.filter(|cfg| !(0.0..=MAX_CFG).contains(cfg)) {
            return Err(PlanEditError::Cfg(bad));
        }
        let mut plan = self.clone();
        plan.stages[stage].cfg = cfg;
        Ok(plan)
    }

    fn stage(&self, stage: usize) -> Result<Stage, PlanEditError> {
        let found = self.stages.get(stage).copied();
        found.ok_or(PlanEditError::NoStage(stage + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::StepPlan;
    use proptest::prelude::*;

    const RUN_CFG: f64 = 4.0;

    /// A plan and a run's steps, enough that every stage has one.
    fn plan_and_steps() -> impl Strategy<Value = (Plan, usize)> {
        (1usize..7, 1usize..80)
            .prop_flat_map(|(stages, more)| {
                let steps = stages + more;
                let starts =
                    proptest::sample::subsequence((1..steps).collect::<Vec<_>>(), stages - 1);
                let roles = proptest::collection::vec((0usize..3, 0usize..4), stages);
                (roles, starts, Just(steps))
            })
            .prop_map(|(roles, starts, steps)| {
                let stage = |(role, cfg): (usize, usize)| Stage {
                    model: ModelRole::ALL[role],
                    cfg: (cfg > 0).then_some(cfg as f64),
                };
                let boundaries = starts.iter().map(|s| *s as f64 / steps as f64).collect();
                let plan = Plan::new(roles.into_iter().map(stage).collect(), boundaries).unwrap();
                (plan, steps)
            })
    }

    /// What every step does, without the stage that it belongs to.
    fn deeds(plan: &Plan, steps: usize) -> Vec<(ModelRole, f64)> {
        let deed = |step: StepPlan| (step.model, step.cfg);
        plan.steps(steps, RUN_CFG).into_iter().map(deed).collect()
    }

    fn is_sound(plan: &Plan) -> bool {
        Plan::new(plan.stages().to_vec(), plan.boundaries().to_vec()).is_ok()
    }

    fn lsl() -> Plan {
        Plan::parse("LSL", &[0.4, 0.8]).unwrap()
    }

    proptest! {
        #[test]
        fn a_split_changes_no_step_and_merging_takes_it_back(
            (plan, steps) in plan_and_steps(), fraction in 0.0f64..=1.0,
        ) {
            let at = (fraction * steps as f64).round() as usize;
            let is_edge = at == 0 || at == steps
                || (0..plan.boundaries().len()).any(|i| plan.boundary_step(i, steps) == at);
            match plan.split(fraction, steps) {
                Ok(split) => {
                    prop_assert!(!is_edge && is_sound(&split));
                    prop_assert_eq!(split.stages().len(), plan.stages().len() + 1);
                    prop_assert_eq!(deeds(&split, steps), deeds(&plan, steps));
                    let new = split.boundaries().iter().position(|b| *b == fraction).unwrap();
                    prop_assert_eq!(split.boundary_step(new, steps), at);
                    for survivor in [Survivor::Before, Survivor::After] {
                        prop_assert_eq!(split.merge(new, survivor).unwrap(), plan.clone());
                    }
                }
                // A step that is no edge lies in a stage of two or more.
                Err(_) => prop_assert!(is_edge),
            }
        }

        #[test]
        fn an_added_stage_takes_the_later_half(
            (plan, steps) in plan_and_steps(), pick in 0usize..7, role in 0usize..3,
        ) {
            let (stage, model) = (pick % plan.stages().len(), ModelRole::ALL[role]);
            let range = plan.stage_steps(stage, steps);
            let added = plan.add_after(stage, model, steps);
            prop_assert_eq!(added.is_ok(), range.len() >= 2);
            if let Ok(added) = added {
                let taken = added.stage_steps(stage + 1, steps);
                prop_assert_eq!(taken.end, range.end);
                prop_assert_eq!(taken.len(), range.len() / 2);
                let run = Stage { model, cfg: None }.cfg_in(RUN_CFG);
                for (step, (new, old)) in deeds(&added, steps).into_iter().zip(deeds(&plan, steps)).enumerate() {
                    prop_assert_eq!(new, if taken.contains(&step) { (model, run) } else { old });
                }
            }
        }

        #[test]
        fn a_merge_changes_only_the_swallowed_stage(
            (plan, steps) in plan_and_steps(), pick in 0usize..7, is_before in any::<bool>(),
        ) {
            prop_assume!(!plan.boundaries().is_empty());
            let boundary = pick % plan.boundaries().len();
            let (survivor, kept, gone) = if is_before {
                (Survivor::Before, boundary, boundary + 1)
            } else {
                (Survivor::After, boundary + 1, boundary)
            };
            let merged = plan.merge(boundary, survivor).unwrap();
            prop_assert!(is_sound(&merged));
            prop_assert_eq!(merged.stages().len() + 1, plan.stages().len());
            let swallowed = plan.stage_steps(gone, steps);
            let taker = plan.stages()[kept];
            let deed = (taker.model, taker.cfg_in(RUN_CFG));
            for (step, (new, old)) in deeds(&merged, steps).into_iter().zip(deeds(&plan, steps)).enumerate() {
                prop_assert_eq!(new, if swallowed.contains(&step) { deed } else { old });
            }
        }

        #[test]
        fn a_removed_stage_leaves_the_others_as_they_were((plan, steps) in plan_and_steps(), pick in 0usize..7) {
            let stage = pick % plan.stages().len();
            match plan.remove(stage) {
                Ok(removed) => {
                    let mut others = plan.stages().to_vec();
                    others.remove(stage);
                    prop_assert_eq!(removed.stages(), &others[..]);
                    let gone = plan.stage_steps(stage, steps);
                    for (step, (new, old)) in deeds(&removed, steps).into_iter().zip(deeds(&plan, steps)).enumerate() {
                        prop_assert!(gone.contains(&step) || new == old);
                    }
                }
                Err(why) => {
                    prop_assert_eq!(plan.stages().len(), 1);
                    prop_assert_eq!(why, PlanEditError::OnlyStage);
                }
            }
        }

        #[test]
        fn model_and_guidance_change_their_stage_alone(
            (plan, steps) in plan_and_steps(), pick in 0usize..7, role in 0usize..3, cfg in 0.0f64..=100.0,
        ) {
            let (stage, model) = (pick % plan.stages().len(), ModelRole::ALL[role]);
            let range = plan.stage_steps(stage, steps);
            let edited = plan.with_model(stage, model).unwrap().with_cfg(stage, Some(cfg)).unwrap();
            prop_assert_eq!(edited.boundaries(), plan.boundaries());
            for (step, (new, old)) in deeds(&edited, steps).into_iter().zip(deeds(&plan, steps)).enumerate() {
                prop_assert_eq!(new, if range.contains(&step) { (model, cfg) } else { old });
            }
        }

        #[test]
        fn no_row_of_edits_breaks_a_plan(
            (mut plan, steps) in plan_and_steps(),
            edits in proptest::collection::vec((0usize..6, 0usize..9, 0.0f64..=1.0), 0..60),
        ) {
            for (kind, index, fraction) in edits {
                let model = ModelRole::ALL[index % 3];
                let edited = match kind {
                    0 => plan.split(fraction, steps),
                    1 => plan.add_after(index, model, steps),
                    2 => plan.merge_before(index),
                    3 => plan.merge_after(index),
                    4 => plan.remove(index),
                    _ => plan.with_model(index, model),
                };
                if let Ok(edited) = edited {
                    plan = edited;
                }
                prop_assert!(is_sound(&plan));
                for stage in 0..plan.stages().len() {
                    prop_assert!(!plan.stage_steps(stage, steps).is_empty());
                }
            }
        }
    }

    #[test]
    fn stages_can_be_as_many_as_steps_and_no_more() {
        let mut plan = Plan::parse("L", &[]).unwrap();
        for step in 1..4 {
            plan = plan.split(f64::from(step) / 4.0, 4).unwrap();
        }
        assert_eq!(plan.letters(), "LLLL");
        let why = plan.split(0.3, 4).unwrap_err();
        assert_eq!(why, PlanEditError::TooManyStages(4));
        // Fewer steps leave stages without any; that is no reason to make more of them.
        assert!(plan.split(0.5, 3).is_err());
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_a_reason() {
        let plan = lsl();
        assert_eq!(plan.split(0.4, 30), Err(PlanEditError::AtEdge(12)));
        assert_eq!(plan.split(0.0, 30), Err(PlanEditError::AtEdge(0)));
        assert_eq!(plan.split(1.0, 30), Err(PlanEditError::AtEdge(30)));
        assert!(plan.split(f64::NAN, 30).is_err());
        assert_eq!(plan.merge_before(0), Err(PlanEditError::NoneBefore));
        assert_eq!(plan.merge_after(2), Err(PlanEditError::NoneAfter));
        assert_eq!(
            plan.merge(2, Survivor::Before),
            Err(PlanEditError::NoBoundary(3))
        );
        assert_eq!(plan.remove(3), Err(PlanEditError::NoStage(4)));
        for bad in [-0.5, 100.5, f64::NAN] {
            assert!(matches!(
                plan.with_cfg(1, Some(bad)),
                Err(PlanEditError::Cfg(_))
            ));
        }
        let one = Plan::parse("S", &[]).unwrap();
        let why = one.remove(0).unwrap_err();
        assert!(why.to_string().contains("split it first"), "{why}");
    }

    #[test]
    fn merging_keeps_the_stage_that_was_asked() {
        assert_eq!(lsl().merge_before(1).unwrap().letters(), "SL");
        assert_eq!(lsl().merge_after(1).unwrap().letters(), "LS");
        assert_eq!(lsl().remove(1).unwrap().letters(), "LL");
        assert_eq!(lsl().remove(0).unwrap().boundaries(), &[0.8]);
    }
}
