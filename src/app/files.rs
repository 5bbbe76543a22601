//! Projects: new, open, save, recent ones, and work that was never saved.

use eframe::egui;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crossbeam_channel::{Receiver, TryRecvError, bounded};
use egui::{Context, ViewportCommand};

use super::file_dialog::{Choice, FileDialog};
use super::{App, DocCommand, Document, Notice, Request};
use crate::media::read_comment;
use crate::project::{
    Autosave, Draft, LeftDraft, ProjectFile, Recipe, RunSettings, write_bytes_atomic,
};
use crate::ui::dialogs::{Answer, Dialog};
use crate::ui::path_dialog;

/// Projects that the menu remembers.
const RECENT: usize = 10;

/// What waits for an answer about unsaved work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Next {
    New,
    Open,
    OpenPath(PathBuf),
    Quit,
}

/// Why a path is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    Open,
    Save,
}

/// What a file held.
#[derive(PartialEq)]
enum Opened {
    /// A project: the document is it from now on.
    Project(PathBuf, RunSettings),
    /// A clip: its recipe is an edit like any other.
    Clip(RunSettings),
}

/// The document's file and what is going on around it.
#[derive(Default)]
pub struct Files {
    path: Option<PathBuf>,
    recent: Vec<PathBuf>,
    recent_list: Option<PathBuf>,
    asking: Option<(Purpose, FileDialog)>,
    /// The path being typed, on a desktop without a file dialog.
    typed: Option<(Purpose, String)>,
    opening: Option<Receiver<Result<Opened, String>>>,
    /// What to go on with once unsaved work is dealt with.
    next: Option<Next>,
    /// The person let go of the unsaved work.
    may_discard: bool,
    autosave: Option<Autosave>,
    /// No drafts are wanted.
    is_autosave_off: bool,
    kept: Option<Draft>,
    left: Option<LeftDraft>,
}

impl Files {
    /// The project's file, once it has one.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// Projects opened or saved lately, the newest first.
    pub fn recent(&self) -> &[PathBuf] {
        &self.recent
    }

    /// Nothing is to follow any more.
    pub(super) fn forget_next(&mut self) {
        self.next = None;
    }

    /// Whether a path is being typed.
    pub(super) fn is_typing(&self) -> bool {
        self.typed.is_some()
    }

    /// Remembers recent projects in the file `list`.
    pub(super) fn keep_recent_in(&mut self, list: PathBuf) {
        self.recent = std::fs::read(&list)
            .ok()
            .and_then(|json| serde_json::from_slice(&json).ok())
            .unwrap_or_default();
        self.recent_list = Some(list);
    }

    /// Writes unsaved work down in `folder` as it changes. Gives what there is to say of work that was
    /// left behind.
    pub(super) fn autosave_in(&mut self, folder: &Path) -> Option<Notice> {
        match Autosave::start(folder) {
            Ok((autosave, left)) => {
                self.autosave = Some(autosave);
                self.left = left;
                self.left.is_some().then(|| {
                    Notice::done("flowblend ended without saving; the work it had is still there")
                        .offering("Recover", Request::Recover)
                })
            }
            Err(why) => Some(Notice::error(&format!(
                "unsaved work will not survive a crash: {} cannot be written to ({why}); save often",
                folder.display()
            ))),
        }
    }

    /// Leaves at least so many seconds between two drafts; `None` writes none.
    pub(super) fn set_autosave_pace(&mut self, secs: Option<f64>) {
        self.is_autosave_off = secs.is_none();
        if let (Some(autosave), Some(secs)) = (&self.autosave, secs) {
            autosave.set_pace(secs);
        }
    }

    fn remember(&mut self, path: &Path) {
        self.recent.retain(|known| known != path);
        self.recent.insert(0, path.to_owned());
        self.recent.truncate(RECENT);
        if let (Some(list), Ok(json)) = (&self.recent_list, serde_json::to_vec(&self.recent)) {
            if let Some(folder) = list.parent() {
                let _ = std::fs::create_dir_all(folder);
            }
            // A list that cannot be kept is no reason to bother anyone.
            let _ = write_bytes_atomic(list, true, &json);
        }
    }
}

