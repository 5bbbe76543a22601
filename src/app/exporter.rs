use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, TryRecvError, bounded};
use directories::UserDirs;
use eframe::wgpu::rwh::HasWindowHandle as _;

use super::Notice;
use crate::engine::{FinishedRun, Wake};
use crate::media::{EncodeOptions, ExportJob, ExportStatus, Format};
use crate::project::Recipe;
use crate::schedule::Plan;

/// Nobody answers a file dialog faster than this; a desktop without one does.
const NO_DIALOG: Duration = Duration::from_millis(400);

/// What the system's file dialog came to.
enum Choice {
    Path(PathBuf),
    PutAway,
    /// This desktop has no file dialog.
    Missing,
}

/// A clip on its way to a file.
struct Pending {
    run: FinishedRun,
    options: EncodeOptions,
    suggestion: PathBuf,
}

/// Asks where a clip should go, writes it, and tells how far it is. Dialog and encoder have threads of
/// their own; the window only asks how they are.
#[derive(Default)]
pub struct Exporter {
    pending: Option<Pending>,
    choice: Option<Receiver<Choice>>,
    /// The path being typed, on a desktop without a file dialog.
    pub(super) typed: Option<String>,
    job: Option<(ExportJob, FinishedRun)>,
    folder: Option<PathBuf>,
    wake: Option<Wake>,
}

impl Exporter {
    /// Frames written and frames of the clip, while an export is going.
    pub fn progress(&self) -> Option<(usize, usize)> {
        match self.job.as_ref()?.0.status() {
            ExportStatus::Running { done, total } => Some((done, total)),
            _ => None,
        }
    }

    /// Asks where to. The error is a sentence.
    pub fn begin(
        &mut self,
        frame: &eframe::Frame,
        run: &FinishedRun,
        wake: Wake,
    ) -> Result<(), String> {
        if self.job.is_some() {
            return Err("an export is going on already; wait for it to finish".to_owned());
        }
        if self.pending.is_some() {
            // The dialog is open already.
            return Ok(());
        }
        let recipe = Recipe::new(run.settings.clone(), run.report.model_hashes.clone());
        let options = EncodeOptions {
            format: None,
            comment: Some(recipe.to_json().map_err(|why| why.to_string())?),
            ..EncodeOptions::default()
        };
        let today = jiff::ZonedDateTime::now().date().to_string();
        let name = file_name(&today, &run.settings.plan, run.settings.seed);
        let folder = self.folder.clone().or_else(default_folder);
        let suggestion = folder.unwrap_or_default().join(name);
        self.wake = Some(Arc::clone(&wake));
        if frame.window_handle().is_ok() {
            self.choice = Some(ask(frame, &suggestion, wake)?);
        } else {
            self.typed = Some(suggestion.display().to_string());
        }
        self.pending = Some(Pending {
            run: run.clone(),
            options,
            suggestion,
        });
        Ok(())
    }

    /// Looks at dialog and encoder. Gives the message that ends an export.
    pub fn poll(&mut self) -> Option<Notice> {
        if let Some(choice) = &self.choice {
            let choice = match choice.try_recv() {
                Ok(choice) => choice,
                Err(TryRecvError::Empty) => return None,
                Err(TryRecvError::Disconnected) => Choice::Missing,
            };
            self.choice = None;
            match choice {
                // The system's dialog has asked about an existing file.
                Choice::Path(path) => return self.write(with_ending(path), true),
                Choice::PutAway => self.pending = None,
                Choice::Missing => {
                    self.typed = self
                        .pending
                        .as_ref()
                        .map(|pending| pending.suggestion.display().to_string());
                }
            }
        }
        let (job, run) = self.job.as_ref().filter(|(job, _)| job.is_over())?;
        let notice = match job.status() {
            ExportStatus::Finished => {
                run.clip_is_written();
                Some(Notice::saved(job.path()))
            }
            ExportStatus::Failed(why) => Some(Notice::error(&why)),
            ExportStatus::Cancelled | ExportStatus::Running { .. } => None,
        };
        self.job = None;
        notice
    }

    /// The typed path was accepted or put away.
    pub(super) fn typed_answer(&mut self, is_accepted: bool) -> Option<Notice> {
        let typed = self.typed.take()?;
        if is_accepted && !typed.trim().is_empty() {
            return self.write(with_ending(PathBuf::from(typed.trim())), false);
        }
        self.pending = None;
        None
    }

    fn write(&mut self, path: PathBuf, overwrite: bool) -> Option<Notice> {
        let pending = self.pending.take()?;
        let wake = self.wake.clone()?;
        if !overwrite && path.exists() {
            let why = format!(
                "{} exists already; export again under another name",
                path.display()
            );
            return Some(Notice::error(&why));
        }
        self.folder = path.parent().map(PathBuf::from);
        let Pending { run, options, .. } = pending;
        match ExportJob::start(Arc::clone(&run.clip), path, options, overwrite, wake) {
            Ok(job) => {
                self.job = Some((job, run));
                None
            }
            Err(why) => Some(Notice::error(&format!(
                "the export could not start ({why}); close other programs and try again"
            ))),
        }
    }
}

/// Opens the system's dialog on a thread of its own, in front of our window.
fn ask(frame: &eframe::Frame, suggestion: &Path, wake: Wake) -> Result<Receiver<Choice>, String> {
    let mut dialog = rfd::FileDialog::new()
        .set_parent(frame)
        .set_title("Export clip");
    for format in Format::ALL {
        if let Some(ending) = format.ending() {
            dialog = dialog.add_filter(format.name(), &[ending]);
        }
    }
    if let Some(folder) = suggestion.parent() {
        dialog = dialog.set_directory(folder);
    }
    if let Some(name) = suggestion.file_name() {
        dialog = dialog.set_file_name(name.to_string_lossy());
    }
    let (sender, receiver) = bounded(1);
    std::thread::Builder::new()
        .name("flowblend-file-dialog".to_owned())
        .spawn(move || {
            let opened = Instant::now();
            let choice = match dialog.save_file() {
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

fn default_folder() -> Option<PathBuf> {
    let dirs = UserDirs::new()?;
    let videos = dirs.video_dir().filter(|folder| folder.is_dir());
    Some(videos.unwrap_or(dirs.home_dir()).to_owned())
}

/// `2026-05-04 LSL seed 48151623.mp4`: sorted by day, and what tells clips apart.
fn file_name(date: &str, plan: &Plan, seed: u64) -> String {
    format!("{date} {} seed {seed}.mp4", plan.letters())
}

/// A name without an ending is an MP4.
fn with_ending(path: PathBuf) -> PathBuf {
    if path.extension().is_some() {
        path
    } else {
        path.with_extension("mp4")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_the_day_the_plan_and_the_seed() {
        let plan = Plan::parse("LSL", &[0.4, 0.8]).unwrap();
        assert_eq!(
            file_name("2026-05-04", &plan, 7),
            "2026-05-04 LSL seed 7.mp4"
        );
    }

    #[test]
    fn a_name_without_an_ending_is_an_mp4() {
        assert_eq!(with_ending("a/clip".into()), PathBuf::from("a/clip.mp4"));
        assert_eq!(
            with_ending("a/clip.gif".into()),
            PathBuf::from("a/clip.gif")
        );
    }
}
