//! Runs that rest between two steps, to be looked at and gone on with, or not.

use super::{ActiveRun, App, DocCommand, Notice, Readiness, Removal};
use crate::engine::{PausedRun, Phase, RunId};
use crate::project::RunSettings;
use crate::ui::step_dialog::StepEntry;

/// A run that rests.
#[derive(Clone, Debug)]
pub struct Resting {
    /// Tells it from the others of this start.
    pub id: u64,
    /// What the engine keeps of it.
    pub run: PausedRun,
}

impl Resting {
    /// Whether it rests of a run with these settings. The plan of one that decides on it is no part of what it is.
    fn is_of(&self, settings: &RunSettings, is_online: bool) -> bool {
        match (self.run.online, is_online) {
            (None, false) => self.run.settings == *settings,
            (Some(_), true) => self.run.settings.differs_only_in_plan(settings),
            _ => false,
        }
    }
}

/// The runs that rest, the one that was paused last in front.
#[derive(Debug, Default)]
pub struct Paused {
    runs: Vec<Resting>,
    /// The one that was dropped last, which can still be put back.
    dropped: Option<Resting>,
    /// The one whose estimate is in the preview while no run is going.
    shown: Option<u64>,
    next_id: u64,
}

impl Paused {
    /// Every one.
    pub fn runs(&self) -> &[Resting] {
        &self.runs
    }

    /// One of them.
    pub fn get(&self, id: u64) -> Option<&Resting> {
        self.runs.iter().find(|resting| resting.id == id)
    }

    /// The one whose estimate the preview shows while no run is going.
    pub fn shown(&self) -> Option<&Resting> {
        self.get(self.shown?)
    }

    /// The one that a command without further words means: what is shown, else the newest.
    pub fn meant(&self) -> Option<&Resting> {
        self.shown().or(self.runs.first())
    }

    /// Adds a run that rests now. It takes the place of an earlier rest of the same run.
    pub(super) fn add(&mut self, run: PausedRun) -> u64 {
        let is_other = |resting: &Resting| {
            let is_other = !resting.is_of(&run.settings, run.online.is_some());
            if !is_other && resting.run.hold != run.hold {
                resting.run.let_go();
            }
            is_other
        };
        self.runs.retain(is_other);
        self.dropped = self.dropped.take().filter(is_other);
        let id = self.next_id;
        self.next_id += 1;
        self.runs.insert(0, Resting { id, run });
        id
    }

    pub(super) fn show(&mut self, id: u64) {
        self.shown = Some(id);
    }

    /// Something else is to be looked at.
    pub(super) fn hide(&mut self) {
        self.shown = None;
    }

    /// Takes one out. Its steps stay until another is dropped or the program ends, so that it can be put
    /// back; whether there was such a run.
    pub(super) fn drop_run(&mut self, id: u64) -> bool {
        let Some(at) = self.runs.iter().position(|resting| resting.id == id) else {
            return false;
        };
        if let Some(before) = self.dropped.replace(self.runs.remove(at)) {
            before.run.let_go();
        }
        true
    }

    /// Whether it is here, or was dropped and can be put back.
    pub(super) fn knows(&self, id: u64) -> bool {
        let mut all = self.runs.iter().chain(&self.dropped);
        all.any(|resting| resting.id == id)
    }

    /// Undoes [`drop_run`](Self::drop_run).
    pub(super) fn put_back(&mut self, id: u64) {
        if let Some(resting) = self.dropped.take_if(|resting| resting.id == id) {
            self.runs.insert(0, resting);
        }
    }

    /// A run with these settings, which may have decided on their plan, came to its end or was cancelled: nobody
    /// goes on with it.
    pub(super) fn ended(&mut self, settings: &RunSettings, is_online: bool) {
        let is_other = |resting: &Resting| {
            let is_other = !resting.is_of(settings, is_online);
            if !is_other {
                resting.run.let_go();
            }
            is_other
        };
        self.runs.retain(is_other);
        self.dropped = self.dropped.take().filter(is_other);
    }
}

impl Drop for Paused {
    /// Nobody can put it back any more.
    fn drop(&mut self) {
        if let Some(dropped) = &self.dropped {
            dropped.run.let_go();
        }
    }
}

