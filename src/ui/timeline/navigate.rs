use eframe::egui;
use egui::{CursorIcon, PointerButton, Rect, Sense, Stroke, Ui, pos2};

use super::{AxisSpan, Lanes};
use crate::ui::theme::palette;

/// Zooms and pans with wheel, pinch and drag, and shows which part of the schedule is on the track.
pub fn show(ui: &mut Ui, span: &mut AxisSpan, lanes: &Lanes, all: Rect) {
    let width = lanes.track.width();
    // No stop for the keyboard, which has commands for it.
    let everywhere = ui.interact(all, ui.scope_id().with("pan"), Sense::DRAG);
    let ruler = ui.interact(
        lanes.ruler,
        ui.scope_id().with("ruler"),
        Sense::CLICK | Sense::DRAG,
    );
    if ruler.dragged() || everywhere.dragged_by(PointerButton::Middle) {
        let moved = ui.input(|i| i.pointer.delta().x);
        span.pan(-f64::from(moved / width));
    }
    if ruler.double_clicked() {
        *span = AxisSpan::default();
    }
    if let Some(pointer) = ui.input(|i| i.pointer.hover_pos())
        && ui.rect_contains_pointer(all)
    {
        let (zoom, scroll) = ui.input(|i| (i.zoom_delta(), i.smooth_scroll_delta()));
        if zoom != 1.0 {
            let at = f64::from((pointer.x - lanes.track.left()) / width).clamp(0.0, 1.0);
            span.zoom_at(at, f64::from(zoom));
        }
        span.pan(-f64::from((scroll.x + scroll.y) / width));
    }
    if !span.is_whole() {
        overview(ui, span, lanes.ruler);
        ruler
            .on_hover_and_drag_cursor(CursorIcon::Grab)
            .on_hover_text("Drag to see earlier and later steps, double-click to see all");
    } else {
        ruler.on_hover_text("Ctrl and the wheel zoom in");
    }
}

/// A thin bar: the whole schedule, and on it what is shown.
fn overview(ui: &Ui, span: &AxisSpan, ruler: Rect) {
    let palette = palette(ui);
    let y = ruler.top() + 1.0;
    let at = |share: f64| ruler.left() + ruler.width() * share as f32;
    let line = |from, to, colour| {
        ui.painter()
            .line_segment([pos2(from, y), pos2(to, y)], Stroke::new(2.0, colour));
    };
    line(ruler.left(), ruler.right(), palette.line);
    line(
        at(span.start()),
        at(span.start() + span.length()),
        palette.text_weak,
    );
}
