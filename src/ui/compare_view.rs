//! Two clips in one picture.

use std::sync::Arc;

use eframe::egui;
use egui::accesskit::{Action, Role};
use egui::epaint::Mesh;
use egui::{
    Align2, Color32, CursorIcon, DragValue, EventFilter, Id, Key, Modifiers, Rect, Response, Sense,
    Shape, Stroke, Ui, UiBuilder, WidgetInfo, pos2, vec2,
};

use super::compare_bar::run_words;
use super::preview_panel::{badge, magnify};
use super::theme::{mono, palette, regular};
use super::view::View;
use super::widgets::paint_text;
use crate::app::{CompareMode, CompareRequest, GAINS, GalleryRun, Request, Scene, Sides};
use crate::media::Clip;
use crate::preview::{Filter, Picture, heat, paint, paint_part};

/// Space between two clips side by side.
const GAP_PX: f32 = 8.0;
/// Height of the scale under a difference.
const SCALE_PX: f32 = 36.0;
/// Width of what can be grabbed of the divider.
const GRAB_PX: f32 = 20.0;
/// What an arrow key moves the divider by, and with Shift.
const NUDGES: [f32; 2] = [0.01, 0.1];

/// The divider's id, for moving the keyboard there.
fn divider_id() -> Id {
    Id::unique("compare divider")
}

/// The two clips at the playhead, in the mode of the comparison.
pub fn show(
    ui: &mut Ui,
    scene: &Scene<'_>,
    sides: &Sides<'_>,
    view: &mut View,
    response: Response,
    out: &mut Vec<Request>,
) {
    let stage = response.rect;
    let frame = scene.player.frame_index();
    let filter = if view.is_smooth {
        Filter::Linear
    } else {
        Filter::Nearest
    };
    match scene.comparison.mode() {
        CompareMode::Wipe => {
            let Some(pane) = place(ui, view, &response, &[stage], sides).pop() else {
                return;
            };
            grab_cursor(response, view);
            wipe(ui, scene, sides, [pane, stage], filter, view, out);
        }
        CompareMode::SideBySide => {
            let half = (stage.width() - GAP_PX) / 2.0;
            let (left, right) = stage.split_left_right_at_x(stage.left() + half);
            let right = right.with_min_x(right.left() + GAP_PX);
            let panes = place(ui, view, &response, &[left, right], sides);
            grab_cursor(response, view);
            let [shown, other] = sides.clips;
            let runs = [("A", sides.shown, shown), ("B", sides.other, other)];
            for ((pane, half), (letter, run, clip)) in
                panes.into_iter().zip([left, right]).zip(runs)
            {
                let picture = clip_picture(clip, frame);
                if let Some(rect) = paint(ui, pane, &picture, filter, &view.zoom) {
                    label(ui, rect.intersect(half), Align2::LEFT_TOP, letter, run);
                    if letter == "A" {
                        remember_scale(ui, view, rect, clip);
                    }
                }
            }
        }
        CompareMode::Difference => {
            if let Some(why) = sides.mismatch() {
                explain(ui, stage, &why);
                return;
            }
            let (stage, strip) = stage.split_top_bottom_at_y(stage.bottom() - SCALE_PX);
            let Some(pane) = place(ui, view, &response, &[stage], sides).pop() else {
                return;
            };
            grab_cursor(response, view);
            let picture = Picture::Difference {
                one: Arc::clone(sides.clips[0]),
                other: Arc::clone(sides.clips[1]),
                frame_index: frame,
                gain: scene.comparison.gain(),
            };
            if let Some(rect) = paint(ui, pane, &picture, filter, &view.zoom) {
                remember_scale(ui, view, rect, sides.clips[0]);
                labels(ui, rect.intersect(stage), sides);
            }
            scale(ui, scene, strip, out);
        }
    }
}

/// Where the picture is shown in each of `stages`, which are equally large: zoomed and moved by what
/// the pointer does to any of them.
fn place(
    ui: &Ui,
    view: &mut View,
    response: &Response,
    stages: &[Rect],
    sides: &Sides<'_>,
) -> Vec<Rect> {
    let clip = sides.clips[0];
    let size = [clip.width, clip.height];
    let pointer = response.hover_pos().unwrap_or_default();
    let under = stages.iter().find(|stage| stage.contains(pointer));
    let Some(under) = under.or(stages.first()) else {
        return Vec::new();
    };
    let clip_size = vec2(clip.width as f32, clip.height as f32);
    let pane = magnify(ui, view, response, *under, size, clip_size);
    stages
        .iter()
        .map(|stage| pane.translate(stage.min - under.min))
        .collect()
}

fn grab_cursor(response: Response, view: &View) {
    if !view.zoom.is_fit() {
        response.on_hover_and_drag_cursor(CursorIcon::Grab);
    }
}

/// A run's frame; a clip that is shorter holds its last one.
fn clip_picture(clip: &Arc<Clip>, frame: usize) -> Picture {
    let clip = Arc::clone(clip);
    Picture::Clip {
        frame_index: frame.min(clip.frames.len().saturating_sub(1)),
        clip,
    }
}

