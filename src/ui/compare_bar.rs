//! What is compared with what, and how.

use eframe::egui;
use egui::{Align, Button, ComboBox, Layout, RichText, Ui, vec2};

use super::format;
use super::icons::Icon;
use super::theme::{palette, regular};
use super::widgets::{chip, icon_button};
use crate::app::{
    Command, CompareMode, CompareRequest, GalleryRun, ReferenceState, Request, Scene,
};

/// Height of a row.
pub const ROW_PX: f32 = 40.0;
/// Below this width the bar has two rows.
const NARROW_PX: f32 = 690.0;
/// Height of what stands in the bar.
const FIELD_PX: f32 = 24.0;
const COMBO_PX: f32 = 150.0;

/// The height of the bar at a width.
pub fn height_px(width_px: f32) -> f32 {
    if width_px < NARROW_PX {
        2.0 * ROW_PX
    } else {
        ROW_PX
    }
}

/// A run in few words: plan and time, as its badge has them.
pub fn run_words(run: &GalleryRun) -> String {
    format!(
        "{} · {}",
        run.settings().plan.letters(),
        format::denoise_time(run.report())
    )
}

/// Modes, the other run, its reference, and the way out.
pub fn show(ui: &mut Ui, scene: &Scene<'_>, out: &mut Vec<Request>) {
    let is_narrow = ui.available_width() < NARROW_PX;
    if is_narrow {
        row(ui, |ui| {
            modes(ui, scene, out);
            close(ui, out);
        });
        row(ui, |ui| partner(ui, scene, out));
    } else {
        row(ui, |ui| {
            modes(ui, scene, out);
            ui.add_space(8.0);
            partner(ui, scene, out);
            close(ui, out);
        });
    }
}

fn row(ui: &mut Ui, add_contents: impl FnOnce(&mut Ui)) {
    let size = vec2(ui.available_width(), ROW_PX);
    let layout = Layout::left_to_right(Align::Center);
    ui.spacing_mut().item_spacing.y = 0.0;
    ui.allocate_ui_with_layout(size, layout, |ui| {
        ui.set_min_size(size);
        ui.spacing_mut().item_spacing.x = 6.0;
        ui.spacing_mut().interact_size.y = FIELD_PX;
        ui.spacing_mut().button_padding = vec2(10.0, 2.0);
        add_contents(ui);
    });
}

fn modes(ui: &mut Ui, scene: &Scene<'_>, out: &mut Vec<Request>) {
    for mode in CompareMode::ALL {
        let is_chosen = scene.comparison.mode() == mode;
        if chip(ui, is_chosen, mode.words())
            .on_hover_text(mode.tooltip())
            .clicked()
        {
            out.push(Request::Compare(CompareRequest::Mode(mode)));
        }
    }
}

fn partner(ui: &mut Ui, scene: &Scene<'_>, out: &mut Vec<Request>) {
    let sides = scene.comparison.sides(scene.gallery);
    ui.add_enabled_ui(sides.is_some(), |ui| {
        let size = vec2(28.0, FIELD_PX);
        if icon_button(ui, Icon::Swap, size, "Swap A and B", false)
            .on_hover_text("Show B in place of A, and compare it with A")
            .on_disabled_hover_text("There is no B yet; choose a run or render the reference")
            .clicked()
        {
            out.push(Request::Compare(CompareRequest::Swap));
        }
    });
    other_run(ui, scene, out);
    reference(ui, scene, out);
}

fn other_run(ui: &mut Ui, scene: &Scene<'_>, out: &mut Vec<Request>) {
    let shown = scene.gallery.shown().map(|run| run.id);
    let other = scene.comparison.sides(scene.gallery).map(|s| s.other);
    let choices: Vec<&GalleryRun> = scene
        .gallery
        .runs()
        .iter()
        .filter(|run| Some(run.id) != shown)
        .collect();
    let text = match other {
        Some(run) => format!("B: {}", run_words(run)),
        None if choices.is_empty() => "B: no run yet".to_owned(),
        None => "B: choose a run".to_owned(),
    };
    ui.add_enabled_ui(!choices.is_empty(), |ui| {
        ComboBox::from_id_salt("compared run")
            .selected_text(RichText::new(text).font(regular(12.0)))
            .width(COMBO_PX)
            .show_ui(ui, |ui| {
                for run in choices {
                    let is_chosen = other.is_some_and(|other| other.id == run.id);
                    let seed = format::grouped(run.settings().seed);
                    let text = format!("{} · seed {seed}", run_words(run));
                    if ui
                        .selectable_label(is_chosen, text)
                        .on_hover_text(&run.settings().prompt)
                        .clicked()
                    {
                        out.push(Request::Compare(CompareRequest::With(run.id)));
                    }
                }
            })
            .response
            .on_hover_text("The run that the shown clip is held against")
            .on_disabled_hover_text("There is no other run yet; render the reference, or generate")
            .accessible_name("Compare with");
    });
}

fn reference(ui: &mut Ui, scene: &Scene<'_>, out: &mut Vec<Request>) {
    let state = scene.reference_state();
    let (text, hint) = match &state {
        ReferenceState::Kept => (
            "Use LLL reference",
            "Compare with the run of the large model alone that has the same settings",
        ),
        ReferenceState::Missing | ReferenceState::Blocked(_) => (
            "Render LLL reference",
            "Render the shown clip's settings with the large model alone, and compare with that; the prompt panel stays as it is",
        ),
    };
    let why = match &state {
        ReferenceState::Blocked(why) => why.as_str(),
        _ => "",
    };
    let button = Button::new(RichText::new(text).font(regular(12.0)));
    if ui
        .add_enabled(why.is_empty(), button)
        .on_hover_text(hint)
        .on_disabled_hover_text(why)
        .clicked()
    {
        out.push(Request::Compare(CompareRequest::Reference));
    }
}

fn close(ui: &mut Ui, out: &mut Vec<Request>) {
    ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
        let size = vec2(28.0, FIELD_PX);
        let keys = Command::Compare.keys_text(ui.ctx()).unwrap_or_default();
        if icon_button(ui, Icon::Close, size, "Stop comparing", false)
            .on_hover_text(format!("Show the clip alone ({keys} or Esc)"))
            .clicked()
        {
            out.push(Request::Command(Command::Compare));
        }
        let name = RichText::new("A is the shown clip")
            .font(regular(12.0))
            .color(palette(ui).text_weak);
        // Where there is room to spare.
        if ui.available_width() > 140.0 {
            ui.label(name);
        }
    });
}
