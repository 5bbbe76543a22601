use std::path::{Path, PathBuf};
use std::sync::Arc;

use directories::UserDirs;
use eframe::wgpu::rwh::HasWindowHandle as _;

use super::file_dialog::{Choice, FileDialog};
use super::{ExportSettings, Notice};
use crate::engine::{FinishedRun, Wake};
use crate::media::{Beside, Clip, ClipShape, ExportJob, ExportStatus, Format, FrameSource, Label};
use crate::project::{Recipe, recipe_beside};
use crate::ui::format;

/// Tells whether a format can be written, or why not.
type CheckFormat = Arc<dyn Fn(Format) -> Result<(), String> + Send + Sync>;

/// What exports depend on beyond the window. Tests have one of their own.
#[derive(Clone)]
pub struct ExportHost {
    /// Tells whether a format can be written, or why not.
    pub check: CheckFormat,
    /// Where the choices are kept; nowhere without.
    pub settings_file: Option<PathBuf>,
}

impl Default for ExportHost {
    fn default() -> Self {
        Self {
            check: Arc::new(|format| format.check_encoder().map_err(|why| why.to_string())),
            settings_file: None,
        }
    }
}

/// What is exported: a clip of whatever origin.
#[derive(Clone)]
pub struct ExportSource {
    /// Its frames.
    pub frames: Arc<dyn FrameSource>,
    /// What made it, as JSON; `None` where no one recipe did.
    pub recipe: Option<String>,
    /// The suggested name of the file, without an ending.
    pub name: String,
    /// The run whose latents are not needed any more once the file is there.
    pub run: Option<FinishedRun>,
}

impl ExportSource {
    /// The clip of a finished run. The error is a sentence.
    pub fn of_run(run: &FinishedRun) -> Result<Self, String> {
        Ok(Self {
            frames: Arc::<Clip>::clone(&run.clip),
            recipe: Some(recipe_of(run)?),
            name: stem(&today(), &run.settings.plan.letters(), run.settings.seed),
            run: Some(run.clone()),
        })
    }

    /// The clips of two runs beside each other, with labels. The error is a sentence.
    pub fn of_two(runs: [&FinishedRun; 2]) -> Result<Self, String> {
        let label = |run: &FinishedRun| {
            let time = format::denoise_time(&run.report);
            Label::of_run(&run.settings, Some(&time))
        };
        let clips = runs.map(|run| Arc::clone(&run.clip));
        let both = Beside::new(clips, &runs.map(label)).map_err(|why| why.to_string())?;
        let [first, second] = runs.map(|run| &run.settings);
        let plans = format!("{} beside {}", first.plan.letters(), second.plan.letters());
        Ok(Self {
            frames: Arc::new(both),
            recipe: recipe_beside(&recipe_of(runs[0])?, Some(&recipe_of(runs[1])?)),
            name: stem(&today(), &plans, first.seed),
            run: None,
        })
    }
}

/// What a person does in the pages of an export.
#[derive(Clone, Debug, PartialEq)]
pub enum ExportRequest {
    /// Choose how it is written.
    Change(ExportSettings),
    /// Write both compared clips beside each other, or the shown one alone.
    Both(bool),
    /// Go on to the question where to.
    Choose,
    /// Change the typed path.
    Type(PathBuf),
    /// Write to the typed path.
    Accept,
    /// Replace the file that is there.
    Replace,
    /// One page back; from the first one out.
    Back,
    /// Stop the export that is going.
    Stop,
}

/// The page of an export that is on the screen.
pub enum ExportPage<'a> {
    /// How it is written.
    Form(ExportForm<'a>),
    /// Where to, on a desktop without a file dialog.
    Path(&'a Path),
    /// Whether to replace this file.
    Replace(&'a Path),
}

/// What the first page shows.
pub struct ExportForm<'a> {
    /// Size, rate and length of what is written.
    pub shape: ClipShape,
    /// Whether that is both compared clips beside each other; `None` where none is compared.
    pub is_both: Option<bool>,
    /// Whether the clip has a recipe.
    pub has_recipe: bool,
    /// What is chosen.
    pub settings: &'a ExportSettings,
    /// The frame in the preview, from 0.
    pub shown_frame: usize,
    /// The formats that cannot be written here, each with a sentence that says why.
    pub missing: &'a [(Format, String)],
}

/// How far an export is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExportProgress {
    /// Frames written.
    pub done: usize,
    /// Frames of the file.
    pub total: usize,
    /// Somebody asked to stop and it has not stopped yet.
    pub is_cancelling: bool,
}

