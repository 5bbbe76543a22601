//! Live mode: the plan is rendered by itself as soon as the hand on it rests.

use eframe::egui;

use egui::Context;

use super::{App, Readiness, Request, duration};
use crate::engine::RunId;

/// How long the hand must rest. Shorter, a slow drag starts a run at every step.
const REST_SECS: f64 = 0.35;

/// What live mode waits for and what it started.
#[derive(Debug, Default)]
pub(super) struct Live {
    /// When the hand will have rested long enough.
    due_secs: Option<f64>,
    /// The run it started last.
    run: Option<RunId>,
}

impl App {
    /// The plan was edited at `now_secs`: what live mode renders is no longer wanted.
    pub(super) fn plan_moved(&mut self, now_secs: f64) {
        if !self.view.is_live {
            return;
        }
        self.live.due_secs = Some(now_secs + REST_SECS);
        let active = self.session.active().filter(|run| !run.is_cancelling);
        if active.is_some_and(|run| self.live.run == Some(run.id)) {
            self.cancel_run();
        }
    }

    /// Renders the plan once the hand has rested, or shows the clip of a plan seen before.
    pub(super) fn follow_live(&mut self, ctx: &Context, now_secs: f64) {
        let Some(due_secs) = self.live.due_secs.filter(|_| self.view.is_live) else {
            self.live.due_secs = None;
            return;
        };
        if now_secs < due_secs {
            ctx.request_repaint_after(duration(due_secs - now_secs));
            return;
        }
        self.live.due_secs = None;
        let settings = self.document.settings();
        let known = self
            .gallery
            .runs()
            .iter()
            .find(|run| run.settings() == settings);
        if let Some(id) = known.map(|run| run.id) {
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
        let settings = settings.clone();
        self.live.run = self.start(settings);
    }
}

impl Request {
    /// Whether it edits the plan.
    pub(super) fn moves_plan(&self) -> bool {
        use super::DocCommand::{Boundary, Plan};
        matches!(self, Self::Edit(Boundary { .. } | Plan(_)))
    }
}
