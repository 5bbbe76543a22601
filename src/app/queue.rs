use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::engine::RunId;
use crate::project::RunSettings;

/// A run that waits for its turn.
#[derive(Clone, Debug, PartialEq)]
pub struct Waiting {
    /// Tells it from the others of this start.
    pub id: u64,
    /// What it is to render.
    pub settings: RunSettings,
}

/// What the queue looks like on disk.
#[derive(Default, Serialize, Deserialize)]
struct Listed {
    waiting: Vec<RunSettings>,
}

/// Runs that are rendered one after the other. The one that is going comes back to the front when the
/// program ends under it.
#[derive(Default)]
pub struct Queue {
    waiting: Vec<Waiting>,
    /// The one that is going, and the engine's name for it.
    going: Option<(RunId, Waiting)>,
    is_paused: bool,
    /// It takes no turns because its own run rests, and goes on with that one.
    rests: bool,
    next_id: u64,
    file: Option<PathBuf>,
    is_changed: bool,
}

impl Queue {
    /// Keeps the queue in `file` and takes up what lies there, paused: nobody asked for it just now.
    pub(super) fn keep_in(&mut self, file: PathBuf) {
        let listed: Listed = std::fs::read(&file)
            .ok()
            .and_then(|json| serde_json::from_slice(&json).ok())
            .unwrap_or_default();
        for settings in listed.waiting {
            self.add(settings);
        }
        self.is_paused = !self.waiting.is_empty();
        self.is_changed = false;
        self.file = Some(file);
    }

    /// What is to be written to disk, where anything changed since the last time.
    pub(super) fn take_changes(&mut self) -> Option<(PathBuf, Vec<u8>)> {
        if !std::mem::take(&mut self.is_changed) {
            return None;
        }
        let going = self.going.iter().map(|(_, run)| run);
        let waiting = going.chain(&self.waiting);
        let listed = Listed {
            waiting: waiting.map(|run| run.settings.clone()).collect(),
        };
        Some((self.file.clone()?, serde_json::to_vec_pretty(&listed).ok()?))
    }

    /// The runs that wait, the next one first.
    pub fn waiting(&self) -> &[Waiting] {
        &self.waiting
    }

    /// The engine's name for the run of the queue that is going.
    pub fn going(&self) -> Option<RunId> {
        self.going.as_ref().map(|(id, _)| *id)
    }

    /// Whether it starts nothing by itself.
    pub fn is_paused(&self) -> bool {
        self.is_paused
    }

    /// Puts a run at the end.
    pub fn add(&mut self, settings: RunSettings) {
        let id = self.next_id;
        self.next_id += 1;
        self.waiting.push(Waiting { id, settings });
        self.is_changed = true;
    }

    /// Puts a run in front of the others.
    pub fn add_first(&mut self, settings: RunSettings) {
        self.add(settings);
        self.waiting.rotate_right(1);
    }

    /// A run, and its place.
    pub fn get(&self, id: u64) -> Option<(usize, &Waiting)> {
        let mut all = self.waiting.iter().enumerate();
        all.find(|(_, run)| run.id == id)
    }

    /// Takes a run out; says whether it was there.
    pub fn remove(&mut self, id: u64) -> bool {
        let Some((at, _)) = self.get(id) else {
            return false;
        };
        self.waiting.remove(at);
        self.is_changed = true;
        true
    }

    /// Puts a run back that was taken out, at its place, or at the end where the queue has become shorter.
    pub fn put_back(&mut self, at: usize, run: Waiting) {
        self.waiting.insert(at.min(self.waiting.len()), run);
        self.is_changed = true;
    }

    /// Moves a run `by` places towards the end; a negative number moves it towards the front.
    pub fn shift(&mut self, id: u64, by: isize) {
        let Some(at) = self.waiting.iter().position(|run| run.id == id) else {
            return;
        };
        let to = at.saturating_add_signed(by).min(self.waiting.len() - 1);
        let run = self.waiting.remove(at);
        self.waiting.insert(to, run);
        self.is_changed = true;
    }

    /// Stops or starts the taking of turns; the run that is going goes on.
    pub fn toggle_pause(&mut self) {
        self.is_paused = !self.is_paused;
        self.rests = false;
    }

    /// Its run was paused: whoever wants the device free does not want the next one on it.
    pub(super) fn rest(&mut self) {
        self.rests = !self.is_paused;
        self.is_paused = true;
    }