enum Stage {
    Form,
    Asking(FileDialog),
    Typing(PathBuf),
    Replacing(PathBuf),
}

/// A clip on its way to a file.
struct Pending {
    source: ExportSource,
    /// The shown clip and the one it is compared with.
    both: Option<ExportSource>,
    shown_frame: usize,
    stage: Stage,
}

/// Asks how and where a clip should go, writes it, and tells how far it is. Dialog and encoder have
/// threads of their own; the window only asks how they are.
pub struct Exporter {
    host: ExportHost,
    wake: Wake,
    settings: ExportSettings,
    /// While clips are compared both are written.
    wants_both: bool,
    missing: Vec<(Format, String)>,
    pending: Option<Pending>,
    job: Option<(ExportJob, Option<FinishedRun>)>,
    folder: Option<PathBuf>,
    start_folder: Option<PathBuf>,
}

impl Exporter {
    pub(super) fn new(host: ExportHost, wake: Wake) -> Self {
        Self {
            settings: ExportSettings::read(host.settings_file.as_deref()),
            host,
            wake,
            wants_both: false,
            missing: Vec::new(),
            pending: None,
            job: None,
            folder: None,
            start_folder: None,
        }
    }

    /// Suggests this folder until a file was written elsewhere; `None` is that of the user's videos.
    pub(super) fn start_in(&mut self, folder: Option<PathBuf>) {
        if self.start_folder != folder {
            self.start_folder = folder;
            self.folder = None;
        }
    }

    /// How far the export is, while one is going.
    pub fn progress(&self) -> Option<ExportProgress> {
        let job = &self.job.as_ref()?.0;
        match job.status() {
            ExportStatus::Running { done, total } => Some(ExportProgress {
                done,
                total,
                is_cancelling: job.is_cancelling(),
            }),
            _ => None,
        }
    }

    /// What is chosen.
    pub fn settings(&self) -> &ExportSettings {
        &self.settings
    }

