//! Boundaries, axis and curve of the timeline, worked as a person would, over a pipeline without models.

use crate::common::timeline::{
    at_step, block, boundary_step, choose, drag, drop_at, handle, is, plan, step_px,
};
use crate::common::window::{Window, press, until, window};
use eframe::egui;
use egui::accesskit::{Role, Toggled};
use egui::{Event, Key, Modifiers, MouseWheelSource, MouseWheelUnit, TouchPhase, vec2};
use egui_kittest::kittest::{NodeT as _, Queryable as _};
use flowblend::schedule::ModelRole;

#[test]
fn a_drag_moves_the_boundary_by_whole_steps_and_is_one_undo() {
    let (mut window, _pace) = window();
    let (from, step) = (handle(&window, 0), step_px(&window));
    drag(&mut window, from, -5.3 * step);
    drop_at(&mut window, from + vec2(-5.3 * step, 0.0));
    assert_eq!(boundary_step(&window, 0), 7);
    assert_eq!(boundary_step(&window, 1), 24);
    press(&mut window, Modifiers::COMMAND, Key::Z);
    assert_eq!(boundary_step(&window, 0), 12);
    assert!(window.state().document().undo_words().is_none());
    press(&mut window, Modifiers::COMMAND | Modifiers::SHIFT, Key::Z);
    assert_eq!(boundary_step(&window, 0), 7);
}

#[test]
fn a_drag_stops_a_step_before_the_neighbour_and_a_double_click_resets() {
    let (mut window, _pace) = window();
    let (from, step) = (handle(&window, 0), step_px(&window));
    drag(&mut window, from, 40.0 * step);
    drop_at(&mut window, from + vec2(40.0 * step, 0.0));
    assert_eq!(boundary_step(&window, 0), 23);
    let pos = handle(&window, 0);
    for _ in 0..2 {
        window.drag_at(pos);
        window.drop_at(pos);
    }
    window.run_steps(3);
    assert_eq!(boundary_step(&window, 0), 12);
}

#[test]
fn escape_takes_a_drag_back_and_ignores_the_rest_of_it() {
    let (mut window, _pace) = window();
    let (from, step) = (handle(&window, 1), step_px(&window));
    drag(&mut window, from, -6.0 * step);
    assert_eq!(boundary_step(&window, 1), 18);
    window.key_press(Key::Escape);
    window.step();
    assert_eq!(boundary_step(&window, 1), 24);
    window.hover_at(from + vec2(-9.0 * step, 0.0));
    window.step();
    drop_at(&mut window, from + vec2(-9.0 * step, 0.0));
    assert_eq!(boundary_step(&window, 1), 24);
    assert!(window.state().document().undo_words().is_none());
}

#[test]
fn a_drag_that_leaves_a_field_is_one_drag_as_any_other() {
    let (mut window, _pace) = window();
    let prompt = window.get_by_role_and_label(Role::MultilineTextInput, "Prompt");
    prompt.focus();
    window.run_steps(2);
    let prompt = window.get_by_role_and_label(Role::MultilineTextInput, "Prompt");
    prompt.type_text(" slowly");
    window.run_steps(2);
    let (from, step) = (handle(&window, 1), step_px(&window));
    drag(&mut window, from, -6.0 * step);
    assert!(window.state().document().is_dragging());
    window.key_press(Key::Escape);
    window.step();
    drop_at(&mut window, from + vec2(-6.0 * step, 0.0));
    assert_eq!(boundary_step(&window, 1), 24);
    let document = window.state().document();
    assert!(document.settings().prompt.ends_with(" slowly"));
    assert_eq!(document.undo_words(), Some("prompt"));
}

#[test]
fn the_keyboard_chooses_and_nudges_boundaries() {
    let (mut window, _pace) = window();
    press(&mut window, Modifiers::NONE, Key::ArrowDown);
    press(&mut window, Modifiers::NONE, Key::ArrowRight);
    press(&mut window, Modifiers::SHIFT, Key::ArrowLeft);
    assert_eq!(boundary_step(&window, 0), 8);
    press(&mut window, Modifiers::NONE, Key::ArrowDown);
    press(&mut window, Modifiers::NONE, Key::OpenBracket);
    assert_eq!(boundary_step(&window, 1), 23);
    press(&mut window, Modifiers::NONE, Key::Home);
    assert_eq!(boundary_step(&window, 1), 9);
    press(&mut window, Modifiers::NONE, Key::End);
    assert_eq!(boundary_step(&window, 1), 29);
}

