use eframe::egui;
use std::sync::Arc;
use std::time::{Duration, Instant};

use egui::{Context, Ui, ViewportCommand};

use super::auto::Auto;
use super::files::{Next, is_project};
use super::history::PromptHistory;
use super::keys::Keyboard;
use super::live::Live;
use super::{
    Analysis, Comparison, Document, Doing, ExportHost, ExportPage, Exporter, Files, Forecast,
    FrameStats, Gallery, Likenesses, Log, Models, ModelsSource, Notice, Paused, Probes, Queue,
    Readiness, Request, RunSession, Scene, Settings, Source, layout, wants_frame_stats,
};
use crate::engine::{EngineHandle, KeptSteps, PairSummary, PipelineFactory, Wake};
use crate::library::Keeper;
use crate::preview::{Player, RgbFactors};
use crate::project::{PairRef, RunSettings, Scribe};
use crate::schedule::{Guidance, History, Plan, Solver};
use crate::ui::dialogs::{Answer, Dialog};
use crate::ui::palette::{self, PaletteState, Picked};
use crate::ui::view::View;
use crate::ui::{
    analysis, drop_hint, export_dialog, log_panel, models_panel, settings_dialog, theme,
};

/// The whole window. [`run`](super::run) shows it; tests drive it without one.
pub struct App {
    pub(super) engine: EngineHandle,
    pub(super) wake: Wake,
    pub(super) document: Document,
    pub(super) pair: Option<Arc<PairSummary>>,
    pub(super) pair_error: Option<String>,
    /// The pair that the engine was asked to describe for the document.
    pub(super) asked: PairRef,
    /// The pair that the document shall have as soon as the engine described it.
    pub(super) wanted: Option<PairRef>,
    pub(super) models: Models,
    pub(super) forecast: Forecast,
    /// Steps of earlier runs that the engine keeps.
    pub(super) kept: Arc<KeptSteps>,
    pub(super) session: RunSession,
    pub(super) gallery: Gallery,
    pub(super) files: Files,
    pub(super) queue: Queue,
    pub(super) probes: Probes,
    pub(super) analysis: Analysis,
    pub(super) auto: Auto,
    pub(super) paused: Paused,
    pub(super) live: Live,
    pub(super) history: PromptHistory,
    pub(super) palette: Option<PaletteState>,
    /// Keeps finished runs on disk; `None` where there is no place for them.
    pub(super) keeper: Option<Keeper>,
    pub(super) settings: Settings,
    pub(super) log: Log,
    /// Writes settings and log; `None` where there is no place for them.
    pub(super) scribe: Option<Scribe>,
    pub(super) comparison: Comparison,
    pub(super) likenesses: Likenesses,
    pub(super) player: Player,
    /// What the player plays.
    pub(super) source: Source,
    pub(super) rgb: Option<Arc<RgbFactors>>,
    pub(super) exporter: Exporter,
    pub(super) notice: Option<Notice>,
    pub(super) view: View,
    pub(super) dialog: Option<Dialog>,
    keyboard: Keyboard,
    /// A drag was taken back and the button is still down: what it says is no longer wanted.
    ignores_drag: bool,
    pub(super) may_quit: bool,
    pub(super) last_secs: Option<f64>,
    logic_took: Duration,
    pub(super) stats: FrameStats,
}

