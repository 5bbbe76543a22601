//! The denoising schedule as a track of steps: stages as coloured blocks, boundaries to drag between
//! them, and under it what the run has computed.

mod axis;
mod handles;
mod header;
mod overlays;
mod snap;
mod track;

use eframe::egui;
use egui::{Rect, Sense, Ui, pos2, vec2};

pub use axis::{Axis, AxisUnit, Tick};
pub use handles::boundary_id;
pub use snap::{Snap, allowed_steps, at_step, nudge, snap};

use super::view::View;
use crate::app::{Request, Scene};

/// Height of everything: header, ruler, track, cells and their caption.
pub const HEIGHT_PX: f32 = 176.0;

/// Space left and right of the track, so that handles and labels at its ends are not cut.
const INSET_PX: f32 = 8.0;

/// The parts of the timeline from top to bottom, all of the track's width.
struct Lanes {
    ruler: Rect,
    track: Rect,
    cells: Rect,
    caption: Rect,
}

impl Lanes {
    fn below(top: f32, left: f32, right: f32) -> Self {
        let lane = |from: f32, height: f32| {
            Rect::from_min_max(pos2(left, top + from), pos2(right, top + from + height))
        };
        Self {
            ruler: lane(0.0, 22.0),
            track: lane(24.0, 64.0),
            cells: lane(92.0, 5.0),
            caption: lane(102.0, 16.0),
        }
    }
}

/// Draws the timeline and collects what the person wants changed.
pub fn show(ui: &mut Ui, scene: &Scene<'_>, view: &mut View, out: &mut Vec<Request>) {
    header::show(ui, scene, view, out);
    let size = vec2(ui.available_width(), 120.0);
    let (rect, _) = ui.allocate_exact_size(size, Sense::hover());
    let lanes = Lanes::below(rect.top(), rect.left() + INSET_PX, rect.right() - INSET_PX);
    let axis = Axis::new(
        view.axis,
        &scene.forecast.grid,
        f64::from(lanes.track.left()),
        f64::from(lanes.track.right()),
    );
    overlays::ruler(ui, &axis, lanes.ruler);
    track::show(ui, scene, &axis, lanes.track);
    overlays::cells(ui, scene, &axis, lanes.cells);
    overlays::caption(ui, scene, lanes.caption);
    // After the track, so that a handle wins where both are under the pointer.
    handles::show(ui, scene, view, &axis, lanes.track, out);
    overlays::playhead(ui, scene, &axis, lanes.ruler.bottom(), lanes.cells.bottom());
}
