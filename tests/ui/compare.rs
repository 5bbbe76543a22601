//! Comparisons, as a person makes them, over a pipeline without models whose clips tell the plan: a level
//! darker for each step of the small model.

use crate::common::window::{Window, press, until};
use crate::common::{Pace, telling_fake};
use eframe::egui;
use egui::accesskit::Role;
use egui::{Key, Modifiers, vec2};
use egui_kittest::Harness;
use egui_kittest::kittest::{NodeT as _, Queryable as _};
use flowblend::app::{App, CompareMode};

fn window<'a>() -> (Window<'a>, Pace) {
    let (factory, pace) = telling_fake();
    let mut window = Harness::builder()
        .with_size(vec2(1440.0, 900.0))
        .with_step_dt(1.0 / 60.0)
        .with_max_steps(64)
        .build_eframe(|cc| App::new(cc, factory).expect("the engine starts"));
    until(&mut window, |app| {
        !app.document().settings().prompt.is_empty()
    });
    press(&mut window, Modifiers::NONE, Key::Escape);
    (window, pace)
}

fn compare(window: &mut Window<'_>) {
    press(window, Modifiers::NONE, Key::C);
}

fn click(window: &mut Window<'_>, label: &str) {
    window.get_by_label(label).click();
    window.run_steps(3);
}

/// Renders one of the usual plans.
fn render(window: &mut Window<'_>, pace: &Pace, plan: &str) {
    click(window, &format!("Plan {plan}"));
    let before = window.state().gallery().runs().len();
    pace.allow(31);
    press(window, Modifiers::COMMAND, Key::Enter);
    until(window, |app| app.gallery().runs().len() > before);
}

/// The letters of A's and B's plans.
fn sides(app: &App) -> Option<[String; 2]> {
    let sides = app.comparison().sides(app.gallery())?;
    Some([sides.shown, sides.other].map(|run| run.settings().plan.letters()))
}

fn assert_sides(window: &Window<'_>, wanted: [&str; 2]) {
    assert_eq!(sides(window.state()), Some(wanted.map(str::to_owned)));
}

/// Waits until the shown pair is measured and the window has drawn it.
fn measured(window: &mut Window<'_>) {
    until(window, |app| {
        let sides = app.comparison().sides(app.gallery());
        sides.is_some_and(|s| {
            let likeness = app.likenesses().of(s.shown.id, s.other.id);
            likeness.is_some_and(|likeness| likeness.is_complete())
        })
    });
}

#[test]
fn c_compares_with_the_run_before_and_measures_both() {
    let (mut window, pace) = window();
    render(&mut window, &pace, "LSS");
    render(&mut window, &pace, "LSL");
    compare(&mut window);
    assert_sides(&window, ["LSL", "LSS"]);
    measured(&mut window);
    // 12 steps of the small model against 18: six levels in every value, 20 log10(255 / 6) dB.
    window.get_by_label_contains("Similarity of A and B, mean PSNR 32.6 dB, SSIM 0.9");
    window.get_by_label("Run LSL, 4.3 s · seed 48 151 623, side A of the comparison");
    window.get_by_label_contains("side B of the comparison");
    compare(&mut window);
    assert!(!window.state().comparison().is_on());
    assert!(window.query_by_label_contains("Similarity").is_none());
}

#[test]
fn the_reference_is_preferred_to_the_run_before() {
    let (mut window, pace) = window();
    for plan in ["LLL", "SSS", "LSL"] {
        render(&mut window, &pace, plan);
    }
    compare(&mut window);
    assert_sides(&window, ["LSL", "LLL"]);
    assert!(
        window
            .get_by_label("Render LLL reference")
            .accesskit_node()
            .is_disabled()
    );
}