impl App {
    /// Starts the engine and asks for the bundled pair.
    pub fn new(cc: &eframe::CreationContext<'_>, factory: PipelineFactory) -> anyhow::Result<Self> {
        let ctx = &cc.egui_ctx;
        theme::install(ctx);
        if let Some(state) = &cc.wgpu_render_state {
            crate::preview::install(ctx, state);
        }
        let wake: Wake = {
            let ctx = ctx.clone();
            Arc::new(move || ctx.request_repaint())
        };
        let engine = EngineHandle::spawn(factory, Arc::clone(&wake))?;
        let document = Document::placeholder(placeholder()?);
        let asked = document.settings().pair.clone();
        engine.describe(asked.clone());
        Ok(Self {
            kept: Arc::default(),
            asked,
            wanted: None,
            models: Models::new(ModelsSource::default(), Arc::clone(&wake)),
            exporter: Exporter::new(ExportHost::default(), Arc::clone(&wake)),
            forecast: Forecast::new(document.settings(), None, 0),
            engine,
            wake,
            document,
            pair: None,
            pair_error: None,
            session: RunSession::default(),
            gallery: Gallery::default(),
            files: Files::default(),
            queue: Queue::default(),
            probes: Probes::default(),
            analysis: Analysis::default(),
            auto: Auto::default(),
            paused: Paused::default(),
            live: Live::default(),
            history: PromptHistory::default(),
            palette: None,
            keeper: None,
            settings: Settings::default(),
            log: Log::default(),
            scribe: None,
            comparison: Comparison::default(),
            likenesses: Likenesses::default(),
            player: Player::default(),
            source: Source::Nothing,
            rgb: None,
            notice: None,
            // The first thing a person does is to type what the clip shall show; no letter of it is a key.
            view: View {
                wants_prompt: true,
                ..View::default()
            },
            dialog: None,
            keyboard: Keyboard::default(),
            ignores_drag: false,
            may_quit: false,
            last_secs: None,
            logic_took: Duration::ZERO,
            stats: FrameStats::default(),
        })
    }

    /// What is worked on.
    pub fn document(&self) -> &Document {
        &self.document
    }

    /// The run that is going.
    pub fn session(&self) -> &RunSession {
        &self.session
    }

    /// The pair of the document, once the engine described it.
    pub fn pair(&self) -> Option<&PairSummary> {
        self.pair.as_deref()
    }

    /// Finished runs.
    pub fn gallery(&self) -> &Gallery {
        &self.gallery
    }

    /// Runs that rest between two steps.
    pub fn paused(&self) -> &Paused {
        &self.paused
    }

    /// Runs that wait for their turn.
    pub fn queue(&self) -> &Queue {
        &self.queue
    }

    /// What the shown run is compared with.
    pub fn comparison(&self) -> &Comparison {
        &self.comparison
    }

    /// How alike the compared clips are.
    pub fn likenesses(&self) -> &Likenesses {
        &self.likenesses
    }

    /// What sweeps found.
    pub fn analysis(&self) -> &Analysis {
        &self.analysis
    }

    /// Where playback is.
    pub fn player(&self) -> &Player {
        &self.player
    }

    /// The export.
    pub fn exporter(&self) -> &Exporter {
        &self.exporter
    }

    /// What is set.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What happened.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// How long the window's own work of a frame takes.
    pub fn frame_stats(&self) -> &FrameStats {
        &self.stats
    }

    /// What goes on, for the times of frames.
    pub(super) fn doing(&self) -> Doing {
        match (self.document.is_dragging(), self.session.active()) {
            (true, _) => Doing::Drag,
            (false, Some(_)) => Doing::Run,
            (false, None) => Doing::Idle,
        }
    }

    /// Whether closing the window would drop something.
    pub(super) fn is_busy(&self) -> bool {
        self.session.active().is_some() || self.exporter.progress().is_some()
    }

    pub(super) fn readiness(&self) -> Readiness {
        self.scene().readiness()
    }

