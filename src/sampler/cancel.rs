//! The wish to stop, which overtakes every queue.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::SampleError;

/// Asked between transformer blocks and VAE chunks, so that a cancel is answered within a block's
/// time and not a step's; a pause is answered between two steps. Clones share the flag.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<Wish>);

#[derive(Debug)]
struct Wish {
    is_cancelled: AtomicBool,
    /// The first step that is not to be taken for now.
    pause_at: AtomicUsize,
}

impl Default for Wish {
    fn default() -> Self {
        Self {
            is_cancelled: AtomicBool::new(false),
            pause_at: AtomicUsize::new(usize::MAX),
        }
    }
}

impl Cancel {
    /// A flag that nobody has raised yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks the work that holds a clone of this flag to stop at its next look.
    pub fn cancel(&self) {
        self.0.is_cancelled.store(true, Ordering::Relaxed);
    }

    /// Whether somebody asked to stop.
    pub fn is_cancelled(&self) -> bool {
        self.0.is_cancelled.load(Ordering::Relaxed)
    }

    /// Asks the run to rest once `steps` steps are taken, or after the one it is at where that is later.
    /// No run rests before its first step: it would have nothing to show.
    pub fn pause_after(&self, steps: usize) {
        self.0.pause_at.store(steps.max(1), Ordering::Relaxed);
    }

    /// The most steps that are to be taken before the run rests; `usize::MAX` where nobody asked.
    pub fn pauses_after(&self) -> usize {
        self.0.pause_at.load(Ordering::Relaxed)
    }

    /// Whether a run that has taken `steps` steps is to rest now.
    pub fn rests_after(&self, steps: usize) -> bool {
        steps >= self.pauses_after()
    }

    /// [`SampleError::Cancelled`] once somebody asked to stop, for use with `?`.
    pub fn check(&self) -> Result<(), SampleError> {
        if self.is_cancelled() {
            Err(SampleError::Cancelled)
        } else {
            Ok(())
        }
    }
}
