//! The context menus of stages and boundaries.

use eframe::egui;
use egui::{
    Align, Button, DragValue, Label, Popup, PopupCloseBehavior, Response, RichText, Ui, vec2,
};

use super::handles::reset;
use super::track::own_steps;
use super::{StageMenu, at_step, magnets};
use crate::app::{Command, DocCommand, Request, Scene, sentence};
use crate::schedule::{DistilledGrid, ModelRole, Plan, PlanEditError, Stage, Survivor};
use crate::ui::format;
use crate::ui::theme::{FIELD_HEIGHT_PX, bold, palette, regular};
use crate::ui::view::View;
use crate::ui::widgets::{chip, edit, number};

const WIDTH_PX: f32 = 248.0;
/// Width of a row's name.
const NAME_PX: f32 = 44.0;
const ENTRY_HEIGHT_PX: f32 = 26.0;

/// The menu of a stage, while it is open. `block` is the stage on the track.
pub fn stage(
    scene: &Scene<'_>,
    view: &mut View,
    index: usize,
    block: &Response,
    out: &mut Vec<Request>,
) {
    let Some(menu) = view.timeline.menu.take_if(|menu| menu.stage == index) else {
        return;
    };
    let popup = Popup::menu(block)
        .open_memory(menu.is_new.then_some(egui::SetOpenCommand::Bool(true)))
        .close_behavior(PopupCloseBehavior::CloseOnClickOutside)
        .accessible_name(format!("Stage {}", index + 1));
    let popup = match menu.at {
        Some(at) => popup.at_position(at),
        None => popup,
    };
    let shown = popup.show(|ui| stage_entries(ui, scene, menu, out));
    if shown.is_some_and(|shown| !shown.response.should_close()) {
        view.timeline.menu = Some(StageMenu {
            is_new: false,
            ..menu
        });
    } else {
        // Whoever came by keyboard goes on from the stage.
        block.request_focus();
    }
}

fn stage_entries(ui: &mut Ui, scene: &Scene<'_>, menu: StageMenu, out: &mut Vec<Request>) {
    let settings = scene.document.settings();
    let (plan, steps, index) = (&settings.plan, settings.steps, menu.stage);
    let Some(stage) = plan.stages().get(index) else {
        return;
    };
    begin(ui);
    let range = plan.stage_steps(index, steps);
    let own = match own_steps(scene, index) {
        Some(own) => format!(" in {own} of its own"),
        None => String::new(),
    };
    let words = format!("Stage {}, {} of {steps} steps{own}", index + 1, range.len());
    title(ui, &words);
    row(ui, "Model", |ui| {
        for role in ModelRole::ALL {
            let has = scene.pair.is_none_or(|pair| pair.has(role));
            let name = format::capital(role.name());
            let response = ui
                .add_enabled_ui(has, |ui| chip(ui, stage.model == role, &name))
                .inner
                .on_hover_text(format!("The {role} model denoises this stage"))
                .on_disabled_hover_text(format!("This pair has no {role} model"));
            if response.clicked() {
                take(ui, out, plan.with_model(index, role));
            }
        }
    });
    guidance(ui, scene, index, out);
    if stage.model == ModelRole::Distilled {
        jumps(ui, scene, out);
    }
    ui.separator();
    let fraction = at_step(menu.step, steps, &magnets(scene.own_boundaries(), steps)).fraction;
    let split = plan.split(fraction, steps);
    let text = match &split {
        Ok(_) => format!("Split at step {}", menu.step),
        Err(_) => "Split".to_owned(),
    };
    let keys = keys(ui, Command::SplitStage);
    let hint = "Two stages of the same model, with a boundary between them";
    entry(ui, out, &text, &keys, hint, split);
    let here = scene.forecast.steps_to(menu.here as f64);
    let text = format!("Run to step {here}");
    let why = scene.run_to_problem(here).map(|why| sentence(&why));
    let response = ui
        .add_enabled(why.is_none(), Button::new(text))
        .on_hover_text(Command::RunToStep.tooltip())
        .on_disabled_hover_text(why.unwrap_or_default());
    if response.clicked() {
        out.push(Request::RunTo(here));
        ui.close();
    }
    ui.separator();
    let other = match stage.model {
        ModelRole::Large => ModelRole::Small,
        ModelRole::Small | ModelRole::Distilled => ModelRole::Large,
    };
    entry(
        ui,
        out,
        &format!("Add {other} stage after"),
        "",
        "A new stage takes the later half of this one's steps",
        plan.add_after(index, other, steps),
    );
    entry(
        ui,
        out,
        "Merge with stage before",
        "",
        "This stage takes the steps of the one before",
        plan.merge_before(index),
    );
    entry(
        ui,
        out,
        "Merge with stage after",
        "",
        "This stage takes the steps of the one after",
        plan.merge_after(index),
    );
    let hint = match index {
        0 => "The stage after takes its steps",
        _ => "The stage before takes its steps",
    };
    let keys = self::keys(ui, Command::RemoveBoundary);
    entry(ui, out, "Remove stage", &keys, hint, plan.remove(index));
}

