//! The runs that wait for their turn.

use eframe::egui;
use egui::{Align, Layout, RichText, ScrollArea, Ui};

use super::format;
use super::icons::Icon;
use super::run_card::{self, BUTTON_PX};
use super::theme::{GRID_PX, bold, palette, regular};
use super::widgets::icon_button;
use crate::app::{Request, Scene, Waiting};

/// The queue: order, pause, and what is no longer wanted.
pub fn show(ui: &mut Ui, scene: &Scene<'_>, out: &mut Vec<Request>) {
    let queue = scene.queue;
    let waiting = queue.waiting();
    ui.add_space(GRID_PX);
    if waiting.is_empty() {
        let text = match queue.going() {
            Some(_) => "The last run of the queue is going.",
            None => {
                "Nothing waits. Ctrl+Shift+Enter puts a run with the settings of the moment here; they are rendered one after the other."
            }
        };
        weak(ui, text);
        return;
    }
    let (words, hint) = match queue.is_paused() {
        true => ("Resume", "Render the runs one after the other"),
        false => (
            "Pause",
            "Start no further run; the one that is going goes on",
        ),
    };
    if ui.button(words).on_hover_text(hint).clicked() {
        out.push(Request::PauseQueue);
    }
    ui.add_space(GRID_PX);
    ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
        ui.spacing_mut().item_spacing.y = GRID_PX;
        for (i, run) in waiting.iter().enumerate() {
            entry(ui, run, i, waiting.len(), out);
        }
    });
}

fn weak(ui: &mut Ui, text: &str) {
    ui.label(
        RichText::new(text)
            .font(regular(12.0))
            .color(palette(ui).text_weak),
    );
}

fn entry(ui: &mut Ui, run: &Waiting, place: usize, of: usize, out: &mut Vec<Request>) {
    let palette = palette(ui);
    let settings = &run.settings;
    let heading = |ui: &mut Ui, out: &mut Vec<Request>| {
        ui.label(
            RichText::new(settings.plan.letters())
                .font(bold(14.0))
                .color(palette.text_strong),
        );
        ui.label(
            RichText::new(format!("seed {}", format::grouped(settings.seed)))
                .font(regular(11.5))
                .color(palette.text_weak),
        );
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            ui.spacing_mut().item_spacing.x = 0.0;
            let number = place + 1;
            let name = format!("Remove run {number} from the queue");
            if icon_button(ui, Icon::Close, BUTTON_PX, &name, false)
                .on_hover_text("Take this run out of the queue; can be undone")
                .clicked()
            {
                out.push(Request::Unqueue(run.id));
            }
            for (icon, by, words, may, why_not) in [
                (Icon::Down, 1, "later", place + 1 < of, "It is the last one"),
                (Icon::Up, -1, "earlier", place > 0, "It is the next one"),
            ] {
                ui.add_enabled_ui(may, |ui| {
                    let name = format!("Move run {number} {words}");
                    if icon_button(ui, icon, BUTTON_PX, &name, false)
                        .on_hover_text(format!("Render this run {words}"))
                        .on_disabled_hover_text(why_not)
                        .clicked()
                    {
                        out.push(Request::ShiftQueued(run.id, by));
                    }
                });
            }
        });
    };
    run_card::show(ui, settings, out, heading, |_, _| {});
}
