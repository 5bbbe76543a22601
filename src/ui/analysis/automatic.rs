//! Boundaries without hand work, each way in one sentence with its cost.

use eframe::egui;
use egui::{Button, DragValue, RichText, Ui};

use super::note;
use crate::app::{AnalysisRequest, Command, Limit, Request, Scene, SweepView};
use crate::engine::{FEW_STEPS, PlanResult, Quality};
use crate::schedule::{ModelRole, Plan};
use crate::ui::format;
use crate::ui::theme::{GRID_PX, bold, palette};
use crate::ui::timeline::Found;
use crate::ui::widgets::{chip, number};

const NUMBER_PX: f32 = 72.0;

/// The ways, one under the other.
pub fn show(ui: &mut Ui, scene: &Scene<'_>, sweep: Option<&SweepView>, out: &mut Vec<Request>) {
    ui.spacing_mut().item_spacing.y = 6.0;
    heading(ui, "Boundaries from the curve");
    from_the_curve(ui, scene, out);
    ui.add_space(GRID_PX * 2.0);
    heading(ui, "Boundaries in the run");
    in_the_run(ui, scene, out);
    ui.add_space(GRID_PX * 2.0);
    heading(ui, "Boundaries from the sweep");
    from_the_sweep(ui, scene, sweep, out);
}

fn heading(ui: &mut Ui, text: &str) {
    let strong = palette(ui).text_strong;
    ui.label(RichText::new(text).font(bold(12.0)).color(strong));
}

/// From the valley of the divergence curve.
fn from_the_curve(ui: &mut Ui, scene: &Scene<'_>, out: &mut Vec<Request>) {
    let settings = scene.document.settings();
    let steps = FEW_STEPS.min(settings.steps);
    let secs = probe_secs(scene, steps)
        .map_or_else(String::new, |secs| format!(", {}", format::about(secs)));
    note(
        ui,
        &format!(
            "The small model takes the steps at which the two differ least; costs {steps} steps of each model{secs}, once for \
             all runs like this one."
        ),
    );
    match Found::of(scene) {
        None => command(ui, scene, Command::FindBoundaries, "Find boundaries", out),
        Some(found) => {
            note(ui, &format!("{}.", found.why));
            let plan = Plan::blend(found.boundaries, &settings.grid());
            use_button(ui, scene, plan, "the curve", out);
        }
    }
}

/// Decided on in the run.
fn in_the_run(ui: &mut Ui, scene: &Scene<'_>, out: &mut Vec<Request>) {
    note(
        ui,
        "The small model takes over once the way to the clip is nearly straight, and the large one comes back where \
         it bends; costs nothing but the run.",
    );
    command(ui, scene, Command::GenerateOnline, "Generate so", out);
    note(
        ui,
        "SRDiffusion's rule: the small model takes the rest once the large one's velocity changes evenly; costs \
         nothing but the run.",
    );
    let name = "Generate by SRDiffusion's rule";
    command(ui, scene, Command::GenerateSrDiffusion, name, out);
}

/// A button of a command that needs the engine for itself.
fn command(ui: &mut Ui, scene: &Scene<'_>, command: Command, name: &str, out: &mut Vec<Request>) {
    let why = scene.measure_blocked();
    let button = ui
        .add_enabled(why.is_none(), Button::new(name))
        .on_hover_text(command.tooltip())
        .on_disabled_hover_text(why.unwrap_or_default());
    if button.clicked() {
        out.push(Request::Command(command));
    }
}

/// Seconds of a probe: its steps of both models.
fn probe_secs(scene: &Scene<'_>, steps: usize) -> Option<f64> {
    let (pair, settings) = (scene.pair?, scene.document.settings());
    let passes = |cfg: f64| if cfg == 1.0 { 1.0 } else { 2.0 };
    let step = |role| pair.model_cost(role, settings.size()).pass_secs;
    let both = step(ModelRole::Large)? + step(ModelRole::Small)?;
    Some(both * passes(settings.cfg) * steps as f64)
}

