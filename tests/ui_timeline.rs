//! The timeline, worked as a person would, over a pipeline without models.

#![allow(clippy::expect_used, reason = "a test that cannot go on should say so")]

mod common;

use common::window::{Window, press, until, window, window_over};
use eframe::egui;
use egui::accesskit::Toggled;
use egui::{
    Event, Key, Modifiers, MouseWheelSource, MouseWheelUnit, PointerButton, Pos2, TouchPhase, vec2,
};
use egui_kittest::kittest::{NodeT as _, Queryable as _};
use flowblend::schedule::{DistilledGrid, ModelRole, Plan};

fn boundary_step(window: &Window<'_>, index: usize) -> usize {
    let settings = window.state().document().settings();
    settings.plan.boundary_step(index, settings.steps)
}

/// The middle of a boundary's handle.
fn handle(window: &Window<'_>, index: usize) -> Pos2 {
    let step = boundary_step(window, index);
    let name = format!("Boundary {}, step {step} of 30", index + 1);
    window.get_by_label(&name).rect().center()
}

/// Pixels between two steps of the track, from where the two default boundaries are.
fn step_px(window: &Window<'_>) -> f32 {
    (handle(window, 1).x - handle(window, 0).x)
        / (boundary_step(window, 1) - boundary_step(window, 0)) as f32
}

fn drag(window: &mut Window<'_>, from: Pos2, by_px: f32) {
    window.hover_at(from);
    window.step();
    window.drag_at(from);
    window.step();
    for part in 1..=8 {
        window.hover_at(from + vec2(by_px * part as f32 / 8.0, 0.0));
        window.step();
    }
}

fn drop_at(window: &mut Window<'_>, pos: Pos2) {
    window.drop_at(pos);
    window.run_steps(3);
}

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

#[test]
fn presets_change_the_models_and_keep_the_boundaries() {
    let (mut window, _pace) = window();
    window.get_by_label("Plan SSS").click();
    window.run_steps(3);
    let plan = &window.state().document().settings().plan;
    assert_eq!(
        (plan.letters().as_str(), plan.boundaries()),
        ("SSS", &[0.4, 0.8][..])
    );
}

fn plan<'w>(window: &'w Window<'_>) -> &'w Plan {
    &window.state().document().settings().plan
}

/// The plan's letters and the steps of its boundaries.
fn stages(window: &Window<'_>) -> (String, Vec<usize>) {
    let steps = (0..plan(window).boundaries().len()).map(|i| boundary_step(window, i));
    (plan(window).letters(), steps.collect())
}

fn is(window: &Window<'_>, letters: &str, boundaries: &[usize]) {
    assert_eq!(
        stages(window),
        (letters.to_owned(), boundaries.to_vec()),
        "letters and boundaries"
    );
}

/// The block of a stage, counted from 1.
fn block<'w>(window: &'w Window<'_>, number: usize) -> egui_kittest::Node<'w> {
    let start = format!("Stage {number}, ");
    window.get_by(move |node| {
        let label = node.label();
        label.is_some_and(|label| label.starts_with(&start))
    })
}

/// A point of the track, in steps; the default plan's boundaries are its landmarks.
fn at_step(window: &Window<'_>, step: f32) -> Pos2 {
    let from = handle(window, 0);
    from + vec2(
        (step - boundary_step(window, 0) as f32) * step_px(window),
        20.0,
    )
}

