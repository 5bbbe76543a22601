use eframe::egui;
use egui::accesskit::{Action, Role};
use egui::{
    CursorIcon, EventFilter, Id, Key, Modifiers, Popup, Rect, Response, Sense, Stroke, StrokeKind,
    Ui, WidgetInfo, pos2, vec2,
};

use super::snap::{Snap, allowed_steps, nudge, snap};
use super::{Axis, AxisSpan, magnets, menus};
use crate::app::{DocCommand, Request, Scene};
use crate::ui::theme::palette;
use crate::ui::view::View;

/// Width of what can be grabbed; the drawn handle is narrower.
const GRAB_PX: f32 = 20.0;
const HANDLE_PX: f32 = 8.0;
/// How near a suggested place catches the drag.
const MAGNET_PX: f64 = 7.0;
/// Shares of the track's width that a second of dragging beyond its end shows more of.
const PAN_PER_SEC: f32 = 0.6;
/// Steps that an arrow moves with Shift.
const LARGE_NUDGE: isize = 5;

/// The id of a boundary's handle, for moving the keyboard there.
pub fn boundary_id(index: usize) -> Id {
    Id::unique(("timeline boundary", index))
}

/// What all handles share.
struct Boundaries<'a> {
    scene: &'a Scene<'a>,
    axis: &'a Axis<'a>,
    /// The pair's own boundaries, when the plan has as many.
    own: &'a [f64],
    /// The places that hold a boundary.
    magnets: Vec<f64>,
}

/// The handles between the blocks.
pub fn show(
    ui: &mut Ui,
    scene: &Scene<'_>,
    view: &mut View,
    axis: &Axis<'_>,
    track: Rect,
    out: &mut Vec<Request>,
) {
    let plan = &scene.document.settings().plan;
    let own = scene.own_boundaries();
    let magnets = magnets(own, axis.steps());
    let own = if own.len() == plan.boundaries().len() {
        own
    } else {
        &[]
    };
    let boundaries = Boundaries {
        scene,
        axis,
        own,
        magnets,
    };
    for index in 0..plan.boundaries().len() {
        boundaries.show(ui, index, view, track, out);
    }
}

