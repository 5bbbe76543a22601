use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::{CacheRule, ModelRole, Span};

/// A contiguous part of the schedule that one model denoises.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stage {
    /// The model of every step of the stage.
    pub model: ModelRole,
    /// Guidance scale of the stage; `None` takes the run's, or 1 where the model is a distilled one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cfg: Option<f64>,
}

impl Stage {
    /// The guidance scale in a run of scale `run`: its own where it has one. A distilled model has guidance folded in,
    /// so that the run's does not count for it.
    pub fn cfg_in(&self, run: f64) -> f64 {
        self.cfg.unwrap_or(match self.model {
            ModelRole::Distilled => 1.0,
            ModelRole::Large | ModelRole::Small => run,
        })
    }
}

/// Why a plan cannot be run. Each is a whole sentence for the user.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum PlanError {
    /// No letter at all.
    #[error("the plan is empty; give at least one stage, for example LSL")]
    Empty,
    /// A letter or a name that no model has.
    #[error("the plan names a model '{0}', but only L (large), S (small) and D (distilled) exist")]
    UnknownModel(String),
    /// One boundary fewer than stages is needed.
    #[error(
        "a plan of {stages} stages needs {} boundaries, but {boundaries} were given", stages - 1
    )]
    BoundaryCount {
        /// Stages of the plan.
        stages: usize,
        /// Boundaries given.
        boundaries: usize,
    },
    /// A boundary outside 0..=1 or not a number.
    #[error("boundary {0} is not a fraction of the steps; give values from 0 to 1")]
    BoundaryRange(f64),
    /// Boundaries out of order.
    #[error(
        "boundary {later} comes after {earlier}, but boundaries must rise; did you mean {later},{earlier}?"
    )]
    BoundaryOrder {
        /// The one given first.
        earlier: f64,
        /// The one given next, though it is smaller.
        later: f64,
    },
    /// A guidance list that fits no reading.
    #[error(
        "{given} guidance scales were given for {stages} stages; give one, or one for every stage"
    )]
    CfgCount {
        /// Scales given.
        given: usize,
        /// Stages of the plan.
        stages: usize,
    },
}

/// Stages and where each next one starts, as fractions of the steps (FlowBlending stores fractions:
/// a flow shift moves the noise level at a boundary, never the fraction).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "UncheckedPlan")]
pub struct Plan {
    pub(super) stages: Vec<Stage>,
    pub(super) boundaries: Vec<f64>,
}

/// A plan as a file may hold it.
#[derive(Deserialize)]
struct UncheckedPlan {
    stages: Vec<Stage>,
    boundaries: Vec<f64>,
}

impl TryFrom<UncheckedPlan> for Plan {
    type Error = PlanError;

    fn try_from(plan: UncheckedPlan) -> Result<Self, PlanError> {
        Self::new(plan.stages, plan.boundaries)
    }
}

/// What one step does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepPlan {
    /// Index of the stage the step belongs to.
    pub stage: usize,
    /// The one model evaluated.
    pub model: ModelRole,
    /// The guidance scale.
    pub cfg: f64,
    /// How far the guided velocity is scaled back, see [`Guidance::rescale`](super::Guidance::rescale).
    pub rescale: f64,
    /// By which rule the step may take up what the one before found; `None` where it is computed in any case.
    pub cache: Option<CacheRule>,
    /// Evaluations of the guided velocity.
    pub evaluations: usize,
    /// The noise levels it goes between.
    pub span: Span,
}

impl StepPlan {
    /// Whether both do the same, in whatever stage.
    fn does_as(&self, other: &Self) -> bool {
        let in_any_stage = Self { stage: 0, ..*self };
        in_any_stage == Self { stage: 0, ..*other }
    }

    /// Passes of the network the step takes: at a guidance of exactly 1 the unconditional prediction
    /// cancels out of `v_neg + cfg * (v_prompt - v_neg)`.
    pub fn passes(&self) -> usize {
        self.evaluations * if self.is_guided() { 2 } else { 1 }
    }

    /// Whether the unconditional prediction counts.
    pub fn is_guided(&self) -> bool {
        self.cfg != 1.0
    }
}

