//! Live mode: the plan is rendered by itself as soon as the hand on it rests.

use eframe::egui;

use egui::Context;

use super::{App, Readiness, duration};
use crate::engine::RunId;
use crate::project::RunSettings;

/// How long the hand must rest. Shorter, a slow drag starts a run at every step.
const REST_SECS: f64 = 0.35;

/// What live mode waits for and what it started.
#[derive(Debug, Default)]
pub(super) struct Live {
    /// The document as it was in the frame before.
    before: Option<RunSettings>,
    /// When the hand will have rested long enough.
    due_secs: Option<f64>,
    /// The run it started last.
    run: Option<RunId>,
}

impl App {
    /// Renders a changed plan once the hand has rested, or shows the clip of a plan seen before.
    pub(super) fn follow_live(&mut self, ctx: &Context, now_secs: f64) {
        if !self.view.is_live {
            self.live = Live::default();
            return;
        }
        let now = self.document.settings();
        if self.live.before.as_ref() != Some(now) {
            let before = self.live.before.replace(now.clone());
            if before.is_some_and(|before| before.differs_only_in_plan(now)) {
                self.plan_moved(now_secs);
            }
        }
        match self.live.due_secs {
            Some(due_secs) if now_secs < due_secs => {
                ctx.request_repaint_after(duration(due_secs - now_secs));
            }
            Some(_) => {
                self.live.due_secs = None;
                self.render_live();
            }
            None => {}
        }
    }

    /// What live mode renders is no longer wanted, and the hand has yet to rest.
    fn plan_moved(&mut self, now_secs: f64) {
        self.live.due_secs = Some(now_secs + REST_SECS);
        let active = self.session.active().filter(|run| !run.is_cancelling);
        if active.is_some_and(|run| self.live.run == Some(run.id)) {
            self.cancel_run();
        }
    }

    fn render_live(&mut self) {
        if let Some(id) = self.scene().known_run().map(|run| run.id) {
            if self.session.active().is_none() {
                self.show_run(id);
            }
            return;
        }
        match self.readiness() {
            // The queue's turn, or nothing to render: neither is live mode's business.
            Readiness::Queued | Readiness::Running | Readiness::Blocked(_) => return,
            Readiness::Restart => self.engine.cancel_all(),
            Readiness::Ready => {}
        }
        let settings = self.document.settings().clone();
        self.live.run = self.start(settings);
    }
}