    /// A paused run goes on: so does the queue after it, where it waited for that.
    pub(super) fn go_on(&mut self) {
        if std::mem::take(&mut self.rests) {
            self.is_paused = false;
        }
    }

    /// The run whose turn it is, if one may start.
    pub(super) fn next(&self) -> Option<&RunSettings> {
        let may = !self.is_paused && self.going.is_none();
        self.waiting
            .first()
            .filter(|_| may)
            .map(|run| &run.settings)
    }

    /// The first run was handed to the engine.
    pub(super) fn started(&mut self, id: RunId) {
        if !self.waiting.is_empty() {
            self.going = Some((id, self.waiting.remove(0)));
            self.is_changed = true;
        }
    }

    /// No run is going any more: it finished, failed or was cancelled.
    pub(super) fn ended(&mut self) {
        if self.going.take().is_some() {
            self.is_changed = true;
        }
    }
}

#[cfg(test)]
#[allow(
    clippy::disallowed_methods,
    reason = "tests write and wait as they like"
)]
mod tests {
    use super::*;
    use crate::project::PairRef;
    use crate::schedule::{Guidance, History, Plan, Solver};

    fn settings(seed: u64) -> RunSettings {
        RunSettings {
            pair: PairRef::default(),
            prompt: "a dot".to_owned(),
            negative: String::new(),
            seed,
            plan: Plan::parse("L", &[]).unwrap(),
            steps: 10,
            shift: 3.0,
            solver: Solver::Euler,
            history: History::default(),
            distilled_sigmas: None,
            cfg: 5.0,
            guidance: Guidance::default(),
            cache: None,
            width: 16,
            height: 16,
            frames: 1,
            fps: 8.0,
        }
    }

    fn seeds(queue: &Queue) -> Vec<u64> {
        queue
            .waiting()
            .iter()
            .map(|run| run.settings.seed)
            .collect()
    }

    #[test]
    fn runs_are_taken_in_order_and_can_be_moved_and_removed() {
        let mut queue = Queue::default();
        (1..=4).for_each(|seed| queue.add(settings(seed)));
        queue.add_first(settings(5));
        assert_eq!(seeds(&queue), [5, 1, 2, 3, 4]);
        let id = queue.waiting()[3].id;
        queue.shift(id, -2);
        assert_eq!(seeds(&queue), [5, 3, 1, 2, 4]);
        queue.shift(id, 99);
        assert_eq!(seeds(&queue), [5, 1, 2, 4, 3]);
        queue.shift(id, -99);
        let (at, five) = queue.get(queue.waiting()[1].id).unwrap();
        let five = five.clone();
        assert!(queue.remove(five.id));
        assert_eq!(seeds(&queue), [3, 1, 2, 4]);
        queue.put_back(at, five.clone());
        assert_eq!(seeds(&queue), [3, 5, 1, 2, 4]);
        queue.remove(five.id);
        queue.put_back(99, five);
        assert_eq!(seeds(&queue), [3, 1, 2, 4, 5]);
        assert!(!queue.remove(id + 100));
        queue.remove(queue.waiting()[4].id);

        assert_eq!(queue.next().map(|run| run.seed), Some(3));
        queue.started(RunId(7));
        assert_eq!((queue.going(), queue.next()), (Some(RunId(7)), None));
        queue.ended();
        assert_eq!(queue.next().map(|run| run.seed), Some(1));
        queue.toggle_pause();
        assert_eq!(queue.next(), None);
        // A run that rests and goes on leaves a queue that somebody paused as it was.
        queue.rest();
        queue.go_on();
        assert_eq!(queue.next(), None);
        queue.toggle_pause();
        queue.rest();
        assert_eq!(queue.next(), None);
        queue.go_on();
        assert_eq!(queue.next().map(|run| run.seed), Some(1));
    }

    #[test]
    fn what_was_going_waits_again_after_a_crash() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("queue.json");
        let mut queue = Queue::default();
        queue.keep_in(file.clone());
        assert!(!queue.is_paused() && queue.take_changes().is_none());
        (1..=3).for_each(|seed| queue.add(settings(seed)));
        queue.started(RunId(1));
        let (path, json) = queue.take_changes().unwrap();
        assert!(queue.take_changes().is_none());
        std::fs::write(path, json).unwrap();

        let mut again = Queue::default();
        again.keep_in(file);
        assert_eq!(seeds(&again), [1, 2, 3]);
        assert!(again.is_paused());
    }
}