#[test]
fn one_click_renders_the_reference_and_leaves_clip_and_document_alone() {
    let (mut window, pace) = window();
    render(&mut window, &pace, "LSL");
    click(&mut window, "Plan SSS");
    let document = window.state().document().settings().clone();
    compare(&mut window);
    assert_eq!(sides(window.state()), None);
    window.get_by_label_contains("There is no other run yet: render");
    click(&mut window, "Render LLL reference");
    pace.allow(10);
    until(&mut window, |app| {
        app.session().active().is_some_and(|a| a.steps.len() == 10)
    });
    // The clip stays, and a second reference cannot be asked for.
    assert_eq!(window.state().player().frame_count(), 17);
    assert!(
        window
            .get_by_label("Render LLL reference")
            .accesskit_node()
            .is_disabled()
    );
    pace.allow(21);
    until(&mut window, |app| app.gallery().runs().len() == 2);
    assert_sides(&window, ["LSL", "LLL"]);
    assert_eq!(*window.state().document().settings(), document);
    measured(&mut window);
    window.get_by_label_contains("mean PSNR 26.5 dB");
}

#[test]
fn a_reference_cannot_be_started_while_a_run_is_going() {
    let (mut window, pace) = window();
    render(&mut window, &pace, "LSL");
    compare(&mut window);
    click(&mut window, "Plan SSS");
    press(&mut window, Modifiers::COMMAND, Key::Enter);
    pace.allow(3);
    until(&mut window, |app| app.session().active().is_some());
    let button = window.get_by_label("Render LLL reference");
    assert!(button.accesskit_node().is_disabled());
    button.hover();
    window.run_steps(60);
    window.get_by_label("A run is going on; wait for it to finish, or cancel it");
}

#[test]
fn modes_are_switches_and_the_divider_moves_by_mouse_and_keys() {
    let (mut window, pace) = window();
    render(&mut window, &pace, "LSS");
    render(&mut window, &pace, "LSL");
    compare(&mut window);
    let divider = window.get_by_label("Divider of the wipe").rect().center();
    window.hover_at(divider);
    window.step();
    window.drag_at(divider);
    window.step();
    for part in 1..=4 {
        window.hover_at(divider + vec2(-25.0 * part as f32, 0.0));
        window.step();
    }
    window.drop_at(divider + vec2(-100.0, 0.0));
    window.run_steps(3);
    let dragged = window.state().comparison().wipe();
    assert!((0.1..0.4).contains(&dragged), "{dragged}");
    // Taking hold of it brought the keyboard along.
    for (modifiers, key, share) in [
        (Modifiers::NONE, Key::Home, 0.0),
        (Modifiers::SHIFT, Key::ArrowRight, 0.1),
        (Modifiers::NONE, Key::ArrowRight, 0.11),
        (Modifiers::NONE, Key::End, 1.0),
    ] {
        press(&mut window, modifiers, key);
        let wipe = window.state().comparison().wipe();
        assert!((wipe - share).abs() < 1e-5, "{key:?}: {wipe}");
    }
    for mode in [
        CompareMode::Difference,
        CompareMode::SideBySide,
        CompareMode::Wipe,
    ] {
        click(&mut window, mode.words());
        assert_eq!(window.state().comparison().mode(), mode);
        let has_gain = window.query_by_label("Gain of the difference").is_some();
        assert_eq!(has_gain, mode == CompareMode::Difference);
        let has_divider = window.query_by_label("Divider of the wipe").is_some();
        assert_eq!(has_divider, mode == CompareMode::Wipe);
    }
}

#[test]
fn the_gain_is_typed_and_the_scale_says_what_it_shows() {
    let (mut window, pace) = window();
    render(&mut window, &pace, "LSS");
    render(&mut window, &pace, "LSL");
    compare(&mut window);
    click(&mut window, "Difference");
    window.get_by_label_contains("brightest from 64 of 255 levels on");
    window.get_by_label("Gain of the difference").focus();
    window.run_steps(2);
    press(&mut window, Modifiers::COMMAND, Key::A);
    window
        .get_by_label("Gain of the difference")
        .type_text("16");
    window.run_steps(2);
    assert_eq!(window.state().comparison().gain(), 16.0);
    window.get_by_label_contains("brightest from 16 of 255 levels on");
}

