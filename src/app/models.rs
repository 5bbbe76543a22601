use std::io;
use std::sync::Arc;

use crossbeam_channel::{Receiver, TryRecvError, bounded};

use super::file_dialog::{Choice, FileDialog};
use super::{AddRequest, Chosen, Notice, PairField, PairForm, Request};
use crate::engine::{
    Candidate, EngineOptions, ForgottenPair, PairReport, Wake, WeightFormat, add_pair, forget_pair,
    put_pair_back, survey,
};
use crate::hub::{PullJob, PullOptions, PullProgress, PullStatus};

/// Looks at every pair that is known; its parameter is what becomes of weights on the device of the runs.
type Survey = Arc<dyn Fn(WeightFormat) -> Vec<PairReport> + Send + Sync>;
/// Adds a pair; gives its name.
type Add = Arc<dyn Fn(&Candidate) -> Result<String, String> + Send + Sync>;
/// Takes the pair of a name out of the list.
type Forget = Arc<dyn Fn(&str) -> Result<ForgottenPair, String> + Send + Sync>;
/// Undoes that.
type PutBack = Arc<dyn Fn(ForgottenPair) -> Result<(), String> + Send + Sync>;
/// Starts a download.
type Pull = Arc<dyn Fn(&str, Wake) -> io::Result<PullJob> + Send + Sync>;

/// Where pairs come from. Tests have one of their own.
#[derive(Clone)]
pub struct ModelsSource {
    /// Looks at every pair that is known; its parameter is what becomes of weights on the device of the runs.
    pub survey: Survey,
    /// Adds a pair; gives its name.
    pub add: Add,
    /// Takes the pair of a name out of the list.
    pub forget: Forget,
    /// Undoes that.
    pub put_back: PutBack,
    /// Starts a download.
    pub pull: Pull,
}

impl Default for ModelsSource {
    fn default() -> Self {
        Self {
            survey: Arc::new(survey),
            add: Arc::new(add_pair),
            forget: Arc::new(forget_pair),
            put_back: Arc::new(put_pair_back),
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

/// What came of a change of the list.
enum Changed {
    Added(String),
    Forgotten(ForgottenPair),
    IsBack,
    Failed(String),
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
    changing: Option<Receiver<Changed>>,
    /// The pair that is to be added, while its page is on the screen.
    form: Option<PairForm>,
    asking: Option<(PairField, FileDialog)>,
    /// What becomes of weights on the device of the runs.
    weights: WeightFormat,
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
            changing: None,
            form: None,
            asking: None,
            weights: EngineOptions::default().weights(),
            job: None,
        }
    }

    /// Every pair, once they were looked at.
    pub fn reports(&self) -> Option<&[PairReport]> {
        self.reports.as_deref()
    }

    /// The pair that is to be added, while its page is on the screen.
    pub fn form(&self) -> Option<&PairForm> {
        self.form.as_ref()
    }

    /// Whether a pair is being added, or taken out.
    pub fn is_changing(&self) -> bool {
        self.changing.is_some()
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

    /// Shows the list; what is on disk may have changed since the last time, and the device as well, on
    /// which this becomes of weights.
    pub(super) fn open(&mut self, weights: Option<WeightFormat>) {
        self.is_open = true;
        self.weights = weights.unwrap_or(self.weights);
        self.refresh();
    }

    fn refresh(&mut self) {
        let (survey, weights) = (Arc::clone(&self.source.survey), self.weights);
        self.surveying = self.spawn("flowblend-survey", move || survey(weights));
    }

    /// Does what is asked for on the page that adds a pair. A notice says why that cannot be.
    pub(super) fn obey_form(
        &mut self,
        request: AddRequest,
        frame: &eframe::Frame,
    ) -> Option<Notice> {
        match request {
            AddRequest::Open => self.form = Some(PairForm::default()),
            AddRequest::Change(form) => self.form = Some(*form),
            AddRequest::Choose(field, chosen) => return self.choose(field, chosen, frame),
            AddRequest::Add => return self.add(),
            AddRequest::Close => self.form = None,
        }
        None
    }

    /// Esc on that page: leaves it, but a field with something in it first where somebody `is_typing`.
    pub(super) fn leave_form(&mut self, is_typing: bool) {
        if !is_typing || self.form == Some(PairForm::default()) {
            self.form = None;
        }
    }

    fn choose(
        &mut self,
        field: PairField,
        chosen: Chosen,
        frame: &eframe::Frame,
    ) -> Option<Notice> {
        if self.asking.is_some() {
            return None;
        }
        let opened = FileDialog::open(frame, Arc::clone(&self.wake), move |dialog| {
            let dialog = dialog.set_title(field.name());
            match chosen {
                Chosen::Folder => dialog.pick_folder(),
                Chosen::File => dialog.pick_file(),
            }
        });
        match opened {
            Ok(dialog) => {
                self.asking = Some((field, dialog));
                None
            }
            Err(why) => Some(Notice::error(&why)),
        }
    }

    /// Adds the pair of the page, which stays until that is done.
    fn add(&mut self) -> Option<Notice> {
        if self.changing.is_some() {
            return None;
        }
        match self.form.as_ref()?.candidate() {
            Ok(pair) => {
                let add = Arc::clone(&self.source.add);
                self.changing = self.spawn("flowblend-add-pair", move || {
                    add(&pair).map_or_else(Changed::Failed, Changed::Added)
                });
                None
            }
            Err(why) => Some(Notice::error(&why)),
        }
    }

    /// Takes what the desktop's dialog came to.
    fn follow_choice(&mut self) -> Option<Notice> {
        let asking = self.asking.as_ref();
        let (field, choice) = asking.and_then(|(field, dialog)| Some((*field, dialog.poll()?)))?;
        self.asking = None;
        match choice {
            Choice::Path(path) => {
                if let Some(form) = &mut self.form {
                    *form.text_mut(field) = path.display().to_string();
                }
                None
            }
            Choice::PutAway => None,
            Choice::Missing => Some(Notice::error(
                "this desktop has no file dialog; type the path into the field",
            )),
        }
    }

    /// Takes a pair that was added out of the list.
    pub(super) fn forget(&mut self, name: String) {
        if self.changing.is_none() {
            let forget = Arc::clone(&self.source.forget);
            self.changing = self.spawn("flowblend-forget-pair", move || {
                forget(&name).map_or_else(Changed::Failed, Changed::Forgotten)
            });
        }
    }

    /// Puts a pair back that was taken out.
    pub(super) fn put_back(&mut self, pair: ForgottenPair) {
        if self.changing.is_none() {
            let put_back = Arc::clone(&self.source.put_back);
            self.changing = self.spawn("flowblend-put-pair-back", move || {
                put_back(pair).map_or_else(Changed::Failed, |()| Changed::IsBack)
            });
        }
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
        if let Some(notice) = self.follow_choice() {
            return Some(notice);
        }
        if let Some(reports) = taken(&mut self.surveying) {
            self.reports = Some(reports.unwrap_or_default());
        }
        if let Some(changed) = taken(&mut self.changing) {
            self.refresh();
            match changed {
                Some(Changed::Added(name)) => {
                    self.form = None;
                    return Some(Notice::done(&format!("The pair {name} was added")));
                }
                Some(Changed::Forgotten(pair)) => {
                    let text = format!("The pair {} was taken out of the list", pair.name());
                    return Some(Notice::done(&text).offering("Undo", Request::PutPairBack(pair)));
                }
                Some(Changed::Failed(why)) => return Some(Notice::error(&why)),
                Some(Changed::IsBack) | None => {}
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
