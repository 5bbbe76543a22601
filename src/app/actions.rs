//! What each request does.

use eframe::egui;
use std::hash::{BuildHasher as _, RandomState};
use std::path::Path;

use egui::{Context, ViewportCommand};

use super::files::Next;
use super::{App, Command, DocCommand, ExportSource, Notice, Readiness, Removal, Request, Showing};
use crate::engine::{OnlineRule, RunId, RunRequest};
use crate::project::{Look, PairRef, RunSettings};
use crate::ui::dialogs::Dialog;
use crate::ui::palette::PaletteState;
use crate::ui::view::{Side, ZoomWish};

/// Random seeds stay this short, so that people can read and type them.
const RANDOM_SEEDS: u64 = 100_000_000;
/// Magnification of one press.
const ZOOM_STEP: f32 = 1.25;

impl App {
    pub(super) fn obey(
        &mut self,
        ctx: &Context,
        frame: &eframe::Frame,
        request: Request,
        now_secs: f64,
    ) {
        match request {
            Request::Command(command) => self.command(ctx, frame, command, now_secs),
            Request::Edit(edit) => self.edit(edit, now_secs),
            Request::BeginDrag => self.document.begin_drag(),
            Request::EndBurst => self.document.end_burst(),
            Request::LeaveField => self.document.leave_field(),
            Request::SelectBoundary(index) => self.view.boundary = index,
            Request::Seek(frame) => {
                self.player.pause();
                self.player.seek_frame(frame);
            }
            Request::Restore(id) => self.restore(id, now_secs),
            Request::Star(id) => {
                if let (Some(keeper), Some((name, record))) = (&self.keeper, self.gallery.star(id))
                {
                    keeper.rewrite(name, record);
                }
            }
            Request::DeleteRun(id) => self.delete_run(id),
            Request::BringBack(removal) => self.take_removal_back(removal),
            Request::Compare(request) => self.compare(request),
            Request::RollSeed => self.roll_seed(now_secs),
            Request::UsePair(name) => self.use_pair(PairRef::Named(name)),
            Request::AddPair(request) => {
                self.notice = self.models.obey_form(request, frame).or(self.notice.take());
            }
            Request::ForgetPair(name) => self.models.forget(name),
            Request::PutPairBack(pair) => {
                self.notice = None;
                self.models.put_back(pair);
            }
            Request::PullPair(name) => {
                self.notice = self.models.pull(&name).or(self.notice.take());
            }
            Request::CancelPull => self.models.cancel_pull(),
            Request::Export(request) => {
                self.notice = self.exporter.obey(request, frame).or(self.notice.take());
            }
            Request::CloseModels => self.models.is_open = false,
            Request::ShowPaused(id) => self.show_paused(id, now_secs),
            Request::ContinueRun(id) => self.continue_run(Some(id)),
            Request::DropPaused(id) => self.drop_paused(Some(id)),
            Request::RenderAgain(id) => {
                self.restore(id, now_secs);
                self.render(now_secs, None);
            }
            Request::RunTo(step) => self.run_to(step, now_secs),
            Request::PauseQueue => self.queue.toggle_pause(),
            Request::Unqueue(id) => {
                if let Some((at, run)) = self.queue.get(id) {
                    self.remove(Removal::Queued(at, Box::new(run.clone())));
                }
            }
            Request::ShiftQueued(id, by) => self.queue.shift(id, by),
            Request::OpenRecent(path) => self.go_on(ctx, frame, Next::OpenPath(path)),
            Request::Recover => self.recover(now_secs),
            Request::Analysis(request) => self.obey_analysis(request, now_secs),
            Request::Settings(request) => self.obey_settings(frame, request),
            Request::Log(request) => self.obey_log(ctx, request),
            Request::DismissNotice => self.notice = None,
            Request::OpenFolder(folder) => {
                if let Err(why) = open_folder(&folder) {
                    self.notice = Some(Notice::error(&format!(
                        "the file manager could not be opened ({why}); the folder is {}",
                        folder.display()
                    )));
                }
            }
        }
    }

