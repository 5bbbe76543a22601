use std::path::PathBuf;

use super::{
    AddRequest, AnalysisRequest, Command, CompareRequest, DocCommand, ExportRequest, LogRequest,
    Removal, SettingsRequest,
};
use crate::engine::{ForgottenPair, RunId};

/// What a panel asks the app to do. Panels collect these while they draw; the app obeys afterwards.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// A command without parameters.
    Command(Command),
    /// An edit of the document.
    Edit(DocCommand),
    /// A boundary was taken hold of.
    BeginDrag,
    /// A boundary was let go: the next edit is an undo of its own.
    EndBurst,
    /// A field was left. A drag under way goes on: taking hold of something is what leaves a field.
    LeaveField,
    /// Choose a boundary for the keyboard.
    SelectBoundary(usize),
    /// Show a frame of the clip.
    Seek(usize),
    /// Show a finished run and take its settings.
    Restore(RunId),
    /// Mark a run, or take its mark away.
    Star(RunId),
    /// Take a run out of the gallery; can be undone.
    DeleteRun(RunId),
    /// Bring back what was taken away.
    BringBack(Removal),
    /// Something about the comparison.
    Compare(CompareRequest),
    /// Take an unused random seed.
    RollSeed,
    /// Take the known pair of this name.
    UsePair(String),
    /// Something on the page that makes a pair known which lies elsewhere.
    AddPair(AddRequest),
    /// Take a pair that was added out of the list; can be undone.
    ForgetPair(String),
    /// Put a pair back into the list.
    PutPairBack(ForgottenPair),
    /// Download a public pair.
    PullPair(String),
    /// Stop the download.
    CancelPull,
    /// Put the list of models away.
    CloseModels,
    /// Show a paused run's estimate and take its settings.
    ShowPaused(u64),
    /// Go on with a paused run.
    ContinueRun(u64),
    /// Forget a paused run; can be undone.
    DropPaused(u64),
    /// Take a finished run's settings and render them once more.
    RenderAgain(RunId),
    /// Render up to a step, then rest.
    RunTo(usize),
    /// Stop or start the queue.
    PauseQueue,
    /// Take a run out of the queue; can be undone.
    Unqueue(u64),
    /// Move a run of the queue by so many places, towards the front if negative.
    ShiftQueued(u64, isize),
    /// Open a project that was used lately.
    OpenRecent(PathBuf),
    /// Take over the work that an ended program left behind.
    Recover,
    /// Something on the pages of an export.
    Export(ExportRequest),
    /// Something on the page of sweeps.
    Analysis(AnalysisRequest),
    /// Something in the settings.
    Settings(SettingsRequest),
    /// Something about what happened.
    Log(LogRequest),
    /// Put the message away.
    DismissNotice,
    /// Show a folder in the file manager.
    OpenFolder(PathBuf),
}