impl App {
    /// Goes on with `next`, after asking about unsaved work where there is any.
    pub(super) fn go_on(&mut self, ctx: &Context, frame: &eframe::Frame, next: Next) {
        if self.document.is_edited() && !self.files.may_discard {
            self.files.next = Some(next);
            self.dialog = Some(Dialog::Unsaved);
            return;
        }
        self.files.may_discard = false;
        match next {
            Next::New => {
                self.files.path = None;
                let fresh = match &self.pair {
                    Some(pair) => &pair.defaults,
                    None => self.document.settings(),
                };
                self.document = Document::new(fresh.clone());
                self.view.wants_prompt = true;
            }
            Next::Open => self.ask_for_path(frame, Purpose::Open),
            Next::OpenPath(path) => self.open_path(path),
            Next::Quit => {
                self.files.may_discard = true;
                ctx.send_viewport_cmd(ViewportCommand::Close);
            }
        }
    }

    /// Whether closing the window would lose work nobody was asked about.
    pub(super) fn has_unsaved_work(&self) -> bool {
        self.document.is_edited() && !self.files.may_discard
    }

    /// The person answered the question about unsaved work.
    pub(super) fn answer_unsaved(&mut self, ctx: &Context, frame: &eframe::Frame, answer: Answer) {
        match answer {
            Answer::Yes => self.save(ctx, frame),
            Answer::Without => {
                self.files.may_discard = true;
                if let Some(next) = self.files.next.take() {
                    self.go_on(ctx, frame, next);
                }
            }
            Answer::No => self.files.next = None,
        }
    }

    /// Saves under the known name, or asks for one.
    pub(super) fn save(&mut self, ctx: &Context, frame: &eframe::Frame) {
        match self.files.path.clone() {
            Some(path) => self.save_to(ctx, frame, path),
            None => self.save_as(frame),
        }
    }

    /// Asks for a name and saves under it.
    pub(super) fn save_as(&mut self, frame: &eframe::Frame) {
        self.ask_for_path(frame, Purpose::Save);
    }

    fn save_to(&mut self, ctx: &Context, frame: &eframe::Frame, path: PathBuf) {
        self.document.end_burst();
        let settings = self.document.settings().clone();
        match ProjectFile::new(settings).save(&path) {
            Ok(()) => {
                self.document.mark_saved();
                self.files.remember(&path);
                self.notice = Some(Notice::saved(&path));
                self.files.path = Some(path);
                if let Some(next) = self.files.next.take() {
                    self.go_on(ctx, frame, next);
                }
            }
            Err(why) => {
                self.files.next = None;
                self.notice = Some(Notice::fault(&why));
            }
        }
    }

    fn ask_for_path(&mut self, frame: &eframe::Frame, purpose: Purpose) {
        if self.files.asking.is_some() {
            return;
        }
        let known = self.files.path.clone();
        let opened = FileDialog::open(frame, Arc::clone(&self.wake), move |dialog| {
            let dialog = match known.as_deref().and_then(Path::parent) {
                Some(folder) => dialog.set_directory(folder),
                None => dialog,
            };
            match purpose {
                Purpose::Save => dialog
                    .set_title("Save project")
                    .set_file_name(known.as_deref().map_or_else(
                        || format!("untitled.{}", ProjectFile::ENDING),
                        |path| {
                            path.file_name()
                                .unwrap_or_default()
                                .to_string_lossy()
                                .into()
                        },
                    ))
                    .add_filter("flowblend project", &[ProjectFile::ENDING])
                    .save_file(),
                Purpose::Open => dialog
                    .set_title("Open project or clip")
                    .add_filter(
                        "Projects and clips",
                        &[ProjectFile::ENDING, "mp4", "webm", "mov", "mkv", "gif"],
                    )
                    .pick_file(),
            }
        });
        match opened {
            Ok(dialog) => self.files.asking = Some((purpose, dialog)),
            Err(why) => self.notice = Some(Notice::error(&why)),
        }
    }

