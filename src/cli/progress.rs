use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal as _;

use crate::analysis::Divergence;
use crate::engine::{Phase, StepReport, SweepRow};

/// Tells a run's progress on stderr: a bar on a terminal, one line a step otherwise.
pub(super) struct ProgressLine {
    bar: Option<ProgressBar>,
}

impl ProgressLine {
    pub(super) fn new(steps: usize) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{msg:>12} {bar:32} {pos}/{len} {prefix}");
            let bar = ProgressBar::new(steps as u64);
            if let Ok(style) = style {
                bar.set_style(style);
            }
            bar
        });
        Self { bar }
    }

    pub(super) fn phase(&self, phase: Phase) {
        self.phase_on_bar(phase);
        if self.bar.is_none() {
            eprintln!("{}", word(phase));
        }
    }

    /// Told on a terminal only.
    pub(super) fn phase_on_bar(&self, phase: Phase) {
        if let Some(bar) = &self.bar {
            bar.set_message(word(phase));
        }
    }

    /// A step of many runs, told on a terminal only.
    pub(super) fn one_more(&self) {
        if let Some(bar) = &self.bar {
            bar.inc(1);
        }
    }

    /// The newest row of a sweep, the `done`th of `of`.
    pub(super) fn swept(&self, row: &SweepRow, done: usize, of: usize) {
        match &self.bar {
            Some(bar) => bar.set_prefix(format!("clip {done} of {of}")),
            None => eprintln!(
                "clip {done}/{of} {} seed {} PSNR {:.2} dB, {} of {} steps computed",
                row.settings.plan.spec(),
                row.settings.seed,
                row.similarity.psnr_db(),
                row.work.steps(),
                row.settings.steps_taken()
            ),
        }
    }

    /// Told on a terminal only: what is loaded, in percent.
    pub(super) fn loaded(&self, done: u64, total: u64) {
        if let Some(bar) = &self.bar {
            bar.set_prefix(format!("{} %", 100 * done / total.max(1)));
        }
    }

    pub(super) fn step(&self, step: &StepReport) {
        let eta = step
            .eta_secs
            .map(|secs| format!("about {secs:.0} s left"))
            .unwrap_or_default();
        match &self.bar {
            Some(bar) => {
                bar.set_prefix(format!("{} {eta}", step.model));
                bar.set_position(step.step as u64 + 1);
            }
            None => eprintln!(
                "step {}/{} {} sigma {:.4} {:.3} s {eta}",
                step.step + 1,
                step.of,
                step.model,
                step.sigma,
                step.secs
            ),
        }
    }

    /// What a probe found at a step, counted from 0.
    pub(super) fn measured(&self, step: usize, of: usize, run: &str, found: &Divergence) {
        match &self.bar {
            Some(bar) => {
                bar.set_prefix(run.to_owned());
                bar.set_position(step as u64 + 1);
            }
            None => eprintln!(
                "{run}, step {}/{of} relative l2 {:.4}, 1 - cos {:.5}",
                step + 1,
                found.relative_l2,
                found.one_minus_cosine
            ),
        }
    }

    pub(super) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn word(phase: Phase) -> &'static str {
    match phase {
        Phase::Loading => "loading",
        Phase::Encoding => "reading",
        Phase::Denoising => "denoising",
        Phase::Decoding => "decoding",
        Phase::Probing => "probing",
        Phase::Calibrating => "calibrating",
    }
}