/// The best plan of those that were tried.
fn from_the_sweep(
    ui: &mut Ui,
    scene: &Scene<'_>,
    sweep: Option<&SweepView>,
    out: &mut Vec<Request>,
) {
    note(
        ui,
        "The best of the plans tried, where more seconds begin to buy less or under a limit; costs the sweep.",
    );
    let analysis = scene.analysis;
    ui.horizontal(|ui| {
        ui.spacing_mut().item_spacing.x = 4.0;
        for (limit, words, hint) in [
            (
                Limit::Knee,
                "Knee",
                "Where the line of the best plans bends: from there on more seconds buy little",
            ),
            (
                Limit::Ssim,
                "Quality",
                "The fastest plan that is like LLL enough",
            ),
            (
                Limit::Secs,
                "Time",
                "The plan most like LLL that is fast enough",
            ),
        ] {
            let is_chosen = analysis.limit() == limit;
            if chip(ui, is_chosen, words).on_hover_text(hint).clicked() {
                out.push(Request::Analysis(AnalysisRequest::Limit(limit)));
            }
        }
    });
    limit_field(ui, scene, out);
    let Some(summary) = sweep.and_then(|sweep| sweep.summary.as_ref()) else {
        return note(ui, "Nothing was tried yet with these settings.");
    };
    match summary.best(Quality::Ssim, analysis.wish()) {
        None if analysis.limit() == Limit::Knee => {
            note(
                ui,
                "The line of the best plans does not bend; try more of them.",
            );
        }
        None => note(ui, "None of the plans tried is so good."),
        Some(best) => {
            let best = &summary.plans[best];
            note(ui, &words(best));
            use_button(ui, scene, best.plan.clone(), "the sweep", out);
        }
    }
}

/// The limit itself, where there is one.
fn limit_field(ui: &mut Ui, scene: &Scene<'_>, out: &mut Vec<Request>) {
    let analysis = scene.analysis;
    let field = |ui: &mut Ui, name: &str, unit: &str, drag: DragValue<'_>| {
        ui.horizontal(|ui| {
            let response = number(ui, NUMBER_PX, drag).accessible_name(name);
            note(ui, unit);
            response.changed()
        })
        .inner
    };
    match analysis.limit() {
        Limit::Knee => {}
        Limit::Ssim => {
            let mut ssim = analysis.at_least_ssim();
            let drag = DragValue::new(&mut ssim).range(0.0..=1.0).speed(0.002);
            if field(
                ui,
                "Least SSIM",
                "SSIM to LLL or more",
                drag.max_decimals(3),
            ) {
                out.push(Request::Analysis(AnalysisRequest::AtLeastSsim(ssim)));
            }
        }
        Limit::Secs => {
            let mut secs = analysis.at_most_secs();
            let drag = DragValue::new(&mut secs).range(0.0..=86_400.0).speed(0.05);
            if field(ui, "Most seconds", "seconds or less", drag.max_decimals(2)) {
                out.push(Request::Analysis(AnalysisRequest::AtMostSecs(secs)));
            }
        }
    }
}

fn words(best: &PlanResult) -> String {
    let ssim = best.similarity.ssim;
    let ssim = ssim.map_or_else(String::new, |ssim| format!(", SSIM {ssim:.3}"));
    let secs = best
        .secs
        .map_or_else(String::new, |secs| format!(", {}", format::seconds(secs)));
    format!("{}{ssim}{secs}", best.plan.words())
}

/// Puts a plan on the timeline, unless it is there.
fn use_button(ui: &mut Ui, scene: &Scene<'_>, plan: Plan, from: &str, out: &mut Vec<Request>) {
    let is_there = scene.document.settings().plan == plan;
    let button = ui
        .add_enabled(!is_there, Button::new(format!("Use {}", plan.words())))
        .on_hover_text("Put this plan on the timeline; one undo takes it back")
        .on_disabled_hover_text("This plan is on the timeline")
        .accessible_name(format!("Use the plan from {from}"));
    if button.clicked() {
        out.push(Request::Analysis(AnalysisRequest::Use(plan)));
    }
}
