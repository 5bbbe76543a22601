//! The places of the boundaries on the ruler, and the field in which one is typed.

use eframe::egui;
use egui::{
    Align2, CursorIcon, Id, Key, Popup, PopupCloseBehavior, Rect, RectAlign, Response, RichText,
    Role, Sense, TextEdit, Ui, WidgetInfo, pos2, vec2,
};

use super::handles::{boundary_id, move_to};
use super::{Axis, PlaceEntry, magnets, overlays, place_boundary, write_place};
use crate::app::{Request, Scene};
use crate::ui::theme::{mono, palette, regular};
use crate::ui::view::View;
use crate::ui::widgets::{paint_text, text_width};

const FONT_PX: f32 = 11.0;
const HEIGHT_PX: f32 = 18.0;
const ENTRY_WIDTH_PX: f32 = 220.0;

/// What stands over a boundary.
struct Flag {
    index: usize,
    rect: Rect,
    text: String,
    is_dragged: bool,
}

/// The ruler with a flag for every boundary in place of the ticks under it; a click opens the field.
pub fn show(
    ui: &mut Ui,
    scene: &Scene<'_>,
    view: &mut View,
    axis: &Axis<'_>,
    lane: Rect,
    out: &mut Vec<Request>,
) {
    if scene.document.is_dragging() {
        view.timeline.entry = None;
    }
    let flags = flags(ui, scene, axis, lane);
    let rects: Vec<_> = flags.iter().map(|flag| flag.rect).collect();
    overlays::ruler(ui, axis, lane, &rects);
    for flag in flags {
        let response = draw(ui, axis, &flag);
        if response.clicked() {
            out.push(Request::SelectBoundary(flag.index));
            view.timeline.entry = Some(PlaceEntry::new(flag.index));
        }
        type_place(ui, scene, view, axis, &flag, &response, out);
    }
}

fn flags(ui: &Ui, scene: &Scene<'_>, axis: &Axis<'_>, lane: Rect) -> Vec<Flag> {
    let plan = &scene.document.settings().plan;
    let steps = axis.steps();
    let flag = |index: usize| {
        let step = plan.boundary_step(index, steps);
        let is_dragged = ui.ctx().is_being_dragged(boundary_id(index));
        let text = if is_dragged {
            format!("step {step} · σ {:.2}", axis.grid().sigma(step))
        } else {
            write_place(axis.unit(), axis.grid(), step)
        };
        let width = text_width(ui, &text, mono(FONT_PX)) + 12.0;
        let x = axis.x(step as f64) as f32;
        // At the ends it stays over the track, as long as its boundary does.
        let centre = if axis.shows(f64::from(x)) {
            x.clamp(
                lane.left() + width / 2.0,
                (lane.right() - width / 2.0).max(lane.left() + width / 2.0),
            )
        } else {
            x
        };
        let middle = pos2(centre, lane.bottom() - 4.0 - HEIGHT_PX / 2.0);
        Flag {
            index,
            rect: Rect::from_center_size(middle, vec2(width, HEIGHT_PX)),
            text,
            is_dragged,
        }
    };
    (0..plan.boundaries().len()).map(flag).collect()
}

fn draw(ui: &Ui, axis: &Axis<'_>, flag: &Flag) -> Response {
    let id = ui.scope_id().with(("flag", flag.index));
    // Not for the keyboard, which has Enter on the boundary itself.
    let response = ui.interact(flag.rect, id, Sense::CLICK);
    let name = format!("Place of boundary {}: {}", flag.index + 1, flag.text);
    response.widget_info(|| WidgetInfo::labeled(Role::Button, true, &name));
    if !axis.shows(f64::from(flag.rect.center().x)) {
        // Beside the track: a piece of it would read as another figure.
        return response;
    }
    let palette = palette(ui);
    let fill = if flag.is_dragged {
        palette.chosen
    } else if response.hovered() {
        palette.field_hover
    } else {
        palette.field
    };
    ui.painter().rect_filled(flag.rect, 4.0, fill);
    paint_text(
        ui,
        flag.rect.center(),
        Align2::CENTER_CENTER,
        &flag.text,
        mono(FONT_PX),
        palette.text_strong,
        flag.rect.width(),
    );
    response
        .on_hover_text("Click to type where this boundary goes")
        .on_hover_cursor(CursorIcon::Text)
}

/// The field under a flag, while it is open.
fn type_place(
    ui: &Ui,
    scene: &Scene<'_>,
    view: &mut View,
    axis: &Axis<'_>,
    flag: &Flag,
    response: &Response,
    out: &mut Vec<Request>,
) {
    let Some(mut entry) = view.timeline.entry.take_if(|e| e.boundary == flag.index) else {
        return;
    };
    let plan = &scene.document.settings().plan;
    let is_new = entry.text.is_none();
    let step = plan.boundary_step(flag.index, axis.steps());
    if is_new {
        let share = axis.share(step as f64);
        if !axis.shows(axis.x(step as f64)) {
            view.timeline.span.reveal(share);
        }
    }
    let now = write_place(axis.unit(), axis.grid(), step);
    let text = entry.text.get_or_insert_with(|| now.clone());
    let mut is_open = true;
    let mut entered = false;
    Popup::from_response(response)
        .open_bool(&mut is_open)
        .close_behavior(PopupCloseBehavior::CloseOnClickOutside)
        .align(RectAlign::TOP)
        .gap(4.0)
        .show(|ui| {
            ui.set_width(ENTRY_WIDTH_PX);
            ui.spacing_mut().item_spacing.y = 6.0;
            let name = format!("Place of boundary {}", flag.index + 1);
            ui.label(
                RichText::new(format!("{name}, {}", axis.unit().noun()))
                    .font(regular(12.0))
                    .color(palette(ui).text_weak),
            );
            let mut output = TextEdit::singleline(text)
                .id(Id::unique("place of a boundary"))
                .font(mono(13.0))
                .margin(vec2(10.0, 6.0))
                .desired_width(f32::INFINITY)
                .show(ui);
            let field = output.response.response.clone().accessible_name(name);
            entered = field.lost_focus() && ui.input(|i| i.key_pressed(Key::Enter));
            if is_new {
                field.request_focus();
                let all = egui::text::CCursorRange::select_all(&output.galley);
                output.state.cursor.set_char_range(Some(all));
                output.state.store(ui.ctx(), field.id);
            }
            if field.changed() {
                entry.fault = None;
            }
            let palette = palette(ui);
            let (words, colour) = match &entry.fault {
                Some(fault) => (fault.as_str(), palette.error),
                None => ("Enter takes it, Esc leaves it.", palette.text_weak),
            };
            ui.label(RichText::new(words).font(regular(11.5)).color(colour));
        });
    if entered {
        // What was not touched stays; written figures are rounded.
        let typed = text.trim();
        let place = place_boundary(
            typed,
            axis.unit(),
            axis.grid(),
            plan,
            flag.index,
            &magnets(scene.own_boundaries(), axis.steps()),
        );
        match place {
            _ if typed == now => is_open = false,
            Ok(rest) => {
                is_open = false;
                out.push(Request::EndBurst);
                out.push(move_to(flag.index, rest));
                out.push(Request::EndBurst);
            }
            Err(why) => {
                entry.fault = Some(why);
                ui.memory_mut(|m| m.request_focus(Id::unique("place of a boundary")));
            }
        }
        if !is_open {
            ui.memory_mut(|m| m.request_focus(boundary_id(flag.index)));
        }
    }
    if is_open {
        view.timeline.entry = Some(entry);
    }
}
