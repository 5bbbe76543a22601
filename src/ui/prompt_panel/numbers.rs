//! Size, length, steps, shift, solver and guidance.

use eframe::egui;
use egui::{DragValue, RichText, Ui};

use super::row;
use crate::app::{DocCommand, Request, Scene};
use crate::schedule::{History, Solver};
use crate::ui::format;
use crate::ui::theme::{palette, regular};
use crate::ui::widgets::{choice, edit, field, number, text_width};

pub(super) fn show(ui: &mut Ui, scene: &Scene<'_>, out: &mut Vec<Request>) {
    let settings = scene.document.settings();
    let (mut width, mut height, mut frames, mut fps) = (
        settings.width,
        settings.height,
        settings.frames,
        settings.fps,
    );
    row(ui, |ui, column_px| {
        // Two fields and the word between them, with 4 points on either side of it.
        let half_px =
            |ui: &Ui, word: &str, font| (column_px - text_width(ui, word, font) - 8.0) / 2.0;
        field(ui, "Size", |ui| {
            ui.horizontal(|ui| {
                ui.spacing_mut().item_spacing.x = 4.0;
                let half_px = half_px(ui, "×", regular(13.0));
                let sides = |name: &str| format!("{name} of the clip in pixels");
                let wide = number(
                    ui,
                    half_px,
                    DragValue::new(&mut width).range(8..=2048).speed(1.0),
                )
                .on_hover_text(sides("Width"))
                .accessible_name("Width");
                ui.label(RichText::new("×").color(palette(ui).text_weak));
                let high = number(
                    ui,
                    half_px,
                    DragValue::new(&mut height).range(8..=2048).speed(1.0),
                )
                .on_hover_text(sides("Height"))
                .accessible_name("Height");
                edit(&wide, out, || DocCommand::Size(width, settings.height));
                edit(&high, out, || DocCommand::Size(settings.width, height));
            });
        });
        field(ui, "Frames, at fps", |ui| {
            ui.horizontal(|ui| {
                ui.spacing_mut().item_spacing.x = 4.0;
                let half_px = half_px(ui, "at", regular(12.0));
                let count = number(
                    ui,
                    half_px,
                    DragValue::new(&mut frames).range(1..=401).speed(0.2),
                )
                .on_hover_text("Number of frames")
                .accessible_name("Frames");
                ui.label(
                    RichText::new("at")
                        .font(regular(12.0))
                        .color(palette(ui).text_weak),
                );
                let rate = number(
                    ui,
                    half_px,
                    DragValue::new(&mut fps)
                        .range(1.0..=60.0)
                        .speed(0.1)
                        .custom_formatter(|fps, _| trimmed(fps)),
                )
                .on_hover_text("Frames a second at playback")
                .accessible_name("Frames a second");
                edit(&count, out, || DocCommand::Frames(frames));
                edit(&rate, out, || DocCommand::Fps(fps));
            });
        });
    });
    size_problem(ui, scene);
    let (mut steps, mut shift, mut cfg) = (settings.steps, settings.shift, settings.cfg);
    row(ui, |ui, column_px| {
        field(ui, "Steps", |ui| {
            let fewest = settings.plan.stages().len();
            let response = number(
                ui,
                column_px,
                DragValue::new(&mut steps).range(fewest..=200).speed(0.1),
            )
            .on_hover_text("Denoising steps; more take longer and look cleaner")
            .accessible_name("Steps");
            edit(&response, out, || DocCommand::Steps(steps));
        });
        field(ui, "Shift", |ui| {
            let value = DragValue::new(&mut shift)
                .range(0.1..=20.0)
                .speed(0.02)
                .max_decimals(2)
                .custom_formatter(|scale, _| format::scale(scale));
            let response = number(ui, column_px, value)
                .on_hover_text(
                    "Flow shift: above 1 more steps go to high noise, where structure forms",
                )
                .accessible_name("Shift");
            edit(&response, out, || DocCommand::Shift(shift));
        });
    });
    row(ui, |ui, column_px| {
        field(ui, "Solver", |ui| {
            let solvers = Solver::ALL.map(|solver| (solver, solver_name(solver)));
            let about = (
                "Solver",
                "How the velocity is integrated from noise to the clip",
            );
            if let Some(solver) = choice(ui, about, column_px, settings.solver, &solvers) {
                out.push(Request::Edit(DocCommand::Solver(solver)));
            }
        });
        field(ui, "CFG", |ui| {
            let value = DragValue::new(&mut cfg)
                .range(1.0..=20.0)
                .speed(0.02)
                .max_decimals(2)
                .custom_formatter(|scale, _| format::scale(scale));
            let response = number(ui, column_px, value)
                .on_hover_text("Guidance: higher follows the prompt more closely; 1 switches it off and halves the time")
                .accessible_name("CFG");
            edit(&response, out, || DocCommand::Cfg(cfg));
        });
    });
    // Other solvers remember nothing.
    if settings.solver.is_multistep() {
        row(ui, |ui, column_px| {
            field(ui, "Solver's history", |ui| {
                let histories = [History::Keep, History::Reset]
                    .map(|history| (history, format!("{history} at boundaries")));
                let about = (
                    "Solver's history",
                    "What the solver does with older estimates where the model changes",
                );
                if let Some(history) = choice(ui, about, column_px, settings.history, &histories) {
                    out.push(Request::Edit(DocCommand::History(history)));
                }
            });
        });
    }
}

/// A rate as people write it: `12`, `23.976`.
fn trimmed(rate: f64) -> String {
    let text = format!("{rate:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn solver_name(solver: Solver) -> String {
    let name = match solver {
        Solver::UniPc1 => "UniPC 1",
        Solver::UniPc2 => "UniPC",
        Solver::UniPc3 => "UniPC 3",
        Solver::DpmPp2M => "DPM++ 2M",
        Solver::DpmPp3M => "DPM++ 3M",
        _ => solver.name(),
    };
    let mut chars = name.chars();
    chars
        .next()
        .map(|first| first.to_uppercase().chain(chars).collect())
        .unwrap_or_default()
}

/// Says under the fields why the size cannot be rendered.
fn size_problem(ui: &mut Ui, scene: &Scene<'_>) {
    let settings = scene.document.settings();
    if let Some(Err(why)) = scene
        .pair
        .map(|pair| pair.rules.check_size(settings.size()))
    {
        let text = crate::app::sentence(&why);
        ui.label(
            RichText::new(text)
                .font(regular(12.0))
                .color(palette(ui).error),
        );
    }
}
