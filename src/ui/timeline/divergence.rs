//! How far the models differ, step by step, under the stages.

use std::borrow::Cow;

use eframe::egui;
use egui::accesskit::Role;
use egui::{
    Align2, Color32, CursorIcon, Rect, Sense, Shape, Stroke, StrokeKind, Ui, WidgetInfo, pos2,
};

use super::{Axis, HeatStep};
use crate::analysis::{DivergenceCurve, Measure};
use crate::app::{Command, Request, Scene, curve_so_far};
use crate::ui::theme::{palette, regular};
use crate::ui::widgets::paint_text;

/// The curve of the run on show, or how to get it. The step under the pointer, or the one that was clicked,
/// goes into `heat`, for the preview to show where in the picture the models differ. Says whether there
/// is a curve.
pub fn show(
    ui: &mut Ui,
    scene: &Scene<'_>,
    heat: &mut HeatStep,
    axis: &Axis<'_>,
    lane: Rect,
    out: &mut Vec<Request>,
) -> bool {
    heat.hovered = None;
    let curve = curve(scene, axis.steps());
    let is_drawn = curve.as_ref().is_some_and(|curve| curve.steps() > 0);
    match curve {
        Some(curve) if is_drawn => draw(ui, &curve, heat, axis, lane),
        Some(_) => words(
            ui,
            lane,
            "The curve grows once the large model's steps are there",
            palette(ui).text_weak,
        ),
        None => offer(ui, scene, lane, out),
    }
    is_drawn
}

/// What is known of the run on show: what a probe finds right now, else what one found before.
fn curve<'a>(scene: &Scene<'a>, steps: usize) -> Option<Cow<'a, DivergenceCurve>> {
    let active = scene.session.active().filter(|run| !run.is_cancelling);
    if let Some(active) = active
        && let Some(found) = &active.divergences
        && active.settings.steps == steps
    {
        return Some(Cow::Owned(curve_so_far(found)));
    }
    let probe = scene.probes.of(scene.document.settings())?;
    Some(Cow::Borrowed(&probe.curve))
}

/// A quiet button as wide as the lane.
fn offer(ui: &mut Ui, scene: &Scene<'_>, lane: Rect, out: &mut Vec<Request>) {
    let command = Command::Probe;
    let blocked = scene.measure_blocked();
    let id = ui.scope_id().with("measure divergence");
    let response = ui.interact(lane, id, Sense::click());
    let is_enabled = blocked.is_none();
    response.widget_info(|| WidgetInfo::labeled(Role::Button, is_enabled, command.text()));
    let is_lit = is_enabled && (response.hovered() || response.has_focus());
    let colours = palette(ui);
    if is_lit {
        let fill = colours.field;
        ui.painter().rect_filled(lane, 2.0, fill);
    }
    let colour = if is_lit {
        colours.text
    } else {
        colours.text_weak
    };
    words(ui, lane, "Measure where the models differ", colour);
    let response = match blocked {
        Some(why) => response.on_hover_text(why),
        None => response
            .on_hover_text(command.hover_text(ui.ctx()))
            .on_hover_cursor(CursorIcon::PointingHand),
    };
    if response.clicked() && is_enabled {
        out.push(Request::Command(command));
    }
}

fn words(ui: &Ui, lane: Rect, text: &str, colour: Color32) {
    let (middle, width) = (lane.center(), lane.width());
    paint_text(
        ui,
        middle,
        Align2::CENTER_CENTER,
        text,
        regular(11.5),
        colour,
        width,
    );
}

