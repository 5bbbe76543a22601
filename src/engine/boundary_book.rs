use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::book;
use crate::project::RunSettings;
use crate::schedule::Solver;

/// Boundaries of LSL that were found for the runs of one pair.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KnownBoundaries {
    /// Where the second and the third stage start, as fractions of the steps.
    pub boundaries: [f64; 2],
    /// Steps of the runs they were found for.
    pub steps: usize,
    /// Flow shift of those runs.
    pub shift: f64,
    /// Solver of those runs.
    pub solver: Solver,
    /// How they were found.
    pub found_by: BoundaryMethod,
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

/// What is known of a run's boundaries without measuring anything.
#[derive(Clone, Debug, PartialEq)]
pub struct Remembered {
    /// Where the second and the third stage start, as fractions of the run's steps.
    pub boundaries: [f64; 2],
    /// How they were found.
    pub found_by: BoundaryMethod,
    /// Where they were found for other runs, a sentence that says so.
    pub warning: Option<String>,
}

impl KnownBoundaries {
    /// Whether they were found for runs of the very same steps, shift and solver.
    fn fits(&self, settings: &RunSettings) -> bool {
        self.steps == settings.steps
            && self.shift == settings.shift
            && self.solver == settings.solver
    }

    /// How much has to change for a run; the smaller, the better they serve. Another grid of noise levels
    /// is worse than any other number of steps.
    fn distance(&self, settings: &RunSettings) -> f64 {
        let ratio = |a: f64, b: f64| (a / b).ln().abs();
        let grid =
            ratio(self.shift, settings.shift) + f64::from(u8::from(self.solver != settings.solver));
        1e3 * grid + ratio(self.steps as f64, settings.steps as f64)
    }

    /// As they are for a run. Boundaries are fractions of the steps, which another number of steps does not
    /// change; another shift or solver moves them to where the noise levels are the same.
    fn for_run(&self, settings: &RunSettings) -> Remembered {
        let same_grid = self.shift == settings.shift && self.solver == settings.solver;
        let boundaries = match same_grid {
            true => self.boundaries,
            false => {
                let from = self.solver.grid(self.steps, self.shift);
                let to = settings.grid();
                self.boundaries.map(|fraction| from.carried(fraction, &to))
            }
        };
        let Self {
            steps,
            shift,
            solver,
            found_by,
            ..
        } = self;
        let warning = (!self.fits(settings)).then(|| {
            format!(
                "boundaries found at {steps} steps, shift {shift}, {solver} were re-scaled to {} steps, \
                 shift {}, {}; measure the divergence there to be sure",
                settings.steps, settings.shift, settings.solver
            )
        });
        Remembered {
            boundaries,
            found_by: *found_by,
            warning,
        }
    }
}

/// What `known` of a pair's boundaries says of a run: those found for runs like it, or else those of the
/// nearest, re-scaled. `None` where nothing is known.
pub(super) fn remembered(known: &[KnownBoundaries], settings: &RunSettings) -> Option<Remembered> {
    let distance = |one: &&KnownBoundaries| one.distance(settings);
    let nearest = known
        .iter()
        .min_by(|a, b| distance(a).total_cmp(&distance(b)))?;
    Some(nearest.for_run(settings))
}

/// Boundaries that were found on this machine, by pair. Losing the file costs no more than finding them
/// again.
#[derive(Debug, Default)]
pub(super) struct BoundaryBook {
    file: Option<PathBuf>,
    pairs: BTreeMap<String, Vec<KnownBoundaries>>,
}

impl BoundaryBook {
    /// Opens the book kept in `file`; `None` keeps nothing.
    pub(super) fn open(file: Option<PathBuf>) -> Self {
        let pairs = book::read(file.as_deref());
        Self { file, pairs }
    }

    /// All that is known of a pair.
    pub(super) fn of(&self, pair: &str) -> Vec<KnownBoundaries> {
        self.pairs.get(pair).cloned().unwrap_or_default()
    }

    /// Remembers boundaries in the place of those of the same runs.
    pub(super) fn note(&mut self, pair: String, found: KnownBoundaries) {
        let known = self.pairs.entry(pair).or_default();
        known.retain(|other| {
            (other.steps, other.shift, other.solver) != (found.steps, found.shift, found.solver)
        });
        known.push(found);
        book::write(self.file.as_deref(), &self.pairs);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project::PairRef;
    use crate::schedule::{History, Plan};

    fn known(steps: usize, shift: f64, boundaries: [f64; 2]) -> KnownBoundaries {
        KnownBoundaries {
            boundaries,
            steps,
            shift,
            solver: Solver::Euler,
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
        assert_eq!((same.boundaries, same.warning), ([0.4, 0.8], None));
        // Fractions of the steps stay what they are.
        let fewer = remembered(&book, &run(20, 5.0)).unwrap();
        assert_eq!(fewer.boundaries, [0.4, 0.8]);
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
        for (was, now) in [0.4, 0.8].into_iter().zip(found.boundaries) {
            let (was, now) = (from.sigma_at(was * 50.0), to.sigma_at(now * 50.0));
            assert!((was - now).abs() < 1e-9, "{was} {now}");
        }
        // More of the steps lie at high noise.
        assert!(found.boundaries[0] > 0.4 && found.boundaries[1] > 0.8);
        assert!(found.warning.is_some());
    }

    #[test]
    fn what_was_noted_outlives_the_program_and_gives_way_to_newer() {
        let folder = tempfile::tempdir().unwrap();
        let file = Some(folder.path().join("boundaries.json"));
        let mut book = BoundaryBook::open(file.clone());
        for late in [0.8, 0.9] {
            book.note("demo".to_owned(), known(30, 1.0, [0.3, late]));
        }
        book.note("demo".to_owned(), known(50, 1.0, [0.3, 0.7]));
        let again = BoundaryBook::open(file);
        assert_eq!(
            again.of("demo"),
            [known(30, 1.0, [0.3, 0.9]), known(50, 1.0, [0.3, 0.7])]
        );
        assert_eq!(again.of("other"), []);
    }
}
