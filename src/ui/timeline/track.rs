use eframe::egui;
use std::ops::Range;

use egui::{
    Align2, CornerRadius, EventFilter, Id, Rect, Response, RichText, Role, Sense, Stroke,
    StrokeKind, Ui, WidgetInfo, pos2, vec2,
};

use super::spared::{hatch, spared};
use super::{Axis, StageMenu, at_step, magnets, menus, split_step};
use crate::app::{Request, Scene};
use crate::schedule::{Stage, StepPlan};
use crate::ui::format;
use crate::ui::theme::{bold, mono, palette, regular};
use crate::ui::view::View;
use crate::ui::widgets::{paint_text, text_width};

/// Gap between two blocks, where the handle stands.
const GAP_PX: f32 = 4.0;

/// The id of a stage's block, for moving the keyboard there.
pub fn stage_id(index: usize) -> Id {
    Id::unique(("timeline stage", index))
}

/// The stages as coloured blocks with their menus, and what a step costs under the pointer.
pub fn show(
    ui: &mut Ui,
    scene: &Scene<'_>,
    view: &mut View,
    axis: &Axis<'_>,
    track: Rect,
    out: &mut Vec<Request>,
) {
    let settings = scene.document.settings();
    let spared = spared(scene);
    view.timeline.pointer = None;
    for (i, stage) in settings.plan.stages().iter().enumerate() {
        let steps = settings.plan.stage_steps(i, settings.steps);
        if steps.is_empty() {
            continue;
        }
        let rect = block_rect(axis, track, &steps);
        let response = ui.interact(rect, stage_id(i), Sense::click());
        name(ui, scene, &response, i, stage);
        paint_block(ui, scene, axis, track, rect, stage, &steps, &spared);
        if response.has_focus() {
            // Inside, where the handles leave it alone.
            let ring = Stroke::new(2.0, palette(ui).on_colour);
            let shown = rect.intersect(track).shrink(3.0);
            ui.painter()
                .rect_stroke(shown, 3.0, ring, StrokeKind::Inside);
        }
        respond(ui, scene, view, axis, &response, i, &steps, out);
        menus::stage(scene, view, i, &response, out);
        hover(scene, axis, response, &spared);
    }
}

fn name(ui: &Ui, scene: &Scene<'_>, response: &Response, index: usize, stage: &Stage) {
    let settings = scene.document.settings();
    let steps = settings.plan.stage_steps(index, settings.steps);
    let own = match own_steps(scene, index) {
        Some(own) => format!(" in {own} of its own"),
        None => String::new(),
    };
    let name = format!(
        "Stage {}, {} model, steps {} to {}{own}, CFG {}",
        index + 1,
        stage.model,
        steps.start + 1,
        steps.end,
        format::scale(stage.cfg_in(settings.cfg))
    );
    response.widget_info(|| WidgetInfo::labeled(Role::Button, ui.is_enabled(), &name));
}

/// Steps that a distilled stage takes in place of the solver's.
pub(super) fn own_steps(scene: &Scene<'_>, index: usize) -> Option<usize> {
    let steps = &scene.forecast.course.steps;
    let is_own = |step: &&StepPlan| step.stage == index && step.span.is_distilled();
    Some(steps.iter().filter(is_own).count()).filter(|own| *own > 0)
}