/// Types a place into the field that is open.
fn type_place(window: &mut Window<'_>, name: &str, text: &str) {
    press(window, Modifiers::COMMAND, Key::A);
    window.get_by_label(name).type_text(text);
    press(window, Modifiers::NONE, Key::Enter);
}

#[test]
fn a_place_is_typed_in_the_rulers_unit_and_faults_are_said() {
    let (mut window, _pace) = window();
    let name = "Place of boundary 1";
    choose(&mut window, "Place of boundary 1: 12");
    type_place(&mut window, name, "27");
    window.get_by_label_contains("boundary 1 can only lie from step 1 to step 23");
    type_place(&mut window, name, "soon");
    window.get_by_label_contains("“soon” is not a place");
    is(&window, "LSL", &[12, 24]);
    type_place(&mut window, name, "9");
    is(&window, "LSL", &[9, 24]);
    assert!(window.query_by_label(name).is_none(), "the field closed");
    press(&mut window, Modifiers::COMMAND, Key::Z);
    is(&window, "LSL", &[12, 24]);
    choose(&mut window, "Axis in noise level sigma");
    press(&mut window, Modifiers::NONE, Key::ArrowDown);
    press(&mut window, Modifiers::NONE, Key::Enter);
    let grid = window.state().document().settings().grid();
    type_place(&mut window, name, &format!("{:.3}", grid.sigma(16)));
    is(&window, "LSL", &[16, 24]);
    press(&mut window, Modifiers::NONE, Key::Enter);
    window.get_by_label(name);
    press(&mut window, Modifiers::NONE, Key::Escape);
    assert!(window.query_by_label(name).is_none());
    is(&window, "LSL", &[16, 24]);
}

#[test]
fn a_suggestion_takes_the_nearest_boundary() {
    let (mut window, _pace) = window();
    press(&mut window, Modifiers::NONE, Key::ArrowDown);
    press(&mut window, Modifiers::SHIFT, Key::ArrowLeft);
    is(&window, "LSL", &[7, 24]);
    choose(&mut window, "Suggested boundary at step 12");
    is(&window, "LSL", &[12, 24]);
    press(&mut window, Modifiers::COMMAND, Key::Z);
    is(&window, "LSL", &[7, 24]);
}

#[test]
fn the_axis_zooms_about_the_pointer_and_pans() {
    let (mut window, _pace) = window();
    let before = step_px(&window);
    let pointer = handle(&window, 0);
    window.hover_at(pointer);
    window.step();
    window.event(Event::Zoom(2.0));
    window.run_steps(3);
    let moved = handle(&window, 0) - pointer;
    assert!(
        moved.length() < 1.0,
        "the boundary stays under the pointer: {moved:?}"
    );
    let zoomed = (handle(&window, 1).x - handle(&window, 0).x) / 12.0;
    assert!((zoomed / before - 2.0).abs() < 0.01);
    window.get_by_label("Fit timeline");
    let wheel = |delta| Event::MouseWheel {
        unit: MouseWheelUnit::Point,
        delta,
        phase: TouchPhase::Move,
        modifiers: Modifiers::NONE,
        source: MouseWheelSource::Unknown,
    };
    window.event(wheel(vec2(0.0, -60.0)));
    // The wheel is smoothed over some frames.
    window.run_steps(40);
    assert!((handle(&window, 0).x - pointer.x + 60.0).abs() < 2.0);
    // A drag counts steps of the zoomed axis.
    let from = handle(&window, 0);
    drag(&mut window, from, -3.0 * zoomed);
    drop_at(&mut window, from + vec2(-3.0 * zoomed, 0.0));
    is(&window, "LSL", &[9, 24]);
    press(&mut window, Modifiers::SHIFT, Key::Z);
    assert!((step_px(&window) - before).abs() < 0.01);
    assert!(window.query_by_label("Fit timeline").is_none());
    press(&mut window, Modifiers::NONE, Key::Plus);
    assert!(step_px(&window) > before);
}

#[test]
fn a_boundary_beside_the_track_is_shown_when_it_is_chosen() {
    let (mut window, _pace) = window();
    let left = at_step(&window, 0.0);
    window.hover_at(left + vec2(2.0, 0.0));
    window.step();
    window.event(Event::Zoom(8.0));
    window.run_steps(3);
    let track = block(&window, 1).rect();
    assert!(handle(&window, 1).x > track.right());
    for _ in 0..2 {
        press(&mut window, Modifiers::NONE, Key::ArrowDown);
    }
    let shown = handle(&window, 1).x;
    assert!(shown > left.x && shown < left.x + 30.0 * 40.0);
}

