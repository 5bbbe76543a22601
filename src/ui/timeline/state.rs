use std::ops::Range;

use eframe::egui::Pos2;

use super::AxisSpan;

/// What of the timeline is on show. Not part of the document.
#[derive(Clone, Debug, Default)]
pub struct TimelineView {
    /// Which part of the schedule the track shows.
    pub span: AxisSpan,
    /// Where the pointer is on a stage, in steps.
    pub pointer: Option<f64>,
    /// The stage whose menu is open.
    pub menu: Option<StageMenu>,
    /// The place that is being typed.
    pub entry: Option<PlaceEntry>,
    /// The step whose divergence lies over the preview.
    pub heat: HeatStep,
}

/// The step whose divergence lies over the preview.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HeatStep {
    /// Under the pointer.
    pub hovered: Option<usize>,
    /// Chosen by a click, to stay when the pointer leaves.
    pub kept: Option<usize>,
}

impl HeatStep {
    /// The step, from 0: that under the pointer before the one that was chosen.
    pub fn step(self) -> Option<usize> {
        self.hovered.or(self.kept)
    }
}

/// The menu of a stage.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StageMenu {
    /// Which stage.
    pub stage: usize,
    /// Where a split would be.
    pub step: usize,
    /// The step up to which a run would go.
    pub here: usize,
    /// Where it was asked for; at the stage itself when by keyboard.
    pub at: Option<Pos2>,
    /// It has not been drawn yet.
    pub is_new: bool,
}

impl StageMenu {
    /// The menu at the pointer.
    pub fn by_pointer(stage: usize, step: usize, here: usize, at: Pos2) -> Self {
        Self {
            here,
            at: Some(at),
            ..Self::by_keyboard(stage, step)
        }
    }

    /// The menu at the stage.
    pub fn by_keyboard(stage: usize, step: usize) -> Self {
        Self {
            stage,
            step,
            here: step,
            at: None,
            is_new: true,
        }
    }
}

/// A boundary's place while it is being typed.
#[derive(Clone, Debug, PartialEq)]
pub struct PlaceEntry {
    /// Which boundary.
    pub boundary: usize,
    /// What the field holds; `None` until it was drawn.
    pub text: Option<String>,
    /// What is wrong with it, once it was entered.
    pub fault: Option<String>,
}

impl PlaceEntry {
    /// Nothing is typed yet.
    pub fn new(boundary: usize) -> Self {
        Self {
            boundary,
            text: None,
            fault: None,
        }
    }
}

/// The step at which a stage of these steps is split that is pointed at; both parts keep a step where
/// the stage has two.
pub fn split_step(range: &Range<usize>, position: f64) -> usize {
    let low = range.start + 1;
    let high = range.end.saturating_sub(1).max(low);
    (position.max(0.0).round() as usize).clamp(low, high)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn both_parts_of_a_split_keep_a_step(start in 0usize..50, len in 2usize..50, to in -5.0f64..120.0) {
            let step = split_step(&(start..start + len), to);
            prop_assert!(start < step && step < start + len);
        }
    }
}
