use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use eframe::egui;
use egui::{Context, Event, Modifiers, PointerButton, Pos2, RawInput, Ui, ViewportCommand, vec2};

use super::{App, Command, Doing, FrameStats, FrameTimes, Places, Request};
use crate::engine::PipelineFactory;
use crate::library::{Keeper, Shelf};
use crate::ui::timeline::boundary_id;

/// Runs that lie in the gallery while frames are measured.
const GALLERY: usize = 50;
/// Frames that a boundary is dragged while nothing else goes on.
const DRAG_FRAMES: usize = 300;
/// How far the hand goes to each side, and how fast.
const SWING_PX: f32 = 60.0;
const SWING_PER_FRAME: f32 = 0.15;

/// What a person at the window waits for.
#[derive(Clone, Debug, Default)]
pub struct WindowFigures {
    /// Seconds from the program's start to its first frame on the screen.
    pub first_frame_secs: Option<f64>,
    /// Seconds from Generate to the first latent picture, one a run; the models are loaded.
    pub first_preview_secs: Vec<f64>,
    /// Seconds from Generate to the playing clip, one a run; the models are loaded.
    pub clip_secs: Vec<f64>,
    /// Frames while a run is going.
    pub render: Frames,
    /// Frames while a boundary is dragged and nothing else goes on.
    pub drag: Frames,
    /// Frames while a boundary is dragged and a run is going.
    pub drag_in_render: Frames,
}

/// What frames took.
#[derive(Clone, Copy, Debug, Default)]
pub struct Frames {
    /// The window's own work.
    pub own: Option<FrameTimes>,
    /// All of it on the window's thread, what is painted and handed to the screen included.
    pub whole: Option<FrameTimes>,
}

/// Opens the real window, presses Generate `runs` times, one after the other, drags a boundary, and closes
/// it again. Frames are measured with a full gallery, which lies in a folder of its own. `started` is
/// when the program began.
pub fn bench(
    factory: PipelineFactory,
    started: Instant,
    runs: usize,
) -> anyhow::Result<WindowFigures> {
    let folder = tempfile::tempdir()?;
    let gallery = folder.path().join("runs");
    let figures = Arc::new(Mutex::new(WindowFigures::default()));
    let result = Arc::clone(&figures);
    super::open(Box::new(move |cc| {
        let places = Places {
            runs: Some(gallery.clone()),
            ..Places::default()
        };
        let mut app = App::new(cc, factory)?.with_places(places);
        // With the seed of an earlier run there would be no step left to take.
        app.view.rolls_seed = true;
        Ok(Box::new(BenchApp {
            app,
            started,
            runs,
            gallery,
            frames: 0,
            stage: Stage::Opening,
            asked: None,
            seen_preview: false,
            hand: Hand::default(),
            whole: FrameStats::default(),
            doing: Doing::Idle,
            figures,
        }))
    }))?;
    Ok(std::mem::take(
        &mut *result.lock().unwrap_or_else(PoisonError::into_inner),
    ))
}

/// What is measured, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Until the window is there and knows its pair.
    Opening,
    /// The run that loads the models, and that the gallery is filled with.
    FirstRun,
    /// Until the gallery is full.
    Filling,
    Renders,
    Drag,
    DragInRender,
}

/// A hand on the first boundary.
#[derive(Debug, Default)]
struct Hand {
    /// Where it took hold.
    origin: Option<Pos2>,
    frames: usize,
    /// What the window is to hear of it in the next frame.
    events: Vec<Event>,
}

impl Hand {
    /// Moves the boundary a little further, taking hold of it first.
    fn drag(&mut self, ctx: &Context) {
        self.frames += 1;
        let Some(origin) = self.origin else {
            if let Some(handle) = ctx.read_response(boundary_id(0)) {
                let at = handle.rect.center();
                self.origin = Some(at);
                self.events = vec![Event::PointerMoved(at), button(at, true)];
            }
            return;
        };
        let x = SWING_PX * (SWING_PER_FRAME * self.frames as f32).sin();
        self.events.push(Event::PointerMoved(origin + vec2(x, 0.0)));
    }

    fn let_go(&mut self) {
        if let Some(origin) = self.origin.take() {
            self.events.push(button(origin, false));
        }
        self.frames = 0;
    }
}

fn button(pos: Pos2, pressed: bool) -> Event {
    Event::PointerButton {
        pos,
        button: PointerButton::Primary,
        pressed,
        modifiers: Modifiers::NONE,
    }
}

/// The window with a hand on its Generate button, and later on a boundary.
struct BenchApp {
    app: App,
    started: Instant,
    runs: usize,
    /// Folder of the gallery.
    gallery: PathBuf,
    frames: usize,
    stage: Stage,
    asked: Option<Instant>,
    seen_preview: bool,
    hand: Hand,
    /// Whole frames.
    whole: FrameStats,
    /// What went on in the frame before.
    doing: Doing,
    figures: Arc<Mutex<WindowFigures>>,
}

