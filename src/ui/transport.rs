//! Playback and magnification.

use eframe::egui;
use egui::accesskit::Role;
use egui::{Align, EventFilter, Key, Layout, Rect, RichText, Sense, Stroke, Ui, WidgetInfo, vec2};

use super::icons::Icon;
use super::theme::{mono, palette};
use super::view::View;
use super::widgets::{chip, icon_button};
use crate::app::{Command, Request, Scene};

/// Height of the row.
pub const HEIGHT_PX: f32 = 40.0;
/// Room right of the buttons that frame and time need beside the switches.
const POSITION_FROM_PX: f32 = 400.0;

/// Play, step, loop, scrub, and how large the picture is.
pub fn show(ui: &mut Ui, scene: &Scene<'_>, view: &mut View, out: &mut Vec<Request>) {
    let player = scene.player;
    let has_clip = player.frame_count() > 0;
    ui.horizontal_centered(|ui| {
        ui.spacing_mut().item_spacing.x = 2.0;
        ui.add_enabled_ui(has_clip, |ui| {
            let play = if player.is_playing() {
                Icon::Pause
            } else {
                Icon::Play
            };
            for (icon, command, is_chosen) in [
                (Icon::First, Command::FirstFrame, false),
                (Icon::Back, Command::PreviousFrame, false),
                (play, Command::PlayPause, false),
                (Icon::Forward, Command::NextFrame, false),
                (Icon::Last, Command::LastFrame, false),
                (Icon::Loop, Command::Loop, player.is_looping()),
                (Icon::Compare, Command::Compare, scene.comparison.is_on()),
            ] {
                let response = icon_button(ui, icon, vec2(30.0, 28.0), command.text(), is_chosen)
                    .on_hover_text(command.hover_text(ui.ctx()))
                    .on_disabled_hover_text("There is no clip to play or compare yet");
                if response.clicked() {
                    out.push(Request::Command(command));
                }
            }
        });
        ui.add_space(12.0);
        // In a narrow window the switches at the right end come first.
        if ui.available_width() > POSITION_FROM_PX {
            position(ui, scene, has_clip);
        }
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            ui.spacing_mut().item_spacing.x = 8.0;
            magnification(ui, view, out);
            ui.add_space(8.0);
            if has_clip {
                scrub(ui, scene, out);
            }
        });
    });
}

fn position(ui: &mut Ui, scene: &Scene<'_>, has_clip: bool) {
    if !has_clip {
        return;
    }
    let player = scene.player;
    let count = player.frame_count();
    let digits = count.to_string().len();
    let mut text = format!(
        "frame {:>digits$} / {count}  {:.2} s",
        player.frame_index() + 1,
        player.frame_index() as f64 / player.fps()
    );
    let rate = player.speed();
    if player.is_playing() && rate != 1.0 {
        text.push_str(&format!("  {rate:+.0}×"));
    }
    ui.label(
        RichText::new(text)
            .font(mono(12.0))
            .color(palette(ui).text_weak),
    );
}

fn magnification(ui: &mut Ui, view: &mut View, out: &mut Vec<Request>) {
    if let Some(scale) = view.shown_scale {
        let percent = format!("{:.0} %", scale * 100.0);
        // A fixed width, so that the row does not jump while zooming.
        ui.allocate_ui_with_layout(
            vec2(52.0, 22.0),
            Layout::right_to_left(Align::Center),
            |ui| {
                let colour = palette(ui).text_weak;
                ui.label(RichText::new(percent).font(mono(12.0)).color(colour))
                    .on_hover_text(
                        "Screen pixels for one pixel of the clip; Ctrl with the wheel changes it",
                    );
            },
        );
    }
    for (text, command, is_chosen) in [
        ("1:1", Command::ZoomActual, view.is_actual),
        (
            "Fit",
            Command::ZoomFit,
            view.zoom.is_fit() && !view.is_actual,
        ),
        ("Smooth", Command::Smooth, view.is_smooth),
    ] {
        let response = chip(ui, is_chosen, text)
            .on_hover_text(command.hover_text(ui.ctx()))
            .accessible_name(command.text());
        if response.clicked() {
            out.push(Request::Command(command));
        }
    }
}

fn scrub(ui: &mut Ui, scene: &Scene<'_>, out: &mut Vec<Request>) {
    let player = scene.player;
    let last = player.frame_count().saturating_sub(1);
    let width = ui.available_width();
    if width < 48.0 || last == 0 {
        return;
    }
    let (rect, response) = ui.allocate_exact_size(vec2(width, 24.0), Sense::click_and_drag());
    response.widget_info(|| {
        let mut info =
            WidgetInfo::slider(true, player.frame_index() as f64, "Position in the clip");
        info.role = Role::Slider;
        info
    });
    let rail = Rect::from_center_size(rect.center(), vec2(rect.width() - 12.0, 4.0));
    if response.has_focus() {
        // Left and Right are the slider's, and do not lead to the next widget.
        let filter = EventFilter {
            horizontal_arrows: true,
            ..EventFilter::default()
        };
        ui.memory_mut(|memory| memory.set_focus_lock_filter(response.id, filter));
        let presses = |key| ui.input(|i| i.num_presses(key));
        let by = presses(Key::ArrowRight) as isize - presses(Key::ArrowLeft) as isize;
        if by != 0 {
            let frame = player.frame_index().saturating_add_signed(by).min(last);
            out.push(Request::Seek(frame));
        }
    }
    if let Some(pos) = response.interact_pointer_pos() {
        let share = ((pos.x - rail.left()) / rail.width()).clamp(0.0, 1.0);
        out.push(Request::Seek((share * last as f32).round() as usize));
    }
    let palette = palette(ui);
    let x = rail.left() + rail.width() * player.frame_index() as f32 / last as f32;
    ui.painter().rect_filled(rail, 2.0, palette.field_hover);
    let up_to = |x: f32| Rect::from_min_max(rail.min, egui::pos2(x, rail.bottom()));
    // A clip that is being decoded shows how far it is.
    if let Some(clip) = scene.estimate().and_then(|estimate| estimate.clip) {
        let share = (clip.frames.len() as f32 / player.frame_count() as f32).min(1.0);
        let decoded = up_to(rail.left() + rail.width() * share);
        ui.painter().rect_filled(decoded, 2.0, palette.next);
    }
    ui.painter().rect_filled(up_to(x), 2.0, palette.text_weak);
    let knob = egui::pos2(x, rail.center().y);
    let colour = if response.hovered() || response.dragged() {
        palette.text_strong
    } else {
        palette.text
    };
    ui.painter().circle_filled(knob, 6.0, colour);
    if response.has_focus() {
        ui.painter()
            .circle_stroke(knob, 8.0, Stroke::new(1.5, palette.next));
    }
    response.on_hover_text("Drag to look through the clip; Left and Right step");
}
