//! The small parts that panels share.

use eframe::egui;
use egui::accesskit::Role;
use egui::{
    Align, Align2, Button, ComboBox, CornerRadius, DragValue, FontId, Layout, Rect, Response,
    RichText, Sense, Stroke, StrokeKind, Ui, UiBuilder, Vec2, WidgetInfo, vec2,
};

use super::icons::Icon;
use super::theme::{FIELD_HEIGHT_PX, RADIUS_PX, mono, palette, regular};
use crate::app::{DocCommand, Request};

/// Height of what stands at the right end of a field's name.
const CORNER_HEIGHT_PX: f32 = 20.0;

/// The name over a field; its inputs are named after it for assistive technology.
pub fn field<R>(ui: &mut Ui, name: &str, add_field: impl FnOnce(&mut Ui) -> R) -> R {
    ui.vertical(|ui| {
        let label = field_name(ui, name);
        ui.label_inputs_by(label.id, add_field)
    })
    .inner
}

/// A [`field`] with something at the right end of its name's line, such as a menu that fills it.
pub fn field_with_corner<R>(
    ui: &mut Ui,
    name: &str,
    add_corner: impl FnOnce(&mut Ui),
    add_field: impl FnOnce(&mut Ui) -> R,
) -> R {
    ui.vertical(|ui| {
        let label = field_name(ui, name);
        // A layout of its own: the corner is higher than the name and must not push the field down.
        let half = vec2(0.0, CORNER_HEIGHT_PX / 2.0);
        let line = Rect::from_x_y_ranges(ui.max_rect().x_range(), label.rect.y_range());
        let corner = Rect::from_min_max(line.left_center() - half, line.right_center() + half);
        let layout = Layout::right_to_left(Align::Center);
        add_corner(&mut ui.new_child(UiBuilder::new().max_rect(corner).layout(layout)));
        ui.label_inputs_by(label.id, add_field)
    })
    .inner
}

fn field_name(ui: &mut Ui, name: &str) -> Response {
    ui.spacing_mut().item_spacing.y = 4.0;
    let colour = palette(ui).text_weak;
    ui.label(RichText::new(name).font(regular(12.0)).color(colour))
}

/// A number in a field: drag it, or click and type.
pub fn number(ui: &mut Ui, width_px: f32, value: DragValue<'_>) -> Response {
    let layout = Layout::left_to_right(Align::Center)
        .with_main_align(Align::Min)
        .with_main_justify(true);
    ui.allocate_ui_with_layout(vec2(width_px, FIELD_HEIGHT_PX), layout, |ui| {
        ui.set_width(width_px);
        ui.add(value.min_size(vec2(width_px, FIELD_HEIGHT_PX)))
    })
    .inner
}

/// Turns what happened to a number field into requests: the edit, and where one undo ends.
pub fn edit(response: &Response, out: &mut Vec<Request>, command: impl FnOnce() -> DocCommand) {
    if response.drag_started() {
        out.push(Request::BeginDrag);
    }
    if response.changed() {
        out.push(Request::Edit(command()));
    }
    if response.drag_stopped() {
        out.push(Request::EndBurst);
    }
    if response.lost_focus() {
        out.push(Request::LeaveField);
    }
}

/// Room between a chip's edge and its words.
const CHIP_PADDING_PX: f32 = 10.0;

/// Width of a [`chip`].
pub fn chip_px(ui: &Ui, text: &str) -> f32 {
    text_width(ui, text, regular(12.0)) + 2.0 * CHIP_PADDING_PX
}

/// A small switch or button in a row of its kind.
pub fn chip(ui: &mut Ui, is_chosen: bool, text: &str) -> Response {
    let palette = palette(ui);
    let (fill, colour) = if is_chosen {
        (palette.chosen, palette.text_strong)
    } else {
        (palette.field, palette.text_weak)
    };
    ui.scope(|ui| {
        ui.spacing_mut().button_padding = vec2(CHIP_PADDING_PX, 2.0);
        ui.spacing_mut().interact_size.y = 22.0;
        let mut button =
            Button::new(RichText::new(text).font(regular(12.0)).color(colour)).selected(is_chosen);
        if !ui.rect_contains_pointer(ui.available_rect_before_wrap()) || is_chosen {
            button = button.fill(fill);
        }
        ui.add(button)
    })
    .inner
}

