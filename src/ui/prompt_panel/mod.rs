//! What to render, and the button that starts it.

mod generate;
mod numbers;
mod seed;
mod texts;

use eframe::egui;
use egui::accesskit::Role;
use egui::{Align2, ScrollArea, Sense, Ui, WidgetInfo, vec2};

use super::economy;
use super::format;
use super::theme::{FIELD_HEIGHT_PX, GRID_PX, RADIUS_PX, palette, regular};
use super::view::View;
use super::widgets::{field, focus_ring, paint_text};
use crate::app::{Command, Request, Scene};
use crate::schedule::ModelRole;

/// Room between two fields.
const GAP_PX: f32 = 12.0;

/// From one model's dot to the next.
const DOT_PX: f32 = 14.0;

/// Everything that decides a run, and the button that starts it.
pub fn show(ui: &mut Ui, scene: &Scene<'_>, view: &mut View, out: &mut Vec<Request>) {
    ui.spacing_mut().item_spacing = vec2(GRID_PX * 1.5, GAP_PX);
    // The button stays in sight, whatever is unfolded above it.
    let room_px = ui.available_height() - generate::height_px(ui, scene) - 2.0 * GAP_PX;
    let fields = ScrollArea::vertical()
        .auto_shrink([false, true])
        .max_height(room_px);
    fields.show(ui, |ui| {
        texts::show(ui, scene, view, out);
        pair(ui, scene, out);
        numbers::show(ui, scene, out);
        economy::show(ui, scene, out);
        seed::show(ui, scene, view, out);
    });
    ui.add_space(4.0);
    generate::show(ui, scene, out);
}

/// Names the pair; a click shows all that are known.
fn pair(ui: &mut Ui, scene: &Scene<'_>, out: &mut Vec<Request>) {
    field(ui, "Model pair", |ui| {
        let palette = palette(ui);
        let size = vec2(ui.available_width(), FIELD_HEIGHT_PX);
        let (rect, response) = ui.allocate_exact_size(size, Sense::click());
        let fill = if response.hovered() {
            palette.field_hover
        } else {
            palette.field
        };
        ui.painter().rect_filled(rect, RADIUS_PX, fill);
        focus_ring(ui, &response, rect);
        let middle = rect.left_center();
        let roles: Vec<ModelRole> = match scene.pair {
            Some(pair) => ModelRole::ALL
                .into_iter()
                .filter(|r| pair.has(*r))
                .collect(),
            None => vec![ModelRole::Large, ModelRole::Small],
        };
        for (i, role) in roles.iter().enumerate() {
            let dot = middle + vec2(16.0 + DOT_PX * i as f32, 0.0);
            ui.painter().circle_filled(dot, 5.0, palette.model(*role));
        }
        let text = match scene.pair {
            Some(pair) => {
                let counts = roles
                    .iter()
                    .map(|role| format::parameters(pair.parameters[role.index()]));
                format!("{} · {}", pair.name, counts.collect::<Vec<_>>().join(" / "))
            }
            None => scene.pair_words().to_owned(),
        };
        let words_px = 16.0 + DOT_PX * roles.len() as f32;
        paint_text(
            ui,
            middle + vec2(words_px, 0.0),
            Align2::LEFT_CENTER,
            &text,
            regular(13.0),
            palette.text,
            rect.width() - words_px - 12.0,
        );
        response.widget_info(|| WidgetInfo::labeled(Role::Button, true, &text));
        let hint = format!(
            "Parameters of the large, the small and the distilled model, as far as the pair has them. {}",
            Command::Models.hover_text(ui.ctx())
        );
        if response.on_hover_text(hint).clicked() {
            out.push(Request::Command(Command::Models));
        }
    });
}

/// Two columns of equal width.
pub(super) fn row(ui: &mut Ui, add_fields: impl FnOnce(&mut Ui, f32)) {
    let column_px = (ui.available_width() - ui.spacing().item_spacing.x) / 2.0;
    ui.horizontal_top(|ui| add_fields(ui, column_px.floor()));
}
