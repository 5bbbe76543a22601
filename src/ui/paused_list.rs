//! The runs that rest between two steps.

use eframe::egui;
use egui::{Align, Button, Layout, RichText, ScrollArea, Ui};

use super::icons::Icon;
use super::run_card::{self, BUTTON_PX};
use super::theme::{GRID_PX, bold, palette};
use super::widgets::icon_button;
use crate::app::{Command, Request, Resting, Scene, rest_words};

/// Room for two and a part of the third, which says that there are more.
const MOST_PX: f32 = 260.0;

/// Paused runs, over what else the panel shows; nothing where there are none.
pub fn show(ui: &mut Ui, scene: &Scene<'_>, out: &mut Vec<Request>) {
    let going = scene.session.active().map(|active| &active.settings);
    let is_resting = |resting: &&Resting| Some(&resting.run.settings) != going;
    let mut resting = scene.paused.runs().iter().filter(is_resting).peekable();
    if resting.peek().is_none() {
        return;
    }
    ui.add_space(GRID_PX);
    ScrollArea::vertical()
        .id_salt("paused runs")
        .max_height(MOST_PX)
        .auto_shrink([false, true])
        .show(ui, |ui| {
            ui.spacing_mut().item_spacing.y = GRID_PX;
            for resting in resting {
                entry(ui, scene, resting, out);
            }
        });
}

fn entry(ui: &mut Ui, scene: &Scene<'_>, resting: &Resting, out: &mut Vec<Request>) {
    let palette = palette(ui);
    let (id, run) = (resting.id, &resting.run);
    let settings = &run.settings;
    let name = format!("{}, run {}", rest_words(run), settings.plan.letters());
    let heading = |ui: &mut Ui, out: &mut Vec<Request>| {
        let words = RichText::new(rest_words(run)).font(bold(12.5));
        ui.label(words.color(palette.text_strong));
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            let drop = format!("Drop: {name}");
            if icon_button(ui, Icon::Close, BUTTON_PX, &drop, false)
                .on_hover_text(Command::DropPaused.tooltip())
                .clicked()
            {
                out.push(Request::DropPaused(id));
            }
        });
    };
    let foot = |ui: &mut Ui, out: &mut Vec<Request>| {
        ui.spacing_mut().interact_size.y = 24.0;
        ui.spacing_mut().item_spacing.x = GRID_PX;
        let why = scene.continue_problem(run);
        let waits = match scene.session.active() {
            Some(_) => "Go on where it rests, after the run that is going",
            None => Command::ContinueRun.tooltip(),
        };
        let button = ui
            .add_enabled(
                why.is_none(),
                Button::new("Continue").fill(palette.field_hover),
            )
            .on_hover_text(waits)
            .on_disabled_hover_text(why.unwrap_or_default())
            .accessible_name(format!("Continue: {name}"));
        if button.clicked() {
            out.push(Request::ContinueRun(id));
        }
        let is_shown = scene.paused.shown().is_some_and(|shown| shown.id == id);
        let button = ui
            .add(Button::selectable(is_shown, "Show"))
            .on_hover_text("Show its estimate and take its settings")
            .accessible_name(format!("Show: {name}"));
        if button.clicked() {
            out.push(Request::ShowPaused(id));
        }
    };
    run_card::show(ui, settings, out, heading, |ui, out| {
        ui.horizontal(|ui| foot(ui, out));
    });
}
