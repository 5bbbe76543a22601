//! A flag that overtakes every queue.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::SampleError;

/// Asked between transformer blocks and VAE chunks, so that a cancel is answered within a block's
/// time and not a step's. Clones share the flag.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// A flag that nobody has raised yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks the work that holds a clone of this flag to stop at its next look.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether somebody asked to stop.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
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
