use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::book;
use crate::analysis::median;
use crate::schedule::ModelRole;

/// Measurements of a part that count; older ones are forgotten.
const NEWEST: usize = 5;

/// Width, height and frames of a run.
type Size = (usize, usize, usize);

/// Seconds that a part of a run took, as its newest measurements say.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Recent(Vec<f64>);

impl Recent {
    /// Takes in a measurement; what is no time is none.
    pub fn add(&mut self, secs: f64) {
        if secs.is_finite() && secs >= 0.0 {
            self.0.push(secs);
            let old = self.0.len().saturating_sub(NEWEST);
            self.0.drain(..old);
        }
    }

    /// The median of the newest measurements: one run that something else disturbed changes little.
    /// `None` before the first.
    pub fn secs(&self) -> Option<f64> {
        (!self.0.is_empty()).then(|| median(self.0.iter().copied()))
    }
}

/// Seconds of a part at each size it was measured at.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BySize(Vec<(Size, Recent)>);

impl BySize {
    /// Takes in a measurement at `(width, height, frames)`.
    pub fn add(&mut self, size: Size, secs: f64) {
        match self.0.iter_mut().find(|(other, _)| *other == size) {
            Some((_, recent)) => recent.add(secs),
            None => {
                let mut recent = Recent::default();
                recent.add(secs);
                self.0.push((size, recent));
            }
        }
    }

    /// Seconds at `size`. Where the part never ran at it, those of the size whose `work` comes nearest,
    /// in proportion to the work.
    pub fn at(&self, size: Size, work: impl Fn(Size) -> f64) -> Option<f64> {
        let share = |other: Size| match other == size {
            true => 1.0,
            false => work(size) / work(other),
        };
        let measured = self.0.iter().filter_map(|(other, recent)| {
            let secs = recent.secs()?;
            Some((share(*other), secs)).filter(|(share, _)| share.is_finite())
        });
        measured
            .min_by(|(a, _), (b, _)| a.ln().abs().total_cmp(&b.ln().abs()))
            .map(|(share, secs)| share * secs)
    }
}

/// Seconds that the parts of a pair's runs take on one device with one number of threads and one number
/// format, corrected by every run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PairTimings {
    /// One pass of the large model.
    pub large: BySize,
    /// One pass of the small model.
    pub small: BySize,
    /// One pass of the distilled model.
    pub distilled: BySize,
    /// The VAE's decode, whole.
    pub decode: BySize,
    /// Loading the text encoder and encoding texts that are new.
    pub text: Recent,
    /// Loading one byte of weights.
    pub byte: Recent,
}

impl PairTimings {
    /// One pass of a model.
    pub fn of(&self, role: ModelRole) -> &BySize {
        match role {
            ModelRole::Large => &self.large,
            ModelRole::Small => &self.small,
            ModelRole::Distilled => &self.distilled,
        }
    }

    /// The same, to take in a measurement.
    pub fn of_mut(&mut self, role: ModelRole) -> &mut BySize {
        match role {
            ModelRole::Large => &mut self.large,
            ModelRole::Small => &mut self.small,
            ModelRole::Distilled => &mut self.distilled,
        }
    }
}

/// The timings of every pair that ran on this machine, kept between starts so that the first prediction
/// of a session is already right. Losing the file costs nothing but that.
#[derive(Debug, Default)]
pub struct Timings {
    file: Option<PathBuf>,
    table: Table,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Table {
    #[serde(default)]
    pairs: BTreeMap<String, PairTimings>,
}

impl Timings {
    /// Opens the table kept in `file`; `None` keeps nothing.
    pub fn open(file: Option<PathBuf>) -> Self {
        let table = book::read(file.as_deref());
        Self { file, table }
    }

    /// What is known under `key`: a pair, where and how it runs.
    pub fn of(&self, key: &str) -> PairTimings {
        self.table.pairs.get(key).cloned().unwrap_or_default()
    }

    /// Takes in what a run measured and writes it down. A folder that cannot be written to is no reason
    /// to bother anyone.
    pub fn correct(&mut self, key: String, measured: impl FnOnce(&mut PairTimings)) {
        measured(self.table.pairs.entry(key).or_default());
        book::write(self.file.as_deref(), &self.table);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project::write_bytes_atomic;

    fn volume((width, height, frames): Size) -> f64 {
        (width * height * frames) as f64
    }

    #[test]
    fn a_disturbed_run_changes_little_and_a_lasting_change_is_learnt() {
        let mut recent = Recent::default();
        assert_eq!(recent.secs(), None);
        recent.add(f64::NAN);
        assert_eq!(recent.secs(), None);
        for secs in [1.0, 1.1, 9.0] {
            recent.add(secs);
        }
        assert_eq!(recent.secs(), Some(1.1));
        for _ in 0..3 {
            recent.add(2.0);
        }
        assert_eq!(recent.secs(), Some(2.0));
        assert_eq!(recent.0.len(), NEWEST);
    }

    #[test]
    fn a_new_size_is_foretold_from_the_nearest() {
        let mut part = BySize::default();
        assert_eq!(part.at((8, 8, 1), volume), None);
        part.add((8, 8, 1), 1.0);
        part.add((64, 64, 1), 100.0);
        assert_eq!(part.at((8, 8, 1), volume), Some(1.0));
        assert_eq!(part.at((8, 16, 1), volume), Some(2.0));
        assert_eq!(part.at((64, 32, 1), volume), Some(50.0));
    }

    #[test]
    fn times_outlive_the_program_and_an_older_file_is_no_fault() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("timings.json");
        let older = br#"{"secs": {"CPU large": 0.1}}"#;
        write_bytes_atomic(&file, true, older).unwrap();
        let mut timings = Timings::open(Some(file.clone()));
        assert_eq!(timings.of("CPU"), PairTimings::default());
        timings.correct("CPU".to_owned(), |pair| {
            pair.large.add((8, 8, 1), 0.25);
            pair.text.add(0.5);
        });
        let again = Timings::open(Some(file)).of("CPU");
        assert_eq!(again, timings.of("CPU"));
        assert_eq!(again.large.at((8, 8, 1), volume), Some(0.25));
    }
}
