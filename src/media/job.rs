use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::{Builder, JoinHandle};

use super::{EncodeOptions, Format, FrameSource, MediaError, encode};

/// How far an export is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExportStatus {
    /// Frames written and frames of the clip.
    Running {
        /// Frames written.
        done: usize,
        /// Frames of the clip.
        total: usize,
    },
    /// The file is complete under its name.
    Finished,
    /// Somebody asked to stop; nothing is left of the file.
    Cancelled,
    /// A sentence with cause and next step; nothing is left of the file.
    Failed(String),
}

struct Shared {
    done: AtomicUsize,
    cancel: AtomicBool,
    outcome: OnceLock<ExportStatus>,
}

/// An encode on its own thread, for a window that must not wait.
pub struct ExportJob {
    shared: Arc<Shared>,
    path: PathBuf,
    total: usize,
    thread: Option<JoinHandle<()>>,
}

impl ExportJob {
    /// Starts [`encode`] on a thread. `wake` is called after every frame and at the end, so that a
    /// sleeping window looks at [`status`](Self::status).
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(
        source: Arc<dyn FrameSource>,
        path: PathBuf,
        options: EncodeOptions,
        overwrite: bool,
        wake: Arc<dyn Fn() + Send + Sync>,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            done: AtomicUsize::new(0),
            cancel: AtomicBool::new(false),
            outcome: OnceLock::new(),
        });
        let total = match Format::of(&path, options.format) {
            Ok(Format::Png) => 1,
            _ => source.shape().frames,
        };
        let thread = Builder::new().name("flowblend-export".to_owned()).spawn({
            let (shared, path) = (Arc::clone(&shared), path.clone());
            move || {
                let mut progress = |done, _| {
                    shared.done.store(done, Ordering::Relaxed);
                    wake();
                };
                let cancelled = || shared.cancel.load(Ordering::Relaxed);
                // A panic must end as a message too, not as an export that never finishes.
                let result = catch_unwind(AssertUnwindSafe(|| {
                    encode(
                        &*source,
                        &path,
                        &options,
                        overwrite,
                        &mut progress,
                        &cancelled,
                    )
                }));
                let _ = shared.outcome.set(match result {
                    Ok(Ok(())) => ExportStatus::Finished,
                    Ok(Err(MediaError::Cancelled)) => ExportStatus::Cancelled,
                    Ok(Err(e)) => ExportStatus::Failed(e.to_string()),
                    Err(_) => ExportStatus::Failed(
                        "the export stopped because of a fault in flowblend; try another format"
                            .to_owned(),
                    ),
                });
                wake();
            }
        })?;
        Ok(Self {
            shared,
            path,
            total,
            thread: Some(thread),
        })
    }

    /// Where the export is. Never waits.
    pub fn status(&self) -> ExportStatus {
        self.shared
            .outcome
            .get()
            .cloned()
            .unwrap_or_else(|| ExportStatus::Running {
                done: self.shared.done.load(Ordering::Relaxed),
                total: self.total,
            })
    }

    /// Whether [`status`](Self::status) will not change any more.
    pub fn is_over(&self) -> bool {
        self.shared.outcome.get().is_some()
    }

    /// Asks the thread to stop at the next frame. Never waits.
    pub fn cancel(&self) {
        self.shared.cancel.store(true, Ordering::Relaxed);
    }

    /// Whether [`cancel`](Self::cancel) was called.
    pub fn is_cancelling(&self) -> bool {
        self.shared.cancel.load(Ordering::Relaxed)
    }

    /// The file being written.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Waits for the end, for callers without a window.
    pub fn join(mut self) -> ExportStatus {
        self.join_thread();
        self.status()
    }

    fn join_thread(&mut self) {
        if let Some(thread) = self.thread.take() {
            // Panics were caught inside, so there is nothing more to learn here.
            let _ = thread.join();
        }
    }
}

impl Drop for ExportJob {
    /// Cancels what still runs and waits for the frame in progress, so that the temporary file is
    /// gone before the program is.
    fn drop(&mut self) {
        self.cancel();
        self.join_thread();
    }
}
