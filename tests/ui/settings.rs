//! What a person sets once, over a pipeline without models.

#![allow(clippy::disallowed_methods, reason = "a test spoils files on purpose")]

use std::fs;
use std::path::Path;

use crate::common::window::{Window, press, render, until, until_seen, window_at};
use eframe::egui;
use egui::accesskit::Role;
use egui::{Key, Modifiers};
use egui_kittest::kittest::{NodeT as _, Queryable as _};
use flowblend::app::Places;
use flowblend::engine::DeviceChoice;
use flowblend::project::{Look, Preferences};

fn places(folder: &Path) -> Places {
    Places {
        settings: Some(folder.join("settings.json")),
        drafts: Some(folder.join("drafts")),
        ..Places::default()
    }
}

fn set(window: &Window<'_>) -> Preferences {
    window.state().settings().preferences().clone()
}

fn open(window: &mut Window<'_>) {
    press(window, Modifiers::COMMAND, Key::Comma);
    window.get_by_label("Usual settings");
}

fn click(window: &mut Window<'_>, label: &str) {
    window.get_by_label(label).click();
    window.run_steps(3);
}

fn close(window: &mut Window<'_>) {
    press(window, Modifiers::NONE, Key::Escape);
    assert!(window.query_by_label("Usual settings").is_none());
}

#[test]
fn what_is_set_is_carried_out_at_once_and_at_the_next_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut first, _pace) = window_at(places(folder.path()));
    assert_eq!(first.ctx.theme(), egui::Theme::Dark);
    open(&mut first);
    click(&mut first, "Look: Light");
    assert_eq!(first.ctx.theme(), egui::Theme::Light);
    click(&mut first, "Loop clips");
    assert!(!first.state().player().is_looping());
    click(&mut first, "Size 90 %");
    assert!((first.ctx.zoom_factor() - 0.9).abs() < 1e-3);
    close(&mut first);
    // The keys of the window and this page are one choice.
    press(&mut first, Modifiers::NONE, Key::L);
    let kept = set(&first);
    assert_eq!((kept.look, kept.scale_percent), (Look::Light, 90.0));
    // Dropping the window waits for what is written.
    drop(first);

    let (mut second, _pace) = window_at(places(folder.path()));
    assert_eq!(set(&second), kept);
    assert_eq!(second.ctx.theme(), egui::Theme::Light);
    assert!(!second.state().player().is_looping());
    open(&mut second);
    click(&mut second, "Usual settings");
    assert_eq!(set(&second), Preferences::default());
    assert!(second.state().player().is_looping());
    let usual = second.get_by_label("Usual settings");
    assert!(usual.accesskit_node().is_disabled());
}

#[test]
fn a_broken_file_is_told_once_and_stays_until_something_is_set() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("settings.json");
    fs::write(&file, "not json").expect("a file");
    let (mut window, _pace) = window_at(places(folder.path()));
    window.get_by_label_contains("could not all be read");
    assert_eq!(set(&window), Preferences::default());
    press(&mut window, Modifiers::NONE, Key::Escape);
    window.run_steps(5);
    assert!(
        window
            .query_by_label_contains("could not all be read")
            .is_none()
    );
    assert_eq!(fs::read_to_string(&file).expect("the file"), "not json");
    open(&mut window);
    // The preview has a button of this name.
    window
        .get_by_role_and_label(Role::CheckBox, "Smooth pixels")
        .click();
    window.run_steps(3);
    drop(window);
    let (kept, why) = Preferences::read(&file);
    assert_eq!((kept.is_smooth, why), (false, None));
}

#[test]
fn another_device_is_taken_by_the_next_run() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut window, pace) = window_at(places(folder.path()));
    let device = |window: &Window<'_>| {
        let shown = window.state().gallery().shown().expect("a run");
        shown.report().device.clone()
    };
    render(&mut window, &pace);
    assert_eq!(device(&window), "CPU · 2 threads");
    open(&mut window);
    for (missing, why) in [("CUDA", "no CUDA"), ("Metal", "no Metal")] {
        if cfg!(any(feature = "cuda", feature = "metal")) {
            continue;
        }
        assert!(window.get_by_label(missing).accesskit_node().is_disabled());
        window.get_by_label(missing).hover();
        // Long enough for the tooltip.
        window.run_steps(60);
        window.get_by_label_contains(why);
    }
    window.get_by_role_and_label(Role::Button, "CPU").click();
    // The engine tells what the pair is like there.
    until_seen(&mut window, |window| {
        window.query_by_label_contains("In use: cpu").is_some()
    });
    // Another number of threads waits for the next start, and says so.
    click(&mut window, "As many as");
    window.get_by_label("Taken at the next start of flowblend");
    close(&mut window);
    render(&mut window, &pace);
    assert_eq!(device(&window), "cpu");
    drop(window);
    let (kept, _) = Preferences::read(&folder.path().join("settings.json"));
    assert_eq!(kept.device, DeviceChoice::Cpu);
    assert!(kept.threads.is_some());
}

#[test]
fn the_live_picture_can_be_left_out() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut window, pace) = window_at(places(folder.path()));
    let steps = |app: &flowblend::app::App| {
        let active = app.session().active();
        active.map_or(0, |active| active.steps_done())
    };
    open(&mut window);
    click(&mut window, "Show the live picture");
    close(&mut window);
    press(&mut window, Modifiers::COMMAND, Key::Enter);
    pace.allow(5);
    until(&mut window, |app| steps(app) == 5);
    assert!(window.state().session().preview().is_none());
    pace.allow(26);
    until(&mut window, |app| app.session().active().is_none());

    open(&mut window);
    click(&mut window, "Show the live picture");
    close(&mut window);
    // What was rendered already would be shown at once.
    press(&mut window, Modifiers::NONE, Key::OpenBracket);
    press(&mut window, Modifiers::COMMAND, Key::Enter);
    pace.allow(5);
    until(&mut window, |app| {
        steps(app) == 5 && app.session().preview().is_some()
    });
}

#[test]
fn a_folder_is_typed_whole() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut window, _pace) = window_at(places(folder.path()));
    let field = "Folder: Exports";
    let typed = |window: &mut Window<'_>, text: &str| {
        window.get_by_role_and_label(Role::TextInput, field).focus();
        window.run_steps(2);
        press(window, Modifiers::COMMAND, Key::A);
        let field = window.get_by_role_and_label(Role::TextInput, field);
        field.type_text(text);
        window.run_steps(2);
    };
    open(&mut window);
    typed(&mut window, "films");
    window.get_by_label_contains("Give a whole path");
    press(&mut window, Modifiers::NONE, Key::Enter);
    assert_eq!(set(&window).export_folder, None);
    let films = folder.path().join("films");
    typed(&mut window, &films.display().to_string());
    press(&mut window, Modifiers::NONE, Key::Enter);
    assert_eq!(set(&window).export_folder, Some(films));
}

#[test]
fn without_autosave_no_draft_is_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut window, _pace) = window_at(places(folder.path()));
    let drafts = || {
        let entries = fs::read_dir(folder.path().join("drafts")).expect("the folder");
        entries
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter(|name| name.ends_with(".json"))
            .count()
    };
    click(&mut window, "Plan SSS");
    until(&mut window, |_| drafts() == 1);
    open(&mut window);
    click(&mut window, "Write drafts");
    // What was written goes, and nothing follows.
    until(&mut window, |_| drafts() == 0);
    click(&mut window, "Write drafts");
    until(&mut window, |_| drafts() == 1);
}
