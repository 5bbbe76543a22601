use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, TryRecvError, bounded};
use eframe::wgpu::rwh::HasWindowHandle as _;

use super::Notice;
use crate::engine::{EngineOptions, PairReport, Wake, add_pair, survey};
use crate::hub::{PullJob, PullOptions, PullProgress, PullStatus};

/// Nobody chooses a folder faster than this; a desktop without a dialog does.
const NO_DIALOG: Duration = Duration::from_millis(400);

/// Looks at every pair that is known.
type Survey = Arc<dyn Fn() -> Vec<PairReport> + Send + Sync>;
/// Adds a pair, of one folder or of two models; gives its name.
type Add = Arc<dyn Fn(&Path, Option<&Path>) -> Result<String, String> + Send + Sync>;
/// Starts a download.
type Pull = Arc<dyn Fn(&str, Wake) -> io::Result<PullJob> + Send + Sync>;

/// Where pairs come from. Tests have one of their own.
#[derive(Clone)]
pub struct ModelsSource {
    /// Looks at every pair that is known.
    pub survey: Survey,
    /// Adds a pair, of one folder or of two models; gives its name.
    pub add: Add,
    /// Starts a download.
    pub pull: Pull,
}

impl Default for ModelsSource {
    fn default() -> Self {
        Self {
            survey: Arc::new(|| survey(EngineOptions::default().weight_bytes())),
            add: Arc::new(add_pair),
            pull: Arc::new(|name, wake| PullJob::start(name, PullOptions::default(), wake)),
        }
    }
}

/// A download that is going.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pulling {
    /// The pair.
    pub name: String,
    /// How far it is.
    pub progress: PullProgress,
    /// Somebody asked to stop and it has not stopped yet.
    pub is_cancelling: bool,
}

impl Pulling {
    /// How much of what is known to be missing came, 0..=1.
    pub fn share(&self) -> f32 {
        self.progress.done as f32 / self.progress.total.max(1) as f32
    }
}

/// What came of adding a pair.
enum Added {
    Name(String),
    Failed(String),
    PutAway,
}

/// The pairs as the window shows them. Looking, adding and downloading have threads of their own; the
/// window only asks how they are.
pub struct Models {
    /// Whether the list is on the screen.
    pub is_open: bool,
    source: ModelsSource,
    wake: Wake,
    reports: Option<Vec<PairReport>>,
    surveying: Option<Receiver<Vec<PairReport>>>,
    adding: Option<Receiver<Added>>,
    job: Option<PullJob>,
}

impl Models {
    /// Looks at nothing yet.
    pub(super) fn new(source: ModelsSource, wake: Wake) -> Self {
        Self {
            is_open: false,
            source,
            wake,
            reports: None,
            surveying: None,
            adding: None,
            job: None,
        }
    }

    /// Every pair, once they were looked at.
    pub fn reports(&self) -> Option<&[PairReport]> {
        self.reports.as_deref()
    }

    /// Whether a pair is being added.
    pub fn is_adding(&self) -> bool {
        self.adding.is_some()
    }

    /// The download that is going.
    pub fn pulling(&self) -> Option<Pulling> {
        let job = self.job.as_ref()?;
        match job.status() {
            PullStatus::Running(progress) => Some(Pulling {
                name: job.name().to_owned(),
                progress,
                is_cancelling: job.is_cancelling(),
            }),
            _ => None,
        }
    }

    /// Shows the list; what is on disk may have changed since the last time.
    pub(super) fn open(&mut self) {
        self.is_open = true;
        self.refresh();
    }

    fn refresh(&mut self) {
        let survey = Arc::clone(&self.source.survey);
        self.surveying = self.spawn("flowblend-survey", move || survey());
    }

    /// Asks for a pair's folder, or for its two models, and adds it. A notice says why that cannot be.
    pub(super) fn add(&mut self, frame: &eframe::Frame) -> Option<Notice> {
        if self.adding.is_some() {
            return None;
        }
        if frame.window_handle().is_err() {
            return Some(Notice::error(NO_DIALOG_TEXT));
        }
        let dialog = rfd::FileDialog::new().set_parent(frame);
        let add = Arc::clone(&self.source.add);
        self.adding = self.spawn("flowblend-add-pair", move || ask_and_add(dialog, &add));
        None
    }

