//! A field for the step up to which a run goes.

use eframe::egui;
use egui::{Align, Button, Context, Layout, RichText, TextEdit, vec2};

use super::dialogs::{modal, title};
use super::theme::{palette, regular};
use super::view::View;
use crate::app::{Request, Scene, sentence};

/// A step while it is being typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepEntry(String);

impl StepEntry {
    /// What the field holds at first.
    pub fn new(step: usize) -> Self {
        Self(step.to_string())
    }

    /// The step, or what is wrong with it as a sentence.
    fn step(&self, of: usize) -> Result<usize, String> {
        match self.0.trim().parse() {
            Ok(step) if (1..=of).contains(&step) => Ok(step),
            _ => Err(format!("Type a step from 1 to {of}.")),
        }
    }
}

/// Shows the field while a step is asked for.
pub fn show(ctx: &Context, scene: &Scene<'_>, view: &mut View, out: &mut Vec<Request>) {
    let Some(entry) = &mut view.step_entry else {
        return;
    };
    let steps = scene.forecast.course.steps.len();
    let modal = modal(ctx, "step").show(ctx, |ui| {
        ui.set_width(360.0);
        title(ui, "Run to step");
        ui.label(format!(
            "Render up to this step of {steps} and pause: look at the clip so far, then continue or drop it."
        ));
        let field = ui
            .add(
                TextEdit::singleline(&mut entry.0)
                    .desired_width(f32::INFINITY)
                    .margin(vec2(12.0, 8.0)),
            )
            .on_hover_text("The step after which the run rests (Enter takes it)")
            .accessible_name("Step");
        // Asked first: Enter takes the focus away, and giving it back would hide that.
        let is_entered = field.lost_focus() && ui.input(|i| i.key_pressed(egui::Key::Enter));
        if ui.memory(|memory| memory.focused().is_none()) {
            field.request_focus();
        }
        let step = entry.step(steps).and_then(|step| match scene.run_to_problem(step) {
            Some(why) => Err(sentence(&why)),
            None => Ok(step),
        });
        let fault = step.as_ref().err().cloned().unwrap_or_default();
        let weak = palette(ui).text_weak;
        ui.label(RichText::new(&fault).font(regular(12.0)).color(weak));
        let mut answer = step.as_ref().ok().filter(|_| is_entered).map(|step| Some(*step));
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            let palette = palette(ui);
            let button = Button::new(RichText::new("Run").color(palette.on_next));
            let button = ui
                .add_enabled(step.is_ok(), button.fill(palette.next))
                .on_hover_text("Render up to this step")
                .on_disabled_hover_text(fault);
            if button.clicked() {
                answer = step.ok().map(Some);
            }
            let cancel = ui.button("Cancel").on_hover_text("Back to the window (Esc)");
            if cancel.clicked() {
                answer = Some(None);
            }
        });
        answer
    });
    let is_put_away = modal.backdrop_response.clicked();
    if let Some(step) = modal.inner.or(is_put_away.then_some(None)) {
        view.step_entry = None;
        out.extend(step.map(Request::RunTo));
    }
}
