//! What is going on.

use eframe::egui;
use egui::{Align, Align2, Button, Layout, Rect, RichText, Sense, Ui, vec2};

use super::dialogs::offer_hint;
use super::format;
use super::icons::Icon;
use super::models_panel;
use super::theme::{palette, regular};
use super::widgets::{icon_button, paint_text};
use crate::app::{
    ActiveRun, Command, ExportProgress, ExportRequest, LogRequest, Notice, Request, Resting, Scene,
    Sweeping, rest_words,
};
use crate::engine::Phase;

/// Height of the bar.
pub const HEIGHT_PX: f32 = 28.0;

/// What is going on, in one line, and how far it is.
pub fn show(ui: &mut Ui, scene: &Scene<'_>, out: &mut Vec<Request>) {
    let (text, progress) = match (scene.session.active(), scene.export) {
        (Some(active), Some(export)) => (
            format!("{} · {}", describe(active, scene), exporting(export)),
            Some(active.progress()),
        ),
        (Some(active), None) => (describe(active, scene), Some(active.progress())),
        (None, Some(export)) => (
            exporting(export),
            Some(export.done as f32 / export.total.max(1) as f32),
        ),
        (None, None) => match scene.models.pulling() {
            Some(pull) => (models_panel::progress_text(&pull), Some(pull.share())),
            None => (idle(scene), None),
        },
    };
    ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
        let hint = Command::Log.hover_text(ui.ctx());
        if quiet_button(ui, "Log", "Show the log", &hint) {
            out.push(Request::Command(Command::Log));
        }
        if let Some(active) = scene.session.active().filter(|a| !a.is_cancelling) {
            let hint = format!("Stop run {} now; the steps it took are kept", active.id);
            if quiet_button(ui, "Esc cancels", "Cancel the run", &hint) {
                out.push(Request::Command(Command::CancelRun));
            }
            let why = scene.pause_problem();
            ui.add_enabled_ui(why.is_none(), |ui| {
                command_button(ui, "Pause", Command::PauseRun, why, out);
            });
        }
        if let Some(resting) = resting(scene) {
            let why = scene.continue_problem(&resting.run);
            command_button(ui, "Drop", Command::DropPaused, None, out);
            ui.add_enabled_ui(why.is_none(), |ui| {
                command_button(ui, "Continue", Command::ContinueRun, why, out);
            });
        }
        if scene.export.is_some_and(|export| !export.is_cancelling) {
            let hint = "Stop the export; nothing is left of the file";
            if quiet_button(ui, "Cancel export", "Cancel the export", hint) {
                out.push(Request::Export(ExportRequest::Stop));
            }
        }
        if let Some(share) = progress {
            progress_bar(ui, share);
        }
        let rect = ui.available_rect_before_wrap();
        paint_text(
            ui,
            rect.left_center(),
            Align2::LEFT_CENTER,
            &text,
            regular(12.0),
            palette(ui).text_weak,
            rect.width(),
        );
        // Painted text is silent; this is what assistive technology reads.
        let (_, response) = ui.allocate_exact_size(rect.size(), Sense::hover());
        response
            .widget_info(|| egui::WidgetInfo::labeled(egui::accesskit::Role::Label, true, &text));
    });
}

/// The paused run that the preview shows.
fn resting<'a>(scene: &Scene<'a>) -> Option<&'a Resting> {
    let is_idle = scene.session.active().is_none() && !scene.comparison.is_on();
    scene.paused.shown().filter(|_| is_idle)
}

fn command_button(
    ui: &mut Ui,
    text: &str,
    command: Command,
    why_not: Option<&str>,
    out: &mut Vec<Request>,
) {
    let hint = why_not.map_or_else(|| command.hover_text(ui.ctx()), str::to_owned);
    if quiet_button(ui, text, command.text(), &hint) {
        out.push(Request::Command(command));
    }
}

fn quiet_button(ui: &mut Ui, text: &str, name: &str, hint: &str) -> bool {
    let text = RichText::new(text)
        .font(regular(12.0))
        .color(palette(ui).text_weak);
    ui.scope(|ui| {
        ui.spacing_mut().interact_size.y = 20.0;
        ui.spacing_mut().button_padding = vec2(6.0, 1.0);
        ui.add(Button::new(text).frame_when_inactive(false))
            .on_hover_text(hint)
            .on_disabled_hover_text(hint)
            .accessible_name(name)
            .clicked()
    })
    .inner
}

fn exporting(export: ExportProgress) -> String {
    if export.is_cancelling {
        return "Stopping the export".to_owned();
    }
    format!("Exporting · frame {} of {}", export.done, export.total)
}

fn progress_bar(ui: &mut Ui, share: f32) {
    let width = (ui.available_width() * 0.4).min(300.0);
    let (rect, response) = ui.allocate_exact_size(vec2(width, 8.0), Sense::hover());
    let palette = palette(ui);
    ui.painter().rect_filled(rect, 4.0, palette.field);
    let done = Rect::from_min_size(rect.min, vec2((rect.width() * share).max(8.0), 8.0));
    ui.painter().rect_filled(done, 4.0, palette.next);
    response.widget_info(|| {
        let mut info =
            egui::WidgetInfo::labeled(egui::accesskit::Role::ProgressIndicator, true, "Progress");
        info.value = Some(f64::from(share));
        info
    });
    ui.add_space(8.0);
}

