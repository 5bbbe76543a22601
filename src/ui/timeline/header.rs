use eframe::egui;
use egui::{Align, Layout, Popup, Response, RichText, Ui, vec2};

use super::plans::{NAMED_PLANS, NamedPlan};
use super::{AxisUnit, menus};
use crate::app::{Command, Request, Scene};
use crate::ui::icons::Icon;
use crate::ui::theme::{palette, regular};
use crate::ui::view::View;
use crate::ui::widgets::{chip, chip_px, icon_button, text_width};

const SPACE_PX: f32 = 6.0;
/// Room before a group of another kind.
const GAP_PX: f32 = 8.0;
const MORE_PX: f32 = 26.0;
const PLAN_WORD: &str = "Plan";
const AUTO_WORDS: &str = "Auto boundaries";

/// The named plans and the boundaries that find themselves on the left; on the right what the ruler
/// counts in, and the way back from a zoom. What finds no room on the left is in a menu.
pub fn show(ui: &mut Ui, scene: &Scene<'_>, view: &mut View, out: &mut Vec<Request>) {
    ui.horizontal(|ui| {
        ui.spacing_mut().item_spacing.x = SPACE_PX;
        let room_px = ui.available_width() - right_px(ui, view) - GAP_PX;
        left(ui, scene, room_px, out);
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            right(ui, view, out);
        });
    });
}

/// Width of what stands on the right.
fn right_px(ui: &Ui, view: &View) -> f32 {
    let units = AxisUnit::ALL.map(|unit| chip_px(ui, unit.short()) + SPACE_PX);
    let mut width_px = units.iter().sum::<f32>() + GAP_PX + chip_px(ui, Command::Live.text());
    if let Some(zoom) = zoom_words(view) {
        width_px += SPACE_PX + GAP_PX + chip_px(ui, &zoom);
    }
    width_px
}

fn zoom_words(view: &View) -> Option<String> {
    let span = &view.timeline.span;
    (!span.is_whole()).then(|| format!("{:.1}×", span.zoom()))
}

fn left(ui: &mut Ui, scene: &Scene<'_>, room_px: f32, out: &mut Vec<Request>) {
    let weak = palette(ui).text_weak;
    let plans_px = NAMED_PLANS.map(|named| SPACE_PX + chip_px(ui, named.name));
    let word_px = text_width(ui, PLAN_WORD, regular(12.0));
    let auto_px = GAP_PX + SPACE_PX + chip_px(ui, AUTO_WORDS);
    let all_px = word_px + plans_px.iter().sum::<f32>() + auto_px;
    // How many plans stand in the row; the rest is in the menu, with the automatic boundaries.
    let fitting = if all_px <= room_px {
        NAMED_PLANS.len()
    } else {
        let mut left_px = room_px - word_px - SPACE_PX - MORE_PX;
        let fits = |plan_px: &&f32| {
            left_px -= **plan_px;
            left_px >= 0.0
        };
        plans_px.iter().take_while(fits).count()
    };
    ui.label(RichText::new(PLAN_WORD).font(regular(12.0)).color(weak));
    for named in &NAMED_PLANS[..fitting] {
        plan_chip(ui, scene, named, out);
    }
    if all_px <= room_px {
        ui.add_space(GAP_PX);
        auto(ui, scene, out);
        return;
    }
    let more = icon_button(ui, Icon::More, vec2(MORE_PX, 22.0), "More plans", false)
        .on_hover_text("More plans, and boundaries that find themselves");
    Popup::menu(&more).show(|ui| {
        for named in &NAMED_PLANS[fitting..] {
            if plan_chip(ui, scene, named, out).clicked() {
                ui.close();
            }
        }
        if auto(ui, scene, out).clicked() {
            ui.close();
        }
    });
}

fn right(ui: &mut Ui, view: &mut View, out: &mut Vec<Request>) {
    for unit in AxisUnit::ALL.into_iter().rev() {
        let response = chip(ui, view.axis == unit, unit.short())
            .on_hover_text(unit.words())
            .accessible_name(unit.words());
        if response.clicked() {
            view.axis = unit;
        }
    }
    ui.add_space(GAP_PX);
    let command = Command::Live;
    let response = chip(ui, view.is_live, command.text())
        .on_hover_text(command.hover_text(ui.ctx()))
        .accessible_name("Live rendering");
    if response.clicked() {
        out.push(Request::Command(command));
    }
    if let Some(zoom) = zoom_words(view) {
        ui.add_space(GAP_PX);
        let command = Command::TimelineFit;
        let response = chip(ui, false, &zoom)
            .on_hover_text(command.hover_text(ui.ctx()))
            .accessible_name(command.text());
        if response.clicked() {
            out.push(Request::Command(command));
        }
    }
}

/// The button for boundaries that find themselves.
fn auto(ui: &mut Ui, scene: &Scene<'_>, out: &mut Vec<Request>) -> Response {
    let command = Command::FindBoundaries;
    let why = scene.measure_blocked();
    let response = ui
        .add_enabled_ui(why.is_none(), |ui| chip(ui, false, AUTO_WORDS))
        .inner
        .on_hover_text(command.hover_text(ui.ctx()))
        .on_disabled_hover_text(why.unwrap_or_default());
    if response.clicked() {
        out.push(Request::Command(command));
    }
    response
}

fn plan_chip(
    ui: &mut Ui,
    scene: &Scene<'_>,
    named: &NamedPlan,
    out: &mut Vec<Request>,
) -> Response {
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
    response
}
