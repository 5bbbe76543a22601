//! What happened: the log, its file, and the details of an error, over a pipeline without models.

use std::fs;

use crate::common::window::{Window, press, render, until, window_at};
use eframe::egui;
use egui::accesskit::Role;
use egui::{Key, Modifiers, OutputCommand};
use egui_kittest::kittest::Queryable as _;
use flowblend::app::Places;

fn click(window: &mut Window<'_>, label: &str) {
    window.get_by_label(label).click();
    window.run_steps(3);
}

/// What a click on a button copies.
fn copied(window: &mut Window<'_>, label: &str) -> String {
    window.get_by_label(label).click();
    let mut texts = Vec::new();
    for _ in 0..5 {
        window.step();
        for command in &window.output().platform_output.commands {
            if let OutputCommand::CopyText(text) = command {
                texts.push(text.clone());
            }
        }
    }
    assert_eq!(texts.len(), 1, "{label}");
    texts.remove(0)
}

/// Asks for a run that the fake refuses.
fn fail(window: &mut Window<'_>) {
    let prompt = |window: &Window<'_>, act: fn(egui_kittest::Node<'_>)| {
        act(window.get_by_role_and_label(Role::MultilineTextInput, "Prompt"));
    };
    prompt(window, |field| field.focus());
    window.run_steps(2);
    prompt(window, |field| field.type_text(" fail"));
    window.run_steps(2);
    press(window, Modifiers::COMMAND, Key::Enter);
    until(window, |app| {
        app.session().active().is_none() && app.log().listed().any(|line| line.is_error)
    });
}

#[test]
fn runs_and_messages_are_listed_and_errors_alone_on_demand() {
    let (mut window, pace) = window_at(Places::default());
    press(&mut window, Modifiers::COMMAND, Key::L);
    window.get_by_label("Nothing happened so far.");
    click(&mut window, "Close");
    render(&mut window, &pace);
    fail(&mut window);
    click(&mut window, "Show the log");
    window.get_by_label_contains("Run 1 started: LSL 0.40/0.80, 30 steps, 64×64, 17 frames, seed");
    window.get_by_label_contains("Run 1 finished in");
    window.get_by_label_contains("Run 2 failed: The weights of the large model are missing");
    // The failure and its message are one line.
    let lines: Vec<_> = window.state().log().listed().cloned().collect();
    assert_eq!(lines.iter().filter(|line| line.is_error).count(), 1);
    assert!(lines.is_sorted_by(|a, b| a.at <= b.at));

    let all = copied(&mut window, "Copy all");
    assert_eq!(all.lines().count(), lines.len());
    assert!(
        all.lines()
            .next()
            .is_some_and(|line| line.contains(" info: Run 1 started"))
    );
    click(&mut window, "Errors only");
    assert!(window.query_by_label_contains("Run 1 finished").is_none());
    assert_eq!(copied(&mut window, "Copy all").lines().count(), 1);
    click(&mut window, "Clear");
    window.get_by_label("Nothing went wrong so far.");
    press(&mut window, Modifiers::NONE, Key::Escape);
    assert!(!window.state().log().is_open);
}

#[test]
fn an_errors_details_are_copied_with_the_settings_of_its_run() {
    let (mut window, _pace) = window_at(Places::default());
    fail(&mut window);
    let details = copied(&mut window, "Copy details");
    let mut lines = details.lines();
    assert!(
        lines
            .next()
            .is_some_and(|line| line.starts_with("The weights of the large model"))
    );
    for part in [
        "Time: 2",
        concat!("Version: flowblend ", env!("CARGO_PKG_VERSION")),
        "Device: CPU · 2 threads",
    ] {
        assert!(details.contains(part), "{part} is missing from {details}");
    }
    let (_, json) = details.split_once("Settings: ").expect("the settings");
    let settings: flowblend::project::RunSettings =
        serde_json::from_str(json).expect("settings as JSON");
    assert!(settings.prompt.contains("fail"));
    click(&mut window, "Dismiss message");
    assert!(window.query_by_label("Copy details").is_none());
}

#[test]
fn what_happens_goes_into_a_file_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("log/flowblend.log");
    let (mut window, pace) = window_at(Places {
        log: Some(file.clone()),
        ..Places::default()
    });
    render(&mut window, &pace);
    press(&mut window, Modifiers::COMMAND, Key::L);
    window.get_by_label(&format!("Also written to {}", file.display()));
    drop(window);
    let text = fs::read_to_string(&file).expect("the log file");
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 2, "{text}");
    assert!(lines[0].contains("Run 1 started: ") && lines[1].contains("Run 1 finished in "));
}
