//! Where the large model matters for the prompt of the moment: many plans tried, and boundaries from them.

mod automatic;
mod scatter;

use eframe::egui;
use egui::{Align, Button, Context, DragValue, Label, Layout, RichText, ScrollArea, Ui, vec2};

use super::dialogs::{message, modal, title};
use super::format;
use super::theme::{GRID_PX, palette, regular};
use super::widgets::{chip, number};
use crate::app::{ActiveRun, AnalysisRequest, Command, PlanSet, Request, Scene, SweepView};
use crate::engine::Quality;

const WIDTH_PX: f32 = 920.0;
/// Room for the automatic boundaries at the right.
const SIDE_PX: f32 = 296.0;
const NUMBER_PX: f32 = 64.0;
/// More seeds than that are a matter for the command line.
const MOST_SEEDS: u16 = 16;

/// The page over the window.
pub fn show(ctx: &Context, scene: &Scene<'_>, out: &mut Vec<Request>) {
    let blocked = scene.measure_blocked();
    let sweep = scene.analysis.view();
    let modal = modal(ctx, "analysis").show(ctx, |ui| {
        let room = ctx.content_rect().size();
        ui.set_width(WIDTH_PX.min(room.x - 80.0));
        title(ui, "Analysis");
        note(
            ui,
            "Tries plans with the prompt and the settings of the moment and holds each clip against the large model's own (LLL).",
        );
        choices(ui, scene, sweep, blocked.as_deref(), out);
        let height = (room.y - 230.0).clamp(220.0, 540.0);
        ui.horizontal_top(|ui| {
            ui.spacing_mut().item_spacing.x = GRID_PX * 3.0;
            let width = ui.available_width() - SIDE_PX - GRID_PX * 3.0;
            ui.allocate_ui(vec2(width, height), |ui| {
                scatter::show(ui, scene, sweep, vec2(width, height), out);
            });
            ui.vertical(|ui| {
                ui.set_width(SIDE_PX);
                // In a small window the ways are longer than the page.
                let ways = ScrollArea::vertical()
                    .max_height(height)
                    .min_scrolled_height(height);
                ways.show(ui, |ui| automatic::show(ui, scene, sweep, out));
            });
        });
        message(ui, scene, out);
        footer(ui, scene, sweep, out);
    });
    if modal.backdrop_response.clicked() {
        out.push(Request::Analysis(AnalysisRequest::Close));
    }
}

fn note(ui: &mut Ui, text: &str) {
    let text = RichText::new(text).font(regular(12.0));
    ui.add(Label::new(text.color(palette(ui).text_weak)).wrap());
}

/// Which plans, how many seeds, and the button that tries them.
fn choices(
    ui: &mut Ui,
    scene: &Scene<'_>,
    sweep: Option<&SweepView>,
    blocked: Option<&str>,
    out: &mut Vec<Request>,
) {
    let analysis = scene.analysis;
    ui.horizontal(|ui| {
        ui.spacing_mut().item_spacing.x = 4.0;
        for set in PlanSet::ALL {
            let (words, hint) = match set {
                PlanSet::Named => (
                    "Named plans",
                    "LLL, LSL, LSS, SLL, SSS and T-Stitch with the timeline's boundaries, and the pair's own LSL",
                ),
                PlanSet::Fifths => (
                    "Every fifth",
                    "All LSL, LS and SL with boundaries at every fifth of the steps, SSS, and the timeline's plan",
                ),
                PlanSet::Tenths => (
                    "Every tenth",
                    "All LSL, LS and SL with boundaries at every tenth of the steps, SSS, and the timeline's plan",
                ),
            };
            let is_chosen = analysis.set() == set;
            if chip(ui, is_chosen, words).on_hover_text(hint).clicked() {
                out.push(Request::Analysis(AnalysisRequest::Plans(set)));
            }
        }
        ui.add_space(GRID_PX * 2.0);
        let mut seeds = analysis.seeds();
        let drag = DragValue::new(&mut seeds).range(1..=MOST_SEEDS).speed(0.05);
        let hint = "Seeds to try the plans with, counted up from the document's; what is shown is the mean";
        let response = number(ui, NUMBER_PX, drag)
            .on_hover_text(hint)
            .accessible_name("Seeds");
        if response.changed() {
            out.push(Request::Analysis(AnalysisRequest::Seeds(seeds)));
        }
        note(ui, if seeds == 1 { "seed" } else { "seeds" });
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            run_button(ui, scene, sweep, blocked, out);
        });
    });
}

