//! A run that is not finished, as the lists of the right panel show it.

use eframe::egui;
use egui::{Frame, Label, Rect, RichText, Sense, Ui, pos2, vec2};

use super::theme::{RADIUS_PX, palette, regular};
use crate::app::Request;
use crate::project::RunSettings;
use crate::schedule::{ModelRole, Plan};

/// Size of the buttons in a card's heading.
pub const BUTTON_PX: egui::Vec2 = vec2(24.0, 22.0);

/// A card: the heading in a line, the prompt, the plan, and what `add_foot` puts under them.
pub fn show(
    ui: &mut Ui,
    settings: &RunSettings,
    out: &mut Vec<Request>,
    add_heading: impl FnOnce(&mut Ui, &mut Vec<Request>),
    add_foot: impl FnOnce(&mut Ui, &mut Vec<Request>),
) {
    let frame = Frame::new()
        .fill(palette(ui).field)
        .corner_radius(RADIUS_PX)
        .inner_margin(10);
    frame.show(ui, |ui| {
        ui.spacing_mut().item_spacing.y = 6.0;
        ui.horizontal(|ui| add_heading(ui, out));
        let prompt = RichText::new(&settings.prompt).font(regular(12.0));
        ui.add(Label::new(prompt.color(palette(ui).text)).truncate());
        let (bar, _) = ui.allocate_exact_size(vec2(ui.available_width(), 8.0), Sense::hover());
        plan_bar(ui, &settings.plan, settings.steps, bar);
        add_foot(ui, out);
    });
}

/// The stages as coloured lengths; neighbours of one model are one length.
pub fn plan_bar(ui: &Ui, plan: &Plan, steps: usize, rect: Rect) {
    let palette = palette(ui);
    let mut lengths: Vec<(ModelRole, usize)> = Vec::new();
    for (i, stage) in plan.stages().iter().enumerate() {
        let count = plan.stage_steps(i, steps).len();
        match lengths.last_mut() {
            Some((model, so_far)) if *model == stage.model => *so_far += count,
            _ => lengths.push((stage.model, count)),
        }
    }
    lengths.retain(|(_, count)| *count > 0);
    let gaps = 2.0 * lengths.len().saturating_sub(1) as f32;
    let per_step = (rect.width() - gaps) / steps.max(1) as f32;
    let mut x = rect.left();
    for (model, count) in lengths {
        let width = per_step * count as f32;
        let part = Rect::from_min_size(pos2(x, rect.top()), vec2(width, rect.height()));
        ui.painter().rect_filled(part, 2.0, palette.model(model));
        x += width + 2.0;
    }
}
