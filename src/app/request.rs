use std::path::PathBuf;

use super::{Command, DocCommand, ExportRequest};
use crate::engine::RunId;

/// What a panel asks the app to do. Panels collect these while they draw; the app obeys afterwards.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// A command without parameters.
    Command(Command),
    /// An edit of the document.
    Edit(DocCommand),
    /// A boundary was taken hold of.
    BeginDrag,
    /// A boundary was let go, or a field left.
    EndBurst,
    /// Choose a boundary for the keyboard.
    SelectBoundary(usize),
    /// Show a frame of the clip.
    Seek(usize),
    /// Show a finished run and take its settings.
    Restore(RunId),
    /// Take an unused random seed.
    RollSeed,
    /// Take the known pair of this name.
    UsePair(String),
    /// Make a pair known that lies elsewhere.
    AddPair,
    /// Download a public pair.
    PullPair(String),
    /// Stop the download.
    CancelPull,
    /// Put the list of models away.
    CloseModels,
    /// Something on the pages of an export.
    Export(ExportRequest),
    /// Put the message away.
    DismissNotice,
    /// Show a folder in the file manager.
    OpenFolder(PathBuf),
}