/// The stage's guidance scale, or the run's.
fn guidance(ui: &mut Ui, scene: &Scene<'_>, index: usize, out: &mut Vec<Request>) {
    let settings = scene.document.settings();
    let plan = &settings.plan;
    let own = plan.stages()[index].cfg;
    row(ui, "CFG", |ui| {
        // A field among entries, which have no ground.
        ui.visuals_mut().widgets.inactive.weak_bg_fill = palette(ui).field;
        let stage = Stage {
            cfg: None,
            ..plan.stages()[index]
        };
        let inherited = stage.cfg_in(settings.cfg);
        let mut cfg = own.unwrap_or(inherited);
        let value = DragValue::new(&mut cfg)
            .range(0.0..=100.0)
            .speed(0.05)
            .max_decimals(2)
            .update_while_editing(false);
        let response = number(ui, 72.0, value)
            .on_hover_text("Guidance scale of this stage; 1 switches guidance off")
            .accessible_name("CFG of the stage");
        if let Ok(edited) = plan.with_cfg(index, Some(cfg)) {
            edit(&response, out, || DocCommand::Plan(edited));
        }
        let (whose, hint) = match stage.model {
            ModelRole::Distilled => (
                "Its own",
                "The model has guidance folded in and takes one pass",
            ),
            _ => ("Run's", "Take the guidance scale of the run"),
        };
        let text = format!("{whose}, {}", format::scale(inherited));
        let inherit = chip(ui, own.is_none(), &text).on_hover_text(hint);
        if inherit.clicked()
            && let Ok(edited) = plan.with_cfg(index, None)
        {
            push(out, edited);
        }
    });
}

/// How many jumps the distilled model makes on the whole way, of which the stage has its part.
fn jumps(ui: &mut Ui, scene: &Scene<'_>, out: &mut Vec<Request>) {
    let sigmas = scene.document.settings().distilled_sigmas.as_ref();
    let Some(sigmas) = sigmas else { return };
    let pair = scene
        .pair
        .and_then(|pair| pair.defaults.distilled_sigmas.as_ref());
    row(ui, "Jumps", |ui| {
        ui.visuals_mut().widgets.inactive.weak_bg_fill = palette(ui).field;
        let mut steps = sigmas.steps();
        let value = DragValue::new(&mut steps)
            .range(1..=100)
            .speed(0.05)
            .update_while_editing(false);
        let response = number(ui, 72.0, value)
            .on_hover_text("Equal jumps of the distilled model from noise to clip; the stage takes those in its part")
            .accessible_name("Jumps of the distilled model");
        if let Ok(even) = DistilledGrid::even(steps) {
            edit(&response, out, || DocCommand::Distilled(even));
        }
        if let Some(own) = pair {
            let text = format!("Pair's, {}", own.steps());
            let inherit = chip(ui, own == sigmas, &text)
                .on_hover_text("The noise levels that the model was taught");
            if inherit.clicked() {
                out.push(Request::EndBurst);
                out.push(Request::Edit(DocCommand::Distilled(own.clone())));
                out.push(Request::EndBurst);
            }
        }
    });
}

