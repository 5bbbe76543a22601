use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, bounded};

use crate::engine::Wake;
use crate::media::Format;

/// Nobody answers a file dialog faster than this; a desktop without one does.
const NO_DIALOG: Duration = Duration::from_millis(400);

/// What the system's file dialog came to.
pub(super) enum Choice {
    /// The file, or the new folder.
    Path(PathBuf),
    PutAway,
    /// This desktop has no file dialog.
    Missing,
}

/// Opens the system's dialog on a thread of its own, in front of our window: for a file, or, where the
/// format is a folder, for the folder that it is made in.
pub(super) fn ask_target(
    frame: &eframe::Frame,
    format: Format,
    suggestion: &Path,
    wake: Wake,
) -> Result<Receiver<Choice>, String> {
    let mut dialog = rfd::FileDialog::new().set_parent(frame);
    if let Some(folder) = suggestion.parent() {
        dialog = dialog.set_directory(folder);
    }
    let name = suggestion
        .file_name()
        .map(PathBuf::from)
        .unwrap_or_default();
    let ask: Box<dyn FnOnce() -> Option<PathBuf> + Send> = match format.ending() {
        Some(ending) => {
            let dialog = dialog
                .set_title("Export clip")
                .set_file_name(name.to_string_lossy())
                .add_filter(format.name(), &[ending]);
            Box::new(move || dialog.save_file())
        }
        None => {
            let title = format!("Export clip: the folder to make “{}” in", name.display());
            let dialog = dialog.set_title(title);
            Box::new(move || Some(dialog.pick_folder()?.join(name)))
        }
    };
    let (sender, receiver) = bounded(1);
    std::thread::Builder::new()
        .name("flowblend-file-dialog".to_owned())
        .spawn(move || {
            let opened = Instant::now();
            let choice = match ask() {
                Some(path) => Choice::Path(path),
                None if opened.elapsed() < NO_DIALOG => Choice::Missing,
                None => Choice::PutAway,
            };
            // Fails only when the window is gone.
            let _ = sender.send(choice);
            wake();
        })
        .map_err(|why| format!("the file dialog could not be opened ({why}); try again"))?;
    Ok(receiver)
}