    /// The page on the screen.
    pub fn page(&self) -> Option<ExportPage<'_>> {
        let pending = self.pending.as_ref()?;
        match &pending.stage {
            Stage::Form => Some(ExportPage::Form(ExportForm {
                shape: self.chosen(pending).frames.shape(),
                is_both: pending.both.as_ref().map(|_| self.wants_both),
                has_recipe: self.chosen(pending).recipe.is_some(),
                settings: &self.settings,
                shown_frame: pending.shown_frame,
                missing: &self.missing,
            })),
            Stage::Asking(_) => None,
            Stage::Typing(path) => Some(ExportPage::Path(path)),
            Stage::Replacing(path) => Some(ExportPage::Replace(path)),
        }
    }

    /// What of a pending export is written.
    fn chosen<'a>(&self, pending: &'a Pending) -> &'a ExportSource {
        let both = pending.both.as_ref().filter(|_| self.wants_both);
        both.unwrap_or(&pending.source)
    }

    /// Opens the first page, with the choice of `both` where clips are compared. The error is a
    /// sentence.
    pub(super) fn begin(
        &mut self,
        source: ExportSource,
        both: Option<ExportSource>,
        shown_frame: usize,
    ) -> Result<(), String> {
        if self.job.is_some() {
            return Err(
                "an export is going on already; wait for it to finish or cancel it".to_owned(),
            );
        }
        if self.pending.is_some() {
            return Ok(());
        }
        let check = &self.host.check;
        self.missing = Format::ALL
            .into_iter()
            .filter_map(|format| Some((format, check(format).err()?)))
            .collect();
        if self.is_missing(self.settings.format) {
            let there = |format: &Format| !self.is_missing(*format);
            self.settings.format = Format::ALL.into_iter().find(there).unwrap_or(Format::Gif);
            self.settings.crf = None;
        }
        let frames = source.frames.shape().frames;
        self.settings.frame = shown_frame.min(frames.saturating_sub(1));
        self.pending = Some(Pending {
            source,
            both,
            shown_frame: self.settings.frame,
            stage: Stage::Form,
        });
        Ok(())
    }

    fn is_missing(&self, format: Format) -> bool {
        self.missing.iter().any(|(missing, _)| *missing == format)
    }

    /// Does what was asked for on a page. Gives what there is to say.
    pub(super) fn obey(&mut self, request: ExportRequest, frame: &eframe::Frame) -> Option<Notice> {
        match request {
            ExportRequest::Stop => {
                if let Some((job, _)) = &self.job {
                    job.cancel();
                }
            }
            ExportRequest::Change(settings) => self.settings = settings,
            ExportRequest::Both(both) => self.wants_both = both,
            ExportRequest::Choose => return self.choose(frame),
            ExportRequest::Type(path) => self.go_to(Stage::Typing(path)),
            ExportRequest::Back => self.back(),
            ExportRequest::Accept => {
                if let Some(Stage::Typing(path)) = self.pending.as_ref().map(|p| &p.stage) {
                    let path = path
                        .to_str()
                        .map_or(path.clone(), |text| text.trim().into());
                    if !path.as_os_str().is_empty() {
                        return self.write_to(path, false);
                    }
                }
            }
            ExportRequest::Replace => {
                if let Some(Stage::Replacing(path)) = self.pending.as_ref().map(|p| &p.stage) {
                    return self.write(path.clone(), true);
                }
            }
        }
        None
    }

    /// One page back; from the first one out.
    pub(super) fn back(&mut self) {
        match self.pending.as_ref().map(|pending| &pending.stage) {
            Some(Stage::Form) => self.pending = None,
            Some(_) => self.go_to(Stage::Form),
            None => {}
        }
    }

    fn go_to(&mut self, stage: Stage) {
        if let Some(pending) = &mut self.pending {
            pending.stage = stage;
        }
    }

    /// Looks at dialog and encoder. Gives the message that ends an export.
    pub(super) fn poll(&mut self) -> Option<Notice> {
        if let Some(Stage::Asking(choice)) = self.pending.as_ref().map(|p| &p.stage) {
            match choice.poll()? {
                // The system's dialog has asked about an existing file, but not about a folder.
                Choice::Path(path) => {
                    let is_asked = self.settings.format.ending().is_some();
                    return self.write_to(path, is_asked);
                }
                Choice::PutAway => self.go_to(Stage::Form),
                Choice::Missing => self.go_to(Stage::Typing(self.suggestion())),
            }
        }
        let (job, run) = self.job.as_ref().filter(|(job, _)| job.is_over())?;
        let notice = match job.status() {
            ExportStatus::Finished => {
                if let Some(run) = run {
                    run.clip_is_written();
                }
                Some(Notice::saved(job.path()))
            }
            ExportStatus::Failed(why) => Some(Notice::error(&why)),
            ExportStatus::Cancelled => Some(Notice::done("Export cancelled; nothing was written")),
            ExportStatus::Running { .. } => None,
        };
        self.job = None;
        notice
    }

    /// Asks where to, by the system's dialog if there is a window for it to belong to.
    fn choose(&mut self, frame: &eframe::Frame) -> Option<Notice> {
        let suggestion = self.suggestion();
        if frame.window_handle().is_err() {
            self.go_to(Stage::Typing(suggestion));
            return None;
        }
        let wake = Arc::clone(&self.wake);
        match FileDialog::ask_target(frame, self.settings.format, &suggestion, wake) {
            Ok(choice) => {
                self.go_to(Stage::Asking(choice));
                None
            }
            Err(why) => Some(Notice::error(&why)),
        }
    }

    fn suggestion(&self) -> PathBuf {
        let pending = self.pending.as_ref();
        let name = pending.map_or("clip", |pending| &self.chosen(pending).name);
        let folder = self.folder.as_ref().or(self.start_folder.as_ref()).cloned();
        let folder = folder.or_else(default_folder);
        let path = folder.unwrap_or_default().join(name);
        match self.settings.format.ending() {
            Some(ending) => with_suffix(path, ending),
            None => path,
        }
    }

    /// Writes to the chosen path, after a question where something is there that nobody asked about.
    fn write_to(&mut self, chosen: PathBuf, is_asked: bool) -> Option<Notice> {
        let path = with_ending(chosen.clone(), self.settings.format);
        let is_asked = is_asked && path == chosen;
        if !is_asked && path.exists() {
            self.go_to(Stage::Replacing(path));
            return None;
        }
        self.write(path, is_asked)
    }

    fn write(&mut self, path: PathBuf, overwrite: bool) -> Option<Notice> {
        let Pending { source, both, .. } = self.pending.take()?;
        let source = both.filter(|_| self.wants_both).unwrap_or(source);
        self.folder = path.parent().map(PathBuf::from);
        if let Some(file) = self.host.settings_file.clone() {
            self.settings.keep(file);
        }
        let options = self.settings.encode_options(source.recipe.as_deref());
        let wake = Arc::clone(&self.wake);
        match ExportJob::start(source.frames, path, options, overwrite, wake) {
            Ok(job) => {
                self.job = Some((job, source.run));
                None
            }
            Err(why) => Some(Notice::error(&format!(
                "the export could not start ({why}); close other programs and try again"
            ))),
        }
    }
}

