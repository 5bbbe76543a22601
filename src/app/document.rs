use super::Removal;
use super::edit::{DocCommand, Target};
use crate::project::RunSettings;
use crate::schedule::{DistilledGrid, ModelRole};

/// Undo steps kept. A snapshot is a few hundred bytes, so the limit only bounds a very long session.
const HISTORY: usize = 500;
/// Edits of one field closer together than this are one burst of typing or nudging, and one undo.
const BURST_SECS: f64 = 0.8;

/// One entry of the history.
#[derive(Clone, Debug)]
enum Step {
    /// An edit, with the settings on its other side.
    Edit(Target, Box<RunSettings>),
    /// Something beside the document that was taken away.
    Removal(Removal),
}

impl Step {
    fn words(&self) -> &'static str {
        match self {
            Self::Edit(target, _) => target.words(),
            Self::Removal(removal) => removal.words(),
        }
    }
}

/// What a person works on, with the history of all that can be undone: its edits, and among them what was taken away beside
/// it. Plain data: nothing here draws or waits.
#[derive(Clone, Debug)]
pub struct Document {
    settings: RunSettings,
    undo: Vec<Step>,
    redo: Vec<Step>,
    /// The burst that the next edit of the same target joins, and when it was last fed.
    burst: Option<(Target, f64)>,
    /// Depth of the history when the drag under way began.
    drag: Option<usize>,
    saved: RunSettings,
    /// It holds a placeholder that the pair's own settings replace, but for a prompt.
    is_new: bool,
}

impl Document {
    /// A document for the moment before its pair is known.
    pub fn placeholder(settings: RunSettings) -> Self {
        Self {
            is_new: true,
            ..Self::new(settings)
        }
    }

    /// A document nobody has edited yet.
    pub fn new(settings: RunSettings) -> Self {
        Self {
            saved: settings.clone(),
            settings,
            undo: Vec::new(),
            redo: Vec::new(),
            burst: None,
            drag: None,
            is_new: false,
        }
    }

    /// Whether it still holds nothing but a placeholder, and perhaps a prompt.
    pub fn is_new(&self) -> bool {
        self.is_new
    }

    /// The settings as they stand.
    pub fn settings(&self) -> &RunSettings {
        &self.settings
    }

    /// Whether anything differs from what was opened, or saved last.
    pub fn is_edited(&self) -> bool {
        self.settings != self.saved
    }

    /// What it holds now is on disk.
    pub fn mark_saved(&mut self) {
        self.saved = self.settings.clone();
    }

    /// Takes a pair's noise levels for distilled stages where the plan has such and names none, as that of an older
    /// file; no edit of anybody's.
    pub fn complete(&mut self, sigmas: Option<&DistilledGrid>) {
        for settings in [&mut self.settings, &mut self.saved] {
            if settings.distilled_sigmas.is_none() && settings.plan.has(ModelRole::Distilled) {
                settings.distilled_sigmas = sigmas.cloned();
            }
        }
    }

    /// Carries out an edit at time `now_secs`. An edit that changes nothing leaves no trace.
    pub fn apply(&mut self, command: DocCommand, now_secs: f64) {
        let target = command.target();
        let before = self.settings.clone();
        command.carry_out(&mut self.settings);
        if self.settings == before {
            return;
        }
        let joins = self.burst.is_some_and(|(last, at_secs)| {
            last == target && (self.drag.is_some() || now_secs - at_secs < BURST_SECS)
        });
        if !joins {
            self.push(Step::Edit(target, Box::new(before)));
        }
        self.redo.clear();
        // Somebody who types before the pair is known has no other wish about its settings.
        self.is_new &= target == Target::Prompt;
        self.burst = Some((target, now_secs));
    }

    /// Takes the shift that goes with the size, as a part of the edit that changed the size.
    pub fn follow_size(&mut self, shift: f64) {
        self.settings.shift = shift;
    }

    /// Something beside the document was taken away, which is a step like an edit.
    pub fn note_removal(&mut self, removal: Removal) {
        self.end_burst();
        self.push(Step::Removal(removal));
        self.redo.clear();
    }

