use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, TryRecvError, bounded};
use eframe::wgpu::rwh::HasWindowHandle as _;

use crate::engine::Wake;
use crate::media::Format;

/// Nobody answers a file dialog faster than this; a desktop without one does.
const NO_DIALOG: Duration = Duration::from_millis(400);

/// What the system's file dialog came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Choice {
    /// The file, or the new folder.
    Path(PathBuf),
    PutAway,
    /// This desktop has no file dialog.
    Missing,
}

/// The system's file dialog, open on a thread of its own in front of the window.
pub(super) struct FileDialog(Receiver<Choice>);

impl FileDialog {
    /// Opens it; `ask` shows the prepared dialog and gives what was chosen.
    pub(super) fn open(
        frame: &eframe::Frame,
        wake: Wake,
        ask: impl FnOnce(rfd::FileDialog) -> Option<PathBuf> + Send + 'static,
    ) -> Result<Self, String> {
        let (sender, receiver) = bounded(1);
        if frame.window_handle().is_err() {
            // Fails only when the receiver is gone, and it is right here.
            let _ = sender.send(Choice::Missing);
            return Ok(Self(receiver));
        }
        let dialog = rfd::FileDialog::new().set_parent(frame);
        std::thread::Builder::new()
            .name("flowblend-file-dialog".to_owned())
            .spawn(move || {
                let opened = Instant::now();
                let choice = match ask(dialog) {
                    Some(path) => Choice::Path(path),
                    None if opened.elapsed() < NO_DIALOG => Choice::Missing,
                    None => Choice::PutAway,
                };
                // Fails only when the window is gone.
                let _ = sender.send(choice);
                wake();
            })
            .map_err(|why| format!("the file dialog could not be opened ({why}); try again"))?;
        Ok(Self(receiver))
    }

    /// What it came to, once it did. Never waits.
    pub(super) fn poll(&self) -> Option<Choice> {
        match self.0.try_recv() {
            Ok(choice) => Some(choice),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => Some(Choice::Missing),
        }
    }

    /// Asks where a clip goes: for a file, or, where the format is a folder, for the folder that it is made
    /// in.
    pub(super) fn ask_target(
        frame: &eframe::Frame,
        format: Format,
        suggestion: &Path,
        wake: Wake,
    ) -> Result<Self, String> {
        let (folder, name) = (
            suggestion.parent().map(PathBuf::from),
            suggestion
                .file_name()
                .map(PathBuf::from)
                .unwrap_or_default(),
        );
        Self::open(frame, wake, move |dialog| {
            let dialog = match folder {
                Some(folder) => dialog.set_directory(folder),
                None => dialog,
            };
            match format.ending() {
                Some(ending) => dialog
                    .set_title("Export clip")
                    .set_file_name(name.to_string_lossy())
                    .add_filter(format.name(), &[ending])
                    .save_file(),
                None => {
                    let title = format!("Export clip: the folder to make “{}” in", name.display());
                    Some(dialog.set_title(title).pick_folder()?.join(name))
                }
            }
        })
    }
}