fn default_folder() -> Option<PathBuf> {
    let dirs = UserDirs::new()?;
    let videos = dirs.video_dir().filter(|folder| folder.is_dir());
    Some(videos.unwrap_or(dirs.home_dir()).to_owned())
}

fn recipe_of(run: &FinishedRun) -> Result<String, String> {
    let recipe = Recipe::new(run.settings.clone(), run.report.model_hashes.clone());
    recipe.to_json().map_err(|why| why.to_string())
}

fn today() -> String {
    jiff::ZonedDateTime::now().date().to_string()
}

/// `2026-05-04 LSL seed 48151623`: sorted by day, and what tells clips apart.
fn stem(date: &str, plan: &str, seed: u64) -> String {
    format!("{date} {plan} seed {seed}")
}

/// The path with the ending of `format`: in place of another format's, else behind what is there.
fn with_ending(path: PathBuf, format: Format) -> PathBuf {
    let Some(own) = format.ending() else {
        return path;
    };
    let is = |known: &str| {
        path.extension()
            .is_some_and(|ending| ending.eq_ignore_ascii_case(known))
    };
    if is(own) {
        path
    } else if Format::ALL.into_iter().filter_map(Format::ending).any(is) {
        path.with_extension(own)
    } else {
        with_suffix(path, own)
    }
}

fn with_suffix(path: PathBuf, ending: &str) -> PathBuf {
    let mut name = path.into_os_string();
    name.push(".");
    name.push(ending);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_the_day_the_plan_and_the_seed() {
        assert_eq!(stem("2026-05-04", "LSL", 7), "2026-05-04 LSL seed 7");
    }

    #[test]
    fn a_name_gets_the_ending_of_its_format() {
        for (name, format, wanted) in [
            ("a/clip", Format::H264, "a/clip.mp4"),
            ("a/clip.MP4", Format::H265, "a/clip.MP4"),
            ("a/clip.gif", Format::H264, "a/clip.mp4"),
            ("a/clip.v2", Format::Av1, "a/clip.v2.webm"),
            ("a/clip", Format::PngFolder, "a/clip"),
            ("a/clip.v2", Format::PngFolder, "a/clip.v2"),
            ("a/0.5 seed 7", Format::Png, "a/0.5 seed 7.png"),
        ] {
            assert_eq!(
                with_ending(name.into(), format),
                PathBuf::from(wanted),
                "{name} as {format:?}"
            );
        }
    }
}
