//! Prompt and negative prompt; what the pair does not know is underlined and named.

use std::ops::Range;

use eframe::egui;
use egui::text::{CCursorRange, LayoutJob, TextFormat};
use egui::text_edit::TextEditState;
use egui::{Align2, Color32, Response, RichText, Stroke, TextBuffer, TextEdit, Ui, vec2};

use crate::app::{Command, DocCommand, Request, Scene};
use crate::project::{unknown_spans, unknown_words};
use crate::ui::presets;
use crate::ui::theme::{FIELD_HEIGHT_PX, palette, regular};
use crate::ui::view::View;
use crate::ui::widgets::{edit, field, field_with_corner};

/// Longest prompt taken, in characters; text encoders read far less.
const PROMPT_CHARS: usize = 2000;

pub(super) fn show(ui: &mut Ui, scene: &Scene<'_>, view: &mut View, out: &mut Vec<Request>) {
    let settings = scene.document.settings();
    let mut chosen = None;
    let corner = |ui: &mut Ui| chosen = presets::menu(ui, scene);
    let vocabulary = scene.pair.map_or(&[][..], |pair| &pair.vocabulary);
    field_with_corner(ui, "Prompt", corner, |ui| {
        let mut text = settings.prompt.clone();
        let colours = palette(ui);
        let plain = TextFormat::simple(regular(13.0), colours.text);
        let mut layout = |ui: &Ui, text: &dyn TextBuffer, wrap_px: f32| {
            let text = text.as_str();
            let unknown = unknown_spans(text, vocabulary);
            let mut job = underlined(text, &unknown, &plain, colours.error);
            job.wrap.max_width = wrap_px;
            ui.fonts_mut(|fonts| fonts.layout_job(job))
        };
        let response = ui.add(
            TextEdit::multiline(&mut text)
                .hint_text("What should the clip show?")
                .desired_width(f32::INFINITY)
                .desired_rows(4)
                .char_limit(PROMPT_CHARS)
                .layouter(&mut layout)
                .margin(vec2(12.0, 8.0)),
        );
        if std::mem::take(&mut view.wants_prompt) {
            mark_all(ui, &response, &text);
        }
        let response = response.accessible_name("Prompt");
        let keys = |command: Command| command.keys_text(ui.ctx()).unwrap_or_default();
        let hint = format!(
            "What the clip shall show. {} and {} fetch earlier prompts",
            keys(Command::EarlierPrompt),
            keys(Command::LaterPrompt)
        );
        let response = response.on_hover_text(hint);
        edit(&response, out, || DocCommand::Prompt(text));
    });
    if let Some(preset) = chosen {
        // However soon it follows another preset, it is an undo of its own.
        out.push(Request::EndBurst);
        out.push(Request::Edit(DocCommand::Preset(preset)));
    }
    let unknown = unknown_words(&settings.prompt, vocabulary);
    if !unknown.is_empty() {
        let known = vocabulary
            .iter()
            .map(|(slot, words)| format!("{slot}: {}", words.join(", ")))
            .collect::<Vec<_>>()
            .join("\n");
        let text = format!("This pair does not know: {}", unknown.join(", "));
        ui.label(
            RichText::new(text)
                .font(regular(12.0))
                .color(palette(ui).error),
        )
        .on_hover_text(format!("It was taught these words.\n{known}"));
    }
    field(ui, "Negative prompt", |ui| {
        let mut text = settings.negative.clone();
        let response = ui.add(
            TextEdit::singleline(&mut text)
                .hint_text("What it should not show")
                .desired_width(f32::INFINITY)
                .char_limit(PROMPT_CHARS)
                .min_size(vec2(0.0, FIELD_HEIGHT_PX))
                .align(Align2::LEFT_CENTER)
                .margin(vec2(12.0, 4.0)),
        );
        let response = response
            .on_hover_text("What guidance leads away from; counts where CFG is above 1")
            .accessible_name("Negative prompt");
        edit(&response, out, || DocCommand::Negative(text));
    });
}

/// Gives a text field the keyboard, its words marked.
fn mark_all(ui: &Ui, field: &Response, text: &str) {
    field.request_focus();
    let mut state = TextEditState::load(ui.ctx(), field.id).unwrap_or_default();
    let all = CCursorRange::select_all_str(text);
    state.cursor.set_char_range(Some(all));
    state.store(ui.ctx(), field.id);
}

/// Text as it is, but with a line in `colour` under the words at `spans`.
fn underlined(
    text: &str,
    spans: &[Range<usize>],
    plain: &TextFormat,
    colour: Color32,
) -> LayoutJob {
    let marked = TextFormat {
        underline: Stroke::new(1.5, colour),
        ..plain.clone()
    };
    let mut job = LayoutJob::default();
    let mut done = 0;
    for span in spans {
        job.append(&text[done..span.start], 0.0, plain.clone());
        job.append(&text[span.clone()], 0.0, marked.clone());
        done = span.end;
    }
    job.append(&text[done..], 0.0, plain.clone());
    job
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unknown_words_are_underlined_and_nothing_is_left_out() {
        let prompt = "a red dragon, dragons";
        let known = [("colour".to_owned(), vec!["red".to_owned()])];
        let spans = unknown_spans(prompt, &known);
        let plain = TextFormat::default();
        let job = underlined(prompt, &spans, &plain, Color32::RED);
        assert_eq!(job.text, prompt);
        let is_marked = |at: usize| {
            let section = job
                .sections
                .iter()
                .find(|s| s.byte_range.contains(&at.into()));
            section.is_some_and(|s| s.format.underline.color == Color32::RED)
        };
        let marked: String = (0..prompt.len())
            .map(|at| if is_marked(at) { '_' } else { '.' })
            .collect();
        assert_eq!(marked, "......______.._______");
    }
}
