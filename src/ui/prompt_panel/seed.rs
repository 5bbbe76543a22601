//! The seed, its dice and its lock.

use eframe::egui;
use egui::{Align2, TextEdit, Ui, vec2};

use crate::app::{DocCommand, Request, Scene};
use crate::ui::format;
use crate::ui::icons::Icon;
use crate::ui::theme::{FIELD_HEIGHT_PX, GRID_PX, mono};
use crate::ui::view::View;
use crate::ui::widgets::{field, icon_button};

pub(super) fn show(ui: &mut Ui, scene: &Scene<'_>, view: &mut View, out: &mut Vec<Request>) {
    let seed = scene.document.settings().seed;
    field(ui, "Seed", |ui| {
        ui.horizontal(|ui| {
            ui.spacing_mut().item_spacing.x = GRID_PX;
            let width = ui.available_width() - 2.0 * (FIELD_HEIGHT_PX + GRID_PX);
            // The text being typed is kept while the field has the focus; a seed is 64 bits, more
            // than a drag field's float can hold.
            let id = ui.make_persistent_id("seed");
            let typed = ui.data(|data| data.get_temp::<String>(id));
            let mut text = typed.unwrap_or_else(|| format::grouped(seed));
            let response = ui
                .add(
                    TextEdit::singleline(&mut text)
                        .id(id)
                        .font(mono(13.0))
                        .desired_width(width)
                        .min_size(vec2(width, FIELD_HEIGHT_PX))
                        .align(Align2::LEFT_CENTER)
                        .char_limit(30)
                        .margin(vec2(12.0, 4.0)),
                )
                .on_hover_text("Seed of the initial noise: the same seed gives the same clip")
                .accessible_name("Seed");
            if let Some(value) = format::parse_grouped(&text).filter(|_| response.changed()) {
                out.push(Request::Edit(DocCommand::Seed(value)));
            }
            let is_typed_in = response.has_focus();
            ui.data_mut(|data| {
                if is_typed_in {
                    data.insert_temp(id, text);
                } else {
                    data.remove::<String>(id);
                }
            });
            if response.lost_focus() {
                out.push(Request::LeaveField);
            }
            let side = vec2(FIELD_HEIGHT_PX, FIELD_HEIGHT_PX);
            if icon_button(ui, Icon::Dice, side, "New random seed", false)
                .on_hover_text("Take another random seed")
                .clicked()
            {
                out.push(Request::RollSeed);
            }
            let (icon, name, hint) = if view.rolls_seed {
                (
                    Icon::Unlocked,
                    "Seed is free",
                    "Every run draws a new seed; click to keep this one",
                )
            } else {
                (
                    Icon::Locked,
                    "Seed is locked",
                    "Every run uses this seed, so plans can be compared; click to draw a new one each time",
                )
            };
            if icon_button(ui, icon, side, name, view.rolls_seed)
                .on_hover_text(hint)
                .clicked()
            {
                view.rolls_seed = !view.rolls_seed;
            }
        });
    });
}
