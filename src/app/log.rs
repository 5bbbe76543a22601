//! What happened since the window opened: in a list, in a file, and with an error's details.

use eframe::egui;
use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use egui::Context;
use jiff::ZonedDateTime;

use super::{App, Notice, Sweeping};
use crate::engine::{EngineEvent, EventKind, FinishedRun, Phase, RunId};
use crate::project::RunSettings;
use crate::ui::format;

/// Lines in memory; the file has the older ones.
const MOST_LINES: usize = 1000;
/// Length at which the file is put aside for a new one.
const MOST_BYTES: u64 = 1 << 20;

/// What a person does with the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogRequest {
    /// List only errors, or everything.
    OnlyErrors(bool),
    /// Copy what is listed.
    Copy,
    /// Forget the list; the file stays.
    Clear,
    /// Put the log away.
    Close,
    /// Copy what is known of the error on show.
    CopyDetails,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq)]
pub struct LogLine {
    /// When, in local time.
    pub at: ZonedDateTime,
    /// Whether something went wrong.
    pub is_error: bool,
    /// What happened.
    pub text: String,
}

impl LogLine {
    /// `17:03:05`.
    pub fn time(&self) -> String {
        self.at.strftime("%H:%M:%S").to_string()
    }

    /// The line as text of its own.
    fn whole(&self) -> String {
        let mark = if self.is_error { "error" } else { "info" };
        format!("{} {mark}: {}", stamp(&self.at), self.text)
    }
}

/// What happened since the window opened.
#[derive(Default)]
pub struct Log {
    /// Whether the list is on the screen.
    pub is_open: bool,
    only_errors: bool,
    lines: VecDeque<LogLine>,
    file: Option<PathBuf>,
    /// The message that was on show when it was last looked at.
    noticed: Option<Notice>,
    /// What is known of the newest error.
    details: Option<String>,
    /// The settings of the run that failed, until its message is on show.
    failed: Option<RunSettings>,
}

impl Log {
    /// Whether only errors are listed.
    pub fn only_errors(&self) -> bool {
        self.only_errors
    }

    /// What is listed, the newest last.
    pub fn listed(&self) -> impl Iterator<Item = &LogLine> {
        let only_errors = self.only_errors;
        self.lines
            .iter()
            .filter(move |line| line.is_error || !only_errors)
    }

    /// The folder of the file.
    pub fn folder(&self) -> Option<&Path> {
        self.file.as_deref()?.parent()
    }

    /// Keeps what happens in this file as well.
    pub(super) fn keep_in(&mut self, file: PathBuf) {
        self.file = Some(file);
    }

    fn add(&mut self, line: LogLine) {
        if self.lines.len() == MOST_LINES {
            self.lines.pop_front();
        }
        self.lines.push_back(line);
    }

    fn text(&self) -> String {
        let lines: Vec<String> = self.listed().map(LogLine::whole).collect();
        lines.join("\n")
    }
}

impl App {
    pub(super) fn obey_log(&mut self, ctx: &Context, request: LogRequest) {
        match request {
            LogRequest::OnlyErrors(only) => self.log.only_errors = only,
            LogRequest::Copy => ctx.copy_text(self.log.text()),
            LogRequest::Clear => self.log.lines.clear(),
            LogRequest::Close => self.log.is_open = false,
            LogRequest::CopyDetails => {
                if let Some(details) = &self.log.details {
                    ctx.copy_text(details.clone());
                }
            }
        }
    }

    fn note(&mut self, text: String, is_error: bool) {
        let line = LogLine {
            at: ZonedDateTime::now(),
            is_error,
            text,
        };
        if let (Some(file), Some(scribe)) = (&self.log.file, &self.scribe) {
            scribe.append(file.clone(), line.whole(), MOST_BYTES);
        }
        self.log.add(line);
    }

    /// A run was handed to the engine.
    pub(super) fn note_start(&mut self, run: RunId, settings: &RunSettings) {
        self.note(format!("Run {run} started: {}", summary(settings)), false);
    }

    /// All runs of earlier starts are in the gallery.
    pub(super) fn note_listed(&mut self, runs: usize) {
        if runs > 0 {
            self.note(format!("Earlier runs in the gallery: {runs}"), false);
        }
    }

