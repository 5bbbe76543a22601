use super::event::PairSummary;
use super::residency::{Fit, MemoryNeed, Residency, stretches};
use crate::project::RunSettings;
use crate::schedule::ModelRole;

/// What a run needs of memory against what there is, and what it costs where that is little.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MemoryPlan {
    /// Bytes the run may take; `None` where nobody knows.
    pub available: Option<u64>,
    /// Bytes it holds at its peak; where it does not fit, the least it could do with.
    pub peak: u64,
    /// Bytes it would hold with everything at once.
    pub roomy: u64,
    /// How it goes into memory; `None` where it does not.
    pub fit: Option<Fit>,
    /// How often models are loaded in the course of the run, where they are swapped; else 0.
    pub loads: usize,
    /// Bytes of weights that these loads read.
    pub read: u64,
    /// Seconds these loads are expected to take, once loading was measured.
    pub load_secs: Option<f64>,
}

impl MemoryPlan {
    fn new(
        need: &MemoryNeed,
        settings: &RunSettings,
        available: Option<u64>,
        byte_secs: Option<f64>,
    ) -> Self {
        let plans = settings.step_plans();
        let roles: Vec<ModelRole> = plans.iter().map(|step| step.model).collect();
        let fit = need.fit(&roles, available);
        let swapped = fit.is_some_and(|fit| fit.residency == Residency::Swapped);
        let loads = if swapped {
            stretches(&plans, Residency::Swapped)
        } else {
            Vec::new()
        };
        let read = loads
            .iter()
            .map(|(_, roles)| need.of_transformers(roles))
            .sum();
        Self {
            available,
            peak: need.peak(&roles, fit.unwrap_or(Fit::TIGHT)),
            roomy: need.peak(&roles, Fit::ROOMY),
            fit,
            loads: loads.len(),
            read,
            load_secs: byte_secs.map(|secs| secs * read as f64),
        }
    }

    /// The plan in words, without a full stop: `about 0.14 GB of 23.90 GB`.
    pub fn describe(&self) -> String {
        let Self {
            peak, roomy, read, ..
        } = *self;
        let (peak, roomy) = (gigabytes(peak), gigabytes(roomy));
        let Some(available) = self.available.map(gigabytes) else {
            return format!("about {peak}");
        };
        let Some(fit) = self.fit else {
            return format!(
                "about {peak} even with one model at a time, but {available} are available; the run \
                 would be refused"
            );
        };
        let mut words = format!("about {peak} of {available}");
        if fit != Fit::ROOMY {
            words += &format!("; {roomy} would be needed to keep everything at once, so ");
        }
        if fit.residency == Residency::Swapped {
            words += &format!(
                "the models are swapped at the boundaries: {} loads, {} read",
                self.loads,
                gigabytes(read)
            );
            if let Some(secs) = self.load_secs {
                words += &format!(", about {secs:.1} s");
            }
        }
        if fit.in_tiles {
            let and = if fit.residency == Residency::Swapped {
                ", and "
            } else {
                ""
            };
            words += and;
            words += "the clip is decoded in tiles";
        }
        words
    }

    /// What is said of a run that does not fit, instead of being ended by the system half way.
    pub fn refusal(&self, settings: &RunSettings) -> String {
        format!(
            "{}x{} with {} frames needs about {} of memory, but {} are available; choose a smaller \
             size or fewer frames",
            settings.width,
            settings.height,
            settings.frames,
            gigabytes(self.peak),
            gigabytes(self.available.unwrap_or(0))
        )
    }
}

fn gigabytes(bytes: u64) -> String {
    format!("{:.2} GB", bytes as f64 / 1e9)
}

impl PairSummary {
    /// How a run with these settings goes into memory.
    pub fn memory_plan(&self, settings: &RunSettings) -> MemoryPlan {
        let need = self.rules.memory(settings.size());
        MemoryPlan::new(&need, settings, self.memory_bytes, self.timings.byte.secs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project::PairRef;
    use crate::schedule::{Guidance, History, Plan, Solver};

    const NEED: MemoryNeed = MemoryNeed {
        base: 100_000_000,
        text: 11_000_000_000,
        transformers: [28_000_000_000, 3_000_000_000, 0],
        denoise: 5_000_000_000,
        vae: 500_000_000,
        decode: 40_000_000_000,
        decode_in_tiles: 6_000_000_000,
    };

    fn settings() -> RunSettings {
        RunSettings {
            pair: PairRef::default(),
            prompt: "a dot".into(),
            negative: String::new(),
            seed: 1,
            plan: Plan::parse("LSL", &[0.4, 0.8]).unwrap(),
            steps: 10,
            shift: 3.0,
            solver: Solver::Euler,
            history: History::default(),
            distilled_sigmas: None,
            cfg: 5.0,
            guidance: Guidance::default(),
            cache: None,
            width: 832,
            height: 480,
            frames: 81,
            fps: 16.0,
        }
    }

    #[test]
    fn a_plan_says_what_short_memory_costs() {
        let plan = |available: Option<u64>| {
            MemoryPlan::new(
                &NEED,
                &settings(),
                available.map(|gb| gb * 1_000_000_000),
                Some(1e-9),
            )
        };
        assert_eq!(plan(None).describe(), "about 71.60 GB");
        assert_eq!(plan(Some(80)).describe(), "about 71.60 GB of 80.00 GB");
        assert_eq!(
            plan(Some(48)).describe(),
            "about 37.60 GB of 48.00 GB; 71.60 GB would be needed to keep everything at once, so the \
             clip is decoded in tiles"
        );
        let tight = plan(Some(36));
        assert_eq!((tight.loads, tight.read), (3, 59_000_000_000));
        assert_eq!(
            tight.describe(),
            "about 33.10 GB of 36.00 GB; 71.60 GB would be needed to keep everything at once, so the \
             models are swapped at the boundaries: 3 loads, 59.00 GB read, about 59.0 s, and the clip \
             is decoded in tiles"
        );
        let none = plan(Some(30));
        assert!(none.describe().ends_with("the run would be refused"));
        assert!(none.refusal(&settings()).contains("needs about 33.10 GB"));
    }
}
