use eframe::egui;
use std::ops::Range;

use egui::{Align2, CornerRadius, Rect, RichText, Sense, Ui, pos2, vec2};

use super::Axis;
use crate::app::Scene;
use crate::schedule::{Stage, StepPlan};
use crate::ui::format;
use crate::ui::theme::{bold, mono, palette, regular};
use crate::ui::widgets::{paint_text, text_width};

/// Gap between two blocks, where the handle stands.
const GAP_PX: f32 = 4.0;

/// The stages as coloured blocks, and what a step costs under the pointer.
pub fn show(ui: &mut Ui, scene: &Scene<'_>, axis: &Axis<'_>, track: Rect) {
    let settings = scene.document.settings();
    for (i, stage) in settings.plan.stages().iter().enumerate() {
        let steps = settings.plan.stage_steps(i, settings.steps);
        if !steps.is_empty() {
            block(ui, scene, axis, track, stage, steps);
        }
    }
    let response = ui.interact(track, ui.scope_id().with("track"), Sense::hover());
    let Some(pos) = response.hover_pos() else {
        return;
    };
    let position = axis.position(f64::from(pos.x));
    let step = (position as usize).min(axis.steps().saturating_sub(1));
    if let Some(plan) = scene.forecast.steps.get(step) {
        response.on_hover_ui_at_pointer(|ui| step_facts(ui, scene, step, plan));
    }
}

fn block(
    ui: &Ui,
    scene: &Scene<'_>,
    axis: &Axis<'_>,
    track: Rect,
    stage: &Stage,
    steps: Range<usize>,
) {
    let palette = palette(ui);
    let is_first = steps.start == 0;
    let is_last = steps.end == axis.steps();
    let left = axis.x(steps.start as f64) as f32 + if is_first { 0.0 } else { GAP_PX / 2.0 };
    let right = axis.x(steps.end as f64) as f32 - if is_last { 0.0 } else { GAP_PX / 2.0 };
    let rect = Rect::from_min_max(pos2(left, track.top()), pos2(right, track.bottom()));
    let ends = |round: bool| if round { 5 } else { 2 };
    let corners = CornerRadius {
        nw: ends(is_first),
        sw: ends(is_first),
        ne: ends(is_last),
        se: ends(is_last),
    };
    ui.painter()
        .rect_filled(rect, corners, palette.model(stage.model));
    step_marks(ui, axis, rect, steps.clone());

    let grid = &scene.forecast.grid;
    let cfg = stage.cfg.unwrap_or(scene.document.settings().cfg);
    let guidance = format!("CFG {}", format::scale(cfg));
    let noise = format!(
        "σ {:.2}–{:.2}",
        grid.sigma(steps.start),
        grid.sigma(steps.end)
    );
    let room = rect.width() - 24.0;
    let text = palette.on_colour;
    if room < 16.0 {
        return;
    }
    let name = stage.model.name();
    let short = stage.model.letter().to_string();
    let name = if text_width(ui, name, bold(14.0)) <= room {
        name
    } else {
        &short
    };
    let at = rect.left_top() + vec2(12.0, 11.0);
    paint_text(ui, at, Align2::LEFT_TOP, name, bold(14.0), text, room);
    // The longest of these that fits; a cut figure would be a wrong figure.
    let both = format!("{guidance} · {noise}");
    let line = [both, noise, guidance]
        .into_iter()
        .find(|line| text_width(ui, line, mono(11.5)) <= room);
    if let Some(line) = line {
        let at = rect.left_bottom() + vec2(12.0, -11.0);
        paint_text(ui, at, Align2::LEFT_BOTTOM, &line, mono(11.5), text, room);
    }
}

/// Fine marks at the block's lower edge, one a step.
fn step_marks(ui: &Ui, axis: &Axis<'_>, rect: Rect, steps: Range<usize>) {
    let colour = palette(ui).on_colour.gamma_multiply(0.28);
    let mut last_x = rect.left();
    for step in steps.skip(1) {
        let x = axis.x(step as f64) as f32;
        // Denser marks than this are a smear.
        if x - last_x >= 4.0 {
            ui.painter().vline(
                x,
                rect.bottom() - 6.0..=rect.bottom(),
                egui::Stroke::new(1.0, colour),
            );
            last_x = x;
        }
    }
}

fn step_facts(ui: &mut Ui, scene: &Scene<'_>, step: usize, plan: &StepPlan) {
    let palette = palette(ui);
    let grid = &scene.forecast.grid;
    ui.spacing_mut().item_spacing.y = 2.0;
    ui.horizontal(|ui| {
        let (dot, _) = ui.allocate_exact_size(vec2(10.0, 16.0), Sense::hover());
        ui.painter()
            .circle_filled(dot.center(), 5.0, palette.model(plan.model));
        ui.label(
            RichText::new(format!(
                "Step {} of {}, {} model",
                step + 1,
                grid.steps(),
                plan.model
            ))
            .font(bold(13.0))
            .color(palette.text_strong),
        );
    });
    let mut lines = vec![format!(
        "σ {:.3} to {:.3}  ·  t {:.0}  ·  CFG {}",
        grid.sigma(step),
        grid.sigma(step + 1),
        grid.timestep(step),
        format::scale(plan.cfg)
    )];
    if let Some(cost) = scene.forecast.step_cost(step) {
        let flops = format!("{}FLOP", format::flops(cost.full_flops));
        lines.push(match cost.denoise_secs {
            Some(secs) => format!("about {}  ·  {flops}", format::seconds(secs)),
            None => format!("not measured yet  ·  {flops}"),
        });
    }
    if let Some(report) = measured_step(scene, step) {
        lines.push(format!("took {}", format::seconds(report)));
    }
    for line in lines {
        ui.label(
            RichText::new(line)
                .font(regular(12.0))
                .color(palette.text_weak),
        );
    }
}

/// Seconds the step took in the run that is going.
fn measured_step(scene: &Scene<'_>, step: usize) -> Option<f64> {
    let active = scene.session.active()?;
    active.steps.iter().find(|s| s.step == step).map(|s| s.secs)
}
