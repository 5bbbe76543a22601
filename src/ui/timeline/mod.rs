//! The denoising schedule as a track of steps: stages as coloured blocks, boundaries to drag between
//! them, and under it what the run has computed.

mod axis;
mod divergence;
mod flags;
mod handles;
mod header;
mod menus;
mod navigate;
mod overlays;
mod place;
mod plans;
mod snap;
mod span;
mod spared;
mod state;
mod suggestions;
mod track;

use eframe::egui;
use egui::{Rect, Ui, UiBuilder, pos2, vec2};

pub use axis::{Axis, AxisUnit, Tick};
pub use handles::boundary_id;
pub use place::{place_boundary, read_place, write_place};
pub use plans::{NAMED_PLANS, NamedPlan};
pub use snap::{Snap, allowed_steps, at_step, nudge, snap};
pub use span::AxisSpan;
pub use state::{HeatStep, PlaceEntry, StageMenu, TimelineView, split_step};
pub use suggestions::{Found, PAPER_BOUNDARIES, Suggestion, magnets, suggestions};
pub use track::stage_id;

use super::view::View;
use crate::app::{Request, Scene};

/// Height of everything: header, ruler, track, divergence, cells, suggestions and the legend.
pub const HEIGHT_PX: f32 = 208.0;

/// Space left and right of the track, so that handles and labels at its ends are not cut.
const INSET_PX: f32 = 8.0;

/// The parts of the timeline from top to bottom, all of the track's width.
struct Lanes {
    ruler: Rect,
    track: Rect,
    divergence: Rect,
    cells: Rect,
    suggestions: Rect,
    legend: Rect,
}

impl Lanes {
    fn below(top: f32, left: f32, right: f32) -> Self {
        let lane = |from: f32, height: f32| {
            Rect::from_min_max(pos2(left, top + from), pos2(right, top + from + height))
        };
        Self {
            ruler: lane(0.0, 22.0),
            track: lane(24.0, 64.0),
            divergence: lane(92.0, 28.0),
            cells: lane(122.0, 5.0),
            suggestions: lane(129.0, 6.0),
            legend: lane(136.0, 16.0),
        }
    }
}

/// Draws the timeline and collects what the person wants changed.
pub fn show(ui: &mut Ui, scene: &Scene<'_>, view: &mut View, out: &mut Vec<Request>) {
    header::show(ui, scene, view, out);
    let size = vec2(ui.available_width(), 152.0);
    let (_, rect) = ui.allocate_space(size);
    let lanes = Lanes::below(rect.top(), rect.left() + INSET_PX, rect.right() - INSET_PX);
    // What is beside the track when zoomed is cut, but for half a handle.
    let mut clipped = ui.new_child(UiBuilder::new().max_rect(rect));
    clipped.shrink_clip_rect(rect.expand2(vec2(0.0, 4.0)));
    let has_curve = show_lanes(&mut clipped, scene, view, &lanes, rect, out);
    overlays::legend(ui, scene, lanes.legend, has_curve);
}

/// What the axis stretches over. Says whether there is a divergence curve.
fn show_lanes(
    ui: &mut Ui,
    scene: &Scene<'_>,
    view: &mut View,
    lanes: &Lanes,
    rect: Rect,
    out: &mut Vec<Request>,
) -> bool {
    let whole = Axis::new(
        view.axis,
        &scene.forecast.grid,
        f64::from(lanes.track.left()),
        f64::from(lanes.track.right()),
    );
    navigate::show(ui, &mut view.timeline.span, lanes, rect);
    let axis = whole.showing(view.timeline.span);
    track::show(ui, scene, view, &axis, lanes.track, out);
    let heat = &mut view.timeline.heat;
    let has_curve = divergence::show(ui, scene, heat, &axis, lanes.divergence, out);
    overlays::cells(ui, scene, &axis, lanes.cells);
    suggestions::show(ui, scene, &axis, lanes.suggestions, out);
    // After the track, so that a handle wins where both are under the pointer.
    handles::show(ui, scene, view, &axis, lanes.track, out);
    flags::show(ui, scene, view, &axis, lanes.ruler, out);
    overlays::playhead(ui, scene, &axis, lanes.ruler.bottom(), lanes.cells.bottom());
    has_curve
}
