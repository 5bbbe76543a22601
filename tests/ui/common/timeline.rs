//! What a person does on the timeline.

use eframe::egui;
use egui::{Event, Modifiers, PointerButton, Pos2, vec2};
use egui_kittest::Node;
use egui_kittest::kittest::Queryable as _;
use flowblend::schedule::Plan;

use super::window::Window;

/// The step that a boundary is at.
pub fn boundary_step(window: &Window<'_>, index: usize) -> usize {
    let settings = window.state().document().settings();
    settings.plan.boundary_step(index, settings.steps)
}

/// The middle of a boundary's handle.
pub fn handle(window: &Window<'_>, index: usize) -> Pos2 {
    let step = boundary_step(window, index);
    let name = format!("Boundary {}, step {step} of 30", index + 1);
    window.get_by_label(&name).rect().center()
}

/// Pixels between two steps of the track, from where the two default boundaries are.
pub fn step_px(window: &Window<'_>) -> f32 {
    (handle(window, 1).x - handle(window, 0).x)
        / (boundary_step(window, 1) - boundary_step(window, 0)) as f32
}

/// Drags from a point by so many pixels, in a few moves, and holds.
pub fn drag(window: &mut Window<'_>, from: Pos2, by_px: f32) {
    window.hover_at(from);
    window.step();
    window.drag_at(from);
    window.step();
    for part in 1..=8 {
        window.hover_at(from + vec2(by_px * part as f32 / 8.0, 0.0));
        window.step();
    }
}

/// Lets go.
pub fn drop_at(window: &mut Window<'_>, pos: Pos2) {
    window.drop_at(pos);
    window.run_steps(3);
}

/// The document's plan.
pub fn plan<'w>(window: &'w Window<'_>) -> &'w Plan {
    &window.state().document().settings().plan
}

/// The plan's letters and the steps of its boundaries.
pub fn stages(window: &Window<'_>) -> (String, Vec<usize>) {
    let steps = (0..plan(window).boundaries().len()).map(|i| boundary_step(window, i));
    (plan(window).letters(), steps.collect())
}

/// Holds letters and boundaries against what is expected.
pub fn is(window: &Window<'_>, letters: &str, boundaries: &[usize]) {
    assert_eq!(
        stages(window),
        (letters.to_owned(), boundaries.to_vec()),
        "letters and boundaries"
    );
}

/// The block of a stage, counted from 1.
pub fn block<'w>(window: &'w Window<'_>, number: usize) -> Node<'w> {
    let start = format!("Stage {number}, ");
    window.get_by(move |node| {
        let label = node.label();
        label.is_some_and(|label| label.starts_with(&start))
    })
}

/// A point of the track, in steps; the default plan's boundaries are its landmarks.
pub fn at_step(window: &Window<'_>, step: f32) -> Pos2 {
    let from = handle(window, 0);
    from + vec2(
        (step - boundary_step(window, 0) as f32) * step_px(window),
        20.0,
    )
}

/// A click of any button.
pub fn click(window: &mut Window<'_>, pos: Pos2, button: PointerButton) {
    window.hover_at(pos);
    window.step();
    for pressed in [true, false] {
        window.event(Event::PointerButton {
            pos,
            button,
            pressed,
            modifiers: Modifiers::NONE,
        });
    }
    window.run_steps(3);
}

/// Clicks what has a label.
pub fn choose(window: &mut Window<'_>, label: &str) {
    window.get_by_label(label).click();
    window.run_steps(3);
}

/// Opens the menu of the stage at a step.
pub fn menu_at(window: &mut Window<'_>, step: f32) {
    let pos = at_step(window, step);
    click(window, pos, PointerButton::Secondary);
}
