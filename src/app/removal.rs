//! What a person takes away beside the document, in one order of undo with its edits.

use super::{App, Notice, Request, Waiting};
use crate::library::RunName;

/// Something that was taken away and can be brought back.
#[derive(Clone, Debug, PartialEq)]
pub enum Removal {
    /// A finished run, deleted.
    Run(RunName),
    /// A paused run, dropped.
    Paused(u64),
    /// A run of the queue, and the place it had there.
    Queued(usize, Box<Waiting>),
}

impl Removal {
    /// What undo would take back, in words.
    pub(super) fn words(&self) -> &'static str {
        match self {
            Self::Run(_) => "deleted run",
            Self::Paused(_) => "dropped run",
            Self::Queued(..) => "run taken out of the queue",
        }
    }

    fn sentence(&self) -> &'static str {
        match self {
            Self::Run(_) => "The run was deleted",
            Self::Paused(_) => "The paused run was dropped",
            Self::Queued(..) => "The run was taken out of the queue",
        }
    }
}

impl App {
    /// Takes back what was done last: an edit, or a removal.
    pub(super) fn undo(&mut self) {
        if let Some(removal) = self.document.undo() {
            self.bring_back(removal);
        }
    }

    /// Does again what was undone last.
    pub(super) fn redo(&mut self) {
        if let Some(removal) = self.document.redo()
            && !self.take_away(&removal)
        {
            self.document.retain_removals(|known| *known != removal);
        }
    }

    /// Takes something away, as a step that can be undone. Says whether it was there.
    pub(super) fn remove(&mut self, removal: Removal) -> bool {
        let was_there = self.take_away(&removal);
        if was_there {
            self.document.note_removal(removal);
        }
        was_there
    }

    /// Brings back what a message offers, whatever was done since.
    pub(super) fn take_removal_back(&mut self, removal: Removal) {
        if self.document.newest_removal() == Some(&removal) {
            self.undo();
        } else {
            self.document.retain_removals(|known| *known != removal);
            self.bring_back(removal);
        }
    }

    /// A dropped run that is gone for good is no step any more. Waits for the end of a drag, which counts steps.
    pub(super) fn follow_removals(&mut self) {
        if self.document.is_dragging() {
            return;
        }
        let paused = &self.paused;
        self.document.retain_removals(|removal| match removal {
            Removal::Paused(id) => paused.knows(*id),
            Removal::Run(_) | Removal::Queued(..) => true,
        });
    }

    fn take_away(&mut self, removal: &Removal) -> bool {
        let was_there = match removal {
            Removal::Run(name) => match &self.keeper {
                Some(keeper) if self.gallery.remove(name) => {
                    keeper.delete(name.clone());
                    true
                }
                _ => false,
            },
            Removal::Paused(id) => self.paused.drop_run(*id),
            Removal::Queued(_, run) => self.queue.remove(run.id),
        };
        if was_there {
            let offer = Request::BringBack(removal.clone());
            self.notice = Some(Notice::done(removal.sentence()).offering("Undo", offer));
        }
        was_there
    }

    fn bring_back(&mut self, removal: Removal) {
        let offered = self
            .notice
            .as_ref()
            .and_then(|notice| notice.offer.as_ref());
        if matches!(offered, Some((_, Request::BringBack(offered))) if *offered == removal) {
            self.notice = None;
        }
        match removal {
            Removal::Run(name) => {
                if let Some(keeper) = &self.keeper {
                    keeper.put_back(name);
                }
            }
            Removal::Paused(id) => self.paused.put_back(id),
            Removal::Queued(at, run) => self.queue.put_back(at, *run),
        }
    }
}