fn idle(scene: &Scene<'_>) -> String {
    if let Some(resting) = resting(scene) {
        return rest_words(&resting.run);
    }
    match (scene.pair, scene.gallery.shown()) {
        (None, _) => scene.pair_words().to_owned(),
        (_, None) => "Ready".to_owned(),
        (_, Some(run)) => {
            let report = run.report();
            let steps = report.steps.len();
            let reused = match report.reused_steps {
                0 => String::new(),
                kept => format!(", {kept} of an earlier run"),
            };
            format!(
                "The shown {} took {}: {} steps in {}{reused}, decoding {}",
                run.settings().plan.letters(),
                format::seconds(
                    report.load_secs
                        + report.encode_secs
                        + report.denoise_secs
                        + report.decode_secs
                ),
                steps,
                format::seconds(report.denoise_secs),
                format::seconds(report.decode_secs),
            )
        }
    }
}

/// The state of a run, such as `Denoising · step 17 of 30 · small model · 9.1 it/s · about 3 s left
/// · 140 MB of memory`.
fn describe(active: &ActiveRun, scene: &Scene<'_>) -> String {
    if active.is_cancelling {
        return "Cancelling".to_owned();
    }
    if let Some(Sweeping { done, of }) = active.sweep {
        return format!("Trying plans · clip {} of {of}", (done + 1).min(of));
    }
    let mut parts = vec![
        match active.phase {
            None => "Waiting",
            Some(Phase::Loading) => "Loading the models",
            Some(Phase::Encoding) => "Reading the prompt",
            Some(Phase::Denoising) => "Denoising",
            Some(Phase::Decoding) => "Decoding",
            Some(Phase::Probing) => "Measuring divergence",
            Some(Phase::Calibrating) => "Measuring the model for its cache",
        }
        .to_owned(),
    ];
    if active.phase == Some(Phase::Denoising) {
        let steps = active.steps_in_all();
        let running = (active.steps_done() + 1).min(steps);
        parts.push(format!("step {running} of {steps}"));
        let plans = active.settings.step_plans();
        if let Some(plan) = plans.get(running - 1) {
            parts.push(format!("{} model", plan.model));
            let last = active.steps.iter().rev().find(|s| s.model == plan.model);
            if let Some(step) = last {
                parts.push(format::step_rate(step.secs));
            }
        }
    }
    if let (Some(Phase::Loading | Phase::Encoding), Some((done, total))) =
        (active.phase, active.loaded)
    {
        parts.push(format!(
            "{} of {} read",
            format::bytes(done),
            format::bytes(total)
        ));
    }
    if let (Some(Phase::Probing), Some(found)) = (active.phase, &active.divergences) {
        let steps = active.settings.steps;
        parts.push(format!("step {} of {steps}", (found.len() + 1).min(steps)));
    }
    if let (Some(Phase::Decoding), Some((done, total))) = (active.phase, active.decoded) {
        parts.push(format!("{} %", 100 * done / total.max(1)));
    }
    match active.pauses_after {
        Some(_) if active.pauses_now() => parts.push("pauses after this step".to_owned()),
        Some(steps) => parts.push(format!("pauses after step {steps}")),
        None => {}
    }
    if let Some(secs) = active.eta_secs.filter(|_| active.pauses_after.is_none()) {
        parts.push(format!("{} left", format::about(secs)));
    }
    if let Some(pair) = scene.pair {
        let peak = pair.memory_plan(&active.settings).peak;
        parts.push(format!("{} of memory", format::bytes(peak)));
    }
    parts.join(" · ")
}

/// The message strip over the status bar: a sentence, what can be done, and a cross.
pub fn show_notice(ui: &mut Ui, notice: &Notice, out: &mut Vec<Request>) {
    let palette = palette(ui);
    let mark = if notice.is_error {
        palette.error
    } else {
        palette.next
    };
    ui.horizontal(|ui| {
        let (bar, _) = ui.allocate_exact_size(vec2(3.0, 20.0), Sense::hover());
        ui.painter().rect_filled(bar, 1.5, mark);
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            if icon_button(ui, Icon::Close, vec2(22.0, 22.0), "Dismiss message", false)
                .on_hover_text("Put this message away")
                .clicked()
            {
                out.push(Request::DismissNotice);
            }
            ui.spacing_mut().interact_size.y = 22.0;
            if let Some((words, request)) = &notice.offer
                && ui
                    .add(Button::new(*words))
                    .on_hover_text(offer_hint(request))
                    .clicked()
            {
                out.push(request.clone());
            }
            if notice.is_error
                && ui
                    .add(Button::new("Copy details"))
                    .on_hover_text("Copy the message with time, version, device and the run's settings, for whoever looks into it")
                    .clicked()
            {
                out.push(Request::Log(LogRequest::CopyDetails));
            }
            if let Some(folder) = &notice.folder
                && ui
                    .add(Button::new("Open folder"))
                    .on_hover_text("Show the folder in the file manager")
                    .clicked()
            {
                out.push(Request::OpenFolder(folder.clone()));
            }
            ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
                ui.add(egui::Label::new(RichText::new(&notice.text).color(palette.text)).wrap());
            });
        });
    });
}
