//! What each request does.

use eframe::egui;
use std::hash::{BuildHasher as _, RandomState};
use std::path::Path;

use egui::{Context, ViewportCommand};

use super::{App, Command, DocCommand, ExportSource, Notice, Readiness, Request};
use crate::engine::{RunId, RunRequest};
use crate::project::PairRef;
use crate::ui::dialogs::Dialog;
use crate::ui::timeline::{boundary_id, nudge};
use crate::ui::view::ZoomWish;

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
            Request::Command(command) => self.command(ctx, command, now_secs),
            Request::Edit(edit) => self.document.apply(edit, now_secs),
            Request::BeginDrag => self.document.begin_drag(),
            Request::EndBurst => self.document.end_burst(),
            Request::SelectBoundary(index) => self.view.boundary = index,
            Request::Seek(frame) => {
                self.player.pause();
                self.player.seek_frame(frame);
            }
            Request::Restore(id) => self.restore(id, now_secs),
            Request::RollSeed => self.roll_seed(now_secs),
            Request::UsePair(name) => self.use_pair(PairRef::Named(name)),
            Request::AddPair => self.notice = self.models.add(frame).or(self.notice.take()),
            Request::PullPair(name) => {
                self.notice = self.models.pull(&name).or(self.notice.take());
            }
            Request::CancelPull => self.models.cancel_pull(),
            Request::Export(request) => {
                self.notice = self.exporter.obey(request, frame).or(self.notice.take());
            }
            Request::CloseModels => self.models.is_open = false,
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

    fn command(&mut self, ctx: &Context, command: Command, now_secs: f64) {
        match command {
            Command::Generate => self.generate(now_secs),
            Command::CancelRun => self.cancel_run(),
            Command::Export => self.export(),
            Command::Models => self.models.open(),
            Command::Quit => ctx.send_viewport_cmd(ViewportCommand::Close),
            Command::Undo => self.document.undo(),
            Command::Redo => self.document.redo(),
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
            Command::Loop => self.player.set_looping(!self.player.is_looping()),
            Command::PreviousBoundary => self.choose_boundary(ctx, -1),
            Command::NextBoundary => self.choose_boundary(ctx, 1),
            Command::NudgeLeft => self.nudge_boundary(-1, now_secs),
            Command::NudgeRight => self.nudge_boundary(1, now_secs),
            Command::ZoomFit => self.view.zoom_wish = Some(ZoomWish::Fit),
            Command::ZoomActual => self.view.zoom_wish = Some(ZoomWish::Actual),
            Command::ZoomIn => self.view.zoom_wish = Some(ZoomWish::By(ZOOM_STEP)),
            Command::ZoomOut => self.view.zoom_wish = Some(ZoomWish::By(1.0 / ZOOM_STEP)),
            Command::Smooth => self.view.is_smooth = !self.view.is_smooth,
            Command::Theme => ctx.set_theme(match ctx.theme() {
                egui::Theme::Dark => egui::Theme::Light,
                egui::Theme::Light => egui::Theme::Dark,
            }),
            Command::Shortcuts => self.dialog = Some(Dialog::Shortcuts),
            Command::About => self.dialog = Some(Dialog::About),
        }
    }

    fn generate(&mut self, now_secs: f64) {
        match self.readiness() {
            Readiness::Blocked(why) => {
                self.notice = Some(Notice::error(&why));
                return;
            }
            Readiness::Running => return,
            Readiness::Restart => self.engine.cancel_all(),
            Readiness::Ready => {}
        }
        if self.view.rolls_seed {
            self.roll_seed(now_secs);
        }
        self.document.end_burst();
        let settings = self.document.settings().clone();
        match self.engine.start(RunRequest {
            keep_latents: true,
            reuse_steps: true,
            ..settings.clone().into()
        }) {
            Ok(id) => {
                self.session.started(id, settings);
                self.notice = None;
            }
            Err(why) => self.notice = Some(Notice::error(&why)),
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
        let begun = ExportSource::of_run(&shown.run)
            .and_then(|source| self.exporter.begin(source, self.player.frame_index()));
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
        let Some(shown) = self.gallery.show(id) else {
            return;
        };
        let settings = shown.run.settings.clone();
        self.player.home();
        self.player.play();
        self.document.end_burst();
        self.document
            .apply(DocCommand::Restore(Box::new(settings)), now_secs);
        self.document.end_burst();
    }

    fn choose_boundary(&mut self, ctx: &Context, by: isize) {
        let count = self.document.settings().plan.boundaries().len();
        let Some(last) = count.checked_sub(1) else {
            return;
        };
        let focused = (0..count).any(|i| ctx.memory(|m| m.has_focus(boundary_id(i))));
        if focused {
            self.view.boundary = self.view.boundary.saturating_add_signed(by).min(last);
        }
        ctx.memory_mut(|memory| memory.request_focus(boundary_id(self.view.boundary.min(last))));
    }

    fn nudge_boundary(&mut self, by: isize, now_secs: f64) {
        let settings = self.document.settings();
        let plan = &settings.plan;
        let index = self.view.boundary;
        if index >= plan.boundaries().len() {
            return;
        }
        let own = self
            .pair
            .as_ref()
            .map_or(&[][..], |pair| pair.defaults.plan.boundaries());
        if let Some(rest) = nudge(plan, index, settings.steps, by, own) {
            let fraction = rest.fraction;
            self.document
                .apply(DocCommand::Boundary { index, fraction }, now_secs);
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