#[test]
fn the_costs_follow_a_drag_before_it_ends() {
    let (mut window, _pace) = window();
    let large = |window: &Window<'_>| {
        let settings = window.state().document().settings();
        let steps = settings.step_plans();
        steps.iter().filter(|s| s.model == ModelRole::Large).count()
    };
    let (from, step) = (handle(&window, 0), step_px(&window));
    window.hover_at(from);
    window.step();
    window.drag_at(from);
    window.step();
    let mut seen = Vec::new();
    for part in 1..=6 {
        window.hover_at(from + vec2(-step * part as f32, 0.0));
        // One frame takes the move, the next one shows it.
        window.step();
        seen.push(large(&window));
    }
    assert_eq!(seen.last(), Some(&12));
    assert!(seen.windows(2).all(|w| w[1] <= w[0]) && seen[0] > seen[5]);
    drop_at(&mut window, from + vec2(-step * 6.0, 0.0));
}

#[test]
fn the_strip_says_what_is_left_to_compute_before_the_click() {
    let (mut window, pace) = window();
    window.get_by_label("To compute: 30 of 30, 18 large");
    press(&mut window, Modifiers::COMMAND, Key::Enter);
    pace.allow(31);
    until(&mut window, |app| app.gallery().runs().len() == 1);
    window.get_by_label("To compute: 0 of 30, the clip is there");
    let (from, step) = (handle(&window, 1), step_px(&window));
    drag(&mut window, from, -2.0 * step);
    window.run_steps(2);
    window.get_by_label("To compute: 8 of 30, from step 23");
    drop_at(&mut window, from + vec2(-2.0 * step, 0.0));
}

#[test]
fn a_probe_draws_the_curve_and_suggests_the_ends_of_its_valley() {
    let (mut window, pace) = window();
    window.get_by_label("Measure divergence").click();
    window.run_steps(3);
    assert!(
        window
            .state()
            .session()
            .active()
            .is_some_and(|run| run.is_probe())
    );
    pace.allow(30);
    until(&mut window, |app| app.session().active().is_none());
    // The fake's valley: 1.1 times the least at step 12 of 30, 1.8 times that at 27.
    window.get_by_label("Divergence of the models, 30 steps, least at step 17: 40.0 %");
    // A click keeps the map of the step over the picture; another takes it off.
    let curve = "Divergence of the models, 30 steps, least at step 17: 40.0 %";
    for is_kept in [Toggled::True, Toggled::False] {
        window.get_by_label(curve).click();
        window.run_steps(3);
        let node = window.get_by_label(curve);
        assert_eq!(node.accesskit_node().toggled(), Some(is_kept));
    }
    let before = boundary_step(&window, 1);
    window.get_by_label("Suggested boundary at step 27").click();
    window.run_steps(3);
    assert_eq!((before, boundary_step(&window, 1)), (24, 27));
    // It is the run's, whatever the plan; of another seed nothing is known.
    window.get_by_label("Plan SSS").click();
    window.run_steps(3);
    assert!(
        window
            .query_by_label_contains("Divergence of the models")
            .is_some()
    );
}

#[test]
fn boundaries_are_found_by_a_key_and_a_run_that_decides_gives_its_plan() {
    let (mut window, pace) = window();
    let before = plan(&window).clone();
    press(&mut window, Modifiers::NONE, Key::B);
    let active = window.state().session().active();
    assert!(active.is_some_and(|run| run.is_probe()));
    // No more than eight steps.
    pace.allow(8);
    until(&mut window, |app| app.session().active().is_none());
    is(&window, "LSL", &[12, 28]);
    press(&mut window, Modifiers::COMMAND, Key::Z);
    assert_eq!(*plan(&window), before);

    press(&mut window, Modifiers::NONE, Key::A);
    choose(&mut window, "Generate so");
    press(&mut window, Modifiers::NONE, Key::Escape);
    pace.allow(40);
    until(&mut window, |app| app.session().active().is_none());
    is(&window, "LSL", &[9, 27]);
    assert!(
        window
            .query_by_label_contains("The run decided on LSL 0.30/0.90")
            .is_some()
    );
    press(&mut window, Modifiers::COMMAND, Key::Z);
    assert_eq!(*plan(&window), before);
}
