//! Stages of a distilled model, which steps along noise levels of its own.

use std::cmp::Ordering;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{ModelRole, Plan, SigmaGrid, StepPlan};

/// Levels nearer to each other than this are one: a step between them would cost a pass and move nothing.
const NEAR: f64 = 1e-3;

/// The most steps that a grid may have, as for runs.
const MOST_STEPS: usize = 1000;

/// The noise levels that a step-distilled model was taught to jump between: from 1 down to 0. At a level it names the
/// mean velocity down to the next one, with guidance folded in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Vec<f64>", into = "Vec<f64>")]
pub struct DistilledGrid(Vec<f64>);

/// Why levels are no grid of a distilled model. Each is a whole sentence for the user.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum DistilledGridError {
    /// It starts or ends elsewhere.
    #[error(
        "a distilled model's noise levels must go from 1 to 0; give for example 1, 0.75, 0.5, 0.25, 0"
    )]
    Ends,
    /// It rises, rests or is not made of numbers.
    #[error(
        "a distilled model's noise levels must fall, but {later} comes after {earlier}; sort them"
    )]
    Order {
        /// The one given first.
        earlier: f64,
        /// The one given next.
        later: f64,
    },
    /// No step, or so many that it must be a slip.
    #[error("a distilled model cannot take {0} steps; give 1 to 1000, for example 8")]
    Steps(usize),
    /// No number.
    #[error(
        "'{0}' is no number; give a number of steps, for example 8, or noise levels, for example 1, 0.75, 0.5, 0.25, 0"
    )]
    Number(String),
}

impl DistilledGrid {
    /// `steps` jumps of equal length.
    ///
    /// # Errors
    /// No step, or more than a run may have.
    pub fn even(steps: usize) -> Result<Self, DistilledGridError> {
        match steps {
            1..=MOST_STEPS => Ok(Self(
                (0..=steps).map(|i| 1.0 - i as f64 / steps as f64).collect(),
            )),
            _ => Err(DistilledGridError::Steps(steps)),
        }
    }

    /// Steps of the whole way from 1 to 0.
    pub fn steps(&self) -> usize {
        self.0.len() - 1
    }

    /// The levels, from 1 to 0.
    pub fn sigmas(&self) -> &[f64] {
        &self.0
    }

    /// The way from one level to a lower one: both, and the grid's own levels between them.
    pub fn way(&self, from: f64, to: f64) -> Vec<f64> {
        let is_inside = |level: &f64| from - level >= NEAR && level - to >= NEAR;
        let inside = self.0.iter().copied().filter(is_inside);
        std::iter::once(from).chain(inside).chain([to]).collect()
    }
}

impl TryFrom<Vec<f64>> for DistilledGrid {
    type Error = DistilledGridError;

    fn try_from(levels: Vec<f64>) -> Result<Self, DistilledGridError> {
        if levels.first() != Some(&1.0) || levels.last() != Some(&0.0) {
            return Err(DistilledGridError::Ends);
        }
        if let Some(pair) = levels
            .windows(2)
            .find(|w| w[0].partial_cmp(&w[1]) != Some(Ordering::Greater))
        {
            return Err(DistilledGridError::Order {
                earlier: pair[0],
                later: pair[1],
            });
        }
        match levels.len() - 1 {
            1..=MOST_STEPS => Ok(Self(levels)),
            steps => Err(DistilledGridError::Steps(steps)),
        }
    }
}

/// As people type it: a number of steps of equal length, or noise levels with commas between them.
impl FromStr for DistilledGrid {
    type Err = DistilledGridError;

    fn from_str(text: &str) -> Result<Self, DistilledGridError> {
        if let Ok(steps) = text.trim().parse() {
            return Self::even(steps);
        }
        let level = |level: &str| {
            let number = level.trim().parse();
            number.map_err(|_| DistilledGridError::Number(level.trim().to_owned()))
        };
        let levels: Result<Vec<f64>, _> = text.split(',').map(level).collect();
        Self::try_from(levels?)
    }
}

impl From<DistilledGrid> for Vec<f64> {
    fn from(grid: DistilledGrid) -> Self {
        grid.0
    }
}

/// What a step goes along.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Span {
    /// A step of the solver's own grid, from 0.
    Own(usize),
    /// From one noise level to another, by a distilled model's grid.
    Distilled {
        /// The level before the step.
        from: f64,
        /// The level after it.
        to: f64,
    },
}

impl Span {
    /// Whether it is a distilled model's.
    pub fn is_distilled(self) -> bool {
        matches!(self, Self::Distilled { .. })
    }

    /// Any order, in which equal ones meet.
    pub(super) fn order(self, other: Self) -> Ordering {
        let key = |span| match span {
            Self::Own(step) => [step as f64, 0.0],
            Self::Distilled { from, to } => [from, to],
        };
        let ([a, b], [c, d]) = (key(self), key(other));
        let kinds = self.is_distilled().cmp(&other.is_distilled());
        kinds.then(a.total_cmp(&c)).then(b.total_cmp(&d))
    }
}