impl Boundaries<'_> {
    fn steps(&self) -> usize {
        self.axis.steps()
    }

    fn step_of(&self, index: usize) -> usize {
        self.scene
            .document
            .settings()
            .plan
            .boundary_step(index, self.steps())
    }

    fn show(
        &self,
        ui: &mut Ui,
        index: usize,
        view: &mut View,
        track: Rect,
        out: &mut Vec<Request>,
    ) {
        let step = self.step_of(index);
        let x = self.axis.x(step as f64) as f32;
        let grab = Rect::from_center_size(
            pos2(x, track.center().y),
            vec2(GRAB_PX, track.height() + 12.0),
        );
        let id = boundary_id(index);
        let response = ui.interact(grab, id, Sense::click_and_drag());
        self.tell_assistive(ui, &response, index, step);
        self.drag(ui, &response, index, x, out);
        self.pan_along(ui, &response, &mut view.timeline.span, track);
        let is_nudged = self.keys(ui, &response, index, out);
        if is_nudged || response.gained_focus() {
            self.reveal(index, &mut view.timeline.span);
        }
        let own = self.own.get(index).copied();
        if response.double_clicked()
            && let Some(own) = own
        {
            reset(index, own, out);
        }
        if response.secondary_clicked() {
            response.request_focus();
            out.push(Request::SelectBoundary(index));
        }
        menus::boundary(self.scene, index, own, &response, out);
        self.snap_lines(ui, &response, index, track);
        if self.axis.shows(f64::from(x)) {
            paint(ui, &response, x, track, view.boundary == index);
        }
        let response = response.on_hover_and_drag_cursor(CursorIcon::ResizeHorizontal);
        if !response.dragged() {
            response.on_hover_text(
                "Drag, or use the arrow keys (Shift for 5 steps). Enter types a place, double-click takes the pair's own, right-click shows more.",
            );
        }
    }

    fn tell_assistive(&self, ui: &Ui, response: &Response, index: usize, step: usize) {
        let name = format!("Boundary {}, step {step} of {}", index + 1, self.steps());
        response.widget_info(|| {
            let mut info = WidgetInfo::slider(true, step as f64, &name);
            info.role = Role::Slider;
            info
        });
        let plan = &self.scene.document.settings().plan;
        let Some((low, high)) = allowed_steps(plan, index, self.steps()) else {
            return;
        };
        ui.ctx().accesskit_node_builder(response.id, |node| {
            node.set_min_numeric_value(low as f64);
            node.set_max_numeric_value(high as f64);
            node.set_numeric_value_step(1.0);
            node.add_action(Action::Increment);
            node.add_action(Action::Decrement);
        });
    }

    fn drag(&self, ui: &Ui, response: &Response, index: usize, x: f32, out: &mut Vec<Request>) {
        if response.drag_started() {
            // Keeps the boundary under the very point where it was taken hold of.
            let origin = ui.input(|i| i.pointer.press_origin());
            let offset_px = origin.map_or(0.0, |origin| origin.x - x);
            ui.data_mut(|data| data.insert_temp(response.id, offset_px));
            response.request_focus();
            out.push(Request::SelectBoundary(index));
            out.push(Request::BeginDrag);
        }
        if response.clicked() {
            response.request_focus();
            out.push(Request::SelectBoundary(index));
        }
        if response.dragged()
            && let Some(pos) = response.interact_pointer_pos()
        {
            let offset_px: f32 = ui.data(|data| data.get_temp(response.id)).unwrap_or(0.0);
            let position = self.axis.position(f64::from(pos.x - offset_px));
            let reach = self.axis.steps_in_px(position, MAGNET_PX);
            let plan = &self.scene.document.settings().plan;
            if let Some(rest) = snap(plan, index, self.steps(), position, &self.magnets, reach) {
                out.push(move_to(index, rest));
            }
        }
        if response.drag_stopped() {
            out.push(Request::EndBurst);
        }
    }

    /// Shows more of a zoomed axis while the pointer drags beyond its end.
    fn pan_along(&self, ui: &Ui, response: &Response, span: &mut AxisSpan, track: Rect) {
        let Some(pos) = response.interact_pointer_pos() else {
            return;
        };
        if !response.dragged() || span.is_whole() {
            return;
        }
        let way = if pos.x < track.left() {
            -1.0
        } else if pos.x > track.right() {
            1.0
        } else {
            return;
        };
        let secs = ui.input(|i| i.stable_dt.min(0.1));
        span.pan(f64::from(way * secs * PAN_PER_SEC));
        ui.ctx().request_repaint();
    }

    /// Moves a zoomed axis so far that the boundary is on it.
    fn reveal(&self, index: usize, span: &mut AxisSpan) {
        let position = self.step_of(index) as f64;
        if !self.axis.shows(self.axis.x(position)) {
            span.reveal(self.axis.share(position));
        }
    }

    /// Arrows and what assistive technology asks for; whether any of it came.
    fn keys(&self, ui: &Ui, response: &Response, index: usize, out: &mut Vec<Request>) -> bool {
        let plan = &self.scene.document.settings().plan;
        let steps = self.steps();
        let mut by: isize = ui.input(|i| {
            let times = |action| i.num_accesskit_action_requests(response.id, action) as isize;
            times(Action::Increment) - times(Action::Decrement)
        });
        let has_menu = Popup::is_id_open(ui.ctx(), Popup::default_response_id(response));
        if response.has_focus() {
            ui.memory_mut(|memory| {
                // The arrows move the boundary and not the focus, but in its menu.
                let filter = EventFilter {
                    horizontal_arrows: !has_menu,
                    vertical_arrows: !has_menu,
                    ..EventFilter::default()
                };
                memory.set_focus_lock_filter(response.id, filter);
            });
        }
        if response.has_focus() && !has_menu {
            by += ui.input_mut(|i| {
                let mut times = |modifiers, key| i.count_and_consume_key(modifiers, key) as isize;
                // With Shift first: a plain key also matches while Shift is held.
                LARGE_NUDGE * times(Modifiers::SHIFT, Key::ArrowRight)
                    - LARGE_NUDGE * times(Modifiers::SHIFT, Key::ArrowLeft)
                    + times(Modifiers::NONE, Key::ArrowRight)
                    - times(Modifiers::NONE, Key::ArrowLeft)
                    // Far enough to meet the neighbour in any run.
                    + 100_000 * (times(Modifiers::NONE, Key::End) - times(Modifiers::NONE, Key::Home))
            });
        }
        if by != 0
            && let Some(rest) = nudge(plan, index, steps, by, &self.magnets)
        {
            out.push(Request::SelectBoundary(index));
            out.push(move_to(index, rest));
        }
        by != 0
    }

    /// While dragging: a line at every place that holds the boundary, bright where it is held.
    fn snap_lines(&self, ui: &Ui, response: &Response, index: usize, track: Rect) {
        if !response.dragged() {
            return;
        }
        let palette = palette(ui);
        let plan = &self.scene.document.settings().plan;
        let steps = self.steps();
        for magnet in &self.magnets {
            let x = self.axis.x((magnet * steps as f64).round());
            if !self.axis.shows(x) {
                continue;
            }
            let is_held = plan.boundaries()[index] == *magnet;
            let line = if is_held {
                Stroke::new(1.5, palette.text_strong)
            } else {
                Stroke::new(1.0, palette.text_weak)
            };
            let reach = track.top() - 2.0..=track.bottom() + 12.0;
            ui.painter().vline(x as f32, reach, line);
        }
    }
}