/// The mean as a line over a faint fill, its spread over several runs as a band.
fn draw(ui: &mut Ui, curve: &DivergenceCurve, heat: &mut HeatStep, axis: &Axis<'_>, lane: Rect) {
    let heights = curve.mean_and_spread(Measure::RelativeL2);
    let top = heights
        .iter()
        .map(|(mean, spread)| mean + spread)
        .fold(0.0, f64::max);
    let y = |height: f64| {
        let share = (height / top.max(f64::MIN_POSITIVE)).clamp(0.0, 1.0) as f32;
        lane.bottom() - share * (lane.height() - 2.0)
    };
    // A step's velocity belongs to the middle of its cell.
    let x = |step: usize| axis.x(step as f64 + 0.5) as f32;
    let colours = palette(ui);
    let (line, band) = (colours.text_weak, colours.field_hover);
    for (step, pair) in heights.windows(2).enumerate() {
        let (left, right) = (x(step), x(step + 1));
        let quad = |low: [f32; 2], high: [f32; 2], fill: Color32| {
            let corners = vec![
                pos2(left, low[0]),
                pos2(left, high[0]),
                pos2(right, high[1]),
                pos2(right, low[1]),
            ];
            Shape::convex_polygon(corners, fill, Stroke::NONE)
        };
        let [one, other] = [pair[0], pair[1]];
        let floor = [lane.bottom(); 2];
        let mean = [y(one.0), y(other.0)];
        ui.painter().add(quad(floor, mean, colours.field));
        if curve.runs() > 1 {
            let low = [y(one.0 - one.1), y(other.0 - other.1)];
            let high = [y(one.0 + one.1), y(other.0 + other.1)];
            ui.painter().add(quad(low, high, band));
        }
    }
    let points = heights.iter().enumerate();
    let points = points
        .map(|(step, (mean, _))| pos2(x(step), y(*mean)))
        .collect();
    ui.painter()
        .add(Shape::line(points, Stroke::new(1.5, line)));

    let id = ui.scope_id().with("divergence");
    let response = ui.interact(lane, id, Sense::click());
    let is_kept = heat.kept.is_some();
    response.widget_info(|| WidgetInfo::selected(Role::Button, true, is_kept, describe(curve)));
    let pointed = response
        .hover_pos()
        .map(|pos| axis.position(f64::from(pos.x)));
    let pointed = pointed.map(|place| place.floor().max(0.0) as usize);
    heat.hovered = pointed.filter(|step| *step < heights.len());
    if response.clicked() {
        // By keyboard there is no step under the pointer; the most telling one is where they differ most.
        let step = heat.hovered.or_else(|| highest(&heights));
        heat.kept = match heat.kept {
            Some(kept) if heat.hovered.is_none() || heat.hovered == Some(kept) => None,
            _ => step,
        };
    }
    for (step, radius) in [(heat.kept, 3.5), (heat.hovered, 3.0)] {
        if let Some((step, (mean, _))) = step.and_then(|step| Some((step, heights.get(step)?))) {
            let dot = pos2(x(step), y(*mean));
            ui.painter().circle_filled(dot, radius, colours.text_strong);
        }
    }
    if response.has_focus() {
        let ring = Stroke::new(1.5, colours.next);
        ui.painter()
            .rect_stroke(lane, 2.0, ring, StrokeKind::Inside);
    }
    if let Some(step) = heat.hovered {
        let (mean, spread) = heights[step];
        let (turned, _) = curve.mean_and_spread(Measure::OneMinusCosine)[step];
        let spread = match curve.runs() {
            1 => String::new(),
            runs => format!(" (\u{b1} {spread:.3} over {runs} runs)"),
        };
        let next = match heat.kept == Some(step) {
            true => "click to take the map off the picture",
            false => "click to keep the map over the picture",
        };
        response.on_hover_text(format!(
            "Step {}: the small model's guided velocity is {:.1} % of the large one's length away \
             from it{spread}; 1 \u{2212} cos {turned:.4}; {next}",
            step + 1,
            mean * 100.0,
        ));
    }
}

/// The step at which the models differ most.
fn highest(heights: &[(f64, f64)]) -> Option<usize> {
    (0..heights.len()).max_by(|a, b| heights[*a].0.total_cmp(&heights[*b].0))
}

/// The curve in words.
fn describe(curve: &DivergenceCurve) -> String {
    let heights = curve.mean_and_spread(Measure::RelativeL2);
    let lowest = heights
        .iter()
        .enumerate()
        .min_by(|a, b| a.1.0.total_cmp(&b.1.0));
    match lowest {
        Some((step, (mean, _))) => format!(
            "Divergence of the models, {} steps, least at step {}: {:.1} %",
            heights.len(),
            step + 1,
            mean * 100.0
        ),
        None => "Divergence of the models".to_owned(),
    }
}
