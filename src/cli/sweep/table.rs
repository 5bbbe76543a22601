//! What a sweep found, for people and for programs.

use std::path::Path;

use serde_json::{Value, json};

use super::CliError;
use crate::analysis::Wish;
use crate::engine::{
    Criterion, PairSummary, PlanResult, Quality, SweepRequest, SweepRow, SweepSummary,
};
use crate::schedule::ModelRole;

/// A sweep that is complete.
pub(super) struct Outcome<'a> {
    pub(super) request: &'a SweepRequest,
    pub(super) pair: &'a PairSummary,
    pub(super) wish: Wish,
    /// All rows; first those that were in the table already.
    pub(super) rows: &'a [SweepRow],
    pub(super) known: usize,
    /// Seconds that the others took.
    pub(super) secs: f64,
    pub(super) file: Option<&'a Path>,
    pub(super) plot: Option<&'a Path>,
}

impl Outcome<'_> {
    pub(super) fn summary(&self) -> Result<SweepSummary, CliError> {
        SweepSummary::of(self.rows, self.pair).ok_or_else(|| {
            CliError::Failed("the sweep measured nothing; please report this".into())
        })
    }

    /// Steps computed, and steps of all the clips they were computed for.
    fn steps(&self) -> [usize; 2] {
        let new = &self.rows[self.known..];
        let computed = new.iter().map(|row| row.work.steps()).sum();
        let all = new.iter().map(|row| row.settings.steps_taken()).sum();
        [computed, all]
    }

    pub(super) fn print(&self) -> Result<(), CliError> {
        let summary = self.summary()?;
        let settings = &self.request.settings;
        println!(
            "{} on {}: {} plans, {} prompt(s) and seed(s), {} steps; each against its clip of LLL",
            self.pair.name,
            self.pair.device,
            summary.plans.len(),
            self.request.runs.len(),
            settings.steps
        );
        let widest = summary.plans.iter().map(|plan| plan.plan.spec().len());
        let width = widest.max().unwrap_or(0).max(4);
        println!(
            "{:width$}  {:>5}  {:>7}  {:>8}  {:>7}  {:>6}  {:>9}  {:>7}  {:>6}  front",
            "plan",
            "large",
            "seconds",
            "speed-up",
            "PSNR dB",
            "SSIM",
            "sharpness",
            "flicker",
            "TFLOP"
        );
        let front = summary.front(Quality::Ssim);
        for (i, plan) in summary.plans.iter().enumerate() {
            println!(
                "{:width$}  {:>5}  {:>7}  {:>8}  {:>7.2}  {:>6}  {:>9}  {:>7}  {:>6.2}  {}",
                plan.plan.spec(),
                plan.large_steps,
                figure(plan.secs, 2),
                figure(speed_up(&summary, plan), 2),
                plan.similarity.psnr_db(),
                figure(plan.similarity.ssim, 4),
                figure(plan.sharpness, 2),
                figure(plan.flicker, 2),
                plan.full_flops / 1e12,
                if front.contains(&i) { "*" } else { "" }
            );
        }
        println!("{}", seconds_from(&summary, &self.request.models()));
        println!("{}", self.best_words(&summary));
        let [early, late] = [
            summary.early_boundary(Quality::Ssim),
            summary.late_boundary(),
        ];
        if let Some(found) = early {
            println!("early boundary, by the knee of SSIM {}", among(&found));
        }
        if let Some(found) = late {
            println!(
                "late boundary, by sharpness against LLL's {}",
                among(&found)
            );
        }
        let [computed, all] = self.steps();
        println!(
            "computed {computed} of {all} steps, the others were shared: {:.1} s",
            self.secs
        );
        for file in self.file.iter().chain(&self.plot) {
            println!("{}", file.display());
        }
        Ok(())
    }

    fn best_words(&self, summary: &SweepSummary) -> String {
        let wished = match self.wish {
            Wish::Knee => "best, by the knee of the front".to_owned(),
            Wish::AtLeast(ssim) => format!("fastest with an SSIM of at least {ssim}"),
            Wish::AtMostSecs(secs) => format!("most like LLL in at most {secs} s"),
        };
        match summary.best(Quality::Ssim, self.wish) {
            None => format!("{wished}: none of these plans"),
            Some(best) => {
                let best = &summary.plans[best];
                let faster = match speed_up(summary, best) {
                    Some(times) => format!(", {times:.2} times as fast as LLL"),
                    None => String::new(),
                };
                format!(
                    "{wished}: {} (SSIM {}, {} s{faster})",
                    best.plan.spec(),
                    figure(best.similarity.ssim, 4),
                    figure(best.secs, 2)
                )
            }
        }
    }

    pub(super) fn to_json(&self) -> Result<Value, CliError> {
        let summary = self.summary()?;
        let front = summary.front(Quality::Ssim);
        let plans: Vec<_> = summary
            .plans
            .iter()
            .enumerate()
            .map(|(i, plan)| {
                json!({
                    "plan": plan.plan.spec(),
                    "letters": plan.plan.letters(),
                    "boundaries": plan.plan.boundaries(),
                    "runs": plan.runs,
                    "large_steps": plan.large_steps,
                    // JSON has no infinity: null is a clip that is the reference's.
                    "psnr_db": plan.similarity.psnr_db(),
                    "ssim": plan.similarity.ssim,
                    "sharpness": plan.sharpness,
                    "flicker": plan.flicker,
                    "predicted_secs": plan.secs,
                    "speed_up": speed_up(&summary, plan),
                    "flops": { "paper": plan.paper_flops, "full": plan.full_flops },
                    "on_front": front.contains(&i),
                })
            })
            .collect();
        let runs: Vec<_> = self
            .request
            .runs
            .iter()
            .map(|run| json!({ "prompt": run.prompt, "seed": run.seed }))
            .collect();
        let step = |role| {
            json!({
                "secs": summary.times.step_secs(role),
                "measured_steps": summary.times.measured_steps(role),
            })
        };
        let criterion = |found: Option<Criterion>| {
            found.map(|found| {
                json!({
                    "boundary": found.boundary,
                    "other_boundary": found.other,
                    "plans": found.plans,
                })
            })
        };
        let wish = match self.wish {
            Wish::Knee => json!("knee"),
            Wish::AtLeast(ssim) => json!({ "at_least_ssim": ssim }),
            Wish::AtMostSecs(secs) => json!({ "at_most_secs": secs }),
        };
        let best = summary.best(Quality::Ssim, self.wish);
        let [computed, all] = self.steps();
        let mut times = json!({
            "large_step": step(ModelRole::Large),
            "small_step": step(ModelRole::Small),
            "decode_secs": summary.times.decode_secs(),
        });
        if self.request.models().contains(&ModelRole::Distilled) {
            times["distilled_step"] = step(ModelRole::Distilled);
        }
        Ok(json!({
            "settings": self.request.settings,
            "device": self.pair.device,
            "runs": runs,
            "plans": plans,
            "seconds_predicted_from": times,
            "wish": wish,
            "best": best.map(|i| summary.plans[i].plan.spec()),
            "early_boundary": criterion(summary.early_boundary(Quality::Ssim)),
            "late_boundary": criterion(summary.late_boundary()),
            "clips_known": self.known,
            "computed_steps": computed,
            "steps": all,
            "secs": self.secs,
            "file": self.file,
            "plot": self.plot,
        }))
    }
}