    /// Looks at dialogs, threads and dropped files, and keeps the draft up to date.
    pub(super) fn follow_files(&mut self, ctx: &Context, frame: &eframe::Frame) {
        if let Some((purpose, choice)) = self
            .files
            .asking
            .as_ref()
            .and_then(|(purpose, dialog)| Some((*purpose, dialog.poll()?)))
        {
            self.files.asking = None;
            match choice {
                // The system's dialog has asked about an existing file.
                Choice::Path(path) => self.path_chosen(ctx, frame, purpose, path, true),
                Choice::PutAway => self.files.next = None,
                Choice::Missing => self.files.typed = Some((purpose, self.suggestion(purpose))),
            }
        }
        // A file given at the start waits until there is a document that an undo can lead back to.
        let is_early = self.document.is_new() && self.pair_error.is_none();
        let opening = self.files.opening.as_ref().filter(|_| !is_early);
        let answer = opening.map(Receiver::try_recv);
        if let Some(answer) = answer
            && answer != Err(TryRecvError::Empty)
        {
            self.files.opening = None;
            match answer {
                Ok(Ok(opened)) => self.opened(opened, ctx.input(|i| i.time)),
                Ok(Err(why)) => self.notice = Some(Notice::error(&why)),
                // The thread ended without a word.
                Err(_) => {}
            }
        }
        let dropped = ctx.input(|i| {
            let file = i.raw.dropped_files.first()?;
            Some(file.path().to_owned())
        });
        if let Some(path) = dropped {
            if is_project(&path) {
                self.go_on(ctx, frame, Next::OpenPath(path));
            } else {
                self.open_path(path);
            }
        }
        self.keep_draft();
    }

    fn suggestion(&self, purpose: Purpose) -> String {
        match (&self.files.path, purpose) {
            (Some(path), _) => path.display().to_string(),
            (None, Purpose::Save) => {
                let home = directories::UserDirs::new();
                let folder = home.map_or_else(PathBuf::new, |dirs| dirs.home_dir().to_owned());
                let path = folder.join("untitled").with_extension(ProjectFile::ENDING);
                path.display().to_string()
            }
            (None, Purpose::Open) => String::new(),
        }
    }

    /// Shows the field for a typed path, where one is wanted.
    pub(super) fn show_typed_path(&mut self, ctx: &Context, frame: &eframe::Frame) {
        let Some((purpose, typed)) = &mut self.files.typed else {
            return;
        };
        let purpose = *purpose;
        let words = match purpose {
            Purpose::Save => path_dialog::Words {
                title: "Save project",
                hint: "Write the project to this file.",
                field: "File to save to",
                button: "Save",
            },
            Purpose::Open => path_dialog::Words {
                title: "Open project or clip",
                hint: "A .flowblend project, or a clip that flowblend exported.",
                field: "File to open",
                button: "Open",
            },
        };
        match path_dialog::show(ctx, &words, typed) {
            Some(Answer::Yes) => {
                let path = PathBuf::from(typed.trim());
                self.files.typed = None;
                self.path_chosen(ctx, frame, purpose, path, false);
            }
            Some(_) => self.put_typed_path_away(),
            None => {}
        }
    }

    /// Nobody wants to type a path after all.
    pub(super) fn put_typed_path_away(&mut self) {
        self.files.typed = None;
        self.files.next = None;
    }

