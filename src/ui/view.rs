//! How things are shown.

use super::step_dialog::StepEntry;
use super::timeline::{AxisUnit, TimelineView};
use crate::preview::ZoomPan;

/// A wish about the preview's magnification; the preview carries it out when it next draws, because
/// only there the sizes are known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ZoomWish {
    /// As large as the preview allows.
    Fit,
    /// One pixel of the clip on one pixel of the screen.
    Actual,
    /// Larger or smaller by a factor.
    By(f32),
}

/// What the panel on the right shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Finished runs.
    Runs,
    /// Runs that wait.
    Queue,
}

/// How things are shown. Not part of the document: it has no undo and no recipe.
#[derive(Clone, Debug)]
pub struct View {
    /// What the timeline's ruler counts in.
    pub axis: AxisUnit,
    /// What else of the timeline is on show.
    pub timeline: TimelineView,
    /// Which part of the picture is shown, and how large.
    pub zoom: ZoomPan,
    /// One pixel of the clip on one pixel of the screen, also where that is smaller than what fits.
    pub is_actual: bool,
    /// What was asked of the magnification since the last frame.
    pub zoom_wish: Option<ZoomWish>,
    /// Blend neighbouring pixels.
    pub is_smooth: bool,
    /// The boundary that the keyboard moves.
    pub boundary: usize,
    /// The step that is being typed, up to which the document is to be rendered.
    pub step_entry: Option<StepEntry>,
    /// Draw a new seed before every run.
    pub rolls_seed: bool,
    /// Give the prompt the keyboard in the next frame, its words marked so that typing replaces them.
    pub wants_prompt: bool,
    /// Render by itself when a change of the plan rests.
    pub is_live: bool,
    /// What the panel on the right shows.
    pub side: Side,
    /// What the runs must answer to: words of the prompt, letters of the plan, a seed.
    pub runs_filter: String,
    /// Show only runs that were marked.
    pub only_starred: bool,
    /// Screen pixels for one pixel of the clip, as the preview last drew it.
    pub shown_scale: Option<f32>,
}

impl Default for View {
    fn default() -> Self {
        Self {
            axis: AxisUnit::default(),
            timeline: TimelineView::default(),
            zoom: ZoomPan::default(),
            is_actual: false,
            zoom_wish: None,
            is_smooth: true,
            boundary: 0,
            step_entry: None,
            rolls_seed: false,
            wants_prompt: false,
            is_live: false,
            side: Side::Runs,
            runs_filter: String::new(),
            only_starred: false,
            shown_scale: None,
        }
    }
}
