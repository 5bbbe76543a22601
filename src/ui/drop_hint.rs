//! What letting go of a file over the window would do.

use std::path::Path;

use eframe::egui;
use egui::{Align2, Color32, Context, Id, LayerId, Order, Stroke, StrokeKind, vec2};

use super::theme::{Palette, RADIUS_PX, bold, regular};

/// How far the frame stays from the window's edge.
const INSET_PX: f32 = 16.0;

/// Covers the window while a file is held over it.
pub fn show(ctx: &Context, is_project: impl Fn(&Path) -> bool) {
    let held = ctx.input(|i| i.raw.hovered_files.first().cloned());
    let Some(held) = held else {
        return;
    };
    let path = held.path.unwrap_or_default();
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let what = match is_project(&path) {
        true => "Drop to open the project",
        false => "Drop to take the clip's prompt, plan and seed",
    };
    let colours = Palette::of(&ctx.global_style().visuals);
    let layer = LayerId::new(Order::Foreground, Id::unique("held file"));
    let (painter, window) = (ctx.layer_painter(layer), ctx.content_rect());
    painter.rect_filled(window, 0.0, Color32::from_black_alpha(180));
    let frame = Stroke::new(2.0, colours.next);
    let inside = window.shrink(INSET_PX);
    painter.rect_stroke(inside, RADIUS_PX, frame, StrokeKind::Inside);
    for (y, text, font) in [(-11.0, what, bold(18.0)), (15.0, &*name, regular(13.0))] {
        let at = window.center() + vec2(0.0, y);
        painter.text(at, Align2::CENTER_CENTER, text, font, Color32::WHITE);
    }
}