    fn path_chosen(
        &mut self,
        ctx: &Context,
        frame: &eframe::Frame,
        purpose: Purpose,
        path: PathBuf,
        is_asked: bool,
    ) {
        if purpose == Purpose::Open {
            self.open_path(path);
            return;
        }
        let (path, is_asked) = match path.extension() {
            Some(_) => (path, is_asked),
            // Under this name nobody was asked about it.
            None => (path.with_extension(ProjectFile::ENDING), false),
        };
        if !is_asked && path.exists() && self.files.path.as_ref() != Some(&path) {
            self.files.next = None;
            self.notice = Some(Notice::error(&format!(
                "{} exists already; save under another name",
                path.display()
            )));
            return;
        }
        self.save_to(ctx, frame, path);
    }

    /// Opens a project, or takes the recipe of a clip, as if it were dropped on the window.
    #[must_use]
    pub fn with_file(mut self, path: PathBuf) -> Self {
        self.open_path(path);
        self
    }

    /// Reads a file on a thread of its own.
    fn open_path(&mut self, path: PathBuf) {
        let (sender, receiver) = bounded(1);
        let wake = Arc::clone(&self.wake);
        let spawned = std::thread::Builder::new()
            .name("flowblend-open".to_owned())
            .spawn(move || {
                // Fails only when the window is gone.
                let _ = sender.send(read(path));
                wake();
            });
        match spawned {
            Ok(_) => self.files.opening = Some(receiver),
            Err(why) => {
                self.notice = Some(Notice::error(&format!(
                    "the file could not be opened ({why}); close other programs and try again"
                )));
            }
        }
    }

    fn opened(&mut self, opened: Opened, now_secs: f64) {
        match opened {
            Opened::Project(path, settings) => {
                self.document = Document::new(settings);
                self.files.remember(&path);
                self.files.path = Some(path);
                self.notice = None;
            }
            Opened::Clip(settings) => {
                self.document.end_burst();
                self.document
                    .apply(DocCommand::Restore(Box::new(settings)), now_secs);
                self.document.end_burst();
                self.notice = Some(Notice::done("The clip's settings were restored"));
            }
        }
    }

    /// Takes the work over that an ended program left behind.
    pub(super) fn recover(&mut self, now_secs: f64) {
        let Some(left) = self.files.left.take() else {
            return;
        };
        let draft = left.draft.clone();
        match &self.files.autosave {
            Some(autosave) => autosave.take_over(left),
            None => left.settle(),
        }
        self.files.kept = Some(draft.clone());
        self.notice = None;
        self.files.path = draft.file;
        self.document.end_burst();
        self.document
            .apply(DocCommand::Restore(Box::new(draft.settings)), now_secs);
        self.document.end_burst();
    }

    fn keep_draft(&mut self) {
        let Some(autosave) = &self.files.autosave else {
            return;
        };
        let settings = self.document.settings();
        let is_kept = self
            .files
            .kept
            .as_ref()
            .is_some_and(|kept| kept.settings == *settings && kept.file == self.files.path);
        let is_wanted = self.document.is_edited() && !self.files.is_autosave_off;
        match (is_wanted, is_kept) {
            (true, false) => {
                let draft = Draft {
                    settings: settings.clone(),
                    file: self.files.path.clone(),
                };
                self.files.kept = Some(draft.clone());
                autosave.keep(Some(draft));
            }
            (false, _) if self.files.kept.is_some() => {
                self.files.kept = None;
                autosave.keep(None);
            }
            _ => {}
        }
    }
}

/// Whether a file is a project by its name.
pub(super) fn is_project(path: &Path) -> bool {
    path.extension()
        .is_some_and(|ending| ending.eq_ignore_ascii_case(ProjectFile::ENDING))
}

fn read(path: PathBuf) -> Result<Opened, String> {
    if is_project(&path) {
        let project = ProjectFile::open(&path).map_err(|why| why.to_string())?;
        return Ok(Opened::Project(path, project.settings));
    }
    let comment = read_comment(&path).map_err(|why| why.to_string())?;
    let recipe = Recipe::from_json(&comment.unwrap_or_default()).map_err(|why| why.to_string())?;
    Ok(Opened::Clip(recipe.settings))
}