impl BenchApp {
    fn watch(&mut self, ctx: &Context, frame: &eframe::Frame) {
        let figures = Arc::clone(&self.figures);
        let mut figures = figures.lock().unwrap_or_else(PoisonError::into_inner);
        self.frames += 1;
        // When the second frame is begun, the first has been handed to the screen.
        if self.frames == 2 {
            figures.first_frame_secs = Some(self.started.elapsed().as_secs_f64());
        }
        if let Some(secs) = frame.info().cpu_usage {
            self.whole.add(Duration::from_secs_f32(secs), self.doing);
        }
        self.doing = self.app.doing();
        self.follow_run(&mut figures);
        self.follow_stage(ctx, frame, &mut figures);
        ctx.request_repaint();
    }

    fn follow_run(&mut self, figures: &mut WindowFigures) {
        let Some(asked) = self.asked else {
            return;
        };
        let secs = asked.elapsed().as_secs_f64();
        let counts = self.stage == Stage::Renders;
        if !self.seen_preview && self.app.session.preview().is_some() {
            self.seen_preview = true;
            figures.first_preview_secs.extend(counts.then_some(secs));
        }
        if self.app.session.active().is_none() {
            figures.clip_secs.extend(counts.then_some(secs));
            self.asked = None;
        }
    }

    fn follow_stage(&mut self, ctx: &Context, frame: &eframe::Frame, figures: &mut WindowFigures) {
        let is_going = self.asked.is_some();
        // A notice here is an error; it is told by what is missing from the figures.
        if self.app.notice.is_some() && !is_going {
            self.close(ctx);
            return;
        }
        match self.stage {
            Stage::Opening if self.app.pair.is_some() && self.frames > 2 => {
                self.stage = Stage::FirstRun;
                self.generate(ctx, frame);
            }
            Stage::FirstRun if !is_going => {
                let runs = self.app.gallery.runs();
                if runs.first().is_some_and(|run| run.name.is_some()) {
                    self.stage = Stage::Filling;
                    if fill(&self.gallery).is_err() {
                        self.close(ctx);
                        return;
                    }
                    // It lists what it finds when it starts.
                    let shelf = Shelf::new(self.gallery.clone());
                    self.app.keeper = Keeper::start(shelf, Arc::clone(&self.app.wake)).ok();
                }
            }
            Stage::Filling if self.app.gallery.runs().len() >= GALLERY => {
                self.stage = Stage::Renders;
                self.forget_frames();
                self.generate(ctx, frame);
            }
            Stage::Renders if !is_going => {
                if figures.clip_secs.len() < self.runs {
                    self.generate(ctx, frame);
                    return;
                }
                figures.render = self.during(Doing::Run);
                self.forget_frames();
                self.stage = Stage::Drag;
            }
            Stage::Drag if self.hand.frames < DRAG_FRAMES => self.hand.drag(ctx),
            Stage::Drag => {
                figures.drag = self.during(Doing::Drag);
                self.hand.let_go();
                self.forget_frames();
                self.stage = Stage::DragInRender;
                self.generate(ctx, frame);
            }
            Stage::DragInRender if is_going => self.hand.drag(ctx),
            Stage::DragInRender => {
                figures.drag_in_render = self.during(Doing::Drag);
                self.hand.let_go();
                self.close(ctx);
            }
            _ => {}
        }
    }

    fn generate(&mut self, ctx: &Context, frame: &eframe::Frame) {
        self.asked = Some(Instant::now());
        self.seen_preview = false;
        let now_secs = ctx.input(|i| i.time);
        let generate = Request::Command(Command::Generate);
        self.app.obey(ctx, frame, generate, now_secs);
    }

    fn during(&self, doing: Doing) -> Frames {
        Frames {
            own: self.app.stats.during(doing),
            whole: self.whole.during(doing),
        }
    }

    fn forget_frames(&mut self) {
        self.app.stats = FrameStats::default();
        self.whole = FrameStats::default();
    }

    fn close(&mut self, ctx: &Context) {
        // Nobody is asked about settings that nobody wants.
        self.app.document.mark_saved();
        ctx.send_viewport_cmd(ViewportCommand::Close);
    }
}

/// Copies the only run in `gallery` until there are enough.
fn fill(gallery: &Path) -> std::io::Result<()> {
    let runs: Vec<_> = std::fs::read_dir(gallery)?.collect::<Result<_, _>>()?;
    let Some(first) = runs.first() else {
        return Err(std::io::ErrorKind::NotFound.into());
    };
    for copy in runs.len()..GALLERY {
        let mut name = first.file_name();
        name.push(format!("-{copy}"));
        let folder = gallery.join(name);
        std::fs::create_dir(&folder)?;
        for file in std::fs::read_dir(first.path())? {
            let file = file?;
            std::fs::copy(file.path(), folder.join(file.file_name()))?;
        }
    }
    Ok(())
}

impl eframe::App for BenchApp {
    fn raw_input_hook(&mut self, _: &Context, input: &mut RawInput) {
        input.events.append(&mut self.hand.events);
    }

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
