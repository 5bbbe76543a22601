//! `--boundaries auto`: boundaries that nobody has to choose.

use serde::Serialize;

use super::CliError;
use super::probe::wait_for_probe;
use super::session::Session;
use super::sweep::best_plan;
use crate::analysis::Wish;
use crate::engine::{BoundaryMethod, FEW_STEPS, FinishedRun, PairSummary, ProbeRequest};
use crate::project::RunSettings;
use crate::sampler::OnlineRule;
use crate::schedule::{ModelRole, Plan};

/// A plan that was chosen for a run, and what that took.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Choice {
    #[serde(flatten)]
    plan: Plan,
    found_by: BoundaryMethod,
    /// What was measured, in words.
    #[serde(skip)]
    measured: String,
    /// Seconds of measuring; `None` where the boundaries were remembered.
    measured_secs: Option<f64>,
    /// Where they were found for other runs.
    warning: Option<String>,
}

impl Choice {
    /// One line for a person, and one with what is to be known of it.
    pub(super) fn told(&self) -> String {
        let (plan, how) = (self.plan.words(), self.found_by.words());
        let cost = match self.measured_secs {
            Some(secs) => format!("{} in {secs:.1} s", self.measured),
            None => "remembered, at no cost".to_owned(),
        };
        let warning = match &self.warning {
            Some(warning) => format!("\nwarning: {warning}"),
            None => String::new(),
        };
        format!("plan {plan} by {how}, {cost}{warning}")
    }

    /// The settings with this plan, each stage at the run's guidance.
    pub(super) fn of(&self, settings: RunSettings) -> RunSettings {
        RunSettings {
            plan: self.plan.clone(),
            ..settings
        }
    }
}

/// What a run decided on by itself, in one line for a person.
pub(super) fn told_online(rule: OnlineRule, pair: &PairSummary, run: &FinishedRun) -> String {
    let plan = &run.settings.plan;
    let steps = run.settings.step_plans();
    let large = steps.iter().filter(|step| step.model == ModelRole::Large);
    let saved = 1.0 - run.report.full_flops / pair.cost(&run.settings.reference()).full_flops;
    format!(
        "plan {} decided on in the run {}: {} of {} steps large, at no evaluation more, {:.0} % of LLL's work saved",
        plan.words(),
        rule.words(),
        large.count(),
        steps.len(),
        saved * 100.0
    )
}

/// What is known of a run's boundaries without measuring.
pub(super) fn remembered(pair: &PairSummary, settings: &RunSettings) -> Option<Choice> {
    let known = pair.remembered_boundaries(settings);
    known.map(|known| Choice {
        plan: Plan::blend(known.found, &settings.grid()),
        found_by: known.found_by,
        measured: String::new(),
        measured_secs: None,
        warning: known.warning,
    })
}

/// Boundaries for a run: those that are remembered, or else those that a probe of few steps names.
pub(super) fn find(
    session: &mut Session,
    pair: &PairSummary,
    settings: &RunSettings,
) -> Result<Choice, CliError> {
    if let Some(known) = remembered(pair, settings) {
        return Ok(known);
    }
    let started = std::time::Instant::now();
    let request = ProbeRequest::for_boundaries(settings.clone());
    let probe = wait_for_probe(session, request, 1)?;
    let boundaries = probe.boundaries_for(settings).ok_or_else(|| {
        CliError::Failed(
            "the two models' divergence has no valley along this run, so it names no boundaries; \
             give some, for example --boundaries 0.4,0.8, or try another seed or prompt"
                .to_owned(),
        )
    })?;
    Ok(Choice {
        plan: Plan::blend(boundaries, &settings.grid()),
        found_by: BoundaryMethod::Divergence,
        measured: format!("measured along {FEW_STEPS} steps of both models"),
        measured_secs: Some(started.elapsed().as_secs_f64()),
        warning: None,
    })
}

/// The plan that a sweep found the best for this wish: one that is remembered, or else of a sweep at the run's own
/// prompt and seed.
pub(super) fn find_by_sweep(
    session: &mut Session,
    pair: &PairSummary,
    settings: &RunSettings,
    wish: Wish,
) -> Result<Choice, CliError> {
    if let Some(known) = pair.remembered_plan(settings, wish) {
        return Ok(Choice {
            plan: known.found,
            found_by: known.found_by,
            measured: String::new(),
            measured_secs: None,
            warning: known.warning,
        });
    }
    let started = std::time::Instant::now();
    let (plan, clips) = best_plan(session, pair, settings, wish)?;
    Ok(Choice {
        plan,
        found_by: BoundaryMethod::Sweep,
        measured: format!("the best of {clips} clips, rendered"),
        measured_secs: Some(started.elapsed().as_secs_f64()),
        warning: None,
    })
}
