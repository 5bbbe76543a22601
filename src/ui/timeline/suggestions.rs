//! Places where boundaries are known to do well.

use eframe::egui;
use egui::{CursorIcon, Rect, Role, Sense, Stroke, Ui, WidgetInfo, epaint::PathShape, pos2, vec2};

use super::Axis;
use super::snap::allowed_steps;
use crate::app::{DocCommand, Request, Scene};
use crate::schedule::Plan;
use crate::ui::theme::palette;

/// The boundaries that FlowBlending (arXiv 2512.24724) publishes, for WAN 2.1 at 50 steps.
pub const PAPER_BOUNDARIES: [f64; 2] = [0.4, 0.8];

/// What can be clicked around a mark.
const GRAB_PX: f32 = 14.0;

/// A place for a boundary and why it is one.
#[derive(Clone, Debug, PartialEq)]
pub struct Suggestion {
    /// The fraction of the steps.
    pub fraction: f64,
    /// Where it comes from.
    pub why: String,
}

/// Boundaries of LSL that were found by measuring, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// The fractions of the steps.
    pub boundaries: [f64; 2],
    /// How, as a sentence without its full stop.
    pub why: String,
}

impl Found {
    /// What a probe of this very run says, or else what is remembered of runs like it.
    pub fn of(scene: &Scene<'_>) -> Option<Self> {
        let settings = scene.document.settings();
        let probe = scene.probes.of(settings);
        if let Some(boundaries) = probe.and_then(|probe| probe.boundaries_for(settings)) {
            let why = "Measured: from here to the other end of the valley the models differ least";
            return Some(Self {
                boundaries,
                why: why.to_owned(),
            });
        }
        let known = scene.pair?.remembered_boundaries(settings)?;
        let how = format!("Remembered, found by {}", known.found_by.words());
        Some(Self {
            boundaries: known.found,
            why: match known.warning {
                Some(warning) => format!("{how}; {warning}"),
                None => how,
            },
        })
    }
}

impl Suggestion {
    /// The step that it falls on.
    pub fn step(&self, steps: usize) -> usize {
        (self.fraction * steps as f64).round() as usize
    }
}

/// The pair's `own` boundaries, the published ones, and those that were `found`; one that falls on an
/// earlier one's step is left to that.
pub fn suggestions(own: &[f64], found: Option<&Found>, steps: usize) -> Vec<Suggestion> {
    let own_words = "The pair's own boundary";
    let paper_words = "FlowBlending's boundary for WAN 2.1";
    let both_words = "The pair's own boundary, and FlowBlending's for WAN 2.1";
    let suggest = |fraction: &f64, why: &str| Suggestion {
        fraction: *fraction,
        why: why.to_owned(),
    };
    let mut places: Vec<_> = own.iter().map(|f| suggest(f, own_words)).collect();
    for paper in PAPER_BOUNDARIES.iter().map(|f| suggest(f, paper_words)) {
        let step = paper.step(steps);
        match places.iter_mut().find(|other| other.step(steps) == step) {
            Some(same) => same.why = both_words.to_owned(),
            None => places.push(paper),
        }
    }
    for (boundary, why) in found
        .iter()
        .flat_map(|found| found.boundaries.iter().map(|at| (at, &found.why)))
    {
        let place = suggest(boundary, why);
        let step = place.step(steps);
        if places.iter().all(|other| other.step(steps) != step) {
            places.push(place);
        }
    }
    places.retain(|place| (1..steps).contains(&place.step(steps)));
    places
}

/// The fractions that hold a boundary which comes near.
pub fn magnets(own: &[f64], steps: usize) -> Vec<f64> {
    let places = suggestions(own, None, steps);
    places.into_iter().map(|place| place.fraction).collect()
}

/// The boundary that may go to `step` and is nearest to it.
pub fn nearest_boundary(plan: &Plan, step: usize, steps: usize) -> Option<usize> {
    (0..plan.boundaries().len())
        .filter(|&index| {
            allowed_steps(plan, index, steps)
                .is_some_and(|(low, high)| (low..=high).contains(&step))
        })
        .min_by_key(|&index| plan.boundary_step(index, steps).abs_diff(step))
}

