use super::{SweepRow, SweepTimes};
use crate::analysis::{
    Similarity, Trade, Wish, best, early_boundary, late_boundary, mean, pareto_front,
};
use crate::engine::event::PairSummary;
use crate::schedule::{ModelRole, Plan};

/// What a sweep says of its plans, each in the mean over its prompts and seeds.
#[derive(Clone, Debug)]
pub struct SweepSummary {
    /// The times that all seconds are predicted from.
    pub times: SweepTimes,
    /// The plans, in the order of their predicted seconds.
    pub plans: Vec<PlanResult>,
}

/// One plan, in the mean over prompts and seeds.
#[derive(Clone, Debug, PartialEq)]
pub struct PlanResult {
    /// The plan.
    pub plan: Plan,
    /// Prompts and seeds it stands on.
    pub runs: usize,
    /// Likeness to the reference, PSNR of the mean squared error.
    pub similarity: Similarity,
    /// Sharpness, where the clips have one.
    pub sharpness: Option<f64>,
    /// Flicker, where the clips have one.
    pub flicker: Option<f64>,
    /// Steps that the large model takes.
    pub large_steps: usize,
    /// Predicted seconds of denoising and decoding a clip.
    pub secs: Option<f64>,
    /// FLOPs of denoising in the paper's convention.
    pub paper_flops: f64,
    /// FLOPs of denoising with attention and both passes.
    pub full_flops: f64,
}

/// The measure of likeness to the reference that plans are judged by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Quality {
    /// Structural similarity, at most 1.
    #[default]
    Ssim,
    /// Peak signal-to-noise ratio in dB, endless for the reference itself.
    Psnr,
}

impl Quality {
    /// The measure of one plan; `None` where its clips are too small for it.
    pub fn of(self, plan: &PlanResult) -> Option<f64> {
        match self {
            Self::Ssim => plan.similarity.ssim,
            Self::Psnr => Some(plan.similarity.psnr_db()),
        }
    }
}

/// A boundary by one of the paper's criteria.
#[derive(Clone, Debug, PartialEq)]
pub struct Criterion {
    /// The boundary, as a fraction of the steps.
    pub boundary: f64,
    /// The boundary that was the same in all plans it was found among; `None` where they have no other.
    pub other: Option<f64>,
    /// Number of those plans.
    pub plans: usize,
}

impl SweepSummary {
    /// Of the rows of one sweep, whose runs differ in prompt, seed and plan only. `None` of no rows.
    pub fn of(rows: &[SweepRow], pair: &PairSummary) -> Option<Self> {
        let times = SweepTimes::of(rows, pair)?;
        let mut groups: Vec<Vec<&SweepRow>> = Vec::new();
        for row in rows {
            let is_same = |group: &&mut Vec<&SweepRow>| group[0].settings.plan == row.settings.plan;
            match groups.iter_mut().find(is_same) {
                Some(group) => group.push(row),
                None => groups.push(vec![row]),
            }
        }
        let results = groups
            .iter()
            .map(|group| PlanResult::of(group, &times, pair));
        let mut plans: Vec<_> = results.collect::<Option<_>>()?;
        let secs = |plan: &PlanResult| plan.secs.unwrap_or(f64::INFINITY);
        plans.sort_by(|a, b| secs(a).total_cmp(&secs(b)));
        Some(Self { times, plans })
    }

    /// The plan that all others are held against: the large model alone.
    pub fn reference(&self) -> Option<&PlanResult> {
        self.plans.iter().find(|result| {
            let mut stages = result.plan.stages().iter();
            stages.all(|stage| stage.model == ModelRole::Large)
        })
    }

    /// Each plan's place between predicted seconds and quality; what is not known is no number.
    pub fn trades(&self, quality: Quality) -> Vec<Trade> {
        let trade = |plan: &PlanResult| Trade {
            secs: plan.secs.unwrap_or(f64::NAN),
            quality: quality.of(plan).unwrap_or(f64::NAN),
        };
        self.plans.iter().map(trade).collect()
    }

