//! What the plan costs.

use eframe::egui;
use egui::{Align2, Rect, Sense, Ui, vec2};

use super::format;
use super::theme::{GRID_PX, RADIUS_PX, mono_bold, palette, regular};
use super::widgets::paint_text;
use crate::app::{GalleryRun, Scene};
use crate::engine::MemoryPlan;
use crate::project::RunSettings;

/// Height of the strip.
pub const HEIGHT_PX: f32 = 60.0;

struct Card {
    name: &'static str,
    value: String,
    note: String,
    hint: String,
}

/// What the plan will cost, live during a drag, and what it did cost beside it.
pub fn show(ui: &mut Ui, scene: &Scene<'_>) {
    let cards = cards(scene);
    let palette = palette(ui);
    let gap = GRID_PX;
    let row = ui.available_rect_before_wrap();
    let width = (row.width() - gap * (cards.len() - 1) as f32) / cards.len() as f32;
    for (i, card) in cards.iter().enumerate() {
        let left = row.left() + i as f32 * (width + gap);
        let rect = Rect::from_min_size(egui::pos2(left, row.top()), vec2(width, 44.0));
        ui.painter().rect_filled(rect, RADIUS_PX, palette.field);
        let inner = rect.shrink2(vec2(12.0, 7.0));
        let put = |pos, anchor, text: &str, font, colour, room| {
            paint_text(ui, pos, anchor, text, font, colour, room)
        };
        put(
            inner.left_top(),
            Align2::LEFT_TOP,
            card.name,
            regular(11.5),
            palette.text_weak,
            inner.width(),
        );
        let taken = put(
            inner.left_bottom(),
            Align2::LEFT_BOTTOM,
            &card.value,
            mono_bold(14.0),
            palette.text_strong,
            inner.width(),
        );
        put(
            inner.right_bottom(),
            Align2::RIGHT_BOTTOM,
            &card.note,
            regular(11.5),
            palette.text_weak,
            inner.width() - taken - 6.0,
        );
        ui.interact(rect, ui.scope_id().with(("cost", i)), Sense::hover())
            .on_hover_text(&card.hint);
    }
    ui.allocate_space(vec2(row.width(), 44.0));
}

fn cards(scene: &Scene<'_>) -> [Card; 5] {
    let forecast = scene.forecast;
    let dash = || "–".to_owned();
    let secs = forecast.cost.and_then(|c| c.denoise_secs);
    let reference_secs = forecast.reference.and_then(|c| c.denoise_secs);
    let measured = measured(scene);
    let (kept, steps) = (forecast.kept_steps, forecast.course.steps.len());
    // Of a plan that was computed the whole of it is worth to know.
    let is_partial = (1..steps).contains(&kept);
    let left = forecast.left.filter(|_| is_partial);
    let shown = left.map_or(secs, |left| left.denoise_secs);
    let time_note = match (measured, reference_secs) {
        _ if is_partial => format!("{} of {steps} steps", steps - kept),
        (Some(run), _) => format!("took {}", format::seconds(run.report().denoise_secs)),
        (None, Some(secs)) => format!("LLL {}", format::seconds(secs)),
        (None, None) => String::new(),
    };
    let measured_speed_up = measured
        .zip(reference_secs)
        .map(|(run, reference)| reference / run.report().denoise_secs)
        .filter(|ratio| ratio.is_finite());
    [
        Card {
            name: "Time",
            value: shown.map_or_else(dash, format::seconds),
            note: time_note,
            hint: match reference_secs {
                _ if is_partial => format!(
                    "Predicted seconds of the steps that are left. The first {kept} of {steps} are taken from an earlier run; the whole plan takes {}.",
                    secs.map_or_else(dash, format::seconds)
                ),
                Some(reference) => format!(
                    "Predicted seconds of denoising at the measured speeds. The large model alone takes {}.",
                    format::seconds(reference)
                ),
                None => "Predicted seconds of denoising; known once each model of the plan was measured.".to_owned(),
            },
        },
        Card {
            name: "Speed-up",
            value: forecast
                .speed_up()
                .map_or_else(dash, |ratio| format!("{ratio:.2}×")),
            note: measured_speed_up.map_or_else(String::new, |ratio| format!("was {ratio:.2}×")),
            hint: "How many times faster than the large model alone.".to_owned(),
        },
        Card {
            name: "FLOPs",
            value: forecast.flops_change().map_or_else(dash, format::change),
            note: forecast
                .cost
                .map_or_else(String::new, |c| format::flops(c.full_flops)),
            hint: "Operations against the large model alone, and in total, with attention and both passes of guidance.".to_owned(),
        },
        Card {
            name: "Memory",
            value: forecast
                .memory
                .map_or_else(dash, |plan| format::bytes(plan.peak)),
            note: forecast.memory.as_ref().map_or_else(String::new, memory_note),
            hint: match &forecast.memory {
                Some(plan) => format!("Memory of a run at its peak: {}.", plan.describe()),
                None => "Memory a run of this size is expected to hold at its peak.".to_owned(),
            },
        },
        Card {
            name: "Large model",
            value: format!("{} of {steps}", forecast.large_steps()),
            note: "steps".to_owned(),
            hint: "Steps that the large model takes.".to_owned(),
        },
    ]
}

/// What is most worth to know of how the run goes into memory.
fn memory_note(plan: &MemoryPlan) -> String {
    match (plan.fit, plan.load_secs, plan.available) {
        (None, ..) => "too much".to_owned(),
        (Some(_), Some(secs), _) if plan.loads > 0 => {
            format!("{} loads, {}", plan.loads, format::seconds(secs))
        }
        (Some(_), None, _) if plan.loads > 0 => format!("{} loads", plan.loads),
        (Some(fit), ..) if fit.in_tiles => "in tiles".to_owned(),
        (Some(_), _, Some(available)) => format!("of {}", format::bytes(available)),
        (Some(_), _, None) => String::new(),
    }
}

/// The newest finished run that cost what the document would.
pub fn measured<'a>(scene: &Scene<'a>) -> Option<&'a GalleryRun> {
    let ours = scene.document.settings();
    scene
        .gallery
        .runs()
        .iter()
        .find(|run| run.report().reused_steps == 0 && costs_the_same(run.settings(), ours))
}

fn costs_the_same(a: &RunSettings, b: &RunSettings) -> bool {
    a.pair == b.pair && a.size() == b.size() && a.step_plans() == b.step_plans()
}