    pub(super) fn scene(&self) -> Scene<'_> {
        Scene {
            document: &self.document,
            pair: self.pair.as_deref(),
            pair_error: self.pair_error.as_deref(),
            forecast: &self.forecast,
            session: &self.session,
            gallery: &self.gallery,
            comparison: &self.comparison,
            likenesses: &self.likenesses,
            player: &self.player,
            rgb: self.rgb.as_ref(),
            notice: self.notice.as_ref(),
            models: &self.models,
            export: self.exporter.progress(),
            files: &self.files,
            paused: &self.paused,
            queue: &self.queue,
            probes: &self.probes,
            analysis: &self.analysis,
            settings: &self.settings,
            log: &self.log,
        }
    }

    /// Esc does the nearest thing: closes what is open, leaves a field, takes a drag back, and only
    /// then asks whether to cancel.
    fn escape(&mut self, ctx: &Context) {
        match self.dialog {
            Some(Dialog::CancelRun) => {
                self.dialog = None;
                self.cancel_run();
            }
            Some(Dialog::Unsaved) => {
                self.dialog = None;
                self.files.forget_next();
            }
            Some(_) => self.dialog = None,
            // A number that is being typed is left first.
            None if self.keyboard.is_typing
                && matches!(self.exporter.page(), Some(ExportPage::Form(_))) => {}
            None if self.exporter.page().is_some() => self.exporter.back(),
            None if self.view.step_entry.is_some() => self.view.step_entry = None,
            None if self.palette.is_some() => self.palette = None,
            None if self.files.is_typing() => self.put_typed_path_away(),
            None if self.models.form().is_some() => {
                // A field that is being typed in is left first.
                self.models.leave_form(self.keyboard.is_typing);
            }
            None if self.models.is_open => self.models.is_open = false,
            None if self.analysis.is_open => {
                // A field that is being typed in is left first.
                self.analysis.is_open = self.keyboard.is_typing;
            }
            None if self.settings.is_open => {
                // A field that is being typed in is left first.
                self.settings.is_open = self.keyboard.is_typing || self.keyboard.in_popup;
            }
            None if self.log.is_open => self.log.is_open = false,
            // egui closes its popups and leaves its fields by itself.
            None if self.keyboard.in_popup || self.keyboard.is_typing => {}
            None if self.document.is_dragging() => {
                self.document.revert_drag();
                self.ignores_drag = true;
                ctx.stop_dragging();
            }
            None if self.comparison.is_on() && self.notice.is_none() => {
                self.comparison.leave(&self.gallery);
            }
            None if self.session.active().is_some_and(|a| !a.is_cancelling) => {
                self.dialog = Some(Dialog::CancelRun);
            }
            None => self.notice = None,
        }
    }

    fn answer_dialog(&mut self, ctx: &Context, frame: &eframe::Frame) {
        self.show_typed_path(ctx, frame);
        if let Some(state) = &mut self.palette
            && let Some(picked) = palette::show(ctx, state)
        {
            self.palette = None;
            if let Picked::Command(command) = picked {
                let now_secs = ctx.input(|i| i.time);
                self.obey(ctx, frame, Request::Command(command), now_secs);
            }
        }
        let Some(dialog) = self.dialog else {
            return;
        };
        let Some(answer) = dialog.show(ctx) else {
            return;
        };
        self.dialog = None;
        match (dialog, answer) {
            (Dialog::CancelRun, Answer::Yes) => self.cancel_run(),
            (Dialog::Quit, Answer::Yes) => {
                self.may_quit = true;
                ctx.send_viewport_cmd(ViewportCommand::Close);
            }
            (Dialog::Unsaved, answer) => self.answer_unsaved(ctx, frame, answer),
            _ => {}
        }
    }

    fn draw(&mut self, ui: &mut Ui, frame: &eframe::Frame) {
        let ctx = ui.ctx().clone();
        let now_secs = ctx.input(|i| i.time);
        let mut out = Vec::new();
        if ctx.input(|i| i.key_pressed(egui::Key::Escape)) {
            self.escape(&ctx);
        }
        let is_covered = self.dialog.is_some()
            || self.exporter.page().is_some()
            || self.files.is_typing()
            || self.palette.is_some()
            || self.view.step_entry.is_some()
            || self.models.is_open
            || self.analysis.is_open
            || self.settings.is_open
            || self.log.is_open;
        if !is_covered {
            self.keyboard.take(&ctx, &mut out);
        } else if self.dialog == Some(Dialog::Shortcuts)
            && ctx.input(|i| i.key_pressed(egui::Key::F1))
        {
            self.dialog = None;
        }
        self.obey_all(&ctx, frame, &mut out, now_secs);
        self.follow_live(&ctx, now_secs);
        self.advance_player(&ctx, now_secs);
        self.refresh_forecast();
        self.refresh_analysis();

        let mut view = std::mem::take(&mut self.view);
        layout::show(ui, &self.scene(), &mut view, &mut out);
        if self.models.is_open {
            models_panel::show(&ctx, &self.scene(), &mut out);
        }
        if self.analysis.is_open {
            analysis::show(&ctx, &self.scene(), &mut out);
        }
        if self.settings.is_open {
            settings_dialog::show(&ctx, &self.scene(), &mut out);
        }
        if self.log.is_open {
            log_panel::show(&ctx, &self.log, &mut out);
        }
        if let Some(page) = self.exporter.page() {
            export_dialog::show(&ctx, page, &mut out);
        }
        self.view = view;
        self.obey_all(&ctx, frame, &mut out, now_secs);
        self.answer_dialog(&ctx, frame);
        drop_hint::show(&ctx, is_project);
        self.follow_notice();
        let boundaries = self.document.settings().plan.boundaries().len();
        self.keyboard = Keyboard::look(&ctx, boundaries);
    }

    /// Carries out what panels and keys asked for.
    fn obey_all(
        &mut self,
        ctx: &Context,
        frame: &eframe::Frame,
        out: &mut Vec<Request>,
        now_secs: f64,
    ) {
        if self.ignores_drag {
            self.ignores_drag = ctx.input(|i| i.pointer.any_down());
            out.retain(|request| !matches!(request, Request::Edit(_) | Request::BeginDrag));
        }
        let edits = !out.is_empty();
        for request in out.drain(..) {
            self.obey(ctx, frame, request, now_secs);
        }
        self.follow_pair();
        if edits {
            // What was drawn in this frame is a step behind.
            ctx.request_repaint();
        }
    }
}