fn click(window: &mut Window<'_>, pos: Pos2, button: PointerButton) {
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

fn choose(window: &mut Window<'_>, label: &str) {
    window.get_by_label(label).click();
    window.run_steps(3);
}

/// Opens the menu of the stage at a step.
fn menu_at(window: &mut Window<'_>, step: f32) {
    let pos = at_step(window, step);
    click(window, pos, PointerButton::Secondary);
}

#[test]
fn the_menu_of_a_stage_splits_merges_and_removes_and_each_is_an_undo() {
    let (mut window, _pace) = window();
    menu_at(&mut window, 18.2);
    choose(&mut window, "Split at step 18");
    is(&window, "LSSL", &[12, 18, 24]);
    assert!(
        window.query_by_label("Remove stage").is_none(),
        "the menu closed"
    );
    menu_at(&mut window, 20.5);
    choose(&mut window, "Add large stage after");
    is(&window, "LSSLL", &[12, 18, 21, 24]);
    menu_at(&mut window, 16.5);
    choose(&mut window, "Merge with stage before");
    is(&window, "SSLL", &[18, 21, 24]);
    menu_at(&mut window, 19.5);
    choose(&mut window, "Merge with stage after");
    is(&window, "SSL", &[18, 24]);
    menu_at(&mut window, 26.5);
    choose(&mut window, "Remove stage");
    is(&window, "SS", &[18]);
    for undone in [
        ("SSL", &[18, 24][..]),
        ("SSLL", &[18, 21, 24]),
        ("LSSLL", &[12, 18, 21, 24]),
        ("LSSL", &[12, 18, 24]),
        ("LSL", &[12, 24]),
    ] {
        press(&mut window, Modifiers::COMMAND, Key::Z);
        is(&window, undone.0, undone.1);
    }
    assert!(window.state().document().undo_words().is_none());
}

#[test]
fn the_menu_sets_model_and_guidance_of_its_stage_alone() {
    let (mut window, _pace) = window();
    menu_at(&mut window, 18.2);
    assert!(
        window
            .get_by_label("Distilled")
            .accesskit_node()
            .is_disabled(),
        "this pair has none"
    );
    choose(&mut window, "Large");
    is(&window, "LLL", &[12, 24]);
    menu_at(&mut window, 18.2);
    window.get_by_label("CFG of the stage").focus();
    window.run_steps(2);
    press(&mut window, Modifiers::COMMAND, Key::A);
    window.get_by_label("CFG of the stage").type_text("2.5");
    press(&mut window, Modifiers::NONE, Key::Enter);
    let cfgs = |window: &Window<'_>| {
        plan(window)
            .stages()
            .iter()
            .map(|s| s.cfg)
            .collect::<Vec<_>>()
    };
    assert_eq!(cfgs(&window), [None, Some(2.5), None]);
    let own = window.state().document().settings().step_plans();
    assert!(
        own.iter()
            .all(|s| s.cfg == if s.stage == 1 { 2.5 } else { 4.0 })
    );
    choose(&mut window, "Run's, 4.0");
    assert_eq!(cfgs(&window), [None; 3]);
    press(&mut window, Modifiers::NONE, Key::Escape);
    assert!(window.query_by_label("Run's, 4.0").is_none());
}

#[test]
fn a_double_click_splits_and_what_cannot_be_is_greyed() {
    let (mut window, _pace) = window();
    let pos = at_step(&window, 5.1);
    click(&mut window, pos, PointerButton::Primary);
    is(&window, "LSL", &[12, 24]);
    click(&mut window, pos, PointerButton::Primary);
    is(&window, "LLSL", &[5, 12, 24]);
    choose(&mut window, "Plan T-Stitch");
    is(&window, "SL", &[12]);
    let last = handle(&window, 0) + vec2(60.0, 20.0);
    click(&mut window, last, PointerButton::Secondary);
    let entry = window.get_by_label("Merge with stage after");
    assert!(entry.accesskit_node().is_disabled());
    choose(&mut window, "Remove stage");
    is(&window, "S", &[]);
}

#[test]
fn stages_and_boundaries_are_worked_by_keyboard_alone() {
    let (mut window, _pace) = window();
    block(&window, 2).focus();
    window.run_steps(2);
    press(&mut window, Modifiers::NONE, Key::S);
    is(&window, "LSSL", &[12, 18, 24]);
    // The new boundary is chosen.
    press(&mut window, Modifiers::NONE, Key::ArrowRight);
    is(&window, "LSSL", &[12, 19, 24]);
    press(&mut window, Modifiers::NONE, Key::Delete);
    is(&window, "LSL", &[12, 24]);
    block(&window, 1).focus();
    window.run_steps(2);
    press(&mut window, Modifiers::NONE, Key::Delete);
    is(&window, "SL", &[24]);
    block(&window, 2).focus();
    window.run_steps(2);
    press(&mut window, Modifiers::SHIFT, Key::F10);
    window.get_by_label("Split at step 27");
    press(&mut window, Modifiers::NONE, Key::ArrowDown);
    press(&mut window, Modifiers::NONE, Key::ArrowDown);
    press(&mut window, Modifiers::NONE, Key::Enter);
    assert_eq!(plan(&window).stages()[1].model, ModelRole::Small);
    assert!(block(&window, 2).is_focused());
}