    /// The plans that no other one beats in both, by index, from the fastest on.
    pub fn front(&self, quality: Quality) -> Vec<usize> {
        pareto_front(&self.trades(quality))
    }

    /// The index of the best plan, if one is as wished.
    pub fn best(&self, quality: Quality, wish: Wish) -> Option<usize> {
        best(&self.trades(quality), wish)
    }

    /// The early boundary by the paper's criterion: the knee of the likeness to LLL, among LS plans, or
    /// among LSL plans of one late boundary where there are more of them.
    pub fn early_boundary(&self, quality: Quality) -> Option<Criterion> {
        let measure = |plan: &PlanResult| quality.of(plan);
        self.criterion(0, measure, early_boundary)
    }

    /// The late boundary by the paper's trade-off of detail, with sharpness for detail: where it comes near
    /// that of LLL, among LSL and LS plans of one early boundary.
    pub fn late_boundary(&self) -> Option<Criterion> {
        let wanted = self.reference()?.sharpness?;
        let measure = |plan: &PlanResult| plan.sharpness;
        self.criterion(1, measure, |sweep| late_boundary(sweep, wanted))
    }

    /// Looks along boundary `index`, among the largest set of plans that differ in it alone.
    fn criterion(
        &self,
        index: usize,
        measure: impl Fn(&PlanResult) -> Option<f64>,
        find: impl Fn(&[(f64, f64)]) -> Option<f64>,
    ) -> Option<Criterion> {
        type Group = (Option<f64>, Vec<(f64, f64)>);
        let mut groups: Vec<Group> = Vec::new();
        for result in &self.plans {
            let letters = result.plan.letters();
            let (boundary, other) = match (letters.as_str(), result.plan.boundaries(), index) {
                ("LS", [early], 0) => (*early, None),
                // Without a late stage its boundary lies at the end.
                ("LS", [early], _) => (1.0, Some(*early)),
                ("LSL", [early, late], 0) => (*early, Some(*late)),
                ("LSL", [early, late], _) => (*late, Some(*early)),
                _ => continue,
            };
            let Some(value) = measure(result) else {
                continue;
            };
            match groups.iter_mut().find(|(of, _)| *of == other) {
                Some((_, sweep)) => sweep.push((boundary, value)),
                None => groups.push((other, vec![(boundary, value)])),
            }
        }
        // Of sets of one size the first: a stable choice, whatever the seconds were.
        groups.sort_by(|(a, one), (b, two)| {
            let by_other = a.unwrap_or(0.0).total_cmp(&b.unwrap_or(0.0));
            two.len().cmp(&one.len()).then(by_other)
        });
        let (other, sweep) = groups.into_iter().next()?;
        Some(Criterion {
            boundary: find(&sweep)?,
            other,
            plans: sweep.len(),
        })
    }
}

impl PlanResult {
    /// Of the rows of one plan.
    fn of(rows: &[&SweepRow], times: &SweepTimes, pair: &PairSummary) -> Option<Self> {
        let settings = &rows.first()?.settings;
        let steps = settings.step_plans();
        let large = steps.iter().filter(|step| step.model == ModelRole::Large);
        let cost = pair.cost(settings);
        let similarities: Vec<_> = rows.iter().map(|row| row.similarity).collect();
        let over_runs = |measure: fn(&SweepRow) -> Option<f64>| {
            let known: Option<Vec<_>> = rows.iter().map(|row| measure(row)).collect();
            known.map(mean)
        };
        Some(Self {
            plan: settings.plan.clone(),
            runs: rows.len(),
            similarity: Similarity::mean(&similarities)?,
            sharpness: over_runs(|row| row.sharpness),
            flicker: over_runs(|row| row.flicker),
            large_steps: large.count(),
            secs: times.predict(settings),
            paper_flops: cost.paper_flops,
            full_flops: cost.full_flops,
        })
    }
}
