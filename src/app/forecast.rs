use crate::engine::{MemoryPlan, PairSummary};
use crate::project::RunSettings;
use crate::schedule::{Course, ModelCost, ModelRole, PlanCost, SigmaGrid, StepPlan, plan_cost};

/// What the document's settings will cost, and whether they can be run. Made anew with every edit;
/// plain arithmetic, so the strip follows a drag.
#[derive(Clone, Debug)]
pub struct Forecast {
    /// The steps that the run takes.
    pub course: Course,
    /// The solver's own noise levels, on whose steps the boundaries lie.
    pub grid: SigmaGrid,
    /// Which steps the cache is expected to spare.
    pub spared: Vec<bool>,
    /// The plan's cost; `None` before the pair is known.
    pub cost: Option<PlanCost>,
    /// Leading steps that an earlier run has in common with this one, and that are not computed again.
    pub kept_steps: usize,
    /// Whether the seed is yet to be drawn.
    pub rolls_seed: bool,
    /// What the other steps cost.
    pub left: Option<PlanCost>,
    /// What the large model alone would cost, at the same settings.
    pub reference: Option<PlanCost>,
    /// Predicted seconds of the decode, once measured.
    pub decode_secs: Option<f64>,
    /// How the run goes into memory.
    pub memory: Option<MemoryPlan>,
    /// Why the settings cannot be run, as a sentence.
    pub problem: Option<String>,
    costs: Option<[ModelCost; 3]>,
}

impl Forecast {
    /// The forecast for `settings`, of whose steps the engine keeps the first `kept`; costs need the pair.
    pub fn new(settings: &RunSettings, pair: Option<&PairSummary>, kept: usize) -> Self {
        let course = settings.course();
        let steps = &course.steps;
        let size = settings.size();
        let large = settings.reference();
        // Sizes the family refuses have no cost; `problem` names the reason.
        let costs = pair
            .filter(|pair| pair.rules.check_size(size).is_ok())
            .map(|pair| ModelRole::ALL.map(|role| pair.model_cost(role, size)));
        let add_up =
            |steps: &[StepPlan]| costs.map(|costs| plan_cost(steps, |role| costs[role.index()]));
        let spared = match pair {
            Some(pair) => pair.expected_skips(settings),
            None => vec![false; steps.len()],
        };
        let computed_from = |first: usize| -> Vec<StepPlan> {
            let steps = steps.iter().zip(&spared).skip(first);
            steps
                .filter(|(_, is_spared)| !**is_spared)
                .map(|(step, _)| *step)
                .collect()
        };
        Self {
            cost: add_up(&computed_from(0)),
            reference: add_up(&large.step_plans()),
            decode_secs: pair.and_then(|pair| pair.decode_secs(settings)),
            memory: pair
                .filter(|_| costs.is_some())
                .map(|pair| pair.memory_plan(settings)),
            problem: problem(settings, pair),
            grid: settings.grid(),
            left: add_up(&computed_from(kept)),
            kept_steps: kept.min(steps.len()),
            rolls_seed: false,
            spared,
            course,
            costs,
        }
    }

    /// Predicted seconds until the clip is there: denoising, and decoding where that was measured.
    pub fn total_secs(&self) -> Option<f64> {
        Some(self.left?.denoise_secs? + self.decode_secs.unwrap_or(0.0))
    }

    /// Steps that a run would compute: neither kept of an earlier run nor expected to be spared.
    pub fn to_compute(&self) -> usize {
        let left = self.spared.iter().skip(self.kept_steps);
        left.filter(|is_spared| !**is_spared).count()
    }

    /// How many times faster than the large model alone; by time where that is known, else by FLOPs.
    pub fn speed_up(&self) -> Option<f64> {
        let (ours, theirs) = (self.cost?, self.reference?);
        let ratio = match (theirs.denoise_secs, ours.denoise_secs) {
            (Some(theirs), Some(ours)) => theirs / ours,
            _ => theirs.full_flops / ours.full_flops,
        };
        ratio.is_finite().then_some(ratio)
    }

    /// FLOPs against the large model alone: -0.36 is 36 % fewer.
    pub fn flops_change(&self) -> Option<f64> {
        let change = self.cost?.full_flops / self.reference?.full_flops - 1.0;
        change.is_finite().then_some(change)
    }

    /// Steps of the large model.
    pub fn large_steps(&self) -> usize {
        self.course
            .steps
            .iter()
            .filter(|s| s.model == ModelRole::Large)
            .count()
    }

    /// Where step `i` begins on the track, in steps of the solver's own grid.
    pub fn place(&self, i: usize) -> f64 {
        self.course.place(i, &self.grid)
    }

    /// The step under a position on the track.
    pub fn step_at(&self, position: f64) -> usize {
        let steps = self.course.steps.len();
        let after = (1..steps).find(|i| self.place(*i) > position);
        after.unwrap_or(steps.max(1)) - 1
    }

    /// How many steps come nearest to leading to a position on the track; at least one.
    pub fn steps_to(&self, position: f64) -> usize {
        let away = |i: &usize| (self.place(*i) - position).abs();
        let nearest = (1..=self.course.steps.len()).min_by(|a, b| away(a).total_cmp(&away(b)));
        nearest.unwrap_or(1)
    }

    /// Seconds and FLOPs of one step, as far as they are known.
    pub fn step_cost(&self, step: usize) -> Option<PlanCost> {
        let costs = self.costs?;
        let is_spared = self.spared.get(step) == Some(&true);
        let step = self.course.steps.get(step).filter(|_| !is_spared)?;
        Some(plan_cost(&[*step], |role| costs[role.index()]))
    }
}

fn problem(settings: &RunSettings, pair: Option<&PairSummary>) -> Option<String> {
    let Some(pair) = pair else {
        return Some("The model pair is still being looked up.".to_owned());
    };
    if settings.prompt.trim().is_empty() {
        return Some("Write a prompt first: what should the clip show?".to_owned());
    }
    if let Err(why) = pair.rules.check_size(settings.size()) {
        return Some(sentence(&why));
    }
    if let Err(why) = settings.check() {
        return Some(sentence(&why.to_string()));
    }
    let mut models = settings.plan.stages().iter().map(|stage| stage.model);
    if let Some(missing) = models.find(|model| !pair.has(*model)) {
        return Some(format!(
            "This pair has no {missing} model; give its stages another one."
        ));
    }
    if let Err(why) = pair.check_models(settings) {
        return Some(sentence(&why));
    }
    let stages = settings.plan.stages().len();
    if settings.steps < stages {
        return Some(format!(
            "The plan has {stages} stages, but the run only {} steps; raise the steps.",
            settings.steps
        ));
    }
    None
}

/// A reason as a sentence: a capital first, a full stop last.
pub fn sentence(text: &str) -> String {
    let text = text.trim();
    let mut chars = text.chars();
    let mut out: String = match chars.next() {
        Some(first) => first.to_uppercase().chain(chars).collect(),
        None => String::new(),
    };
    if !out.ends_with(['.', '!', '?']) && !out.is_empty() {
        out.push('.');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_become_sentences() {
        assert_eq!(sentence("width must be even"), "Width must be even.");
        assert_eq!(sentence("Done. "), "Done.");
        assert_eq!(sentence(""), "");
    }
}