/// How many leading steps of two plans do the same, whatever stages they belong to: from the same noise
/// both runs stand in the same place after them.
pub fn shared_steps(one: &[StepPlan], other: &[StepPlan]) -> usize {
    one.iter()
        .zip(other)
        .take_while(|(a, b)| a.does_as(b))
        .count()
}

impl Plan {
    /// A plan from its parts, checked.
    pub fn new(stages: Vec<Stage>, boundaries: Vec<f64>) -> Result<Self, PlanError> {
        if stages.is_empty() {
            return Err(PlanError::Empty);
        }
        if boundaries.len() + 1 != stages.len() {
            return Err(PlanError::BoundaryCount {
                stages: stages.len(),
                boundaries: boundaries.len(),
            });
        }
        if let Some(&bad) = boundaries.iter().find(|b| !(0.0..=1.0).contains(*b)) {
            return Err(PlanError::BoundaryRange(bad));
        }
        if let Some(pair) = boundaries.windows(2).find(|w| w[0] > w[1]) {
            return Err(PlanError::BoundaryOrder {
                earlier: pair[0],
                later: pair[1],
            });
        }
        Ok(Self { stages, boundaries })
    }

    /// Reads stage letters such as `LSL`, or names split by commas such as `large,small,large`.
    pub fn parse(text: &str, boundaries: &[f64]) -> Result<Self, PlanError> {
        Self::new(parse_stages(text)?, boundaries.to_vec())
    }

    /// One stage of `model` with the run's guidance.
    pub fn only(model: ModelRole) -> Self {
        Self {
            stages: vec![Stage { model, cfg: None }],
            boundaries: Vec::new(),
        }
    }

    /// The same plan without guidance of its own: the run's counts in every stage.
    pub fn with_run_cfg(&self) -> Self {
        let stages = self.stages.iter().map(|stage| Stage {
            cfg: None,
            ..*stage
        });
        Self {
            stages: stages.collect(),
            boundaries: self.boundaries.clone(),
        }
    }

    /// The same stages, all of one model and with the run's guidance.
    pub fn all(&self, model: ModelRole) -> Self {
        Self {
            stages: vec![Stage { model, cfg: None }; self.stages.len()],
            boundaries: self.boundaries.clone(),
        }
    }

    /// How many stages a plan's text has, for choosing default boundaries before building it.
    pub fn count_stages(text: &str) -> Result<usize, PlanError> {
        Ok(parse_stages(text)?.len())
    }

    /// The plan with one guidance scale for the run (`cfgs` of length 1 changes nothing here) or one
    /// for every stage.
    pub fn with_stage_cfgs(mut self, cfgs: &[f64]) -> Result<Self, PlanError> {
        match cfgs.len() {
            0 | 1 => {}
            n if n == self.stages.len() => {
                for (stage, &cfg) in self.stages.iter_mut().zip(cfgs) {
                    stage.cfg = Some(cfg);
                }
            }
            given => {
                return Err(PlanError::CfgCount {
                    given,
                    stages: self.stages.len(),
                });
            }
        }
        Ok(self)
    }

    /// The stages in order.
    pub fn stages(&self) -> &[Stage] {
        &self.stages
    }

    /// Where stages 1.. start, as fractions of the steps, rising.
    pub fn boundaries(&self) -> &[f64] {
        &self.boundaries
    }

    /// The letters, such as `LSL`.
    pub fn letters(&self) -> String {
        self.stages.iter().map(|s| s.model.letter()).collect()
    }

    /// Whether a stage is of `model`.
    pub fn has(&self, model: ModelRole) -> bool {
        self.stages.iter().any(|stage| stage.model == model)
    }

    /// Whether one model does all; then a boundary says nothing.
    fn is_of_one_model(&self) -> bool {
        let first = self.stages.first().map(|stage| stage.model);
        self.stages.iter().all(|stage| Some(stage.model) == first)
    }

    /// The letters with the boundaries as fractions of the steps, such as `LSL 0.43/0.97`; where one model
    /// does all, a boundary says nothing and is left out.
    pub fn words(&self) -> String {
        self.with_boundaries(' ', |at| format!("{at:.2}"))
    }

    /// The same in one word and to the last digit, such as `LSL@0.4/0.8`. Guidance is no part of it.
    pub fn spec(&self) -> String {
        self.with_boundaries('@', |at| at.to_string())
    }