/// A square button with an icon; `name` is what assistive technology reads.
pub fn icon_button(ui: &mut Ui, icon: Icon, size: Vec2, name: &str, is_chosen: bool) -> Response {
    let (rect, response) = ui.allocate_exact_size(size, Sense::click());
    response.widget_info(|| WidgetInfo::labeled(Role::Button, ui.is_enabled(), name));
    if ui.is_rect_visible(rect) {
        let palette = palette(ui);
        let fill = if response.hovered() || response.has_focus() {
            Some(palette.field_hover)
        } else if is_chosen {
            Some(palette.chosen)
        } else {
            None
        };
        if let Some(fill) = fill {
            ui.painter().rect_filled(rect, RADIUS_PX, fill);
        }
        focus_ring(ui, &response, rect);
        let colour = if !ui.is_enabled() {
            palette.text_weak.gamma_multiply(0.5)
        } else if response.hovered() || is_chosen {
            palette.text_strong
        } else {
            palette.text
        };
        icon.paint(ui.painter(), rect, colour);
    }
    response
}

/// The outline of what the keyboard has reached.
pub fn focus_ring(ui: &Ui, response: &Response, rect: Rect) {
    if response.has_focus() {
        ui.painter().rect_stroke(
            rect,
            CornerRadius::same(RADIUS_PX),
            Stroke::new(1.5, palette(ui).next),
            StrokeKind::Inside,
        );
    }
}

/// Draws text and says how wide it came out. Shortened with `…` when wider than `max_width_px`.
pub fn paint_text(
    ui: &Ui,
    pos: egui::Pos2,
    anchor: Align2,
    text: &str,
    font: FontId,
    colour: egui::Color32,
    max_width_px: f32,
) -> f32 {
    let mut job = egui::text::LayoutJob::simple_singleline(text.to_owned(), font, colour);
    job.wrap = egui::text::TextWrapping::truncate_at_width(max_width_px.max(0.0));
    let galley = ui.painter().layout_job(job);
    let size = galley.size();
    let rect = anchor.anchor_size(pos, size);
    ui.painter().galley(rect.min, galley, colour);
    size.x
}

/// The first of some lines that finds room, else the last; each says less than the one before.
pub fn fitting<'a, S: AsRef<str>>(ui: &Ui, lines: &'a [S], font: FontId, room_px: f32) -> &'a str {
    let fits = |line: &&S| text_width(ui, line.as_ref(), font.clone()) <= room_px;
    lines
        .iter()
        .find(fits)
        .or(lines.last())
        .map_or("", S::as_ref)
}

/// Width of a line of text.
pub fn text_width(ui: &Ui, text: &str, font: FontId) -> f32 {
    ui.painter()
        .layout_no_wrap(text.to_owned(), font, egui::Color32::WHITE)
        .size()
        .x
}

/// A word beside a field, or a line of a page.
pub fn note(ui: &mut Ui, text: &str) {
    ui.label(
        RichText::new(text)
            .font(regular(12.0))
            .color(palette(ui).text_weak),
    );
}

/// What belongs to a name, with the name in a column in front of it.
pub fn row(ui: &mut Ui, name_px: f32, add_name: impl FnOnce(&mut Ui), add: impl FnOnce(&mut Ui)) {
    ui.horizontal_top(|ui| {
        ui.allocate_ui_with_layout(
            vec2(name_px, FIELD_HEIGHT_PX),
            Layout::left_to_right(Align::Center),
            |ui| {
                ui.set_min_width(name_px);
                add_name(ui);
            },
        );
        add(ui);
    });
}

/// Fields with their name in front and what there is to know of them below.
pub fn described_row(
    ui: &mut Ui,
    name_px: f32,
    name: &str,
    about: &str,
    add_fields: impl FnOnce(&mut Ui),
) {
    let add_name = |ui: &mut Ui| {
        ui.label(name);
    };
    row(ui, name_px, add_name, |ui| {
        ui.vertical(|ui| {
            ui.spacing_mut().item_spacing.y = 2.0;
            ui.horizontal(|ui| {
                ui.set_min_height(FIELD_HEIGHT_PX);
                add_fields(ui);
            });
            if !about.is_empty() {
                note(ui, about);
            }
        });
    });
}

/// One of a few words; the one that was clicked.
pub fn choice<T: Copy + PartialEq>(
    ui: &mut Ui,
    (name, hint): (&str, &str),
    width_px: f32,
    chosen: T,
    all: &[(T, String)],
) -> Option<T> {
    let word = all.iter().find(|(one, _)| *one == chosen);
    let mut clicked = None;
    ComboBox::from_id_salt(name)
        .selected_text(RichText::new(word.map_or("", |(_, word)| word)).font(mono(13.0)))
        .width(width_px)
        .show_ui(ui, |ui| {
            for (one, word) in all {
                if ui.selectable_label(*one == chosen, word).clicked() {
                    clicked = Some(*one);
                }
            }
        })
        .response
        .on_hover_text(hint)
        .accessible_name(name);
    clicked
}
