use eframe::egui;
use egui::{Align, Layout, RichText, Ui};

use super::plans::{NAMED_PLANS, NamedPlan};
use super::{AxisUnit, menus};
use crate::app::{Command, Request, Scene};
use crate::ui::theme::{palette, regular};
use crate::ui::view::View;
use crate::ui::widgets::chip;

/// The named plans on the left; on the right what the ruler counts in, and the way back from a zoom.
pub fn show(ui: &mut Ui, scene: &Scene<'_>, view: &mut View, out: &mut Vec<Request>) {
    ui.horizontal(|ui| {
        ui.spacing_mut().item_spacing.x = 6.0;
        let weak = palette(ui).text_weak;
        ui.label(RichText::new("Plan").font(regular(12.0)).color(weak));
        ui.add_space(4.0);
        for named in &NAMED_PLANS {
            plan_chip(ui, scene, named, out);
        }
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            for unit in AxisUnit::ALL.into_iter().rev() {
                let response = chip(ui, view.axis == unit, unit.short())
                    .on_hover_text(unit.words())
                    .accessible_name(unit.words());
                if response.clicked() {
                    view.axis = unit;
                }
            }
            ui.add_space(8.0);
            let command = Command::Live;
            let response = chip(ui, view.is_live, command.text())
                .on_hover_text(command.hover_text(ui.ctx()))
                .accessible_name("Live rendering");
            if response.clicked() {
                out.push(Request::Command(command));
            }
            let span = &view.timeline.span;
            if !span.is_whole() {
                ui.add_space(4.0);
                let command = Command::TimelineFit;
                let response = chip(ui, false, &format!("{:.1}×", span.zoom()))
                    .on_hover_text(command.hover_text(ui.ctx()))
                    .accessible_name(command.text());
                if response.clicked() {
                    out.push(Request::Command(command));
                }
            }
        });
    });
}

fn plan_chip(ui: &mut Ui, scene: &Scene<'_>, named: &NamedPlan, out: &mut Vec<Request>) {
    let plan = &scene.document.settings().plan;
    let missing = scene
        .pair
        .and_then(|pair| named.models().find(|role| !pair.has(*role)));
    let is_chosen = named.is(plan);
    let hint = match is_chosen {
        true => format!("{}. Click again for its own boundaries", named.hint),
        false => named.hint.to_owned(),
    };
    let why = missing.map(|role| format!("This pair has no {role} model"));
    let response = ui
        .add_enabled_ui(missing.is_none(), |ui| chip(ui, is_chosen, named.name))
        .inner
        .on_hover_text(hint)
        .on_disabled_hover_text(why.unwrap_or_default())
        .accessible_name(format!("Plan {}", named.name));
    if response.clicked()
        && let Some(plan) = named.from(plan, scene.own_boundaries())
    {
        menus::push(out, plan);
    }
}