/// Clicks and keys on a block: choose, split, open the menu.
#[expect(clippy::too_many_arguments, reason = "one block's whole surroundings")]
fn respond(
    ui: &Ui,
    scene: &Scene<'_>,
    view: &mut View,
    axis: &Axis<'_>,
    response: &Response,
    index: usize,
    steps: &Range<usize>,
    out: &mut Vec<Request>,
) {
    if response.has_focus() {
        // Up and Down choose boundaries, and entries of the menu while it is open.
        let filter = EventFilter {
            vertical_arrows: view.timeline.menu.is_none(),
            ..EventFilter::default()
        };
        ui.memory_mut(|memory| memory.set_focus_lock_filter(response.id, filter));
    }
    if let Some(pos) = response.hover_pos() {
        view.timeline.pointer = Some(axis.position(f64::from(pos.x)));
    }
    let clicked_at = response.interact_pointer_pos();
    let split_at = |pos: egui::Pos2| split_step(steps, axis.position(f64::from(pos.x)));
    if response.clicked() || response.secondary_clicked() {
        response.request_focus();
    }
    if response.secondary_clicked()
        && let Some(pos) = clicked_at
    {
        let here = axis.position(f64::from(pos.x)).round().max(1.0) as usize;
        let here = here.min(axis.steps());
        view.timeline.menu = Some(StageMenu::by_pointer(index, split_at(pos), here, pos));
    } else if response.double_clicked()
        && let Some(pos) = clicked_at
    {
        let count = axis.steps();
        let magnets = magnets(scene.own_boundaries(), count);
        let fraction = at_step(split_at(pos), count, &magnets).fraction;
        if let Ok(split) = scene.document.settings().plan.split(fraction, count) {
            menus::push(out, split);
            out.push(Request::SelectBoundary(index));
        }
    } else if response.clicked() && !response.clicked_by(egui::PointerButton::Primary) {
        // Enter, or assistive technology.
        let middle = (steps.start + steps.end) as f64 / 2.0;
        view.timeline.menu = Some(StageMenu::by_keyboard(index, split_step(steps, middle)));
    }
}

/// What the step under the pointer costs.
fn hover(scene: &Scene<'_>, axis: &Axis<'_>, response: Response, spared: &[bool]) {
    let Some(pos) = response.hover_pos() else {
        return;
    };
    let position = axis.position(f64::from(pos.x));
    let step = scene.forecast.step_at(position);
    if let Some(plan) = scene.forecast.course.steps.get(step) {
        response.on_hover_ui_at_pointer(|ui| step_facts(ui, scene, step, plan, spared));
    }
}

/// Where a stage of these steps lies; beyond the track when zoomed.
fn block_rect(axis: &Axis<'_>, track: Rect, steps: &Range<usize>) -> Rect {
    let gap = |is_end: bool| if is_end { 0.0 } else { GAP_PX / 2.0 };
    let left = axis.x(steps.start as f64) as f32 + gap(steps.start == 0);
    let right = axis.x(steps.end as f64) as f32 - gap(steps.end == axis.steps());
    Rect::from_min_max(
        pos2(left, track.top()),
        pos2(right.max(left), track.bottom()),
    )
}

#[expect(clippy::too_many_arguments, reason = "one block's whole surroundings")]
fn paint_block(
    ui: &Ui,
    scene: &Scene<'_>,
    axis: &Axis<'_>,
    track: Rect,
    rect: Rect,
    stage: &Stage,
    steps: &Range<usize>,
    spared: &[bool],
) {
    let palette = palette(ui);
    let is_first = steps.start == 0;
    let is_last = steps.end == axis.steps();
    let ends = |round: bool| if round { 5 } else { 2 };
    let corners = CornerRadius {
        nw: ends(is_first),
        sw: ends(is_first),
        ne: ends(is_last),
        se: ends(is_last),
    };
    ui.painter()
        .rect_filled(rect, corners, palette.model(stage.model));
    step_marks(ui, scene, axis, rect, steps);
    hatch(ui, scene, axis, rect.intersect(track), spared);
    // Words stand where the block is seen.
    let rect = rect.intersect(track);

    let grid = &scene.forecast.grid;
    let cfg = stage.cfg_in(scene.document.settings().cfg);
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

/// Fine marks at the block's lower edge, one where each step begins.
fn step_marks(ui: &Ui, scene: &Scene<'_>, axis: &Axis<'_>, rect: Rect, steps: &Range<usize>) {
    let colour = palette(ui).on_colour.gamma_multiply(0.28);
    let mut last_x = rect.left();
    let forecast = &scene.forecast;
    let places = (0..forecast.course.steps.len()).map(|i| forecast.place(i));
    let (start, end) = (steps.start as f64, steps.end as f64);
    for place in places.filter(|place| start < *place && *place < end) {
        let x = axis.x(place) as f32;
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

fn step_facts(ui: &mut Ui, scene: &Scene<'_>, step: usize, plan: &StepPlan, spared: &[bool]) {
    let palette = palette(ui);
    let grid = &scene.forecast.course.grid;
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
    if spared.get(step) == Some(&true) {
        lines.push("spared by the cache".to_owned());
    } else if let Some(cost) = scene.forecast.step_cost(step) {
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