    /// Drops the removals that are no step any more.
    pub fn retain_removals(&mut self, is_kept: impl Fn(&Removal) -> bool) {
        for steps in [&mut self.undo, &mut self.redo] {
            steps.retain(|step| match step {
                Step::Edit(..) => true,
                Step::Removal(removal) => is_kept(removal),
            });
        }
    }

    /// What was taken away last, where nothing was edited since.
    pub fn newest_removal(&self) -> Option<&Removal> {
        match self.undo.last()? {
            Step::Edit(..) => None,
            Step::Removal(removal) => Some(removal),
        }
    }

    fn push(&mut self, step: Step) {
        if self.undo.len() == HISTORY {
            self.undo.remove(0);
        }
        self.undo.push(step);
    }

    /// A drag begins: its edits become one undo however long it lasts.
    pub fn begin_drag(&mut self) {
        self.burst = None;
        self.drag = Some(self.undo.len());
    }

    /// A field is left: the next edit is an undo of its own, unless it belongs to a drag.
    pub fn leave_field(&mut self) {
        if self.drag.is_none() {
            self.burst = None;
        }
    }

    /// The drag ends: the next edit is an undo of its own.
    pub fn end_burst(&mut self) {
        self.burst = None;
        self.drag = None;
    }

    /// Whether a drag is under way.
    pub fn is_dragging(&self) -> bool {
        self.drag.is_some()
    }

    /// Puts back what the drag under way changed, as if it had never begun.
    pub fn revert_drag(&mut self) {
        let Some(depth) = self.drag.take() else {
            return;
        };
        self.burst = None;
        if self.undo.len() > depth {
            self.undo.truncate(depth + 1);
            if let Some(Step::Edit(_, before)) = self.undo.pop() {
                self.settings = *before;
            }
        }
    }