/// The marks under the track; a click moves a boundary there, or splits where there is none to move.
pub fn show(ui: &mut Ui, scene: &Scene<'_>, axis: &Axis<'_>, lane: Rect, out: &mut Vec<Request>) {
    let plan = &scene.document.settings().plan;
    let steps = axis.steps();
    let found = Found::of(scene);
    for (i, place) in suggestions(scene.own_boundaries(), found.as_ref(), steps)
        .iter()
        .enumerate()
    {
        let step = place.step(steps);
        let x = axis.x(step as f64);
        if !axis.shows(x) {
            continue;
        }
        let middle = pos2(x as f32, lane.center().y);
        let grab = Rect::from_center_size(middle, vec2(GRAB_PX, lane.height() + 4.0));
        let sense = Sense::click();
        let response = ui.interact(grab, ui.scope_id().with(("suggestion", i)), sense);
        let name = format!("Suggested boundary at step {step}");
        response.widget_info(|| WidgetInfo::labeled(Role::Button, true, &name));
        let is_taken = (0..plan.boundaries().len()).any(|b| plan.boundary_step(b, steps) == step);
        let (edit, what) = if is_taken {
            (None, "A boundary is there.".to_owned())
        } else if let Some(index) = nearest_boundary(plan, step, steps) {
            let fraction = place.fraction;
            let edit = DocCommand::Boundary { index, fraction };
            (
                Some(edit),
                format!("Click to move boundary {} there.", index + 1),
            )
        } else {
            match plan.split(place.fraction, steps) {
                Ok(split) => (
                    Some(DocCommand::Plan(split)),
                    "Click to split the stage there.".to_owned(),
                ),
                Err(why) => (None, crate::app::sentence(&why.to_string())),
            }
        };
        let palette = palette(ui);
        let colour = if response.hovered() || response.has_focus() {
            palette.text_strong
        } else {
            palette.text_weak
        };
        paint(ui, middle, lane.height(), colour, is_taken);
        let percent = (place.fraction * 1e4).round() / 1e2;
        let text = format!("{}: step {step}, {percent} %. {what}", place.why);
        let response = response
            .on_hover_text(text)
            .on_hover_cursor(CursorIcon::PointingHand);
        if response.clicked()
            && let Some(edit) = edit
        {
            out.push(Request::EndBurst);
            out.push(Request::Edit(edit));
            out.push(Request::EndBurst);
        }
    }
}

/// A triangle that points at the track; hollow while no boundary is there.
fn paint(ui: &Ui, middle: egui::Pos2, height_px: f32, colour: egui::Color32, is_taken: bool) {
    let half = height_px / 2.0;
    let points = vec![
        middle + vec2(0.0, -half),
        middle + vec2(half * 1.2, half),
        middle + vec2(-half * 1.2, half),
    ];
    let stroke = Stroke::new(1.0, colour);
    let fill = if is_taken {
        colour
    } else {
        egui::Color32::TRANSPARENT
    };
    ui.painter()
        .add(PathShape::convex_polygon(points, fill, stroke));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_pairs_own_places_come_first_and_none_twice() {
        let found = Found {
            boundaries: [0.4, 0.2667],
            why: "Measured".to_owned(),
        };
        let places = suggestions(&[0.4333, 0.8], Some(&found), 30);
        let steps: Vec<_> = places.iter().map(|p| p.step(30)).collect();
        assert_eq!(steps, [13, 24, 12, 8]);
        assert!(places[3].why.contains("Measured"));
        assert!(places[1].why.contains("pair's own") && places[1].why.contains("FlowBlending"));
        assert!(!places[0].why.contains("FlowBlending"));
        assert!(suggestions(&[0.4], None, 1).is_empty());
    }

    #[test]
    fn the_nearest_boundary_that_may_go_there_is_taken() {
        let plan = Plan::parse("LSL", &[0.4, 0.8]).unwrap();
        assert_eq!(nearest_boundary(&plan, 10, 30), Some(0));
        assert_eq!(nearest_boundary(&plan, 20, 30), Some(1));
        assert_eq!(nearest_boundary(&plan, 30, 30), None);
        assert_eq!(
            nearest_boundary(&Plan::parse("L", &[]).unwrap(), 9, 30),
            None
        );
    }

    proptest! {
        #[test]
        fn every_place_lies_inside_the_run_and_the_published_ones_are_among_them(
            own in proptest::collection::vec(0.0f64..=1.0, 0..4), steps in 1usize..100,
        ) {
            let places = suggestions(&own, None, steps);
            prop_assert!(places.iter().all(|p| (1..steps).contains(&p.step(steps))));
            for paper in PAPER_BOUNDARIES {
                let step = (paper * steps as f64).round() as usize;
                let is_there = places.iter().any(|p| p.step(steps) == step);
                prop_assert_eq!(is_there, (1..steps).contains(&step));
            }
        }
    }
}