impl Plan {
    /// The steps of a run along `grid`, on whose steps the boundaries lie, and the noise levels that they go through.
    /// Distilled stages begin and end at the grid's levels and step along `distilled` between them; neighbours among
    /// them are one way, so that a split changes nothing. Without `distilled` they step like all others.
    pub fn along(
        &self,
        grid: &SigmaGrid,
        run_cfg: f64,
        distilled: Option<&DistilledGrid>,
    ) -> (SigmaGrid, Vec<StepPlan>) {
        let planned = self.steps(grid.steps(), run_cfg);
        let Some(distilled) = distilled else {
            return (grid.clone(), planned);
        };
        let is_distilled = |step: &StepPlan| step.model == ModelRole::Distilled;
        let (mut places, mut steps) = (Vec::new(), Vec::new());
        let mut begin = 0;
        for part in planned.chunk_by(|a, b| is_distilled(a) == is_distilled(b)) {
            let end = begin + part.len();
            if !is_distilled(&part[0]) {
                places.extend((begin..end).map(|i| grid.place(i)));
                steps.extend_from_slice(part);
                begin = end;
                continue;
            }
            let way = distilled.way(grid.sigma(begin), grid.sigma(end));
            for pair in way.windows(2) {
                let (from, to) = (pair[0], pair[1]);
                // The stage is that in whose part of the grid the step begins.
                let within = &grid.sigmas()[begin..end];
                let at = within.partition_point(|s| *s >= from).max(1) - 1;
                places.push((from, SigmaGrid::timestep_of(from)));
                steps.push(StepPlan {
                    span: Span::Distilled { from, to },
                    ..part[at]
                });
            }
            begin = end;
        }
        (SigmaGrid::through(places), steps)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::schedule::{Solver, Stage};

    fn eight() -> DistilledGrid {
        DistilledGrid::even(8).unwrap()
    }

    fn along(letters: &str, boundaries: &[f64], grid: &SigmaGrid) -> (SigmaGrid, Vec<StepPlan>) {
        let plan = Plan::parse(letters, boundaries).unwrap();
        plan.along(grid, 4.0, Some(&eight()))
    }

    #[test]
    fn a_distilled_stage_steps_along_its_own_grid_from_where_it_begins_to_where_it_ends() {
        let own = SigmaGrid::flow_uniform(10, 1.0);
        let (grid, steps) = along("LDL", &[0.2, 0.8], &own);
        let begins = own.sigma(2); // 0.8002
        let ends = own.sigma(8); // 0.2008
        let mut want = vec![own.sigma(0), own.sigma(1)];
        want.extend([begins, 0.75, 0.625, 0.5, 0.375, 0.25]);
        want.extend([ends, own.sigma(9), 0.0]);
        assert_eq!(grid.sigmas(), want);
        let models: String = steps.iter().map(|s| s.model.letter()).collect();
        assert_eq!(models, "LLDDDDDDLL");
        assert_eq!(steps.len(), grid.steps());
        // Guidance is folded into a distilled model, unless a stage asks for its own.
        assert!(
            steps
                .iter()
                .all(|s| s.passes() == if s.model == ModelRole::Large { 2 } else { 1 })
        );
        let spans: Vec<_> = steps.iter().map(|s| s.span).collect();
        assert_eq!(spans[1], Span::Own(1));
        assert_eq!(
            spans[2],
            Span::Distilled {
                from: begins,
                to: 0.75
            }
        );
        assert_eq!(
            spans[7],
            Span::Distilled {
                from: 0.25,
                to: ends
            }
        );
        assert_eq!(spans[8..], [Span::Own(8), Span::Own(9)]);
    }

    #[test]
    fn a_run_of_nothing_else_is_the_whole_grid() {
        for solver in [Solver::Euler, Solver::Heun] {
            let own = solver.grid(30, 3.0);
            for (letters, boundaries) in [("D", &[][..]), ("DDD", &[0.4, 0.9333])] {
                let (grid, steps) = along(letters, boundaries, &own);
                assert_eq!(grid.sigmas(), eight().sigmas());
                assert_eq!(steps.len(), 8);
                assert!(steps.windows(2).all(|w| w[0].stage <= w[1].stage));
            }
        }
        // Grids that begin a little below 1 have their own first level.
        let own = Solver::UniPc2.grid(30, 3.0);
        let (grid, steps) = along("D", &[], &own);
        assert_eq!(
            (grid.sigma(0), grid.sigma(1), steps.len()),
            (own.sigma(0), 0.875, 8)
        );
    }

    #[test]
    fn levels_that_all_but_meet_are_one() {
        let way = |from, to| eight().way(from, to);
        assert_eq!(way(0.8755, 0.4995), [0.8755, 0.75, 0.625, 0.4995]);
        assert_eq!(way(0.7, 0.65), [0.7, 0.65]);
        assert_eq!(way(0.75, 0.5), [0.75, 0.625, 0.5]);
    }

    #[test]
    fn a_distilled_models_timesteps_are_not_cut_to_whole_numbers() {
        let own = Solver::DpmPp2M.grid(10, 3.0);
        let (grid, steps) = along("LD", &[0.5], &own);
        for (i, step) in steps.iter().enumerate() {
            let want = match step.span {
                Span::Own(i) => own.timestep(i),
                Span::Distilled { from, .. } => from * 1000.0,
            };
            assert_eq!(grid.timestep(i), want);
        }
        assert!(steps.iter().any(|step| step.span.is_distilled()));
    }

    #[test]
    fn what_is_no_grid_is_named() {
        let grid = |json: &str| serde_json::from_str::<DistilledGrid>(json);
        assert_eq!(
            grid("[1.0, 0.5, 0.0]").unwrap(),
            DistilledGrid::even(2).unwrap()
        );
        for (json, said) in [
            ("[]", "from 1 to 0"),
            ("[0.9, 0.0]", "from 1 to 0"),
            ("[1.0, 0.5]", "from 1 to 0"),
            ("[1.0, 0.5, 0.5, 0.0]", "0.5 comes after 0.5"),
            ("[1.0, 0.2, 0.5, 0.0]", "0.5 comes after 0.2"),
        ] {
            let why = grid(json).unwrap_err().to_string();
            assert!(why.contains(said), "{json}: {why}");
        }
        assert!(
            DistilledGrid::even(0)
                .unwrap_err()
                .to_string()
                .contains("0 steps")
        );
        assert!(DistilledGrid::even(1001).is_err());
    }

    fn any_plan() -> impl Strategy<Value = Plan> {
        (1usize..6)
            .prop_flat_map(|n| {
                (
                    proptest::collection::vec((0usize..3, proptest::option::of(1u8..4)), n),
                    proptest::collection::vec(0.0f64..=1.0, n - 1),
                )
            })
            .prop_map(|(stages, mut boundaries)| {
                boundaries.sort_by(f64::total_cmp);
                let stage = |(role, cfg): (usize, Option<u8>)| Stage {
                    model: ModelRole::ALL[role],
                    cfg: cfg.map(f64::from),
                };
                Plan::new(stages.into_iter().map(stage).collect(), boundaries).unwrap()
            })
    }

    proptest! {
        #[test]
        fn the_way_falls_from_step_to_step_and_the_others_keep_theirs(
            plan in any_plan(), steps in 1usize..60, own in 1usize..20, solver in 0usize..10, shift in 0.5f64..8.0,
        ) {
            let base = Solver::ALL[solver].grid(steps, shift);
            let distilled = DistilledGrid::even(own).unwrap();
            let (grid, taken) = plan.along(&base, 4.0, Some(&distilled));
            prop_assert_eq!(taken.len(), grid.steps());
            prop_assert_eq!(grid.sigma(0), base.sigma(0));
            prop_assert_eq!(grid.sigma(grid.steps()), 0.0);
            prop_assert!(grid.sigmas().windows(2).all(|w| w[0] > w[1]));
            prop_assert!(taken.windows(2).all(|w| w[0].stage <= w[1].stage));
            let planned = plan.steps(steps, 4.0);
            for (i, step) in taken.iter().enumerate() {
                let (from, to) = (grid.sigma(i), grid.sigma(i + 1));
                match step.span {
                    Span::Own(at) => {
                        prop_assert_eq!(*step, planned[at]);
                        prop_assert_eq!((from, to), (base.sigma(at), base.sigma(at + 1)));
                        prop_assert_eq!(grid.timestep(i), base.timestep(at));
                    }
                    span => {
                        prop_assert_eq!(step.model, ModelRole::Distilled);
                        prop_assert_eq!(span, Span::Distilled { from, to });
                    }
                }
            }
            // All steps of the other models are there, in order.
            let others = |steps: &[StepPlan]| -> Vec<StepPlan> {
                steps.iter().copied().filter(|s| s.model != ModelRole::Distilled).collect()
            };
            prop_assert_eq!(others(&taken), others(&planned));
        }

        #[test]
        fn a_split_stage_takes_the_same_way(
            plan in any_plan(), steps in 2usize..60, fraction in 0.0f64..=1.0,
        ) {
            let base = SigmaGrid::flow_euler(steps, 3.0);
            if let Ok(split) = plan.split(fraction, steps) {
                let deeds = |plan: &Plan| {
                    let (grid, steps) = plan.along(&base, 4.0, Some(&eight()));
                    let steps: Vec<_> = steps.iter().map(|s| (s.model, s.cfg, s.span)).collect();
                    (grid, steps)
                };
                prop_assert_eq!(deeds(&split), deeds(&plan));
            }
        }
    }
}
