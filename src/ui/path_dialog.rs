//! A field for a path, where the desktop has no file dialog of its own.

use eframe::egui;
use egui::{Align, Button, Context, Layout, RichText, TextEdit, vec2};

use super::dialogs::{Answer, modal, title};
use super::theme::palette;

/// What the field is called and what it is for.
pub struct Words {
    /// Heading.
    pub title: &'static str,
    /// A sentence on what belongs there.
    pub hint: &'static str,
    /// Accessible name of the field.
    pub field: &'static str,
    /// Words on the button that does it.
    pub button: &'static str,
}

/// Shows the field; `Some` once it was answered or put away.
pub fn show(ctx: &Context, words: &Words, typed: &mut String) -> Option<Answer> {
    let modal = modal(ctx, "path").show(ctx, |ui| {
        ui.set_width(520.0);
        title(ui, words.title);
        ui.label(words.hint);
        let field = ui
            .add(
                TextEdit::singleline(typed)
                    .desired_width(f32::INFINITY)
                    .margin(vec2(12.0, 8.0)),
            )
            .on_hover_text("The whole path of the file (Enter takes it)")
            .accessible_name(words.field);
        // Asked first: Enter takes the focus away, and giving it back would hide that.
        let entered = field.lost_focus() && ui.input(|i| i.key_pressed(egui::Key::Enter));
        if ui.memory(|memory| memory.focused().is_none()) {
            field.request_focus();
        }
        let is_empty = typed.trim().is_empty();
        let mut answer = (entered && !is_empty).then_some(Answer::Yes);
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            let palette = palette(ui);
            let text = RichText::new(words.button).color(palette.on_next);
            let button = Button::new(text).fill(palette.next);
            if ui
                .add_enabled(!is_empty, button)
                .on_hover_text("Take this file (Enter)")
                .on_disabled_hover_text("Type a path first")
                .clicked()
            {
                answer = Some(Answer::Yes);
            }
            let cancel = ui
                .button("Cancel")
                .on_hover_text("Back to the window (Esc)");
            if cancel.clicked() {
                answer = Some(Answer::No);
            }
        });
        answer
    });
    modal
        .inner
        .or_else(|| modal.backdrop_response.clicked().then_some(Answer::No))
}
