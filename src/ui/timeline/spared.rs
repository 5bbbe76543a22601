//! Steps that a cache spares, hatched on the track.

use eframe::egui;
use egui::{Painter, Rect, Stroke, Ui, pos2};

use super::Axis;
use crate::app::Scene;
use crate::ui::cost_strip::measured;
use crate::ui::theme::palette;

/// Distance of two lines of the hatching.
const PITCH_PX: f32 = 7.0;

/// Which steps are spared: those of the run that is going as far as it is, else of the newest run with these settings, else
/// what the models' profiles tell.
pub fn spared(scene: &Scene<'_>) -> Vec<bool> {
    let mut spared = match measured(scene).map(|run| run.report().spared()) {
        Some(spared) if !spared.is_empty() => spared,
        _ => scene.forecast.spared.clone(),
    };
    let is_this = |settings: &crate::project::RunSettings| settings == scene.document.settings();
    if let Some(active) = scene.session.active().filter(|run| is_this(&run.settings)) {
        for step in &active.steps {
            if let Some(spared) = spared.get_mut(step.step) {
                *spared = step.is_spared();
            }
        }
    }
    spared
}

/// Hatches those of the steps that lie in a stage's block.
pub fn hatch(ui: &Ui, scene: &Scene<'_>, axis: &Axis<'_>, block: Rect, spared: &[bool]) {
    let stroke = Stroke::new(1.5, palette(ui).on_colour.gamma_multiply(0.35));
    for (step, _) in spared
        .iter()
        .enumerate()
        .filter(|(_, is_spared)| **is_spared)
    {
        let [left, right] = [step, step + 1].map(|i| axis.x(scene.forecast.place(i)) as f32);
        let cell = Rect::from_x_y_ranges(left..=right, block.y_range()).intersect(block);
        if cell.is_positive() {
            lines(&ui.painter().with_clip_rect(cell), cell, stroke);
        }
    }
}

/// Slanted lines that meet those of the neighbour.
fn lines(painter: &Painter, cell: Rect, stroke: Stroke) {
    let height = cell.height();
    let first = ((cell.left() - height) / PITCH_PX).floor() as i32;
    let last = (cell.right() / PITCH_PX).ceil() as i32;
    for x in (first..=last).map(|i| i as f32 * PITCH_PX) {
        let ends = [pos2(x, cell.bottom()), pos2(x + height, cell.top())];
        painter.line_segment(ends, stroke);
    }
}