#[test]
fn delete_without_a_choice_removes_nothing() {
    let (mut window, _pace) = window();
    press(&mut window, Modifiers::NONE, Key::Delete);
    press(&mut window, Modifiers::NONE, Key::Backspace);
    is(&window, "LSL", &[12, 24]);
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
fn named_plans_are_marked_and_refused_where_a_model_is_missing() {
    let (mut window, _pace) = window();
    assert!(
        window
            .get_by_label("Plan LDL")
            .accesskit_node()
            .is_disabled()
    );
    choose(&mut window, "Plan T-Stitch");
    is(&window, "SL", &[12]);
    choose(&mut window, "Plan LSL");
    is(&window, "LSL", &[12, 24]);
    press(&mut window, Modifiers::NONE, Key::ArrowDown);
    press(&mut window, Modifiers::NONE, Key::ArrowRight);
    choose(&mut window, "Plan LLL");
    is(&window, "LLL", &[13, 24]);
    choose(&mut window, "Plan LSL");
    is(&window, "LSL", &[13, 24]);
    choose(&mut window, "Plan LSL");
    is(&window, "LSL", &[12, 24]);
}

#[test]
fn a_distilled_stage_shows_its_own_steps_and_says_how_many_jumps_it_makes() {
    let (mut window, pace) = window_over(common::distilled_fake(), 1440.0, 900.0);
    choose(&mut window, "Plan LDL");
    is(&window, "LDL", &[12, 24]);
    let settings = |window: &Window<'_>| window.state().document().settings().clone();
    let course = settings(&window).course();
    let taken = course.steps.iter().filter(|step| step.span.is_distilled());
    let own = taken.count();
    assert!(own > 1 && course.steps.len() == 18 + own);
    let name = |own: usize| {
        format!("Stage 2, distilled model, steps 13 to 24 in {own} of its own, CFG 1.0")
    };
    window.get_by_label(&name(own));

    // The run's progress counts the steps that it takes.
    press(&mut window, Modifiers::COMMAND, Key::Enter);
    pace.allow(14);
    until(&mut window, |app| {
        app.session()
            .active()
            .is_some_and(|run| run.steps.len() == 14)
    });
    let of = window
        .state()
        .session()
        .active()
        .map(|run| (run.steps[13].of, run.steps[13].model));
    assert_eq!(of, Some((18 + own, ModelRole::Distilled)));
    window.get_by_label_contains(&format!("step 15 of {}", 18 + own));
    pace.allow(own + 5);
    until(&mut window, |app| app.session().active().is_none());

    menu_at(&mut window, 18.2);
    window.get_by_label(&format!("Stage 2, 12 of 30 steps in {own} of its own"));
    window.get_by_label("Its own, 1.0");
    window.get_by_label("Jumps of the distilled model").focus();
    window.run_steps(2);
    press(&mut window, Modifiers::COMMAND, Key::A);
    window
        .get_by_label("Jumps of the distilled model")
        .type_text("2");
    press(&mut window, Modifiers::NONE, Key::Enter);
    assert_eq!(
        settings(&window).distilled_sigmas,
        DistilledGrid::even(2).ok()
    );
    choose(&mut window, "Pair's, 8");
    assert_eq!(
        settings(&window).distilled_sigmas,
        DistilledGrid::even(8).ok()
    );
    press(&mut window, Modifiers::NONE, Key::Escape);
    press(&mut window, Modifiers::COMMAND, Key::Z);
    press(&mut window, Modifiers::COMMAND, Key::Z);
    assert_eq!(
        settings(&window).distilled_sigmas,
        DistilledGrid::even(8).ok()
    );
    press(&mut window, Modifiers::COMMAND, Key::Z);
    is(&window, "LSL", &[12, 24]);
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