    fn with_boundaries(&self, after_letters: char, figure: impl Fn(&f64) -> String) -> String {
        if self.is_of_one_model() {
            return self.letters();
        }
        let boundaries: Vec<_> = self.boundaries.iter().map(figure).collect();
        format!("{}{after_letters}{}", self.letters(), boundaries.join("/"))
    }

    /// The plan with boundary `index` at `fraction`, kept between its neighbours.
    pub fn with_boundary(&self, index: usize, fraction: f64) -> Self {
        let mut plan = self.clone();
        let low = index.checked_sub(1).map_or(0.0, |i| self.boundaries[i]);
        let high = self.boundaries.get(index + 1).copied().unwrap_or(1.0);
        if let Some(boundary) = plan.boundaries.get_mut(index) {
            *boundary = fraction.clamp(low, high);
        }
        plan
    }

    /// The first step of stage `index + 1` in a run of `steps`.
    pub fn boundary_step(&self, index: usize, steps: usize) -> usize {
        (self.boundaries[index] * steps as f64).round() as usize
    }

    /// The steps of one stage; empty when its boundaries fall on one step.
    pub fn stage_steps(&self, stage: usize, steps: usize) -> Range<usize> {
        let start = match stage {
            0 => 0,
            _ => self.boundary_step(stage - 1, steps),
        };
        let end = if stage < self.boundaries.len() {
            self.boundary_step(stage, steps)
        } else {
            steps
        };
        start..end
    }

    /// The model and guidance of every step of the solver's own grid: exactly one model each, evaluated once. The
    /// steps that a run takes are those [`along`](Self::along) its grid.
    pub fn steps(&self, steps: usize, run_cfg: f64) -> Vec<StepPlan> {
        self.stages
            .iter()
            .enumerate()
            .flat_map(|(index, stage)| {
                self.stage_steps(index, steps).map(move |step| StepPlan {
                    stage: index,
                    model: stage.model,
                    cfg: stage.cfg_in(run_cfg),
                    rescale: 0.0,
                    cache: None,
                    evaluations: 1,
                    span: Span::Own(step),
                })
            })
            .collect()
    }
}