fn remember_scale(ui: &Ui, view: &mut View, rect: Rect, clip: &Clip) {
    let width = clip.width.max(1) as f32;
    view.shown_scale = Some(rect.width() * ui.pixels_per_point() / width);
}

fn label(ui: &Ui, rect: Rect, anchor: Align2, letter: &str, run: &GalleryRun) {
    let corner = anchor.pos_in_rect(&rect.shrink(8.0));
    let text = format!("{letter} · {}", run_words(run));
    badge(ui, corner, anchor, &text, rect.width() - 16.0);
}

/// A in the left corner, B in the right one.
fn labels(ui: &Ui, rect: Rect, sides: &Sides<'_>) {
    let (left, right) = rect.split_left_right_at_fraction(0.5);
    label(ui, left, Align2::LEFT_TOP, "A", sides.shown);
    label(ui, right, Align2::RIGHT_TOP, "B", sides.other);
}

fn wipe(
    ui: &mut Ui,
    scene: &Scene<'_>,
    sides: &Sides<'_>,
    [pane, stage]: [Rect; 2],
    filter: Filter,
    view: &mut View,
    out: &mut Vec<Request>,
) {
    let frame = scene.player.frame_index();
    let (a, b) = (
        clip_picture(sides.clips[0], frame),
        clip_picture(sides.clips[1], frame),
    );
    let Some(size) = a.size() else {
        return;
    };
    // What of the picture is on the screen: the divider never leaves it.
    let area = view.zoom.picture_rect(pane, size).intersect(stage);
    if !area.is_positive() {
        return;
    }
    let ppp = ui.pixels_per_point();
    let x = area.left() + area.width() * scene.comparison.wipe();
    let x = (x * ppp).round() / ppp;
    let (left, right) = pane.split_left_right_at_x(x.clamp(pane.left(), pane.right()));
    if let Some(rect) = paint_part(ui, pane, left, &a, filter, &view.zoom) {
        remember_scale(ui, view, rect, sides.clips[0]);
    }
    paint_part(ui, pane, right, &b, filter, &view.zoom);
    labels(ui, area, sides);
    divider(ui, scene.comparison.wipe(), area, x, out);
}

/// The line between the two: dragged, or moved by the arrow keys.
fn divider(ui: &Ui, share: f32, area: Rect, x: f32, out: &mut Vec<Request>) {
    let grab = Rect::from_x_y_ranges(x - GRAB_PX / 2.0..=x + GRAB_PX / 2.0, area.y_range());
    let response = ui.interact(grab, divider_id(), Sense::click_and_drag());
    response.widget_info(|| {
        let mut info = WidgetInfo::slider(true, f64::from(share * 100.0), "Divider of the wipe");
        info.role = Role::Slider;
        info
    });
    ui.ctx().accesskit_node_builder(response.id, |node| {
        node.set_min_numeric_value(0.0);
        node.set_max_numeric_value(100.0);
        node.set_numeric_value_step(f64::from(NUDGES[0] * 100.0));
        node.add_action(Action::Increment);
        node.add_action(Action::Decrement);
    });
    let mut wanted = share + nudged(ui, &response);
    if response.drag_started() || response.clicked() {
        response.request_focus();
    }
    if response.dragged()
        && let Some(pos) = response.interact_pointer_pos()
    {
        wanted = (pos.x - area.left()) / area.width();
    }
    if response.double_clicked() {
        wanted = 0.5;
    }
    if wanted != share {
        out.push(Request::Compare(CompareRequest::Wipe(wanted)));
    }
    paint_divider(ui, &response, area, x);
    let response = response.on_hover_and_drag_cursor(CursorIcon::ResizeHorizontal);
    if !response.dragged() {
        response.on_hover_text(
            "Drag, or use the arrow keys (Shift for a tenth). Double-click for the middle.",
        );
    }
}

/// How far keys and assistive technology move the divider.
fn nudged(ui: &Ui, response: &Response) -> f32 {
    let mut by = ui.input(|i| {
        let times = |action| i.num_accesskit_action_requests(response.id, action) as f32;
        NUDGES[0] * (times(Action::Increment) - times(Action::Decrement))
    });
    if response.has_focus() {
        ui.memory_mut(|memory| {
            // The arrows move the divider and not the focus.
            let filter = EventFilter {
                horizontal_arrows: true,
                ..EventFilter::default()
            };
            memory.set_focus_lock_filter(response.id, filter);
        });
        by += ui.input_mut(|i| {
            let mut times = |modifiers, key| i.count_and_consume_key(modifiers, key) as f32;
            // With Shift first: a plain key also matches while Shift is held.
            NUDGES[1]
                * (times(Modifiers::SHIFT, Key::ArrowRight)
                    - times(Modifiers::SHIFT, Key::ArrowLeft))
                + NUDGES[0]
                    * (times(Modifiers::NONE, Key::ArrowRight)
                        - times(Modifiers::NONE, Key::ArrowLeft))
                // From any place to the end.
                + times(Modifiers::NONE, Key::End)
                - times(Modifiers::NONE, Key::Home)
        });
    }
    by
}