#[test]
fn any_two_runs_are_compared_from_the_gallery_the_combo_and_by_swapping() {
    let (mut window, pace) = window();
    for plan in ["SSS", "LSS", "LSL"] {
        render(&mut window, &pace, plan);
    }
    let before = window.state().document().settings().clone();
    window
        .get_by_label_contains("Compare with the shown clip: SSS")
        .click();
    window.run_steps(3);
    assert_sides(&window, ["LSL", "SSS"]);
    click(&mut window, "Swap A and B");
    assert_sides(&window, ["SSS", "LSL"]);
    assert_eq!(*window.state().document().settings(), before);
    click(&mut window, "Compare with");
    click(&mut window, "LSS · 3.3 s · seed 48 151 623");
    assert_sides(&window, ["SSS", "LSS"]);
    // The entry's menu, and its words for the shown run.
    window
        .get_by_label_contains("Run LSL, 4.3 s")
        .click_secondary();
    window.run_steps(3);
    click(&mut window, "Compare with the shown clip");
    assert_sides(&window, ["SSS", "LSL"]);
}

#[test]
fn the_keyboard_reaches_the_comparison_of_an_entry() {
    let (mut window, pace) = window();
    for plan in ["SSS", "LSS", "LSL"] {
        render(&mut window, &pace, plan);
    }
    window.get_by_label_contains("Run SSS").focus();
    window.run_steps(2);
    press(&mut window, Modifiers::NONE, Key::Tab);
    press(&mut window, Modifiers::NONE, Key::Enter);
    assert_sides(&window, ["LSL", "SSS"]);
}

#[test]
fn showing_b_swaps_and_a_new_run_is_compared_with_the_same_b() {
    let (mut window, pace) = window();
    render(&mut window, &pace, "LLL");
    render(&mut window, &pace, "LSL");
    compare(&mut window);
    window.get_by_label_contains("Run LLL").click();
    window.run_steps(3);
    assert_sides(&window, ["LLL", "LSL"]);
    render(&mut window, &pace, "SSS");
    assert_sides(&window, ["SSS", "LSL"]);
}

#[test]
fn clips_of_other_lengths_are_explained_and_still_wiped() {
    let (mut window, pace) = window();
    render(&mut window, &pace, "LSS");
    window.get_by_label("Frames").focus();
    window.run_steps(2);
    press(&mut window, Modifiers::COMMAND, Key::A);
    window.get_by_label("Frames").type_text("21");
    press(&mut window, Modifiers::NONE, Key::Enter);
    render(&mut window, &pace, "LSL");
    compare(&mut window);
    let why = "A has 21 frames and B has 17, so that there is no difference to measure; render both alike, or choose another run.";
    assert_eq!(window.query_all_by_label(why).count(), 1);
    window.get_by_label("Divider of the wipe");
    click(&mut window, "Difference");
    assert_eq!(window.query_all_by_label(why).count(), 2);
    assert!(window.query_by_label("Gain of the difference").is_none());
}

#[test]
fn escape_leaves_only_when_nothing_is_nearer() {
    let (mut window, pace) = window();
    render(&mut window, &pace, "LSS");
    render(&mut window, &pace, "LSL");
    compare(&mut window);
    window
        .get_by_role_and_label(Role::MultilineTextInput, "Prompt")
        .focus();
    window.run_steps(2);
    press(&mut window, Modifiers::NONE, Key::C);
    assert!(window.state().comparison().is_on(), "C is typed");
    press(&mut window, Modifiers::NONE, Key::Escape);
    assert!(window.state().comparison().is_on(), "Esc leaves the field");
    press(&mut window, Modifiers::NONE, Key::Escape);
    assert!(!window.state().comparison().is_on());
    compare(&mut window);
    press(&mut window, Modifiers::NONE, Key::OpenBracket);
    press(&mut window, Modifiers::COMMAND, Key::Enter);
    until(&mut window, |app| app.session().active().is_some());
    press(&mut window, Modifiers::NONE, Key::Escape);
    assert!(!window.state().comparison().is_on());
    assert!(window.query_by_label("Cancel this run?").is_none());
    press(&mut window, Modifiers::NONE, Key::Escape);
    window.get_by_label("Cancel this run?");
}

#[test]
fn without_a_clip_c_says_so() {
    let (mut window, _pace) = window();
    compare(&mut window);
    assert!(!window.state().comparison().is_on());
    window.get_by_label("There is no clip to compare yet; generate one first.");
}