impl eframe::App for App {
    fn logic(&mut self, ctx: &Context, frame: &mut eframe::Frame) {
        let start = Instant::now();
        self.drain_engine(ctx);
        self.drain_keeper(ctx);
        if let Some(notice) = self.exporter.poll() {
            self.notice = Some(notice);
        }
        self.likenesses.poll();
        if let Some(notice) = self.models.poll() {
            self.notice = Some(notice);
        }
        if let Some(why) = self.scribe.as_ref().and_then(Scribe::poll) {
            self.notice = Some(Notice::error(&why));
        }
        self.follow_files(ctx, frame);
        self.follow_queue();
        self.follow_removals();
        self.follow_settings(ctx);
        self.follow_notice();
        if ctx.input(|i| i.viewport().close_requested()) {
            if self.has_unsaved_work() {
                ctx.send_viewport_cmd(ViewportCommand::CancelClose);
                self.go_on(ctx, frame, Next::Quit);
            } else if self.is_busy() && !self.may_quit {
                ctx.send_viewport_cmd(ViewportCommand::CancelClose);
                self.dialog = Some(Dialog::Quit);
            }
        }
        self.logic_took = start.elapsed();
    }

    fn ui(&mut self, ui: &mut Ui, frame: &mut eframe::Frame) {
        let start = Instant::now();
        self.draw(ui, frame);
        let took = self.logic_took + start.elapsed();
        self.stats.add(took, self.doing());
    }

    fn on_exit(&mut self) {
        if wants_frame_stats() {
            eprintln!("{}", self.stats.line());
        }
    }
}

/// What the fields hold for the moment before the pair is known.
fn placeholder() -> anyhow::Result<RunSettings> {
    Ok(RunSettings {
        pair: PairRef::default(),
        prompt: String::new(),
        negative: String::new(),
        seed: 0,
        plan: Plan::parse("LSL", &[0.4, 0.8])?,
        steps: 30,
        shift: 3.0,
        solver: Solver::Euler,
        history: History::default(),
        distilled_sigmas: None,
        cfg: 4.0,
        guidance: Guidance::default(),
        cache: None,
        width: 64,
        height: 64,
        frames: 17,
        fps: 12.0,
    })
}
