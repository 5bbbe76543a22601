//! Name, menus and device.

use eframe::egui;
use egui::accesskit::Role;
use egui::{
    Align, Align2, Button, Layout, RichText, Sense, Ui, WidgetInfo, containers::menu::MenuBar, vec2,
};

use super::theme::{bold, palette, regular};
use super::timeline::AxisUnit;
use super::view::View;
use super::widgets::{paint_text, text_width};
use crate::app::{Command, Request, Scene};

/// Height of the bar.
pub const HEIGHT_PX: f32 = 40.0;

/// Name, menus, the document's prompt and the device.
pub fn show(ui: &mut Ui, scene: &Scene<'_>, view: &mut View, out: &mut Vec<Request>) {
    let bar = ui.max_rect();
    ui.horizontal_centered(|ui| {
        ui.add_space(8.0);
        ui.label(
            RichText::new("flowblend")
                .font(bold(14.0))
                .color(palette(ui).text_strong),
        );
        ui.add_space(8.0);
        let menus_right = MenuBar::new()
            .ui(ui, |ui| {
                menus(ui, scene, view, out);
                ui.cursor().left()
            })
            .inner;
        let chip_left = device_chip(ui, scene);
        title(ui, bar, scene, menus_right, chip_left);
    });
}

fn menus(ui: &mut Ui, scene: &Scene<'_>, view: &mut View, out: &mut Vec<Request>) {
    ui.spacing_mut().button_padding = vec2(10.0, 2.0);
    ui.menu_button("File", |ui| {
        item(ui, out, Command::New, true, "");
        item(ui, out, Command::Open, true, "");
        let recent = scene.files.recent();
        ui.add_enabled_ui(!recent.is_empty(), |ui| {
            let menu = ui.menu_button("Open recent", |ui| {
                for path in recent {
                    let name = path.file_name().unwrap_or_default().to_string_lossy();
                    let response = ui.button(name).on_hover_text(path.display().to_string());
                    if response.clicked() {
                        out.push(Request::OpenRecent(path.clone()));
                        ui.close();
                    }
                }
            });
            menu.response
                .on_hover_text("Projects that were opened or saved lately")
                .on_disabled_hover_text("No project was opened or saved yet");
        });
        item(ui, out, Command::Save, true, "");
        item(ui, out, Command::SaveAs, true, "");
        ui.separator();
        let has_clip = scene.gallery.shown().is_some() && scene.export.is_none();
        let why = if scene.export.is_some() {
            "An export is going on; wait for it to finish"
        } else {
            "There is no clip yet; generate one first"
        };
        item(ui, out, Command::Export, has_clip, why);
        item(ui, out, Command::Models, true, "");
        item(ui, out, Command::Settings, true, "");
        ui.separator();
        item(ui, out, Command::Quit, true, "");
    });
    ui.menu_button("Edit", |ui| {
        for (command, words, why) in [
            (
                Command::Undo,
                scene.document.undo_words(),
                "There is nothing to undo",
            ),
            (
                Command::Redo,
                scene.document.redo_words(),
                "There is nothing to redo",
            ),
        ] {
            let text = match words {
                Some(words) => format!("{} {words}", command.text()),
                None => command.text().to_owned(),
            };
            named_item(ui, out, command, text, words.is_some(), why);
        }
    });
    ui.menu_button("Run", |ui| {
        let problem = scene.forecast.problem.as_deref();
        item(
            ui,
            out,
            Command::Generate,
            problem.is_none(),
            problem.unwrap_or_default(),
        );
        item(
            ui,
            out,
            Command::Enqueue,
            problem.is_none(),
            problem.unwrap_or_default(),
        );
        toggle(ui, out, Command::Live, view.is_live);
        let to_step = scene.run_to_problem(scene.forecast.course.steps.len());
        let why = to_step.as_deref().unwrap_or_default();
        item(ui, out, Command::RunToStep, to_step.is_none(), why);
        ui.separator();
        let pause = scene.pause_problem();
        let why = pause.unwrap_or_default();
        item(ui, out, Command::PauseRun, pause.is_none(), why);
        let meant = scene.paused.meant();
        let none = "No run is paused";
        let go_on = meant.map_or(Some(none), |r| scene.continue_problem(&r.run));
        let why = go_on.unwrap_or_default();
        item(ui, out, Command::ContinueRun, go_on.is_none(), why);
        item(ui, out, Command::DropPaused, meant.is_some(), none);
        let active = scene.session.active().is_some();
        item(ui, out, Command::CancelRun, active, "No run is going on");
    });
    ui.menu_button("Timeline", |ui| {
        let is_whole = scene.document.settings().plan.boundaries().is_empty();
        let none = "The plan has one stage and no boundary; split it first";
        item(ui, out, Command::SplitStage, true, "");
        item(ui, out, Command::RemoveBoundary, !is_whole, none);
        item(ui, out, Command::TypePlace, !is_whole, none);
        ui.separator();
        let blocked = scene.measure_blocked();
        let why = blocked.as_deref().unwrap_or_default();
        for command in [
            Command::Probe,
            Command::FindBoundaries,
            Command::GenerateOnline,
            Command::GenerateSrDiffusion,
        ] {
            item(ui, out, command, blocked.is_none(), why);
        }
        item(ui, out, Command::Analysis, true, "");
        ui.separator();
        item(ui, out, Command::TimelineZoomIn, true, "");
        let zoomed = !view.timeline.span.is_whole();
        let why = "The whole schedule is shown";
        item(ui, out, Command::TimelineZoomOut, zoomed, why);
        item(ui, out, Command::TimelineFit, zoomed, why);
    });
    ui.menu_button("View", |ui| {
        for command in [
            Command::ZoomFit,
            Command::ZoomActual,
            Command::ZoomIn,
            Command::ZoomOut,
        ] {
            item(ui, out, command, true, "");
        }
        toggle(ui, out, Command::Smooth, view.is_smooth);
        toggle(ui, out, Command::Compare, scene.comparison.is_on());
        ui.separator();
        for unit in AxisUnit::ALL {
            if ui
                .add(Button::selectable(view.axis == unit, unit.words()))
                .on_hover_text("What the timeline's ruler counts in")
                .clicked()
            {
                view.axis = unit;
                ui.close();
            }
        }
        ui.separator();
        let is_light = !ui.visuals().dark_mode;
        toggle(ui, out, Command::Theme, is_light);
    });
    ui.menu_button("Help", |ui| {
        item(ui, out, Command::Palette, true, "");
        item(ui, out, Command::Shortcuts, true, "");
        item(ui, out, Command::Log, true, "");
        item(ui, out, Command::About, true, "");
    });
}