    fn command(&mut self, ctx: &Context, frame: &eframe::Frame, command: Command, now_secs: f64) {
        match command {
            Command::Generate => self.generate(now_secs),
            Command::Enqueue => self.enqueue(now_secs),
            Command::CancelRun => self.cancel_run(),
            Command::PauseRun => self.pause_run(),
            Command::ContinueRun => self.continue_run(None),
            Command::DropPaused => self.drop_paused(None),
            Command::RunToStep => self.ask_for_step(),
            Command::Palette => self.palette = Some(PaletteState::default()),
            Command::EarlierPrompt => {
                let now = &self.document.settings().prompt;
                let prompt = self.history.earlier(now);
                self.fetch_prompt(prompt, now_secs);
            }
            Command::LaterPrompt => {
                let prompt = self.history.later();
                self.fetch_prompt(prompt, now_secs);
            }
            Command::New => self.go_on(ctx, frame, Next::New),
            Command::Open => self.go_on(ctx, frame, Next::Open),
            Command::Save => self.save(ctx, frame),
            Command::SaveAs => self.save_as(frame),
            Command::Export => self.export(),
            Command::Models => {
                self.models
                    .open(self.pair.as_ref().map(|pair| pair.weights));
            }
            Command::Settings => self.settings.is_open = true,
            Command::Log => self.log.is_open = true,
            Command::Quit => ctx.send_viewport_cmd(ViewportCommand::Close),
            Command::Undo => self.undo(),
            Command::Redo => self.redo(),
            Command::PlayPause => self.player.toggle(),
            Command::PlayBackward => self.player.shuttle_back(),
            Command::Pause => self.player.pause(),
            Command::PlayForward => self.player.shuttle_forward(),
            Command::PreviousFrame => self.player.step_frame(-1),
            Command::NextFrame => self.player.step_frame(1),
            Command::BackSecond => self.player.step_second(-1.0),
            Command::ForwardSecond => self.player.step_second(1.0),
            Command::FirstFrame => self.player.home(),
            Command::LastFrame => self.player.end(),
            Command::Loop => self.set(|set| set.is_looping = !set.is_looping),
            Command::PreviousBoundary
            | Command::NextBoundary
            | Command::NudgeLeft
            | Command::NudgeRight
            | Command::TypePlace
            | Command::SplitStage
            | Command::RemoveBoundary
            | Command::StageMenu
            | Command::TimelineZoomIn
            | Command::TimelineZoomOut
            | Command::TimelineFit => self.timeline_command(ctx, command, now_secs),
            Command::Probe => self.probe(),
            Command::Analysis => self.analysis.is_open = true,
            Command::FindBoundaries => self.find_boundaries(now_secs),
            Command::GenerateOnline => self.render_online(OnlineRule::Bend, now_secs),
            Command::GenerateSrDiffusion => self.render_online(OnlineRule::SrDiffusion, now_secs),
            Command::Compare => self.toggle_compare(),
            Command::ZoomFit => self.view.zoom_wish = Some(ZoomWish::Fit),
            Command::ZoomActual => self.view.zoom_wish = Some(ZoomWish::Actual),
            Command::ZoomIn => self.view.zoom_wish = Some(ZoomWish::By(ZOOM_STEP)),
            Command::ZoomOut => self.view.zoom_wish = Some(ZoomWish::By(1.0 / ZOOM_STEP)),
            Command::Live => self.view.is_live = !self.view.is_live,
            Command::Smooth => self.set(|set| set.is_smooth = !set.is_smooth),
            Command::Theme => {
                let look = match ctx.theme() {
                    egui::Theme::Dark => Look::Light,
                    egui::Theme::Light => Look::Dark,
                };
                self.set(|set| set.look = look);
            }
            Command::Shortcuts => self.dialog = Some(Dialog::Shortcuts),
            Command::About => self.dialog = Some(Dialog::About),
        }
    }