fn parse_stages(text: &str) -> Result<Vec<Stage>, PlanError> {
    let words: Vec<String> = if text.contains(',') {
        text.split(',').map(|w| w.trim().to_owned()).collect()
    } else if let Some(role) = ModelRole::from_word(text.trim()) {
        vec![role.name().to_owned()]
    } else {
        text.trim().chars().map(String::from).collect()
    };
    if words.is_empty() {
        return Err(PlanError::Empty);
    }
    words
        .into_iter()
        .map(|word| match ModelRole::from_word(&word) {
            Some(model) => Ok(Stage { model, cfg: None }),
            None => Err(PlanError::UnknownModel(word)),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_plan() -> impl Strategy<Value = Plan> {
        (1usize..6)
            .prop_flat_map(|n| {
                (
                    proptest::collection::vec(0usize..3, n),
                    proptest::collection::vec(0.0f64..=1.0, n - 1),
                )
            })
            .prop_map(|(roles, mut boundaries)| {
                boundaries.sort_by(f64::total_cmp);
                let stages = roles
                    .into_iter()
                    .map(|r| Stage {
                        model: ModelRole::ALL[r],
                        cfg: None,
                    })
                    .collect();
                Plan::new(stages, boundaries).unwrap()
            })
    }

    proptest! {
        #[test]
        fn stages_cover_all_steps_once(plan in any_plan(), steps in 1usize..120) {
            let mut next = 0;
            for stage in 0..plan.stages().len() {
                let range = plan.stage_steps(stage, steps);
                prop_assert_eq!(range.start, next);
                prop_assert!(range.end >= range.start);
                next = range.end;
            }
            prop_assert_eq!(next, steps);
            let assigned = plan.steps(steps, 4.0);
            prop_assert_eq!(assigned.len(), steps);
            for (i, step) in assigned.iter().enumerate() {
                prop_assert!(plan.stage_steps(step.stage, steps).contains(&i));
                prop_assert_eq!(step.model, plan.stages()[step.stage].model);
            }
        }

        #[test]
        fn a_moved_boundary_changes_only_the_steps_between(
            plan in any_plan(), steps in 1usize..120, pick in 0usize..5, to in 0.0f64..=1.0,
        ) {
            prop_assume!(!plan.boundaries().is_empty());
            let index = pick % plan.boundaries().len();
            let moved = plan.with_boundary(index, to);
            let (a, b) = (plan.boundary_step(index, steps), moved.boundary_step(index, steps));
            let between = a.min(b)..a.max(b);
            for (i, (old, new)) in plan.steps(steps, 4.0).iter().zip(moved.steps(steps, 4.0)).enumerate() {
                if !between.contains(&i) {
                    prop_assert_eq!(*old, new);
                }
            }
        }

        #[test]
        fn shift_never_moves_a_fraction(plan in any_plan(), steps in 1usize..120, shift in 0.5f64..12.0) {
            // The plan takes no shift: the same step starts a stage on every grid; only sigma differs.
            for index in 0..plan.boundaries().len() {
                let step = plan.boundary_step(index, steps);
                let plain = super::super::SigmaGrid::flow_uniform(steps, 1.0);
                let shifted = super::super::SigmaGrid::flow_uniform(steps, shift);
                prop_assert!((super::super::shift_sigma(plain.sigma(step), shift) - shifted.sigma(step)).abs() < 1e-9);
            }
        }

        #[test]
        fn json_keeps_a_plan(plan in any_plan()) {
            let text = serde_json::to_string(&plan).unwrap();
            prop_assert_eq!(serde_json::from_str::<Plan>(&text).unwrap(), plan);
        }
    }

    #[test]
    fn the_published_plan_of_wan() {
        let plan = Plan::parse("LSL", &[0.4, 0.8]).unwrap();
        let steps = plan.steps(50, 5.0);
        assert!(steps[..20].iter().all(|s| s.model == ModelRole::Large));
        assert!(steps[20..40].iter().all(|s| s.model == ModelRole::Small));
        assert!(steps[40..].iter().all(|s| s.model == ModelRole::Large));
        assert_eq!(plan.letters(), "LSL");
    }

    #[test]
    fn names_and_letters_read_the_same() {
        let letters = Plan::parse("LsD", &[0.1, 0.2]).unwrap();
        let names = Plan::parse("large, small, distilled", &[0.1, 0.2]).unwrap();
        assert_eq!(letters, names);
        assert_eq!(Plan::parse("small", &[]).unwrap().letters(), "S");
    }

    #[test]
    fn bad_plans_are_refused_with_a_sentence() {
        let order = Plan::parse("LSL", &[0.8, 0.4]).unwrap_err();
        assert!(order.to_string().contains("did you mean 0.4,0.8?"));
        assert_eq!(Plan::parse("", &[]).unwrap_err(), PlanError::Empty);
        assert_eq!(
            Plan::parse("LXL", &[0.1, 0.2]).unwrap_err(),
            PlanError::UnknownModel("X".into())
        );
        assert_eq!(
            Plan::parse("LSL", &[0.1]).unwrap_err(),
            PlanError::BoundaryCount {
                stages: 3,
                boundaries: 1
            }
        );
        assert_eq!(
            Plan::parse("LS", &[1.5]).unwrap_err(),
            PlanError::BoundaryRange(1.5)
        );
        assert!(Plan::parse("LS", &[f64::NAN]).is_err());
        let file = r#"{"stages":[{"model":"large"},{"model":"small"}],"boundaries":[]}"#;
        let read = serde_json::from_str::<Plan>(file).unwrap_err();
        assert!(read.to_string().contains("needs 1 boundaries"), "{read}");
    }

    #[test]
    fn words_tell_boundaries_only_where_they_part_models() {
        let words = |letters, boundaries: &[f64]| Plan::parse(letters, boundaries).unwrap().words();
        assert_eq!(words("LSL", &[0.4333, 0.9667]), "LSL 0.43/0.97");
        assert_eq!(words("LS", &[0.5]), "LS 0.50");
        assert_eq!(words("LLL", &[0.4, 0.8]), "LLL");
        assert_eq!(words("S", &[]), "S");
    }
}