    /// Notes what the engine says of the run that is going, before the session follows it.
    pub(super) fn note_event(&mut self, event: &EngineEvent) {
        let Some(active) = self.session.active().filter(|a| a.id == event.run) else {
            return;
        };
        let run = event.run;
        let (text, is_error) = match &event.kind {
            EventKind::Phase(Phase::Loading) => (format!("Run {run} loads its models"), false),
            EventKind::StepsReused(steps) => (
                format!("Run {run} takes {steps} steps of an earlier run"),
                false,
            ),
            EventKind::Probed(_) => (
                format!("Run {run} measured how far the models differ"),
                false,
            ),
            EventKind::Swept => (
                format!("Run {run} tried {} plans", active.sweep.map_or(0, |s| s.of)),
                false,
            ),
            EventKind::Finished(finished) => (finished_words(run, finished), false),
            EventKind::Cancelled => {
                let after = match active.sweep {
                    Some(Sweeping { done, of }) => format!("{done} of {of} clips"),
                    None => format!("{} of {} steps", active.steps_done(), active.steps_in_all()),
                };
                (format!("Run {run} was cancelled after {after}"), false)
            }
            EventKind::Failed(why) => {
                self.log.failed = Some(active.settings.clone());
                (format!("Run {run} failed: {}", super::sentence(why)), true)
            }
            _ => return,
        };
        self.note(text, is_error);
    }

    /// Notes a message that came on show since this was last called.
    pub(super) fn follow_notice(&mut self) {
        if self.notice == self.log.noticed {
            return;
        }
        self.log.noticed.clone_from(&self.notice);
        let Some(notice) = self.notice.clone() else {
            return;
        };
        if notice.is_error {
            self.log.details = Some(self.details(&notice));
            self.log.failed = None;
        }
        // A run's failure is a line of its own already.
        let is_told = |line: &LogLine| line.is_error && line.text.ends_with(&notice.text);
        if !self.log.lines.back().is_some_and(is_told) {
            self.note(notice.text, notice.is_error);
        }
    }

    /// What somebody who looks into an error wants to know.
    fn details(&self, notice: &Notice) -> String {
        let settings = self.log.failed.as_ref();
        let settings = settings.unwrap_or(self.document.settings());
        let device = match &self.pair {
            Some(pair) => pair.device.as_str(),
            None => "not known yet",
        };
        let mut lines = vec![notice.text.clone()];
        lines.extend(notice.causes.iter().map(|why| format!("Caused by: {why}")));
        lines.extend([
            format!("Time: {}", stamp(&ZonedDateTime::now())),
            format!(
                "Version: flowblend {} ({} {})",
                env!("CARGO_PKG_VERSION"),
                std::env::consts::OS,
                std::env::consts::ARCH
            ),
            format!("Device: {device}"),
            format!(
                "Settings: {}",
                serde_json::to_string_pretty(settings)
                    .unwrap_or_else(|why| format!("cannot be written as JSON ({why})"))
            ),
        ]);
        lines.join("\n")
    }
}

fn stamp(at: &ZonedDateTime) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S %:z").to_string()
}

/// A run's settings in few words.
fn summary(settings: &RunSettings) -> String {
    format!(
        "{}, {} steps, {}×{}, {} frames, seed {}",
        settings.plan.words(),
        settings.steps,
        settings.width,
        settings.height,
        settings.frames,
        settings.seed
    )
}

fn finished_words(run: RunId, finished: &FinishedRun) -> String {
    let report = &finished.report;
    let secs = report.load_secs + report.encode_secs + report.denoise_secs + report.decode_secs;
    let loading = match report.load_secs {
        0.0 => String::new(),
        secs => format!(", loading {}", format::seconds(secs)),
    };
    format!(
        "Run {run} finished in {}: {} steps in {}, decoding {}{loading}",
        format::seconds(secs),
        report.steps.len(),
        format::seconds(report.denoise_secs),
        format::seconds(report.decode_secs),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str, is_error: bool) -> LogLine {
        LogLine {
            at: ZonedDateTime::now(),
            is_error,
            text: text.to_owned(),
        }
    }

    #[test]
    fn the_list_has_an_end_and_errors_can_be_listed_alone() {
        let mut log = Log::default();
        for i in 0..MOST_LINES + 5 {
            log.add(line(&i.to_string(), i % 100 == 0));
        }
        assert_eq!(log.listed().count(), MOST_LINES);
        assert_eq!(
            log.listed().next().map(|line| line.text.as_str()),
            Some("5")
        );
        log.only_errors = true;
        assert_eq!(log.listed().count(), 10);
        assert!(log.text().lines().all(|line| line.contains(" error: ")));
    }
}