/// The menu of a boundary's handle.
pub fn boundary(
    scene: &Scene<'_>,
    index: usize,
    own: Option<f64>,
    handle: &Response,
    out: &mut Vec<Request>,
) {
    let settings = scene.document.settings();
    let plan = &settings.plan;
    Popup::context_menu(handle)
        .accessible_name(format!("Boundary {}", index + 1))
        .show(|ui| {
            begin(ui);
            title(ui, &format!("Boundary {}", index + 1));
            let keys = keys(ui, Command::TypePlace);
            let button = Button::new(Command::TypePlace.text()).shortcut_text(keys);
            if ui
                .add(button)
                .on_hover_text(Command::TypePlace.tooltip())
                .clicked()
            {
                out.push(Request::SelectBoundary(index));
                out.push(Request::Command(Command::TypePlace));
                ui.close();
            }
            let (text, why) = match own {
                Some(own) if own != plan.boundaries()[index] => {
                    let step = (own * settings.steps as f64).round();
                    (format!("Back to step {step}"), None)
                }
                Some(_) => (
                    "Back to pair's own place".to_owned(),
                    Some("The boundary is at the pair's own place"),
                ),
                None => (
                    "Back to pair's own place".to_owned(),
                    Some("The pair's own plan has another number of boundaries"),
                ),
            };
            let response = ui
                .add_enabled(why.is_none(), Button::new(text))
                .on_hover_text(
                    "The pair's own place for this boundary; a double-click does the same",
                )
                .on_disabled_hover_text(why.unwrap_or_default());
            if response.clicked()
                && let Some(own) = own
            {
                reset(index, own, out);
                ui.close();
            }
            ui.separator();
            entry(
                ui,
                out,
                "Remove boundary",
                &self::keys(ui, Command::RemoveBoundary),
                "The stage before takes the steps of the stage after",
                plan.merge(index, Survivor::Before),
            );
        });
}

/// A name and what is chosen for it.
fn row(ui: &mut Ui, name: &str, add: impl FnOnce(&mut Ui)) {
    ui.scope(|ui| {
        ui.spacing_mut().interact_size.y = FIELD_HEIGHT_PX;
        ui.spacing_mut().button_padding = vec2(8.0, 2.0);
        ui.horizontal(|ui| {
            ui.spacing_mut().item_spacing.x = 4.0;
            let name = RichText::new(name).font(regular(12.0));
            let name = Label::new(name.color(palette(ui).text_weak)).halign(Align::LEFT);
            ui.add_sized([NAME_PX, FIELD_HEIGHT_PX], name);
            add(ui);
        });
    });
}

fn begin(ui: &mut Ui) {
    ui.set_width(WIDTH_PX);
    ui.spacing_mut().item_spacing.y = 2.0;
    ui.spacing_mut().interact_size.y = ENTRY_HEIGHT_PX;
}

fn title(ui: &mut Ui, text: &str) {
    ui.label(
        RichText::new(text)
            .font(bold(12.0))
            .color(palette(ui).text_strong),
    );
}

fn keys(ui: &Ui, command: Command) -> String {
    command.keys_text(ui.ctx()).unwrap_or_default()
}

/// An entry that makes another plan, or says why it cannot.
fn entry(
    ui: &mut Ui,
    out: &mut Vec<Request>,
    text: &str,
    keys: &str,
    hint: &str,
    plan: Result<Plan, PlanEditError>,
) {
    let why = plan.as_ref().err().map(|why| sentence(&why.to_string()));
    let response = ui
        .add_enabled(plan.is_ok(), Button::new(text).shortcut_text(keys))
        .accessible_name(text)
        .on_hover_text(hint)
        .on_disabled_hover_text(why.unwrap_or_default());
    if response.clicked() {
        take(ui, out, plan);
    }
}

fn take(ui: &Ui, out: &mut Vec<Request>, plan: Result<Plan, PlanEditError>) {
    if let Ok(plan) = plan {
        push(out, plan);
    }
    ui.close();
}

/// One edit, and one undo.
pub fn push(out: &mut Vec<Request>, plan: Plan) {
    out.push(Request::EndBurst);
    out.push(Request::Edit(DocCommand::Plan(plan)));
    out.push(Request::EndBurst);
}