fn item(ui: &mut Ui, out: &mut Vec<Request>, command: Command, is_enabled: bool, why_not: &str) {
    named_item(
        ui,
        out,
        command,
        command.text().to_owned(),
        is_enabled,
        why_not,
    );
}

fn named_item(
    ui: &mut Ui,
    out: &mut Vec<Request>,
    command: Command,
    text: String,
    is_enabled: bool,
    why_not: &str,
) {
    let keys = command.keys_text(ui.ctx()).unwrap_or_default();
    let response = ui
        .add_enabled(is_enabled, Button::new(text).shortcut_text(keys))
        .on_hover_text(command.tooltip())
        .on_disabled_hover_text(why_not);
    if response.clicked() {
        out.push(Request::Command(command));
        ui.close();
    }
}

fn toggle(ui: &mut Ui, out: &mut Vec<Request>, command: Command, is_on: bool) {
    let keys = command.keys_text(ui.ctx()).unwrap_or_default();
    let response = ui
        .add(Button::selectable(is_on, command.text()).shortcut_text(keys))
        .on_hover_text(command.tooltip());
    if response.clicked() {
        out.push(Request::Command(command));
        ui.close();
    }
}

/// The device at the right end, blue while it computes. Gives its left edge.
fn device_chip(ui: &mut Ui, scene: &Scene<'_>) -> f32 {
    let layout = Layout::right_to_left(Align::Center);
    ui.with_layout(layout, |ui| {
        ui.add_space(8.0);
        let palette = palette(ui);
        let text = match scene.pair {
            Some(pair) => pair.device.as_str(),
            None => scene.pair_words(),
        };
        let width = text_width(ui, text, regular(12.0)) + 36.0;
        let (rect, response) = ui.allocate_exact_size(vec2(width, 22.0), Sense::hover());
        ui.painter().rect_filled(rect, 11.0, palette.field);
        let is_busy = scene.session.active().is_some();
        let dot = if is_busy {
            palette.next
        } else {
            palette.text_weak
        };
        ui.painter()
            .circle_filled(rect.left_center() + vec2(14.0, 0.0), 3.5, dot);
        paint_text(
            ui,
            rect.left_center() + vec2(24.0, 0.0),
            Align2::LEFT_CENTER,
            text,
            regular(12.0),
            palette.text,
            width,
        );
        response.widget_info(|| WidgetInfo::labeled(Role::Label, true, format!("Device: {text}")));
        response.on_hover_text(if is_busy {
            "The device runs happen on; it is computing"
        } else {
            "The device runs happen on; it is idle"
        });
        rect.left()
    })
    .inner
}

fn title(ui: &Ui, bar: egui::Rect, scene: &Scene<'_>, left: f32, right: f32) {
    let prompt = scene.document.settings().prompt.trim();
    let mut text: String = match scene.files.path().and_then(std::path::Path::file_name) {
        Some(name) => name.to_string_lossy().into_owned(),
        None => prompt.lines().next().unwrap_or_default().to_owned(),
    };
    if text.is_empty() {
        text = "untitled".to_owned();
    }
    if scene.document.is_edited() {
        text.push_str(" — edited");
    }
    let room = 2.0 * (bar.center().x - left).min(right - bar.center().x) - 32.0;
    if room < 80.0 {
        return;
    }
    paint_text(
        ui,
        bar.center(),
        Align2::CENTER_CENTER,
        &text,
        regular(13.0),
        palette(ui).text_weak,
        room.min(420.0),
    );
}
