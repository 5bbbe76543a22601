use eframe::egui;
use egui::accesskit::{Action, Role};
use egui::{
    Button, CursorIcon, DragValue, EventFilter, Id, Key, Modifiers, Popup, PopupCloseBehavior,
    Rect, Response, RichText, Sense, Stroke, StrokeKind, Ui, WidgetInfo, pos2,
    style::StyleModifier, vec2,
};

use super::Axis;
use super::snap::{Snap, allowed_steps, at_step, nudge, snap};
use crate::app::{DocCommand, Request, Scene};
use crate::ui::theme::{bold, palette};
use crate::ui::view::View;
use crate::ui::widgets::{field, number};

/// Width of what can be grabbed; the drawn handle is narrower.
const GRAB_PX: f32 = 20.0;
const HANDLE_PX: f32 = 8.0;
/// How near a default boundary catches the drag.
const MAGNET_PX: f64 = 7.0;
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
}

/// The handles between the blocks.
pub fn show(
    ui: &mut Ui,
    scene: &Scene<'_>,
    view: &View,
    axis: &Axis<'_>,
    track: Rect,
    out: &mut Vec<Request>,
) {
    let plan = &scene.document.settings().plan;
    let own = scene
        .pair
        .map_or(&[][..], |pair| pair.defaults.plan.boundaries());
    let own = if own.len() == plan.boundaries().len() {
        own
    } else {
        &[]
    };
    let boundaries = Boundaries { scene, axis, own };
    for index in 0..plan.boundaries().len() {
        boundaries.show(ui, index, view.boundary == index, track, out);
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
        is_chosen: bool,
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
        self.keys(ui, &response, index, out);
        if response.double_clicked()
            && let Some(fraction) = self.own.get(index)
        {
            out.push(Request::Edit(DocCommand::Boundary {
                index,
                fraction: *fraction,
            }));
            out.push(Request::EndBurst);
        }
        self.typed_entry(&response, index, step, out);
        paint(ui, &response, x, track, is_chosen);
        self.snap_line(ui, &response, index, step, x, track);
        let response = response.on_hover_and_drag_cursor(CursorIcon::ResizeHorizontal);
        if !response.dragged() {
            response.on_hover_text(
                "Drag, or use the arrow keys (Shift for 5 steps). Double-click for the pair's own place, right-click to type.",
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
            if let Some(rest) = snap(plan, index, self.steps(), position, self.own, reach) {
                out.push(move_to(index, rest));
            }
        }
        if response.drag_stopped() {
            out.push(Request::EndBurst);
        }
    }

    fn keys(&self, ui: &Ui, response: &Response, index: usize, out: &mut Vec<Request>) {
        let plan = &self.scene.document.settings().plan;
        let steps = self.steps();
        let mut by: isize = ui.input(|i| {
            let times = |action| i.num_accesskit_action_requests(response.id, action) as isize;
            times(Action::Increment) - times(Action::Decrement)
        });
        if response.has_focus() {
            ui.memory_mut(|memory| {
                // The arrows move the boundary and not the focus.
                let filter = EventFilter {
                    horizontal_arrows: true,
                    vertical_arrows: true,
                    ..EventFilter::default()
                };
                memory.set_focus_lock_filter(response.id, filter);
            });
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
            && let Some(rest) = nudge(plan, index, steps, by, self.own)
        {
            out.push(Request::SelectBoundary(index));
            out.push(move_to(index, rest));
        }
    }

    /// The popup of a right-click: the place as a step or as a percentage.
    fn typed_entry(&self, response: &Response, index: usize, step: usize, out: &mut Vec<Request>) {
        let steps = self.steps();
        let plan = &self.scene.document.settings().plan;
        let Some((low, high)) = allowed_steps(plan, index, steps) else {
            return;
        };
        Popup::context_menu(response)
            .close_behavior(PopupCloseBehavior::CloseOnClickOutside)
            // These are fields and not the frameless entries of a menu.
            .style(StyleModifier::new(|_| {}))
            .show(|ui| {
                ui.set_width(200.0);
                ui.spacing_mut().item_spacing.y = 10.0;
                ui.label(RichText::new(format!("Boundary {}", index + 1)).font(bold(13.0)));
                ui.horizontal(|ui| {
                    let mut typed = step;
                    field(ui, "First step after", |ui| {
                        let value = DragValue::new(&mut typed)
                            .range(low..=high)
                            .speed(0.1)
                            .update_while_editing(false);
                        number(ui, 96.0, value);
                    });
                    if typed != step {
                        out.push(move_to(index, at_step(typed, steps, self.own)));
                    }
                    let mut percent = plan.boundaries()[index] * 100.0;
                    let before = percent;
                    field(ui, "Percent", |ui| {
                        let value = DragValue::new(&mut percent)
                            .range(0.0..=100.0)
                            .speed(0.5)
                            .max_decimals(1)
                            .update_while_editing(false);
                        number(ui, 96.0, value);
                    });
                    if percent != before {
                        let position = percent / 100.0 * steps as f64;
                        if let Some(rest) = snap(plan, index, steps, position, &[], 0.0) {
                            out.push(move_to(index, rest));
                        }
                    }
                });
                if let Some(fraction) = self.own.get(index) {
                    let own_step = (fraction * steps as f64).round();
                    let text = format!("Back to step {own_step}");
                    if ui
                        .add_enabled(plan.boundaries()[index] != *fraction, Button::new(text))
                        .on_hover_text("The pair's own place for this boundary")
                        .on_disabled_hover_text("The boundary is at the pair's own place")
                        .clicked()
                    {
                        out.push(Request::Edit(DocCommand::Boundary {
                            index,
                            fraction: *fraction,
                        }));
                        out.push(Request::EndBurst);
                        ui.close();
                    }
                }
            });
    }

    /// While dragging: the step it rests on, and a line when a magnet holds it.
    fn snap_line(
        &self,
        ui: &Ui,
        response: &Response,
        index: usize,
        step: usize,
        x: f32,
        track: Rect,
    ) {
        if !response.dragged() {
            return;
        }
        let palette = palette(ui);
        let fraction = self.scene.document.settings().plan.boundaries()[index];
        if self.own.contains(&fraction) {
            let line = Stroke::new(1.0, palette.text_strong);
            let reach = track.top() - 24.0..=track.bottom() + 10.0;
            ui.painter().vline(x, reach, line);
        }
        let sigma = self.scene.forecast.grid.sigma(step);
        let text = format!("step {step} · σ {sigma:.2}");
        let font = crate::ui::theme::mono(11.5);
        let width = crate::ui::widgets::text_width(ui, &text, font.clone()) + 12.0;
        let rect = Rect::from_center_size(pos2(x, track.top() - 13.0), vec2(width, 20.0));
        let lifted = ui.painter();
        lifted.rect_filled(rect, 4.0, palette.chosen);
        crate::ui::widgets::paint_text(
            ui,
            rect.center(),
            egui::Align2::CENTER_CENTER,
            &text,
            font,
            palette.text_strong,
            width,
        );
    }
}

fn move_to(index: usize, rest: Snap) -> Request {
    Request::Edit(DocCommand::Boundary {
        index,
        fraction: rest.fraction,
    })
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
