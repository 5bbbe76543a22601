//! What the plan costs.

use eframe::egui;
use egui::accesskit::Role;
use egui::{Align2, Rect, Sense, Ui, WidgetInfo, vec2};

use super::format;
use super::theme::{GRID_PX, RADIUS_PX, mono_bold, palette, regular};
use super::widgets::{fitting, paint_text, text_width};
use crate::app::{GalleryRun, Scene};
use crate::engine::MemoryPlan;
use crate::project::RunSettings;

/// Height of the strip.
pub const HEIGHT_PX: f32 = 60.0;

/// Least room between a card's figure and the note beside it.
const NOTE_GAP_PX: f32 = 6.0;

/// A figure, and what is noted beside it, where there is room.
struct Card {
    name: &'static str,
    value: String,
    /// At length, and in short where that says it too.
    notes: Vec<String>,
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
        // A note is there as a whole or, where it finds no room, under the pointer.
        let room_px = inner.width() - taken - NOTE_GAP_PX;
        let note = fitting(ui, &card.notes, regular(11.5), room_px);
        let has_room = text_width(ui, note, regular(11.5)) <= room_px;
        if has_room {
            put(
                inner.right_bottom(),
                Align2::RIGHT_BOTTOM,
                note,
                regular(11.5),
                palette.text_weak,
                room_px,
            );
        }
        let response = ui.interact(rect, ui.scope_id().with(("cost", i)), Sense::hover());
        response.widget_info(|| WidgetInfo::labeled(Role::Label, true, card.words()));
        let hint = match card.notes.first() {
            Some(note) if !has_room => format!("{}\n{}.", card.hint, format::capital(note)),
            _ => card.hint.clone(),
        };
        response.on_hover_text(hint);
    }
    ui.allocate_space(vec2(row.width(), 44.0));
}

impl Card {
    /// What it says, in one line.
    fn words(&self) -> String {
        let Self { name, value, .. } = self;
        match self.notes.first() {
            Some(note) => format!("{name}: {value}, {note}"),
            None => format!("{name}: {value}"),
        }
    }
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
        _ if is_partial => secs.map(|secs| format!("of {}", format::seconds(secs))),
        (Some(run), _) => Some(format!(
            "took {}",
            format::seconds(run.report().denoise_secs)
        )),
        (None, Some(secs)) => Some(format!("LLL {}", format::seconds(secs))),
        (None, None) => None,
    };
    let measured_speed_up = measured
        .zip(reference_secs)
        .map(|(run, reference)| reference / run.report().denoise_secs)
        .filter(|ratio| ratio.is_finite());
    [
        Card {
            name: "Time",
            value: shown.map_or_else(dash, format::seconds),
            notes: time_note.into_iter().collect(),
            hint: match reference_secs {
                _ if is_partial => format!(
                    "Predicted seconds of the steps that are left; the whole plan takes {}.",
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
            notes: measured_speed_up.map(|ratio| format!("was {ratio:.2}×")).into_iter().collect(),
            hint: "How many times faster than the large model alone.".to_owned(),
        },
        Card {
            name: "FLOPs",
            value: forecast.flops_change().map_or_else(dash, format::change),
            notes: forecast.cost.map(|c| format::flops(c.full_flops)).into_iter().collect(),
            hint: "Operations against the large model alone, and in total, with attention and both passes of guidance.".to_owned(),
        },
        Card {
            name: "Memory",
            value: forecast
                .memory
                .map_or_else(dash, |plan| format::bytes(plan.peak)),
            notes: forecast.memory.as_ref().and_then(memory_note).into_iter().collect(),
            hint: match &forecast.memory {
                Some(plan) => format!("Memory of a run at its peak: {}.", plan.describe()),
                None => "Memory a run of this size is expected to hold at its peak.".to_owned(),
            },
        },
        to_compute(scene),
    ]
}

/// How many steps a run would compute, of how many.
fn to_compute(scene: &Scene<'_>) -> Card {
    let forecast = scene.forecast;
    let (kept, steps) = (forecast.kept_steps, forecast.course.steps.len());
    if scene.shown_at_once().is_some() {
        return Card {
            name: "To compute",
            value: format!("0 of {steps}"),
            notes: vec!["the clip is there".to_owned()],
            hint: "Nothing is computed: a run of these settings is among the runs.".to_owned(),
        };
    }
    let kept_words = match kept {
        0 => String::new(),
        1 => " The first is taken from an earlier run.".to_owned(),
        kept => format!(" The first {kept} are taken from an earlier run."),
    };
    let spared_words = match forecast.spared.iter().skip(kept).filter(|s| **s).count() {
        0 => String::new(),
        spared => format!(" The cache is expected to spare {spared}."),
    };
    Card {
        name: "To compute",
        value: format!("{} of {steps}", forecast.to_compute()),
        notes: match kept {
            0 => vec![format!("{} large", forecast.large_steps())],
            kept if kept == steps => vec!["all kept".to_owned()],
            kept => vec![
                format!("from step {}", kept + 1),
                format!("from {}", kept + 1),
            ],
        },
        hint: format!(
            "Steps that are computed.{kept_words}{spared_words} The large model takes {} of the plan's {steps} steps.",
            forecast.large_steps()
        ),
    }
}

/// What is most worth to know of how the run goes into memory.
fn memory_note(plan: &MemoryPlan) -> Option<String> {
    match (plan.fit, plan.load_secs, plan.available) {
        (None, ..) => Some("too much".to_owned()),
        (Some(_), Some(secs), _) if plan.loads > 0 => {
            Some(format!("{} loads, {}", plan.loads, format::seconds(secs)))
        }
        (Some(_), None, _) if plan.loads > 0 => Some(format!("{} loads", plan.loads)),
        (Some(fit), ..) if fit.in_tiles => Some("in tiles".to_owned()),
        (Some(_), _, available) => available.map(|bytes| format!("of {}", format::bytes(bytes))),
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