    /// What undo would take back, in words.
    pub fn undo_words(&self) -> Option<&'static str> {
        self.undo.last().map(Step::words)
    }

    /// What redo would bring back, in words.
    pub fn redo_words(&self) -> Option<&'static str> {
        self.redo.last().map(Step::words)
    }

    /// Takes the newest step back. Gives what is to be brought back, where it was a removal.
    pub fn undo(&mut self) -> Option<Removal> {
        self.end_burst();
        let step = self.undo.pop()?;
        let (step, removal) = self.cross(step);
        self.redo.push(step);
        removal
    }

    /// Does the step again that was undone last. Gives what is to be taken away again, where it was a removal.
    pub fn redo(&mut self) -> Option<Removal> {
        self.end_burst();
        let step = self.redo.pop()?;
        let (step, removal) = self.cross(step);
        self.undo.push(step);
        removal
    }

    /// Goes to the other side of a step, which leads back afterwards.
    fn cross(&mut self, step: Step) -> (Step, Option<Removal>) {
        match step {
            Step::Edit(target, mut settings) => {
                std::mem::swap(&mut self.settings, &mut settings);
                (Step::Edit(target, settings), None)
            }
            Step::Removal(removal) => (Step::Removal(removal.clone()), Some(removal)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project::PairRef;
    use crate::schedule::{Guidance, History, Plan, Solver};

    fn document() -> Document {
        Document::new(RunSettings {
            pair: PairRef::default(),
            prompt: "a red circle".into(),
            negative: String::new(),
            seed: 1,
            plan: Plan::parse("LSL", &[0.4, 0.8]).unwrap(),
            steps: 30,
            shift: 3.0,
            solver: Solver::Euler,
            history: History::default(),
            distilled_sigmas: None,
            cfg: 4.0,
            guidance: Guidance::default(),
            cache: None,
            width: 64,
            height: 64,
            frames: 17,
            fps: 12.0,
        })
    }

    fn boundary(fraction: f64) -> DocCommand {
        DocCommand::Boundary { index: 0, fraction }
    }

    #[test]
    fn one_drag_is_one_undo() {
        let mut doc = document();
        doc.begin_drag();
        for i in 0..20 {
            // A slow drag: longer than any burst.
            doc.apply(boundary(0.4 + f64::from(i) * 0.01), f64::from(i) * 5.0);
        }
        doc.end_burst();
        doc.begin_drag();
        doc.apply(boundary(0.2), 95.1);
        doc.end_burst();
        doc.undo();
        assert!((doc.settings().plan.boundaries()[0] - 0.59).abs() < 1e-9);
        doc.undo();
        assert_eq!(doc.settings().plan.boundaries()[0], 0.4);
        assert_eq!(doc.undo_words(), None);
        doc.redo();
        doc.redo();
        assert_eq!(doc.settings().plan.boundaries()[0], 0.2);
    }

    #[test]
    fn a_reverted_drag_leaves_no_trace() {
        let mut doc = document();
        doc.apply(DocCommand::Seed(7), 0.0);
        doc.begin_drag();
        doc.apply(boundary(0.5), 1.0);
        doc.apply(boundary(0.6), 2.0);
        doc.revert_drag();
        assert_eq!(doc.settings().plan.boundaries()[0], 0.4);
        assert_eq!(doc.settings().seed, 7);
        assert_eq!(doc.undo_words(), Some("seed"));
        doc.begin_drag();
        doc.revert_drag();
        assert_eq!(doc.settings().seed, 7);
    }

    #[test]
    fn a_burst_of_typing_is_one_undo_and_a_pause_ends_it() {
        let mut doc = document();
        for (i, text) in ["a", "a b", "a bl"].into_iter().enumerate() {
            doc.apply(DocCommand::Prompt(text.into()), 0.2 * i as f64);
        }
        doc.apply(DocCommand::Prompt("a blue circle".into()), 9.0);
        doc.undo();
        assert_eq!(doc.settings().prompt, "a bl");
        doc.undo();
        assert_eq!(doc.settings().prompt, "a red circle");
        assert!(!doc.is_edited());
    }

    #[test]
    fn an_edit_that_changes_nothing_is_no_edit() {
        let mut doc = document();
        doc.apply(DocCommand::Steps(30), 0.0);
        assert_eq!(doc.undo_words(), None);
    }

    #[test]
    fn a_new_edit_forgets_what_was_undone() {
        let mut doc = document();
        doc.apply(DocCommand::Steps(20), 0.0);
        doc.undo();
        doc.apply(DocCommand::Cfg(2.0), 0.1);
        assert_eq!(doc.redo_words(), None);
    }

    #[test]
    fn removals_and_edits_are_undone_in_one_order() {
        let mut doc = document();
        doc.apply(DocCommand::Steps(20), 0.0);
        doc.note_removal(Removal::Paused(7));
        doc.apply(DocCommand::Steps(10), 0.1);
        assert_eq!(doc.newest_removal(), None);
        assert_eq!(doc.undo(), None);
        assert_eq!(doc.settings().steps, 20);
        assert_eq!(doc.undo_words(), Some("dropped run"));
        assert_eq!(doc.undo(), Some(Removal::Paused(7)));
        assert_eq!(doc.undo(), None);
        assert_eq!(doc.settings().steps, 30);
        assert_eq!((doc.redo(), doc.redo()), (None, Some(Removal::Paused(7))));
        assert_eq!(doc.newest_removal(), Some(&Removal::Paused(7)));
        // What cannot be brought back any more stands in nobody's way.
        doc.retain_removals(|removal| *removal != Removal::Paused(7));
        assert_eq!(doc.undo(), None);
        assert_eq!(doc.settings().steps, 30);
    }

    #[test]
    fn restoring_a_run_is_one_undo() {
        let mut doc = document();
        let mut other = doc.settings().clone();
        other.seed = 99;
        other.prompt = "a green star".into();
        doc.apply(DocCommand::Restore(Box::new(other)), 0.0);
        doc.undo();
        assert_eq!(doc.settings(), document().settings());
    }
}