/// Why a run cannot be paused now, as a sentence.
pub(super) fn pause_problem(active: Option<&ActiveRun>) -> Option<&'static str> {
    match active {
        None => Some("No run is going on"),
        Some(active) if active.is_cancelling => Some("The run is being cancelled"),
        Some(active) if active.is_measurement() => Some("A measurement cannot be paused"),
        Some(active) if active.phase == Some(Phase::Decoding) => {
            Some("All steps are taken; a decode cannot be paused")
        }
        Some(active) if active.pauses_now() => Some("It pauses as soon as its step is done"),
        Some(_) => None,
    }
}

/// Where a run rests, as words.
pub fn rest_words(run: &PausedRun) -> String {
    format!(
        "Paused at step {} of {}",
        run.steps,
        run.settings.steps_taken()
    )
}

impl App {
    pub(super) fn pause_run(&mut self) {
        if let Some(why) = self.scene().pause_problem() {
            self.notice = Some(Notice::error(why));
        } else if let Some(active) = self.session.active() {
            self.engine.pause(active.id, 0);
            self.session.pausing(0);
        }
    }

    /// A run rests now: it stays in the preview, and the queue waits for what its owner decides.
    pub(super) fn run_paused(&mut self, id: RunId, run: PausedRun) {
        if self.queue.going() == Some(id) {
            self.queue.rest();
        }
        if run.hold.is_none() {
            self.notice = Some(Notice::error(&format!(
                "{}, but its steps could not be written to disk; continue before you close flowblend",
                rest_words(&run)
            )));
        }
        let id = self.paused.add(run);
        self.paused.show(id);
        self.player.play();
    }

    /// A run that an earlier start of the program paused.
    pub(super) fn found_paused(&mut self, run: PausedRun) {
        let id = self.paused.add(run);
        if self.gallery.shown().is_none() && self.session.active().is_none() {
            self.paused.show(id);
        }
    }

    /// Goes on with a paused run; after the one that is going, where one is.
    pub(super) fn continue_run(&mut self, id: Option<u64>) {
        let resting = match id {
            Some(id) => self.paused.get(id),
            None => self.paused.meant(),
        };
        let Some(Resting { id, run }) = resting.cloned() else {
            self.notice = Some(Notice::error("no run is paused"));
            return;
        };
        if let Some(why) = self.scene().continue_problem(&run) {
            self.notice = Some(Notice::error(why));
            return;
        }
        if self.session.active().is_some() {
            self.queue.add_first(run.settings);
            return;
        }
        let started = match run.online {
            None => self.start(run.settings),
            Some(rule) => self.start_online(run.settings, rule),
        };
        if started.is_some() {
            self.notice = None;
            self.paused.show(id);
            self.queue.go_on();
        }
    }

    pub(super) fn drop_paused(&mut self, id: Option<u64>) {
        let id = id.or(self.paused.meant().map(|resting| resting.id));
        if let Some(id) = id {
            self.remove(Removal::Paused(id));
        }
    }

    /// Puts the estimate of a paused run into the preview and takes its settings.
    pub(super) fn show_paused(&mut self, id: u64, now_secs: f64) {
        let Some(settings) = self.paused.get(id).map(|r| r.run.settings.clone()) else {
            return;
        };
        self.paused.show(id);
        self.comparison.leave(&self.gallery);
        self.player.play();
        self.document.end_burst();
        self.document
            .apply(DocCommand::Restore(Box::new(settings)), now_secs);
        self.document.end_burst();
    }

    /// Asks up to which step the document is to be rendered.
    pub(super) fn ask_for_step(&mut self) {
        let steps = self.forecast.course.steps.len();
        if let Some(why) = self.scene().run_to_problem(steps) {
            self.notice = Some(Notice::error(&why));
            return;
        }
        // Half of the way, or the next step where the run is beyond that.
        let done = self.session.active().map_or(0, ActiveRun::steps_done);
        let step = steps.div_ceil(2).max(done + 1).min(steps);
        self.view.step_entry = Some(StepEntry::new(step));
    }

    /// Renders the document up to a step, where the run rests.
    pub(super) fn run_to(&mut self, step: usize, now_secs: f64) {
        if let Some(why) = self.scene().run_to_problem(step) {
            self.notice = Some(Notice::error(&why));
            return;
        }
        match (self.readiness(), self.session.active()) {
            (Readiness::Running, Some(active)) => {
                self.engine.pause(active.id, step);
                self.session.pausing(step);
            }
            _ => self.render(now_secs, Some(step)),
        }
    }
}