/// The edit that brings a boundary there.
pub fn move_to(index: usize, rest: Snap) -> Request {
    Request::Edit(DocCommand::Boundary {
        index,
        fraction: rest.fraction,
    })
}

/// Brings a boundary back to the pair's own place, an undo of its own.
pub fn reset(index: usize, fraction: f64, out: &mut Vec<Request>) {
    out.push(Request::EndBurst);
    out.push(Request::Edit(DocCommand::Boundary { index, fraction }));
    out.push(Request::EndBurst);
}

fn paint(ui: &Ui, response: &Response, x: f32, track: Rect, is_chosen: bool) {
    let palette = palette(ui);
    let is_active = response.hovered() || response.dragged() || response.has_focus();
    let width = if is_active {
        HANDLE_PX + 1.0
    } else {
        HANDLE_PX
    };
    let rect = Rect::from_center_size(pos2(x, track.center().y), vec2(width, track.height() + 8.0));
    let fill = if palette.on_next == egui::Color32::WHITE && !is_active {
        palette.panel
    } else {
        egui::Color32::from_gray(if is_active { 255 } else { 236 })
    };
    ui.painter().rect_filled(rect, 3.0, fill);
    let grip = Rect::from_center_size(rect.center(), vec2(3.0, 16.0));
    let colour = if is_chosen {
        palette.next
    } else {
        palette.text_weak
    };
    ui.painter().rect_filled(grip, 1.5, colour);
    if response.has_focus() {
        ui.painter().rect_stroke(
            rect.expand(2.0),
            4.0,
            Stroke::new(2.0, palette.next),
            StrokeKind::Outside,
        );
    } else {
        // A dark edge keeps the handle apart from light blocks.
        let edge = Stroke::new(1.0, palette.on_colour.gamma_multiply(0.5));
        ui.painter()
            .rect_stroke(rect, 3.0, edge, StrokeKind::Outside);
    }
}
