//! The window over a pipeline without models, and what a person does with it.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use eframe::egui;
use egui::accesskit::Role;
use egui::{Key, Modifiers, vec2};
use egui_kittest::Harness;
use egui_kittest::kittest::Queryable as _;
use flowblend::app::{App, Places};
use flowblend::engine::PipelineFactory;

use super::{Pace, fake};

/// The window under test.
pub type Window<'a> = Harness<'a, App>;

/// The window with the pair described.
pub fn window<'a>() -> (Window<'a>, Pace) {
    window_of(1440.0, 900.0)
}

/// The same at another size.
pub fn window_of<'a>(width: f32, height: f32) -> (Window<'a>, Pace) {
    window_over(fake(), width, height)
}

/// The window over a pipeline.
pub fn window_over<'a>(
    (factory, pace): (PipelineFactory, Pace),
    width: f32,
    height: f32,
) -> (Window<'a>, Pace) {
    let mut window = Harness::builder()
        .with_size(vec2(width, height))
        .with_step_dt(1.0 / 60.0)
        .with_max_steps(64)
        .build_eframe(|cc| App::new(cc, factory).expect("the engine starts"));
    until(&mut window, |app| {
        !app.document().settings().prompt.is_empty()
    });
    leave_prompt(&mut window);
    (window, pace)
}

/// Takes the keyboard from the prompt, which has it at the start, so that letters are keys.
pub fn leave_prompt(window: &mut Window<'_>) {
    press(window, Modifiers::NONE, Key::Escape);
}

/// Draws frames until `done`. The engine has a thread of its own, so this waits on real time.
pub fn until(window: &mut Window<'_>, done: impl Fn(&App) -> bool) {
    let patience = Instant::now() + Duration::from_secs(60);
    while !done(window.state()) {
        assert!(
            Instant::now() < patience,
            "what was waited for never happened"
        );
        window.step();
        std::thread::yield_now();
    }
    window.run_steps(3);
}

/// A key, and time for what it does.
pub fn press(window: &mut Window<'_>, modifiers: Modifiers, key: Key) {
    window.key_press_modifiers(modifiers, key);
    window.run_steps(3);
}

/// Both keys that are held for the rarer of two commands.
pub const CTRL_SHIFT: Modifiers = Modifiers {
    shift: true,
    ..Modifiers::COMMAND
};

/// Clicks the button whose name begins with `label`.
pub fn click(window: &mut Window<'_>, label: &str) {
    window
        .get_by(|node| {
            node.role() == Role::Button && node.label().is_some_and(|name| name.starts_with(label))
        })
        .click();
    window.run_steps(3);
}

/// A window that keeps things in `places`, with its pair described.
pub fn window_at<'a>(places: Places) -> (Window<'a>, Pace) {
    window_opening(None, places)
}

/// The same that opens a file at the start, where one is given.
pub fn window_opening<'a>(file: Option<PathBuf>, places: Places) -> (Window<'a>, Pace) {
    let (factory, pace) = fake();
    let mut window = Harness::builder()
        .with_size(vec2(1440.0, 900.0))
        .with_step_dt(1.0 / 60.0)
        .with_max_steps(64)
        .build_eframe(|cc| {
            let app = App::new(cc, factory).expect("the engine starts");
            let app = app.with_places(places);
            match file {
                Some(file) => app.with_file(file),
                None => app,
            }
        });
    until(&mut window, |app| app.pair().is_some());
    leave_prompt(&mut window);
    (window, pace)
}

/// [`until`] for what only the drawn window tells.
pub fn until_seen(window: &mut Window<'_>, done: impl Fn(&Window<'_>) -> bool) {
    let patience = Instant::now() + Duration::from_secs(60);
    while !done(window) {
        assert!(
            Instant::now() < patience,
            "what was waited for never happened"
        );
        window.step();
        std::thread::yield_now();
    }
    window.run_steps(3);
}

/// Renders the document to the end.
pub fn render(window: &mut Window<'_>, pace: &Pace) {
    let before = window.state().gallery().runs().len();
    pace.allow(31);
    press(window, Modifiers::COMMAND, Key::Enter);
    until(window, |app| app.gallery().runs().len() > before);
}
