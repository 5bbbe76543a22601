use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::book;
use crate::analysis::Wish;
use crate::project::RunSettings;
use crate::schedule::{Plan, Solver};

/// Boundaries of LSL that were found for the runs of one pair.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KnownBoundaries {
    /// Where the second and the third stage start, as fractions of the steps.
    pub boundaries: [f64; 2],
    /// The runs they were found for.
    #[serde(flatten)]
    pub runs: RunKind,
    /// How they were found.
    pub found_by: BoundaryMethod,
}

/// The best plan of a sweep over plans, for the runs of one pair.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KnownPlan {
    /// The plan.
    pub plan: Plan,
    /// The runs it was found for.
    #[serde(flatten)]
    pub runs: RunKind,
    /// What it is the best for.
    pub wish: Wish,
}

/// What runs have in common that the same boundaries serve.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunKind {
    /// Denoising steps.
    pub steps: usize,
    /// Flow shift.
    pub shift: f64,
    /// Solver.
    pub solver: Solver,
}

/// How boundaries were found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BoundaryMethod {
    /// By the valley of the two velocities' divergence.
    Divergence,
    /// As those of the best of many plans.
    Sweep,
}

impl BoundaryMethod {
    /// In words: `boundaries found by …`.
    pub fn words(self) -> &'static str {
        match self {
            Self::Divergence => "the valley of the divergence",
            Self::Sweep => "a sweep over plans",
        }
    }
}

/// What is known of a run without measuring anything.
#[derive(Clone, Debug, PartialEq)]
pub struct Remembered<T> {
    /// The boundaries, or the plan.
    pub found: T,
    /// How it was found.
    pub found_by: BoundaryMethod,
    /// Where it was found for other runs, a sentence that says so.
    pub warning: Option<String>,
}

impl RunKind {
    /// Of runs like one.
    pub(super) fn of(settings: &RunSettings) -> Self {
        Self {
            steps: settings.steps,
            shift: settings.shift,
            solver: settings.solver,
        }
    }

    /// How much has to change for a run; the smaller, the better they serve. Another grid of noise levels
    /// is worse than any other number of steps.
    fn distance(&self, settings: &RunSettings) -> f64 {
        let ratio = |a: f64, b: f64| (a / b).ln().abs();
        let grid =
            ratio(self.shift, settings.shift) + f64::from(u8::from(self.solver != settings.solver));
        1e3 * grid + ratio(self.steps as f64, settings.steps as f64)
    }

    /// A boundary, as it is for a run. Boundaries are fractions of the steps, which another number of steps does
    /// not change; another shift or solver moves them to where the noise levels are the same.
    fn carried(&self, fraction: f64, settings: &RunSettings) -> f64 {
        match self.shift == settings.shift && self.solver == settings.solver {
            true => fraction,
            false => {
                let from = self.solver.grid(self.steps, self.shift);
                from.carried(fraction, &settings.grid())
            }
        }
    }

    /// A sentence where a run is of another kind.
    fn warning(&self, settings: &RunSettings) -> Option<String> {
        let Self {
            steps,
            shift,
            solver,
        } = self;
        (*self != Self::of(settings)).then(|| {
            format!(
                "boundaries found at {steps} steps, shift {shift}, {solver} were re-scaled to {} steps, \
                 shift {}, {}; measure there to be sure",
                settings.steps, settings.shift, settings.solver
            )
        })
    }
}

/// What was found for runs of a kind.
pub(super) trait Found: Clone + Serialize + DeserializeOwned {
    /// The runs.
    fn runs(&self) -> &RunKind;

    /// Whether it takes the other's place.
    fn replaces(&self, other: &Self) -> bool;
}

impl Found for KnownBoundaries {
    fn runs(&self) -> &RunKind {
        &self.runs
    }

    fn replaces(&self, other: &Self) -> bool {
        self.runs == other.runs
    }
}

impl Found for KnownPlan {
    fn runs(&self) -> &RunKind {
        &self.runs
    }

    fn replaces(&self, other: &Self) -> bool {
        self.runs == other.runs && self.wish == other.wish
    }
}

fn nearest<'a, T: Found>(
    known: impl Iterator<Item = &'a T>,
    settings: &RunSettings,
) -> Option<&'a T> {
    let distance = |one: &&T| one.runs().distance(settings);
    known.min_by(|a, b| distance(a).total_cmp(&distance(b)))
}

/// What `known` of a pair's boundaries says of a run: those found for runs like it, or else those of the
/// nearest, re-scaled. `None` where nothing is known.
pub(super) fn remembered(
    known: &[KnownBoundaries],
    settings: &RunSettings,
) -> Option<Remembered<[f64; 2]>> {
    let KnownBoundaries {
        boundaries,
        runs,
        found_by,
    } = nearest(known.iter(), settings)?;
    Some(Remembered {
        found: boundaries.map(|fraction| runs.carried(fraction, settings)),
        found_by: *found_by,
        warning: runs.warning(settings),
    })
}

/// What `known` of a pair's plans says of a run of which the same is wished: as [`remembered`].
pub(super) fn remembered_plan(
    known: &[KnownPlan],
    settings: &RunSettings,
    wish: Wish,
) -> Option<Remembered<Plan>> {
    let KnownPlan { plan, runs, .. } =
        nearest(known.iter().filter(|known| known.wish == wish), settings)?;
    let boundaries = plan.boundaries().iter();
    let boundaries = boundaries.map(|fraction| runs.carried(*fraction, settings));
    Some(Remembered {
        found: Plan::new(plan.stages().to_vec(), boundaries.collect()).ok()?,
        found_by: BoundaryMethod::Sweep,
        warning: runs.warning(settings),
    })
}

