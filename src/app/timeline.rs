//! What the timeline's commands do.

use eframe::egui;
use egui::{Context, FocusDirection};

use super::{App, Command, DocCommand, Notice};
use crate::schedule::{Plan, PlanEditError, Survivor};
use crate::ui::timeline::{
    PlaceEntry, StageMenu, at_step, boundary_id, magnets, nudge, split_step, stage_id,
};

/// Magnification of one press.
const ZOOM_STEP: f64 = 1.5;

impl App {
    pub(super) fn timeline_command(&mut self, ctx: &Context, command: Command, now_secs: f64) {
        let span = &mut self.view.timeline.span;
        match command {
            Command::PreviousBoundary => self.choose_boundary(ctx, -1),
            Command::NextBoundary => self.choose_boundary(ctx, 1),
            Command::NudgeLeft => self.nudge_boundary(-1, now_secs),
            Command::NudgeRight => self.nudge_boundary(1, now_secs),
            Command::TypePlace => self.type_place(ctx),
            Command::SplitStage => self.split_stage(ctx, now_secs),
            Command::RemoveBoundary => self.remove_boundary(ctx, now_secs),
            Command::StageMenu => {
                let stage = self.chosen_stage(ctx);
                let range = self.stage_steps(stage);
                let middle = split_step(&range, (range.start + range.end) as f64 / 2.0);
                self.view.timeline.menu = Some(StageMenu::by_keyboard(stage, middle));
            }
            Command::TimelineZoomIn => span.zoom_at(0.5, ZOOM_STEP),
            Command::TimelineZoomOut => span.zoom_at(0.5, 1.0 / ZOOM_STEP),
            Command::TimelineFit => *span = Default::default(),
            _ => {}
        }
    }

    fn plan(&self) -> &Plan {
        &self.document.settings().plan
    }

    fn stage_steps(&self, stage: usize) -> std::ops::Range<usize> {
        self.plan()
            .stage_steps(stage, self.document.settings().steps)
    }

    fn focused_boundary(&self, ctx: &Context) -> Option<usize> {
        let focused = ctx.memory(|memory| memory.focused())?;
        (0..self.plan().boundaries().len()).find(|i| boundary_id(*i) == focused)
    }

    fn focused_stage(&self, ctx: &Context) -> Option<usize> {
        let focused = ctx.memory(|memory| memory.focused())?;
        (0..self.plan().stages().len()).find(|i| stage_id(*i) == focused)
    }

    /// The boundary that has the focus, else the one that had it last.
    fn chosen_boundary(&self, ctx: &Context) -> Option<usize> {
        let last = self.plan().boundaries().len().checked_sub(1)?;
        let focused = self.focused_boundary(ctx);
        Some(focused.unwrap_or(self.view.boundary.min(last)))
    }

    /// The stage that has the focus, else the one after the chosen boundary.
    fn chosen_stage(&self, ctx: &Context) -> usize {
        self.focused_stage(ctx)
            .or_else(|| Some(self.chosen_boundary(ctx)? + 1))
            .unwrap_or(0)
    }

    fn choose_boundary(&mut self, ctx: &Context, by: isize) {
        let Some(last) = self.plan().boundaries().len().checked_sub(1) else {
            return;
        };
        let chosen = match (self.focused_boundary(ctx), self.focused_stage(ctx)) {
            (Some(boundary), _) => boundary.saturating_add_signed(by),
            // The boundary at the stage's end, or the one at its start.
            (None, Some(stage)) if by < 0 => stage.saturating_sub(1),
            (None, Some(stage)) => stage,
            (None, None) => self.view.boundary,
        };
        self.view.boundary = chosen.min(last);
        ctx.memory_mut(|memory| {
            memory.request_focus(boundary_id(self.view.boundary));
            // The arrow is spent; else it goes on to what lies above or below the boundary.
            memory.move_focus(FocusDirection::None);
        });
    }

    fn nudge_boundary(&mut self, by: isize, now_secs: f64) {
        let settings = self.document.settings();
        let Some(last) = settings.plan.boundaries().len().checked_sub(1) else {
            return;
        };
        let index = self.view.boundary.min(last);
        let magnets = magnets(self.scene().own_boundaries(), settings.steps);
        if let Some(rest) = nudge(&settings.plan, index, settings.steps, by, &magnets) {
            let fraction = rest.fraction;
            self.document
                .apply(DocCommand::Boundary { index, fraction }, now_secs);
        }
    }

    fn type_place(&mut self, ctx: &Context) {
        if let Some(boundary) = self.chosen_boundary(ctx) {
            self.view.boundary = boundary;
            self.view.timeline.entry = Some(PlaceEntry::new(boundary));
        }
    }

    fn split_stage(&mut self, ctx: &Context, now_secs: f64) {
        let steps = self.document.settings().steps;
        let stages = 0..self.plan().stages().len();
        let (stage, position) = match self.view.timeline.pointer {
            Some(position) => {
                let step = (position as usize).min(steps.saturating_sub(1));
                let mut under = stages.filter(|i| self.stage_steps(*i).contains(&step));
                (under.next().unwrap_or(0), position)
            }
            None => {
                let stage = self.chosen_stage(ctx);
                let range = self.stage_steps(stage);
                (stage, (range.start + range.end) as f64 / 2.0)
            }
        };
        let step = split_step(&self.stage_steps(stage), position);
        let magnets = magnets(self.scene().own_boundaries(), steps);
        let fraction = at_step(step, steps, &magnets).fraction;
        let split = self.plan().split(fraction, steps);
        if self.take_plan(split, now_secs) {
            // The new boundary is what one wants to move next.
            self.view.boundary = stage;
            ctx.memory_mut(|memory| memory.request_focus(boundary_id(stage)));
        }
    }

    fn remove_boundary(&mut self, ctx: &Context, now_secs: f64) {
        let removed = match (self.focused_stage(ctx), self.chosen_boundary(ctx)) {
            (Some(stage), _) => self.plan().remove(stage),
            (None, Some(boundary)) => self.plan().merge(boundary, Survivor::Before),
            (None, None) => Err(PlanEditError::OnlyStage),
        };
        if self.take_plan(removed, now_secs) {
            let last = self.plan().boundaries().len().saturating_sub(1);
            self.view.boundary = self.view.boundary.min(last);
        }
    }

    /// Makes the plan the document's, an undo of its own, or says why there is none.
    pub(super) fn take_plan(&mut self, plan: Result<Plan, PlanEditError>, now_secs: f64) -> bool {
        match plan {
            Ok(plan) => {
                self.document.end_burst();
                self.document.apply(DocCommand::Plan(plan), now_secs);
                self.document.end_burst();
                true
            }
            Err(why) => {
                self.notice = Some(Notice::error(&why.to_string()));
                false
            }
        }
    }
}