fn paint_divider(ui: &Ui, response: &Response, area: Rect, x: f32) {
    let painter = ui.painter().with_clip_rect(area.expand(1.0));
    let edge = Color32::from_black_alpha(140);
    let colour = if response.has_focus() {
        palette(ui).next
    } else {
        Color32::WHITE
    };
    // A dark edge, so that it is seen on white as well.
    painter.vline(x, area.y_range(), Stroke::new(3.5, edge));
    painter.vline(x, area.y_range(), Stroke::new(1.5, colour));
    let knob = pos2(x, area.center().y);
    let radius = if response.hovered() || response.dragged() {
        11.0
    } else {
        9.0
    };
    let painter = ui.painter().with_clip_rect(area.expand(12.0));
    painter.circle(knob, radius, colour, Stroke::new(1.0, edge));
    for side in [-1.0, 1.0] {
        let points = [(2.0, -3.0), (5.5, 0.0), (2.0, 3.0)];
        let points = points.map(|(dx, dy)| knob + vec2(side * dx, dy)).to_vec();
        let ink = Color32::from_black_alpha(200);
        painter.add(Shape::convex_polygon(points, ink, Stroke::NONE));
    }
}

/// The gain, and which colour stands for how many levels.
fn scale(ui: &mut Ui, scene: &Scene<'_>, strip: Rect, out: &mut Vec<Request>) {
    let mut gain = scene.comparison.gain();
    let before = gain;
    let row = Rect::from_center_size(strip.center(), vec2(strip.width().min(380.0), 24.0));
    ui.scope_builder(UiBuilder::new().max_rect(row), |ui| {
        ui.horizontal_centered(|ui| {
            ui.spacing_mut().interact_size = vec2(64.0, 22.0);
            ui.spacing_mut().button_padding = vec2(8.0, 1.0);
            let value = DragValue::new(&mut gain)
                .range(GAINS)
                .speed(0.1)
                .max_decimals(1)
                .prefix("gain ")
                .suffix("×");
            ui.add(value)
                .on_hover_text("What the difference is multiplied by; drag, or click and type")
                .accessible_name("Gain of the difference");
            ui.add_space(8.0);
            legend(ui, gain);
        });
    });
    if gain != before {
        out.push(Request::Compare(CompareRequest::Gain(gain)));
    }
}

/// The colours from equal to as far apart as the gain lets them tell.
fn legend(ui: &mut Ui, gain: f32) {
    let levels = (255.0 / gain).round();
    let colour = palette(ui).text_weak;
    let room = vec2(ui.available_width().max(0.0), 20.0);
    let (rect, response) = ui.allocate_exact_size(room, Sense::hover());
    let end = format!("{levels:.0} of 255 levels");
    let label =
        |pos, anchor, text: &str| paint_text(ui, pos, anchor, text, mono(11.0), colour, 160.0);
    let left = rect.left() + label(rect.left_center(), Align2::LEFT_CENTER, "0") + 6.0;
    let right = rect.right() - label(rect.right_center(), Align2::RIGHT_CENTER, &end) - 6.0;
    let bar = Rect::from_x_y_ranges(left..=right, rect.center().y - 5.0..=rect.center().y + 5.0);
    if bar.is_positive() {
        ui.painter().add(gradient(bar));
    }
    let text = format!(
        "Root mean square of the three channels' differences: black where both are equal, brightest from {levels:.0} of 255 levels on"
    );
    response.widget_info(|| WidgetInfo::labeled(Role::Label, true, &text));
    response.on_hover_text(&text);
}

fn gradient(bar: Rect) -> Shape {
    const PIECES: u32 = 48;
    let mut mesh = Mesh::default();
    for i in 0..=PIECES {
        let share = i as f32 / PIECES as f32;
        let [r, g, b] = heat(share).map(|v| (v * 255.0).round() as u8);
        let colour = Color32::from_rgb(r, g, b);
        let x = bar.left() + bar.width() * share;
        mesh.colored_vertex(pos2(x, bar.top()), colour);
        mesh.colored_vertex(pos2(x, bar.bottom()), colour);
        if i > 0 {
            let last = 2 * i + 1;
            mesh.add_triangle(last - 3, last - 2, last - 1);
            mesh.add_triangle(last - 2, last - 1, last);
        }
    }
    mesh.into()
}

/// A sentence in the middle of the stage.
fn explain(ui: &mut Ui, stage: Rect, why: &str) {
    let room = vec2((stage.width() - 32.0).min(460.0), 64.0);
    let room = Rect::from_center_size(stage.center(), room);
    ui.scope_builder(UiBuilder::new().max_rect(room), |ui| {
        ui.vertical_centered(|ui| {
            let colour = palette(ui).text;
            ui.label(egui::RichText::new(why).font(regular(13.0)).color(colour));
        });
    });
}