fn run_button(
    ui: &mut Ui,
    scene: &Scene<'_>,
    sweep: Option<&SweepView>,
    blocked: Option<&str>,
    out: &mut Vec<Request>,
) {
    let is_sweep = |run: &&ActiveRun| run.sweep.is_some();
    if let Some(run) = scene.session.active().filter(is_sweep) {
        let hint = "Stop the sweep; the clips that were measured count, and the next one goes on from there";
        let cancel = ui
            .add_enabled(!run.is_cancelling, Button::new("Cancel"))
            .on_hover_text(hint)
            .on_disabled_hover_text("It is stopping")
            .accessible_name("Cancel the sweep");
        if cancel.clicked() {
            out.push(Request::Command(Command::CancelRun));
        }
        let bar = egui::ProgressBar::new(run.progress()).desired_height(6.0);
        ui.add(bar.desired_width(120.0).fill(palette(ui).next));
        return;
    }
    let (words, is_done) = match sweep {
        Some(sweep) if sweep.clips_left == 0 => ("Run the sweep", true),
        Some(sweep) if sweep.clips_left < sweep.clips => ("Go on", false),
        _ => ("Run the sweep", false),
    };
    let why_not = match is_done {
        true => Some("Every one of these plans was tried"),
        false => blocked,
    };
    let button = match why_not {
        Some(_) => Button::new(words),
        None => Button::new(RichText::new(words).color(palette(ui).on_next)).fill(palette(ui).next),
    };
    let button = ui
        .add_enabled(why_not.is_none(), button)
        .on_hover_text("Render the plans, each from the steps that it has in common with another")
        .on_disabled_hover_text(why_not.unwrap_or_default())
        .accessible_name("Run the sweep");
    if button.clicked() {
        out.push(Request::Analysis(AnalysisRequest::Sweep));
    }
}

/// What the sweep costs, or how far it is.
fn state_words(scene: &Scene<'_>, sweep: Option<&SweepView>) -> String {
    let active = scene.session.active();
    if let Some((run, going)) = active.and_then(|run| Some((run, run.sweep?))) {
        return match run.is_cancelling {
            true => "Stopping the sweep".to_owned(),
            false => format!("Clip {} of {}", (going.done + 1).min(going.of), going.of),
        };
    }
    let Some(sweep) = sweep else {
        return scene.forecast.problem.clone().unwrap_or_default();
    };
    let left = sweep.clips_left;
    if left == 0 {
        return format!("All {} clips were measured.", sweep.clips);
    }
    let (steps, all) = (sweep.steps_left, left * scene.document.settings().steps);
    let secs = sweep.secs_left.map(format::about);
    let secs = secs.map_or_else(String::new, |secs| format!(", {secs}"));
    format!("{left} clips to render: {steps} of their {all} steps, the others are shared{secs}.")
}

fn footer(ui: &mut Ui, scene: &Scene<'_>, sweep: Option<&SweepView>, out: &mut Vec<Request>) {
    ui.horizontal(|ui| {
        ui.spacing_mut().item_spacing.x = 4.0;
        for (quality, words, hint) in [
            (
                Quality::Ssim,
                "SSIM",
                "Show the plans by structural similarity to LLL",
            ),
            (
                Quality::Psnr,
                "PSNR",
                "Show the plans by peak signal-to-noise ratio against LLL",
            ),
        ] {
            let is_chosen = scene.analysis.quality() == quality;
            if chip(ui, is_chosen, words).on_hover_text(hint).clicked() {
                out.push(Request::Analysis(AnalysisRequest::Quality(quality)));
            }
        }
        ui.add_space(GRID_PX);
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            let close = ui
                .button("Close")
                .on_hover_text("Back to the timeline (Esc)");
            if close.clicked() {
                out.push(Request::Analysis(AnalysisRequest::Close));
            }
            ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
                note(ui, &state_words(scene, sweep));
            });
        });
    });
}
