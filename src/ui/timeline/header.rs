use eframe::egui;
use egui::{Align, Layout, RichText, Ui};

use super::AxisUnit;
use crate::app::{DocCommand, Request, Scene};
use crate::schedule::Plan;
use crate::ui::theme::{palette, regular};
use crate::ui::view::View;
use crate::ui::widgets::chip;

/// The plans of the FlowBlending paper, and the two models alone.
const PRESETS: [(&str, &str); 5] = [
    ("LLL", "The large model alone: the reference"),
    (
        "LSL",
        "Large for structure and for detail, small between: nearly the reference, much faster",
    ),
    ("LSS", "Large for structure, small for the rest"),
    ("SLL", "Small first, large for the rest"),
    ("SSS", "The small model alone: the fastest"),
];

/// Presets on the left, what the ruler counts in on the right.
pub fn show(ui: &mut Ui, scene: &Scene<'_>, view: &mut View, out: &mut Vec<Request>) {
    let plan = &scene.document.settings().plan;
    let letters = plan.letters();
    ui.horizontal(|ui| {
        ui.spacing_mut().item_spacing.x = 6.0;
        let weak = palette(ui).text_weak;
        ui.label(RichText::new("Plan").font(regular(12.0)).color(weak));
        ui.add_space(4.0);
        for (preset, hint) in PRESETS {
            let response = chip(ui, letters == preset, preset)
                .on_hover_text(hint)
                .accessible_name(format!("Plan {preset}"));
            if response.clicked()
                && let Some(plan) = with_letters(plan, preset, scene)
            {
                out.push(Request::Edit(DocCommand::Plan(plan)));
                out.push(Request::EndBurst);
            }
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
        });
    });
}

/// The preset with the boundaries where they are; with the pair's own when their number differs.
fn with_letters(plan: &Plan, letters: &str, scene: &Scene<'_>) -> Option<Plan> {
    let kept = Plan::parse(letters, plan.boundaries());
    let own = || {
        let pair = scene.pair?;
        Plan::parse(letters, pair.defaults.plan.boundaries()).ok()
    };
    let even = || Plan::parse(letters, &[1.0 / 3.0, 2.0 / 3.0]).ok();
    kept.ok().or_else(own).or_else(even)
}