/// What was found on this machine, by pair. Losing the file costs no more than finding it again.
#[derive(Debug)]
pub(super) struct FoundBook<T> {
    file: Option<PathBuf>,
    pairs: BTreeMap<String, Vec<T>>,
}

impl<T: Found> FoundBook<T> {
    /// Opens the book kept in `file`; `None` keeps nothing.
    pub(super) fn open(file: Option<PathBuf>) -> Self {
        let pairs = book::read(file.as_deref());
        Self { file, pairs }
    }

    /// All that is known of a pair.
    pub(super) fn of(&self, pair: &str) -> Vec<T> {
        self.pairs.get(pair).cloned().unwrap_or_default()
    }

    /// Remembers in the place of what was found for the same runs.
    pub(super) fn note(&mut self, pair: String, found: T) {
        let known = self.pairs.entry(pair).or_default();
        known.retain(|other| !found.replaces(other));
        known.push(found);
        book::write(self.file.as_deref(), &self.pairs);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project::PairRef;
    use crate::schedule::{Guidance, History};

    fn known(steps: usize, shift: f64, boundaries: [f64; 2]) -> KnownBoundaries {
        KnownBoundaries {
            boundaries,
            runs: RunKind {
                steps,
                shift,
                solver: Solver::Euler,
            },
            found_by: BoundaryMethod::Divergence,
        }
    }

    fn run(steps: usize, shift: f64) -> RunSettings {
        RunSettings {
            pair: PairRef::default(),
            prompt: String::new(),
            negative: String::new(),
            seed: 1,
            plan: Plan::parse("LSL", &[0.4, 0.8]).unwrap(),
            steps,
            shift,
            solver: Solver::Euler,
            history: History::default(),
            distilled_sigmas: None,
            cfg: 3.0,
            guidance: Guidance::default(),
            cache: None,
            width: 64,
            height: 64,
            frames: 5,
            fps: 12.0,
        }
    }

    #[test]
    fn the_same_run_takes_them_as_they_are_and_another_one_is_warned() {
        let book = [known(30, 1.0, [0.3, 0.9]), known(50, 5.0, [0.4, 0.8])];
        assert_eq!(remembered(&[], &run(30, 1.0)), None);
        let same = remembered(&book, &run(50, 5.0)).unwrap();
        assert_eq!((same.found, same.warning), ([0.4, 0.8], None));
        // Fractions of the steps stay what they are.
        let fewer = remembered(&book, &run(20, 5.0)).unwrap();
        assert_eq!(fewer.found, [0.4, 0.8]);
        let warning = fewer.warning.unwrap();
        assert!(
            warning.contains("50 steps, shift 5") && warning.contains("20 steps"),
            "{warning}"
        );
    }

    #[test]
    fn another_shift_keeps_the_noise_levels() {
        let found = remembered(&[known(50, 3.0, [0.4, 0.8])], &run(50, 8.0)).unwrap();
        let (from, to) = (run(50, 3.0).grid(), run(50, 8.0).grid());
        for (was, now) in [0.4, 0.8].into_iter().zip(found.found) {
            let (was, now) = (from.sigma_at(was * 50.0), to.sigma_at(now * 50.0));
            assert!((was - now).abs() < 1e-9, "{was} {now}");
        }
        // More of the steps lie at high noise.
        assert!(found.found[0] > 0.4 && found.found[1] > 0.8);
        assert!(found.warning.is_some());
    }

    #[test]
    fn what_was_noted_outlives_the_program_and_gives_way_to_newer() {
        let folder = tempfile::tempdir().unwrap();
        let file = Some(folder.path().join("boundaries.json"));
        let mut book = FoundBook::open(file.clone());
        for late in [0.8, 0.9] {
            book.note("demo".to_owned(), known(30, 1.0, [0.3, late]));
        }
        book.note("demo".to_owned(), known(50, 1.0, [0.3, 0.7]));
        let again = FoundBook::<KnownBoundaries>::open(file);
        assert_eq!(
            again.of("demo"),
            [known(30, 1.0, [0.3, 0.9]), known(50, 1.0, [0.3, 0.7])]
        );
        assert_eq!(again.of("other"), []);
    }

    #[test]
    fn a_plan_is_remembered_for_what_was_wished() {
        let best = |letters: &str, boundaries: &[f64], wish| KnownPlan {
            plan: Plan::parse(letters, boundaries).unwrap(),
            runs: known(30, 1.0, [0.0, 0.0]).runs,
            wish,
        };
        let fast = best("LS", &[0.2], Wish::AtMostSecs(1.0));
        let alike = best("LSL", &[0.4, 0.8], Wish::AtLeast(0.95));
        let folder = tempfile::tempdir().unwrap();
        let file = Some(folder.path().join("plans.json"));
        let mut book = FoundBook::open(file.clone());
        book.note("demo".to_owned(), best("SL", &[0.2], Wish::AtMostSecs(1.0)));
        for found in [&alike, &fast] {
            book.note("demo".to_owned(), found.clone());
        }
        let all = FoundBook::<KnownPlan>::open(file).of("demo");
        assert_eq!(all, [alike.clone(), fast.clone()]);

        let same = remembered_plan(&all, &run(30, 1.0), Wish::AtMostSecs(1.0)).unwrap();
        assert_eq!((same.found, same.warning), (fast.plan, None));
        assert_eq!(remembered_plan(&all, &run(30, 1.0), Wish::Knee), None);
        let shifted = remembered_plan(&all, &run(30, 5.0), Wish::AtLeast(0.95)).unwrap();
        assert!(shifted.found.boundaries()[0] > 0.4 && shifted.warning.is_some());
    }
}