    /// Edits the document. A shift that is the models' own stays that where it depends on the size.
    fn edit(&mut self, edit: DocCommand, now_secs: f64) {
        let resizes = matches!(edit, DocCommand::Size(..) | DocCommand::Frames(_));
        let is_own = self.own_shift() == Some(self.document.settings().shift);
        self.document.apply(edit, now_secs);
        if let (true, true, Some(shift)) = (resizes, is_own, self.own_shift()) {
            self.document.follow_size(shift);
        }
    }

    /// The shift of the models' own scheduler at the document's size, once the pair is known.
    fn own_shift(&self) -> Option<f64> {
        let settings = self.document.settings();
        let pair = self.pair.as_ref().filter(|p| p.pair == settings.pair)?;
        Some(pair.own_shift(settings.size()))
    }

    /// Shows what was rendered before, else renders it.
    fn generate(&mut self, now_secs: f64) {
        let is_free = self.session.active().is_none();
        match self.scene().shown_at_once().map(|run| run.id) {
            Some(id) if is_free => {
                self.show_run(id);
                self.notice = None;
            }
            _ => self.render(now_secs, None),
        }
    }

    /// Renders what the document asks for; with `pause_after` only so many steps of it.
    pub(super) fn render(&mut self, now_secs: f64, pause_after: Option<usize>) {
        match self.readiness() {
            Readiness::Blocked(why) => {
                self.notice = Some(Notice::error(&why));
                return;
            }
            Readiness::Running => return,
            Readiness::Queued => {
                let settings = self.settings_to_run(now_secs);
                self.queue.add_first(settings);
                return;
            }
            Readiness::Restart => self.engine.cancel_all(),
            Readiness::Ready => {}
        }
        let settings = self.settings_to_run(now_secs);
        if self.start_until(settings, pause_after).is_some() {
            self.notice = None;
        }
    }

    /// What the document asks for now, with a new seed where it wants one.
    pub(super) fn settings_to_run(&mut self, now_secs: f64) -> RunSettings {
        if self.view.rolls_seed {
            self.roll_seed(now_secs);
        }
        self.document.end_burst();
        self.document.settings().clone()
    }

    fn fetch_prompt(&mut self, prompt: Option<String>, now_secs: f64) {
        if let Some(prompt) = prompt {
            self.document.apply(DocCommand::Prompt(prompt), now_secs);
        }
    }

    pub(super) fn start(&mut self, settings: RunSettings) -> Option<RunId> {
        self.start_until(settings, None)
    }

    /// Hands a run to the engine; with `pause_after` it rests once so many steps are taken.
    fn start_until(&mut self, settings: RunSettings, pause_after: Option<usize>) -> Option<RunId> {
        let id = self.start_request(RunRequest {
            pause_after,
            ..self.request_for(settings)
        })?;
        if let Some(steps) = pause_after {
            self.session.pausing(steps);
        }
        Some(id)
    }

    /// A run as the window wants it.
    pub(super) fn request_for(&self, settings: RunSettings) -> RunRequest {
        RunRequest {
            keep_latents: true,
            reuse_steps: true,
            preview_every: self.settings.preferences().preview_every,
            ..settings.into()
        }
    }

    /// Hands a run to the engine.
    pub(super) fn start_request(&mut self, request: RunRequest) -> Option<RunId> {
        if let (Some((file, json)), Some(keeper)) =
            (self.history.add(&request.settings.prompt), &self.keeper)
        {
            keeper.write(file, json);
        }
        let (settings, is_online) = (request.whole_settings(), request.online.is_some());
        match self.engine.start(request) {
            Ok(id) => {
                self.note_start(id, &settings);
                self.session.started(id, settings);
                if is_online {
                    self.session.deciding();
                }
                Some(id)
            }
            Err(why) => {
                self.notice = Some(Notice::error(&why));
                None
            }
        }
    }

    /// Puts the document at the end of the queue.
    fn enqueue(&mut self, now_secs: f64) {
        if let Readiness::Blocked(why) = self.readiness() {
            self.notice = Some(Notice::error(&why));
            return;
        }
        let settings = self.settings_to_run(now_secs);
        self.queue.add(settings);
        self.view.side = Side::Queue;
    }

