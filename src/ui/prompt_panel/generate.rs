//! The one blue button.

use eframe::egui;
use egui::accesskit::Role;
use egui::{Align2, FontId, Response, RichText, Sense, Ui, WidgetInfo, vec2};

use crate::app::{Command, Readiness, Request, Scene};
use crate::ui::format;
use crate::ui::theme::{RADIUS_PX, bold, mono, palette, regular};
use crate::ui::widgets::{fitting, focus_ring, paint_text};

/// Height of the button.
const BUTTON_PX: f32 = 48.0;
/// Room left and right of its words.
const PADDING_PX: f32 = 8.0;

/// What it would do, how long that takes, or why it cannot.
pub(super) fn show(ui: &mut Ui, scene: &Scene<'_>, out: &mut Vec<Request>) {
    let readiness = scene.readiness();
    let measures = scene
        .session
        .active()
        .is_some_and(|run| run.is_measurement());
    let (title, lines, is_enabled) = match &readiness {
        Readiness::Restart if measures => {
            ("Generate", cost(scene, Some("stops the measuring")), true)
        }
        Readiness::Ready if scene.shown_at_once().is_some() => {
            let lines = ["rendered before: shown at once", "shown at once"];
            ("Generate", lines.map(str::to_owned).to_vec(), true)
        }
        Readiness::Ready => ("Generate", cost(scene, None), true),
        Readiness::Restart => ("Restart", cost(scene, Some("with the changes")), true),
        Readiness::Queued => (
            "Next",
            cost(scene, Some("after the run that is going")),
            true,
        ),
        Readiness::Running => ("Rendering", vec!["with these settings".to_owned()], false),
        Readiness::Blocked(_) => ("Generate", vec!["see below".to_owned()], false),
    };
    let why_not = match &readiness {
        Readiness::Blocked(why) => why.clone(),
        _ => {
            "This run is going on. Change something to restart, or press Esc to cancel.".to_owned()
        }
    };
    let room_px = ui.available_width() - 2.0 * PADDING_PX;
    let line = fitting(ui, &lines, regular(12.0), room_px);
    let mut hint = Command::Generate.hover_text(ui.ctx());
    if let Some(whole) = lines.first().filter(|whole| *whole != line) {
        hint = format!("{hint}\n{whole}");
    }
    let response = ui
        .add_enabled_ui(is_enabled, |ui| {
            // Its own grey says that it is off; faded as well, it could not be read.
            ui.set_opacity(1.0);
            big_button(ui, title, line)
        })
        .inner
        .on_hover_text(hint)
        .on_disabled_hover_text(&why_not);
    if response.clicked() {
        out.push(Request::Command(Command::Generate));
    }
    let (note, font) = note(ui, &readiness);
    let note = RichText::new(note).font(font).color(palette(ui).text_weak);
    ui.vertical_centered(|ui| ui.label(note));
}

/// Height of the button and what stands under it.
pub(super) fn height_px(ui: &Ui, scene: &Scene<'_>) -> f32 {
    let (note, font) = note(ui, &scene.readiness());
    let colour = palette(ui).text_weak;
    let note = ui
        .painter()
        .layout(note, font, colour, ui.available_width());
    BUTTON_PX + ui.spacing().item_spacing.y + note.size().y
}

/// What stands under the button: why nothing can be rendered, else its keys.
fn note(ui: &Ui, readiness: &Readiness) -> (String, FontId) {
    match readiness {
        Readiness::Blocked(why) => (why.clone(), regular(12.0)),
        _ => {
            let keys = Command::Generate.keys_text(ui.ctx());
            (keys.unwrap_or_default(), mono(11.5))
        }
    }
}

/// What a run would take, after what else the click does; each line says less than the one before.
fn cost(scene: &Scene<'_>, also: Option<&str>) -> Vec<String> {
    let forecast = scene.forecast;
    let steps = forecast.course.steps.len();
    let work = match forecast.to_compute() {
        computed if computed == steps => format!("{steps} steps"),
        _ if forecast.kept_steps == steps => "only decode".to_owned(),
        computed => format!("{computed} of {steps} steps to compute"),
    };
    let time = forecast.total_secs().map(format::about);
    let joined = |words: &[Option<&str>]| {
        let words: Vec<_> = words.iter().copied().flatten().collect();
        words.join(" · ")
    };
    let (work, time) = (Some(work.as_str()), time.as_deref());
    match also {
        None => vec![joined(&[work, time]), joined(&[work])],
        also => vec![
            joined(&[also, work, time]),
            joined(&[also, time]),
            joined(&[also]),
        ],
    }
}

fn big_button(ui: &mut Ui, title: &str, line: &str) -> Response {
    let palette = palette(ui);
    let size = vec2(ui.available_width(), BUTTON_PX);
    let (rect, response) = ui.allocate_exact_size(size, Sense::click());
    response.widget_info(|| WidgetInfo::labeled(Role::Button, ui.is_enabled(), title));
    let (fill, text) = match (ui.is_enabled(), response.hovered()) {
        (false, _) => (palette.field, palette.text_weak),
        (true, false) => (palette.next, palette.on_next),
        (true, true) => (palette.next.gamma_multiply(0.9), palette.on_next),
    };
    ui.painter().rect_filled(rect, RADIUS_PX, fill);
    focus_ring(ui, &response, rect.expand(3.0));
    for (y, line, font) in [(-9.0, title, bold(15.0)), (10.0, line, regular(12.0))] {
        paint_text(
            ui,
            rect.center() + vec2(0.0, y),
            Align2::CENTER_CENTER,
            line,
            font,
            text,
            rect.width() - 2.0 * PADDING_PX,
        );
    }
    response
}