fn figure(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}"))
}

/// How many times as fast as the reference.
fn speed_up(summary: &SweepSummary, plan: &PlanResult) -> Option<f64> {
    let reference = summary.reference()?.secs?;
    plan.secs.map(|secs| reference / secs)
}

/// What the seconds stand on.
fn seconds_from(summary: &SweepSummary, models: &[ModelRole]) -> String {
    let step = |role: ModelRole| {
        let secs = summary.times.step_secs(role)?;
        let basis = match summary.times.measured_steps(role) {
            0 => "from earlier runs".to_owned(),
            1 => "1 measured".to_owned(),
            steps => format!("mean of {steps} measured"),
        };
        Some(format!("{:.1} ms a {role} step ({basis})", secs * 1e3))
    };
    let steps = models.iter().copied().filter_map(step);
    let decode = format!("{:.1} ms a decode", summary.times.decode_secs() * 1e3);
    let parts: Vec<_> = steps.chain([decode]).collect();
    format!("seconds are predicted, from {}", parts.join(", "))
}

fn among(found: &Criterion) -> String {
    let Criterion {
        boundary,
        other,
        plans,
    } = found;
    match other {
        None => format!("among {plans} LS plans: {boundary}"),
        Some(other) => format!("among {plans} plans with the other one at {other}: {boundary}"),
    }
}