    /// Starts the run whose turn it is, and has the queue written down where it changed.
    pub(super) fn follow_queue(&mut self) {
        if self.session.active().is_none() {
            self.queue.ended();
            if let Some(settings) = self.queue.next().cloned() {
                match self.start(settings) {
                    Some(id) => self.queue.started(id),
                    // It was told why; trying again at every frame helps nobody.
                    None => self.queue.toggle_pause(),
                }
            }
        }
        if let Some((file, json)) = self.queue.take_changes()
            && let Some(keeper) = &self.keeper
        {
            keeper.write(file, json);
        }
    }

    /// The document takes the pair once the engine knows it.
    fn use_pair(&mut self, pair: PairRef) {
        if self.session.active().is_some() {
            self.notice = Some(Notice::error(
                "a run is going on; wait for it or cancel it, then change the pair",
            ));
            return;
        }
        self.engine.describe(pair.clone());
        self.wanted = Some(pair);
        self.models.is_open = false;
    }

    pub(super) fn cancel_run(&mut self) {
        self.engine.cancel_all();
        self.session.cancelling();
    }

    fn export(&mut self) {
        let Some(shown) = self.gallery.shown() else {
            self.notice = Some(Notice::error(
                "there is no clip to export yet; generate one first",
            ));
            return;
        };
        // What is on show has its clip in memory.
        let Some(run) = shown.finished() else {
            return;
        };
        let sides = self.comparison.sides(&self.gallery);
        let other = sides.and_then(|sides| sides.other.finished());
        let both = other.map(|other| ExportSource::of_two([&run, &other]));
        let frame = self.player.frame_index();
        let begun = both.transpose().and_then(|both| {
            self.exporter
                .begin(ExportSource::of_run(&run)?, both, frame)
        });
        if let Err(why) = begun {
            self.notice = Some(Notice::error(&why));
        }
    }

    fn roll_seed(&mut self, now_secs: f64) {
        // The standard library seeds its hash maps from the system's randomness; that is enough here.
        let seed = RandomState::new().hash_one(now_secs.to_bits()) % RANDOM_SEEDS;
        self.document.end_burst();
        self.document.apply(DocCommand::Seed(seed), now_secs);
        self.document.end_burst();
    }

    fn restore(&mut self, id: RunId, now_secs: f64) {
        self.show_run(id);
        let Some(settings) = self.gallery.get(id).map(|run| run.settings().clone()) else {
            return;
        };
        self.document.end_burst();
        self.document
            .apply(DocCommand::Restore(Box::new(settings)), now_secs);
        self.document.end_burst();
    }

    /// Puts a run's clip into the preview, read from disk where it has to be.
    pub(super) fn show_run(&mut self, id: RunId) {
        self.paused.hide();
        match self.gallery.show(id) {
            Showing::Unknown => {}
            Showing::Now => {
                self.player.home();
                self.player.play();
            }
            Showing::Fetch(name) => {
                if let Some(keeper) = &self.keeper {
                    keeper.fetch(name);
                }
            }
        }
    }

    fn delete_run(&mut self, id: RunId) {
        if self.keeper.is_none() {
            return;
        }
        match self.gallery.get(id).map(|run| run.name.clone()) {
            Some(Some(name)) => {
                self.remove(Removal::Run(name));
            }
            Some(None) => {
                self.notice = Some(Notice::error(
                    "the run is still being written to disk; delete it in a moment",
                ));
            }
            None => {}
        }
    }
}

/// Hands a folder to the desktop. Does not wait for the file manager.
fn open_folder(folder: &Path) -> std::io::Result<()> {
    let program = if cfg!(target_os = "macos") {
        "open"
    } else if cfg!(target_os = "windows") {
        "explorer"
    } else {
        "xdg-open"
    };
    let mut child = std::process::Command::new(program).arg(folder).spawn()?;
    // Somebody has to collect the finished process.
    std::thread::Builder::new()
        .name("flowblend-open-folder".to_owned())
        .spawn(move || child.wait())?;
    Ok(())
}