    /// Downloads a pair. A notice says why that cannot be.
    pub(super) fn pull(&mut self, name: &str) -> Option<Notice> {
        if self.job.is_some() {
            return Some(Notice::error(
                "a download is going on; wait for it or cancel it first",
            ));
        }
        match (self.source.pull)(name, Arc::clone(&self.wake)) {
            Ok(job) => {
                self.job = Some(job);
                None
            }
            Err(why) => Some(Notice::error(&format!(
                "the download could not start ({why}); close other programs and try again"
            ))),
        }
    }

    /// Asks the download to stop; what came is kept.
    pub(super) fn cancel_pull(&self) {
        if let Some(job) = &self.job {
            job.cancel();
        }
    }

    /// Looks at the threads. Gives what there is to say.
    pub(super) fn poll(&mut self) -> Option<Notice> {
        if let Some(reports) = taken(&mut self.surveying) {
            self.reports = Some(reports.unwrap_or_default());
        }
        if let Some(added) = taken(&mut self.adding) {
            match added {
                Some(Added::Name(name)) => {
                    self.refresh();
                    return Some(Notice::done(&format!("The pair {name} was added")));
                }
                Some(Added::Failed(why)) => return Some(Notice::error(&why)),
                Some(Added::PutAway) | None => {}
            }
        }
        let status = self.job.as_ref()?.status();
        let notice = match status {
            PullStatus::Running(_) => return None,
            PullStatus::Finished(pulled) => {
                let mut notice = Notice::done(&format!("The pair {} is complete", pulled.name));
                notice.folder = Some(pulled.folder.clone());
                Some(notice)
            }
            PullStatus::Cancelled => None,
            PullStatus::Failed(why) => Some(Notice::error(&why)),
        };
        self.job = None;
        self.refresh();
        notice
    }

    /// Does `work` on a thread and wakes the window at its end. Nothing is told where the system gives
    /// no thread: the list stays as it was.
    fn spawn<T: Send + 'static>(
        &self,
        name: &str,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<Receiver<T>> {
        let (sender, receiver) = bounded(1);
        let wake = Arc::clone(&self.wake);
        let thread = std::thread::Builder::new().name(name.to_owned());
        thread
            .spawn(move || {
                // Fails only when the window is gone.
                let _ = sender.send(work());
                drop(sender);
                wake();
            })
            .is_ok()
            .then_some(receiver)
    }
}

const NO_DIALOG_TEXT: &str =
    "this desktop has no dialog to choose a folder with; use flowblend models add instead";

/// What a thread sent, and then it is over; `Some(None)` where it ended without.
fn taken<T>(receiver: &mut Option<Receiver<T>>) -> Option<Option<T>> {
    let result = match receiver.as_ref()?.try_recv() {
        Ok(value) => Some(value),
        Err(TryRecvError::Empty) => return None,
        Err(TryRecvError::Disconnected) => None,
    };
    *receiver = None;
    Some(result)
}

/// A folder with a pair.json is a pair; else a second question is for the small model.
fn ask_and_add(dialog: rfd::FileDialog, add: &Add) -> Added {
    let opened = Instant::now();
    let title = "Choose a pair's folder, or the large model's";
    let Some(large) = dialog.clone().set_title(title).pick_folder() else {
        return if opened.elapsed() < NO_DIALOG {
            Added::Failed(NO_DIALOG_TEXT.to_owned())
        } else {
            Added::PutAway
        };
    };
    let mut small = None;
    if !large.join("pair.json").is_file() {
        let title = "Choose the small model's folder";
        small = dialog.set_title(title).pick_folder();
        if small.is_none() {
            return Added::PutAway;
        }
    }
    match add(&large, small.as_deref()) {
        Ok(name) => Added::Name(name),
        Err(why) => Added::Failed(why),
    }
}
