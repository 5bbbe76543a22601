use eframe::egui;
use egui::{CentralPanel, Frame, Margin, Panel, Ui};

use super::{Request, Scene};
use crate::ui::theme::{Palette, palette};
use crate::ui::view::View;
use crate::ui::{
    compare_bar, cost_strip, likeness_curve, preview_panel, prompt_panel, runs_panel, status_bar,
    step_dialog, timeline, top_bar, transport,
};

const LEFT_PX: f32 = 304.0;
const RIGHT_PX: f32 = 256.0;
/// Below this width of the window the side panels give way a little.
const NARROW_PX: f32 = 1360.0;

/// Puts the panels where they belong and draws them.
pub fn show(ui: &mut Ui, scene: &Scene<'_>, view: &mut View, out: &mut Vec<Request>) {
    let colours = palette(ui);
    let is_narrow = ui.max_rect().width() < NARROW_PX;
    let (left_px, right_px) = if is_narrow {
        (LEFT_PX - 24.0, RIGHT_PX - 16.0)
    } else {
        (LEFT_PX, RIGHT_PX)
    };
    let bar = |margin: Margin| Frame::new().fill(colours.panel).inner_margin(margin);
    let side = bar(Margin::same(16));

    Panel::top("top bar")
        .exact_size(top_bar::HEIGHT_PX)
        .frame(bar(Margin::symmetric(8, 0)))
        .show(ui, |ui| top_bar::show(ui, scene, view, out));
    Panel::bottom("status bar")
        .exact_size(status_bar::HEIGHT_PX)
        .frame(bar(Margin::symmetric(16, 0)))
        .show(ui, |ui| status_bar::show(ui, scene, out));
    Panel::left("prompt")
        .exact_size(left_px)
        .resizable(false)
        .frame(side)
        .show(ui, |ui| prompt_panel::show(ui, scene, view, out));
    Panel::right("runs")
        .exact_size(right_px)
        .resizable(false)
        .frame(side)
        .show(ui, |ui| runs_panel::show(ui, scene, view, out));
    centre(ui, scene, view, colours, out);
    step_dialog::show(ui.ctx(), scene, view, out);
}

fn centre(
    ui: &mut Ui,
    scene: &Scene<'_>,
    view: &mut View,
    colours: &Palette,
    out: &mut Vec<Request>,
) {
    let well = |margin: Margin| Frame::new().fill(colours.well).inner_margin(margin);
    if let Some(notice) = scene.notice {
        // Over the picture, which gives way: what a hand may be on stays where it is.
        Panel::top("notice")
            .frame(
                Frame::new()
                    .fill(colours.panel)
                    .inner_margin(Margin::symmetric(16, 8)),
            )
            .show(ui, |ui| status_bar::show_notice(ui, notice, out));
    }
    Panel::bottom("costs")
        .exact_size(cost_strip::HEIGHT_PX)
        .show_separator_line(false)
        .frame(well(Margin {
            left: 16,
            right: 16,
            top: 4,
            bottom: 12,
        }))
        .show(ui, |ui| cost_strip::show(ui, scene));
    Panel::bottom("timeline")
        .exact_size(timeline::HEIGHT_PX)
        .show_separator_line(false)
        .frame(well(Margin {
            left: 16,
            right: 16,
            top: 10,
            bottom: 0,
        }))
        .show(ui, |ui| timeline::show(ui, scene, view, out));
    if scene.comparison.is_on() {
        Panel::bottom("likeness")
            .exact_size(likeness_curve::HEIGHT_PX)
            .show_separator_line(false)
            .frame(well(Margin::symmetric(16, 0)))
            .show(ui, |ui| likeness_curve::show(ui, scene, out));
        Panel::top("comparison")
            .exact_size(compare_bar::height_px(ui.available_width() - 32.0))
            .frame(well(Margin::symmetric(16, 0)))
            .show(ui, |ui| compare_bar::show(ui, scene, out));
    }
    Panel::bottom("transport")
        .exact_size(transport::HEIGHT_PX)
        .frame(well(Margin::symmetric(16, 0)))
        .show(ui, |ui| transport::show(ui, scene, view, out));
    CentralPanel::no_frame()
        .frame(Frame::new().fill(colours.stage))
        .show(ui, |ui| preview_panel::show(ui, scene, view, out));
}
