//! What happened since the window opened.

use eframe::egui;
use egui::{
    Align, Button, Checkbox, Context, Label, Layout, RichText, ScrollArea, Sense, Ui, vec2,
};

use super::dialogs::{modal, title};
use super::theme::{mono, palette, regular};
use crate::app::{Log, LogLine, LogRequest, Request};

const WIDTH_PX: f32 = 760.0;
/// Room for a time.
const TIME_PX: f32 = 64.0;

/// The list over the window.
pub fn show(ctx: &Context, log: &Log, out: &mut Vec<Request>) {
    let modal = modal(ctx, "log").show(ctx, |ui| {
        ui.set_width(WIDTH_PX);
        title(ui, "Log");
        let height = (ctx.content_rect().height() - 240.0).clamp(160.0, 560.0);
        let page = ScrollArea::vertical()
            .max_height(height)
            .min_scrolled_height(height)
            .auto_shrink([false, false])
            // The newest line is what one came for.
            .stick_to_bottom(true);
        page.show(ui, |ui| {
            ui.spacing_mut().item_spacing.y = 6.0;
            // Lines of a page, not rows of buttons.
            ui.spacing_mut().interact_size.y = 18.0;
            if log.listed().next().is_none() {
                ui.label(
                    RichText::new(match log.only_errors() {
                        true => "Nothing went wrong so far.",
                        false => "Nothing happened so far.",
                    })
                    .color(palette(ui).text_weak),
                );
            }
            log.listed().for_each(|line| row(ui, line));
        });
        footer(ui, log, out);
    });
    if modal.backdrop_response.clicked() {
        out.push(Request::Log(LogRequest::Close));
    }
}

fn row(ui: &mut Ui, line: &LogLine) {
    let palette = palette(ui);
    let (colour, mark) = if line.is_error {
        (palette.text_strong, palette.error)
    } else {
        (palette.text, palette.line)
    };
    ui.horizontal_top(|ui| {
        let (bar, _) = ui.allocate_exact_size(vec2(3.0, 18.0), Sense::hover());
        ui.painter().rect_filled(bar, 1.5, mark);
        ui.allocate_ui(vec2(TIME_PX, 18.0), |ui| {
            ui.set_min_width(TIME_PX);
            let time = RichText::new(line.time()).font(mono(12.0));
            ui.label(time.color(palette.text_weak));
        });
        ui.add(Label::new(RichText::new(&line.text).color(colour)).wrap());
    });
}

fn footer(ui: &mut Ui, log: &Log, out: &mut Vec<Request>) {
    ui.horizontal(|ui| {
        let mut only_errors = log.only_errors();
        let switch = ui
            .add(Checkbox::new(&mut only_errors, "Errors only"))
            .on_hover_text("Leave out everything that went well");
        if switch.changed() {
            out.push(Request::Log(LogRequest::OnlyErrors(only_errors)));
        }
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            let close = ui.button("Close").on_hover_text("Back to the window (Esc)");
            // Nothing else here wants the keyboard first.
            if ui.memory(|memory| memory.focused().is_none()) {
                close.request_focus();
            }
            if close.clicked() {
                out.push(Request::Log(LogRequest::Close));
            }
            let has_lines = log.listed().next().is_some();
            let copy = ui
                .add_enabled(has_lines, Button::new("Copy all"))
                .on_hover_text("Copy the listed lines as text")
                .on_disabled_hover_text("Nothing is listed");
            if copy.clicked() {
                out.push(Request::Log(LogRequest::Copy));
            }
            let clear = ui
                .add_enabled(has_lines, Button::new("Clear"))
                .on_hover_text("Empty this list; the file keeps its lines")
                .on_disabled_hover_text("Nothing is listed");
            if clear.clicked() {
                out.push(Request::Log(LogRequest::Clear));
            }
            if let Some(folder) = log.folder()
                && ui
                    .button("Open folder")
                    .on_hover_text("Show the log file, which also has what happened earlier")
                    .clicked()
            {
                out.push(Request::OpenFolder(folder.to_owned()));
            }
        });
    });
    if let Some(folder) = log.folder() {
        let text = format!("Also written to {}", folder.join("flowblend.log").display());
        ui.label(
            RichText::new(text)
                .font(regular(12.0))
                .color(palette(ui).text_weak),
        );
    }
}
