use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use eframe::egui;
use egui::{Context, Ui, ViewportCommand};

use super::{App, Command, FrameTimes, Request};
use crate::engine::PipelineFactory;

/// What a person at the window waits for.
#[derive(Clone, Debug, Default)]
pub struct WindowFigures {
    /// Seconds from the program's start to its first frame on the screen.
    pub first_frame_secs: Option<f64>,
    /// Seconds from Generate to the first latent picture, one a run.
    pub first_preview_secs: Vec<f64>,
    /// Seconds from Generate to the playing clip, one a run.
    pub clip_secs: Vec<f64>,
    /// The window's own work of a frame while a run is going.
    pub frames: Option<FrameTimes>,
}

/// Opens the real window, presses Generate `runs` times, one after the other, and closes it again.
/// `started` is when the program began.
pub fn bench(
    factory: PipelineFactory,
    started: Instant,
    runs: usize,
) -> anyhow::Result<WindowFigures> {
    let figures = Arc::new(Mutex::new(WindowFigures::default()));
    let result = Arc::clone(&figures);
    super::open(Box::new(move |cc| {
        Ok(Box::new(BenchApp {
            app: App::new(cc, factory)?,
            started,
            runs,
            frames: 0,
            asked: None,
            seen_preview: false,
            figures,
        }))
    }))?;
    Ok(std::mem::take(
        &mut *result.lock().unwrap_or_else(PoisonError::into_inner),
    ))
}

/// The window with a hand on its Generate button.
struct BenchApp {
    app: App,
    started: Instant,
    runs: usize,
    frames: usize,
    asked: Option<Instant>,
    seen_preview: bool,
    figures: Arc<Mutex<WindowFigures>>,
}

impl BenchApp {
    fn watch(&mut self, ctx: &Context, frame: &eframe::Frame) {
        let mut figures = self.figures.lock().unwrap_or_else(PoisonError::into_inner);
        self.frames += 1;
        // When the second frame is begun, the first has been handed to the screen.
        if self.frames == 2 {
            figures.first_frame_secs = Some(self.started.elapsed().as_secs_f64());
        }
        if let Some(asked) = self.asked {
            let secs = asked.elapsed().as_secs_f64();
            if !self.seen_preview && self.app.session.preview().is_some() {
                self.seen_preview = true;
                figures.first_preview_secs.push(secs);
            }
            if self.app.session.active().is_none() {
                figures.clip_secs.push(secs);
                self.asked = None;
            }
        } else if self.app.notice.is_some() || figures.clip_secs.len() == self.runs {
            // A notice here is an error; it is told by what is missing from the figures.
            figures.frames = self.app.frame_stats().during_runs();
            ctx.send_viewport_cmd(ViewportCommand::Close);
        } else if self.app.pair.is_some() && self.frames > 2 {
            self.asked = Some(Instant::now());
            self.seen_preview = false;
            let now_secs = ctx.input(|i| i.time);
            self.app
                .obey(ctx, frame, Request::Command(Command::Generate), now_secs);
        }
        ctx.request_repaint();
    }
}

impl eframe::App for BenchApp {
    fn logic(&mut self, ctx: &Context, frame: &mut eframe::Frame) {
        self.app.logic(ctx, frame);
    }

    fn ui(&mut self, ui: &mut Ui, frame: &mut eframe::Frame) {
        self.app.ui(ui, frame);
        self.watch(ui.ctx(), frame);
    }

    fn on_exit(&mut self) {
        self.app.on_exit();
    }
}
