//! The page on which a pair is added that lies elsewhere.

use eframe::egui;
use egui::{Align, Button, Layout, Response, RichText, TextEdit, Ui, vec2};

use super::dialogs::message;
use super::theme::palette;
use super::widgets::{described_row, note};
use crate::app::{AddRequest, Chosen, PairField, PairForm, Request, Scene, sentence};

/// Width of the column with the rows' names.
const NAMES_PX: f32 = 128.0;
const PATH_PX: f32 = 316.0;
const SHORT_PX: f32 = 240.0;

/// Shows the form.
pub(super) fn show(ui: &mut Ui, scene: &Scene<'_>, form: &PairForm, out: &mut Vec<Request>) {
    let mut typed = form.clone();
    let mut wishes = Vec::new();
    let mut is_entered = false;
    ui.label(
        "Name the folder of a whole pair, which has a pair.json, or the models one by one. They are checked first; nothing is copied.",
    );
    ui.scope(|ui| {
        ui.spacing_mut().item_spacing.y = 6.0;
        for (field, about) in [
            (PairField::Large, "A folder or a file; it brings the VAE and the text encoder"),
            (PairField::Small, "A folder or a file of the same family"),
            (
                PairField::Distilled,
                "If there is one: a model that was taught to go in few steps, for stages of the letter D",
            ),
        ] {
            described_row(ui, NAMES_PX, field.name(), about, |ui| {
                let text = text(ui, field.name(), about, PATH_PX, "", typed.text_mut(field));
                is_entered |= was_entered(ui, &text);
                let is_free = || ui.memory(|memory| memory.focused().is_none());
                // Whoever opens the page wants to type.
                if field == PairField::Large && *form == PairForm::default() && is_free() {
                    text.request_focus();
                }
                for (words, chosen, what) in [
                    ("Folder…", Chosen::Folder, "a folder"),
                    ("File…", Chosen::File, "a file"),
                ] {
                    let button = ui
                        .button(words)
                        .on_hover_text(format!("Ask the desktop for {what}"))
                        .accessible_name(format!("{}: choose {what}…", field.name()));
                    if button.clicked() {
                        wishes.push(AddRequest::Choose(field, chosen));
                    }
                }
            });
        }
        let about = "Of the distilled model: a number of steps, or its noise levels with commas between them";
        described_row(ui, NAMES_PX, "Taught steps", about, |ui| {
            let hint = "8, or 1, 0.9375, 0.833, 0.625, 0";
            let text = text(ui, "Taught steps", about, SHORT_PX, hint, &mut typed.taught);
            is_entered |= was_entered(ui, &text);
        });
        let about = "What the pair will be called here";
        described_row(ui, NAMES_PX, "Name", about, |ui| {
            let hint = "as the pair or its large model is";
            let text = text(ui, "Name", about, SHORT_PX, hint, &mut typed.name);
            is_entered |= was_entered(ui, &text);
        });
    });
    let problem = match scene.models.is_changing() {
        true => Some("Its files are being looked at".to_owned()),
        false => typed.candidate().err(),
    };
    // Before anything is typed the rows say what is wanted.
    if *form != PairForm::default()
        && let Some(problem) = &problem
    {
        note(ui, &sentence(problem));
    }
    message(ui, scene, out);
    ui.horizontal(|ui| {
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            let palette = palette(ui);
            let add = Button::new(RichText::new("Add").color(palette.on_next)).fill(palette.next);
            let add = ui
                .add_enabled(problem.is_none(), add)
                .on_hover_text("Check the models and add the pair to the list (Enter)")
                .on_disabled_hover_text(problem.clone().unwrap_or_default());
            if add.clicked() || is_entered && problem.is_none() {
                wishes.push(AddRequest::Add);
            }
            let close = ui.button("Cancel").on_hover_text("Back to the list (Esc)");
            if close.clicked() {
                wishes.push(AddRequest::Close);
            }
        });
    });
    if typed != *form {
        wishes.insert(0, AddRequest::Change(Box::new(typed)));
    }
    out.extend(wishes.into_iter().map(Request::AddPair));
}

fn was_entered(ui: &Ui, field: &Response) -> bool {
    field.lost_focus() && ui.input(|i| i.key_pressed(egui::Key::Enter))
}

fn text(
    ui: &mut Ui,
    name: &str,
    about: &str,
    width_px: f32,
    hint: &str,
    typed: &mut String,
) -> Response {
    let field = TextEdit::singleline(typed)
        .hint_text(hint)
        .desired_width(width_px)
        .margin(vec2(12.0, 6.0));
    ui.add(field).on_hover_text(about).accessible_name(name)
}
