use eframe::egui;
use egui::epaint::PathShape;
use egui::{Align2, Rect, Stroke, Ui, pos2, vec2};

use super::Axis;
use crate::app::{ActiveRun, Scene};
use crate::ui::theme::{mono, palette, regular};
use crate::ui::widgets::{fitting, paint_text, text_width};

/// Least distance between two labels of the ruler.
const LABEL_SPACING_PX: f64 = 56.0;

/// Labelled ticks over the track; no label where one of `taken` stands.
pub fn ruler(ui: &Ui, axis: &Axis<'_>, lane: Rect, taken: &[Rect]) {
    let palette = palette(ui);
    for tick in axis.ticks(LABEL_SPACING_PX) {
        let x = axis.x(tick.position) as f32;
        ui.painter().vline(
            x,
            lane.bottom() - 4.0..=lane.bottom(),
            Stroke::new(1.0, palette.text_weak),
        );
        let room = text_width(ui, &tick.label, mono(11.0)) / 2.0 + 4.0;
        let is_free = |rect: &Rect| rect.right() < x - room || rect.left() > x + room;
        if !taken.iter().all(is_free) {
            continue;
        }
        // Labels at the ends stay inside the track's width.
        let anchor = if x < lane.left() + 4.0 {
            Align2::LEFT_CENTER
        } else if x > lane.right() - 4.0 {
            Align2::RIGHT_CENTER
        } else {
            Align2::CENTER_CENTER
        };
        paint_text(
            ui,
            pos2(x, lane.center().y - 3.0),
            anchor,
            &tick.label,
            mono(11.0),
            palette.text_weak,
            64.0,
        );
    }
}

/// How far the run is on the track, in steps of the solver's own grid, as far as it fits the plan on show: the run that
/// is going, else earlier ones.
fn computed(scene: &Scene<'_>) -> Option<f64> {
    let settings = scene.document.settings();
    // A measurement takes the steps of other plans than the one on show.
    if let Some(active) = scene.session.active().filter(|run| !run.is_measurement()) {
        return (active.settings.steps == settings.steps).then(|| active.place_done());
    }
    match scene.forecast.kept_steps {
        0 => None,
        kept => Some(scene.forecast.place(kept)),
    }
}

/// How much of that is kept from earlier runs.
fn kept(scene: &Scene<'_>) -> f64 {
    match scene.session.active() {
        Some(active) => active.place(active.reused),
        None => f64::INFINITY,
    }
}

/// One cell a step under the track: blue when it is computed now, grey when it was kept.
pub fn cells(ui: &Ui, scene: &Scene<'_>, axis: &Axis<'_>, lane: Rect) {
    let palette = palette(ui);
    let (done, kept) = (computed(scene).unwrap_or(0.0), kept(scene));
    for step in 0..scene.forecast.course.steps.len() {
        let (begin, end) = (scene.forecast.place(step), scene.forecast.place(step + 1));
        let (left, right) = (axis.x(begin) as f32, axis.x(end) as f32);
        let gap = if right - left > 6.0 { 1.5 } else { 0.0 };
        let cell = Rect::from_min_max(
            pos2(left + gap, lane.top()),
            pos2((right - gap).max(left + gap + 0.5), lane.bottom()),
        );
        let colour = if begin >= done {
            palette.line
        } else if begin < kept {
            palette.text_weak
        } else {
            palette.next
        };
        ui.painter().rect_filled(cell, 2.0, colour);
    }
}

/// Length of the curve's sample beside its name, and the room between the two.
const SAMPLE_PX: f32 = 14.0;
const SAMPLE_GAP_PX: f32 = 6.0;
/// Least room between the curve's name and what the cells mean.
const LEGEND_GAP_PX: f32 = 16.0;

/// Under everything, where no name covers what it names: the curve's on the left, where there is one, and what the cells mean at
/// their right end.
pub fn legend(ui: &Ui, scene: &Scene<'_>, lane: Rect, has_curve: bool) {
    let weak = palette(ui).text_weak;
    let mut room_px = lane.width();
    if has_curve {
        let left = lane.left_center();
        let line = Stroke::new(1.5, weak);
        ui.painter()
            .hline(left.x..=left.x + SAMPLE_PX, left.y, line);
        let name_px = paint_text(
            ui,
            left + vec2(SAMPLE_PX + SAMPLE_GAP_PX, 0.0),
            Align2::LEFT_CENTER,
            "velocity divergence",
            regular(11.5),
            weak,
            lane.width(),
        );
        room_px -= SAMPLE_PX + SAMPLE_GAP_PX + name_px + LEGEND_GAP_PX;
    }
    paint_text(
        ui,
        lane.right_center(),
        Align2::RIGHT_CENTER,
        fitting(ui, cells_words(scene), regular(11.5), room_px),
        regular(11.5),
        weak,
        room_px,
    );
}

/// What the cells mean, at length and in short.
fn cells_words(scene: &Scene<'_>) -> &'static [&'static str] {
    let active = scene.session.active().filter(|run| !run.is_measurement());
    match (active, computed(scene)) {
        (Some(active), Some(_)) if active.reused > 0 => &[
            "grey: kept from an earlier run; blue: computed now",
            "grey: kept; blue: computed now",
        ],
        (Some(_), Some(_)) => &["blue: computed now"],
        (Some(_), None) => &[
            "the run that is going has another number of steps",
            "the run has other steps",
        ],
        (None, Some(_)) if scene.shown_at_once().is_some() => &[
            "grey: kept, and the clip is among the runs",
            "grey: kept; the clip is there",
        ],
        (None, Some(done)) if done == scene.forecast.grid.steps() as f64 => &[
            "grey: kept, nothing is left but the decode",
            "grey: kept, all of them",
        ],
        (None, Some(_)) => &[
            "grey: kept from an earlier run, only the others are left",
            "grey: kept from an earlier run",
        ],
        (None, None) => &[
            "drag a boundary; double-click a stage to split it, right-click it for more",
            "right-click a stage for all it can do",
        ],
    }
}

/// A line through the track where the run is.
pub fn playhead(ui: &Ui, scene: &Scene<'_>, axis: &Axis<'_>, top: f32, bottom: f32) {
    let is_elsewhere = |run: &&ActiveRun| run.sweep.is_some();
    let Some(active) = scene.session.active().filter(|run| !is_elsewhere(run)) else {
        return;
    };
    // A probe goes along the steps a second time.
    let probed = active.divergences.as_ref().map_or(0, Vec::len);
    let done = match probed {
        0 => active.place_done(),
        probed => probed as f64,
    };
    if active.settings.steps != axis.steps() || done >= axis.steps() as f64 {
        return;
    }
    let x = axis.x(done) as f32;
    let colour = palette(ui).text_strong;
    ui.painter()
        .vline(x, top..=bottom, Stroke::new(1.5, colour));
    let tip = pos2(x, top + 3.0);
    let points = vec![tip + vec2(-6.0, -7.0), tip + vec2(6.0, -7.0), tip];
    ui.painter()
        .add(PathShape::convex_polygon(points, colour, Stroke::NONE));
}
