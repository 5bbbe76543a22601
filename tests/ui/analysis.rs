//! The page of sweeps over plans, used as a person would, over a pipeline without models.

use crate::common;

use crate::common::window::{Window, press, until, window, window_of};
use eframe::egui;
use egui::accesskit::Role;
use egui::{Key, Modifiers};
use egui_kittest::kittest::{NodeT as _, Queryable as _};

fn click(window: &mut Window<'_>, label: &str) {
    window.get_by_label(label).click();
    window.run_steps(3);
}

fn open(window: &mut Window<'_>) {
    press(window, Modifiers::NONE, Key::A);
    assert!(window.state().analysis().is_open);
}

/// Runs the chosen sweep to its end.
fn sweep(window: &mut Window<'_>, pace: &common::Pace) {
    pace.allow(200);
    click(window, "Run the sweep");
    until(window, |app| app.session().active().is_none());
}

/// The names of all points.
fn points(window: &Window<'_>) -> Vec<String> {
    let buttons = window.get_all_by_role(Role::Button);
    let names = buttons.filter_map(|button| button.accesskit_node().label());
    names.filter(|name| name.contains("large steps")).collect()
}

fn plan(window: &Window<'_>) -> String {
    window.state().document().settings().plan.words()
}

#[test]
fn a_sweep_fills_the_page_and_a_point_loads_its_plan_in_one_undo() {
    let (mut window, pace) = window();
    open(&mut window);
    window.get_by_label("Each plan that is tried becomes a point here.");
    // LLL, LSL, LSS, SLL and SSS; T-Stitch does what SLL does here, and the pair's own LSL is the timeline's.
    window.get_by_label_contains("5 clips to render: 102 of their 150 steps");
    sweep(&mut window, &pace);
    window.get_by_label("All 5 clips were measured.");
    assert_eq!(points(&window).len(), 5);
    window.get_by_label_contains("LLL, SSIM 1.000, PSNR ∞ dB, 6.5 s, 1.00 × as fast as LLL");

    let before = plan(&window);
    let point = points(&window)
        .into_iter()
        .find(|name| name.starts_with("LSS"));
    click(&mut window, &point.expect("a point of LSS"));
    assert_eq!(plan(&window), "LSS 0.40/0.80");
    assert!(window.state().analysis().is_open);
    click(&mut window, "Close");
    press(&mut window, Modifiers::COMMAND, Key::Z);
    assert_eq!(plan(&window), before);
    assert!(window.state().document().undo_words().is_none());
}

#[test]
fn the_keyboard_reaches_a_point_and_presses_it() {
    let (mut window, pace) = window();
    open(&mut window);
    sweep(&mut window, &pace);
    let name = points(&window)
        .into_iter()
        .find(|name| name.starts_with("SSS"));
    let name = name.expect("a point of SSS");
    let focused = |window: &Window<'_>| window.get_by_label(&name).is_focused();
    for _ in 0..40 {
        if !focused(&window) {
            press(&mut window, Modifiers::NONE, Key::Tab);
        }
    }
    assert!(focused(&window), "Tab never came to {name}");
    press(&mut window, Modifiers::NONE, Key::Enter);
    assert_eq!(plan(&window), "SSS");
    press(&mut window, Modifiers::NONE, Key::Escape);
    assert!(!window.state().analysis().is_open);
}

#[test]
fn the_best_plan_follows_the_limit() {
    let (mut window, pace) = window();
    open(&mut window);
    click(&mut window, "Every fifth");
    window.get_by_label("Nothing was tried yet with these settings.");
    sweep(&mut window, &pace);
    assert_eq!(points(&window).len(), 16);
    let best = |window: &Window<'_>| {
        let mut points = points(window).into_iter();
        points.find(|name| name.ends_with("the best as asked"))
    };
    let knee = best(&window).expect("a knee");
    click(&mut window, "Quality");
    let like = best(&window).expect("one that is like LLL");
    let ssim = like.split("SSIM ").nth(1).and_then(|rest| rest.get(..5));
    assert!(ssim.is_some_and(|ssim| ssim >= "0.950"), "{like}");
    click(&mut window, "Time");
    // Ten seconds are enough for LLL itself.
    assert!(best(&window).expect("one").starts_with("LLL"));
    click(&mut window, "Knee");
    assert_eq!(best(&window).as_ref(), Some(&knee));
    click(&mut window, "Use the plan from the sweep");
    assert!(knee.starts_with(&plan(&window)), "{knee}");
}

#[test]
fn a_sweep_that_is_stopped_goes_on_from_there() {
    let (mut window, pace) = window();
    open(&mut window);
    pace.allow(3);
    click(&mut window, "Run the sweep");
    until(&mut window, |app| {
        let active = app.session().active();
        active
            .and_then(|run| run.sweep)
            .is_some_and(|sweep| sweep.done == 3)
    });
    window.get_by_label("Clip 4 of 5");
    assert_eq!(points(&window).len(), 3);
    click(&mut window, "Cancel the sweep");
    until(&mut window, |app| app.session().active().is_none());
    // The reference is rendered once more to hold the rest against.
    window.get_by_label_contains("3 clips to render");
    sweep(&mut window, &pace);
    assert_eq!(points(&window).len(), 5);
}

#[test]
fn boundaries_come_from_the_curve_as_well() {
    let (mut window, pace) = window();
    open(&mut window);
    pace.allow(8);
    click(&mut window, "Find boundaries");
    until(&mut window, |app| app.session().active().is_none());
    let (plan, boundaries) = (plan(&window), [12, 24]);
    let steps = |index| {
        let settings = window.state().document().settings();
        settings.plan.boundary_step(index, settings.steps)
    };
    assert!(
        plan.starts_with("LSL") && [steps(0), steps(1)] != boundaries,
        "{plan}"
    );
}

#[test]
fn the_page_fits_the_smallest_window() {
    let (mut window, pace) = window_of(1024.0, 640.0);
    open(&mut window);
    sweep(&mut window, &pace);
    // With all that the page can hold.
    click(&mut window, "Quality");
    let close = window.get_by_label("Close").rect();
    assert!(
        close.bottom() <= 640.0 && close.right() <= 1024.0,
        "{close}"
    );
}
