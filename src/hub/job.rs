use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::Builder;

use super::{HubError, PullOptions, PullProgress, Pulled, pull_named};

/// How far a pull is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PullStatus {
    /// On the way.
    Running(PullProgress),
    /// Every file is there.
    Finished(Arc<Pulled>),
    /// Somebody asked to stop; what came is kept.
    Cancelled,
    /// A sentence with cause and next step.
    Failed(String),
}

#[derive(Default)]
struct Shared {
    progress: Mutex<PullProgress>,
    cancel: AtomicBool,
    outcome: OnceLock<PullStatus>,
}

/// A pull on its own thread, for whoever must not wait.
pub struct PullJob {
    name: String,
    shared: Arc<Shared>,
}

impl PullJob {
    /// Starts [`pull_named`] on a thread. `wake` is called whenever [`status`](Self::status) changed.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(
        name: &str,
        options: PullOptions,
        wake: Arc<dyn Fn() + Send + Sync>,
    ) -> io::Result<Self> {
        let pair = name.to_owned();
        Self::spawn(name, wake, move |cancelled, progress| {
            pull_named(&pair, &options, cancelled, progress)
        })
    }

    /// Starts `work` on a thread, which may be a pull of another kind.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn spawn(
        name: &str,
        wake: Arc<dyn Fn() + Send + Sync>,
        work: impl FnOnce(&dyn Fn() -> bool, &mut dyn FnMut(&PullProgress)) -> Result<Pulled, HubError>
        + Send
        + 'static,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        Builder::new().name("flowblend-pull".to_owned()).spawn({
            let shared = Arc::clone(&shared);
            move || {
                let mut progress = |now: &PullProgress| {
                    *shared.progress.lock().unwrap_or_else(PoisonError::into_inner) = now.clone();
                    wake();
                };
                let cancelled = || shared.cancel.load(Ordering::Relaxed);
                // A panic must end as a message too, not as a pull that never finishes.
                let result = catch_unwind(AssertUnwindSafe(|| {
                    work(&cancelled, &mut progress)
                }));
                let _ = shared.outcome.set(match result {
                    Ok(Ok(pulled)) => PullStatus::Finished(Arc::new(pulled)),
                    Ok(Err(HubError::Cancelled)) => PullStatus::Cancelled,
                    Ok(Err(why)) => PullStatus::Failed(why.to_string()),
                    Err(_) => PullStatus::Failed(
                        "the download stopped because of a fault in flowblend; pull again, it goes on from there"
                            .to_owned(),
                    ),
                });
                wake();
            }
        })?;
        Ok(Self {
            name: name.to_owned(),
            shared,
        })
    }

    /// The pair that is pulled.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How far it is. Never waits.
    pub fn status(&self) -> PullStatus {
        let progress = || {
            let progress = self.shared.progress.lock();
            progress.unwrap_or_else(PoisonError::into_inner).clone()
        };
        let outcome = self.shared.outcome.get().cloned();
        outcome.unwrap_or_else(|| PullStatus::Running(progress()))
    }

    /// Whether somebody asked to stop.
    pub fn is_cancelling(&self) -> bool {
        self.shared.cancel.load(Ordering::Relaxed)
    }

    /// Asks the thread to stop. Never waits: a connection that says nothing may hold it for a while.
    pub fn cancel(&self) {
        self.shared.cancel.store(true, Ordering::Relaxed);
    }
}

impl Drop for PullJob {
    /// Cancels what still runs. What it had written so far is as good as after a broken connection.
    fn drop(&mut self) {
        self.cancel();
    }
}
