//! Clips of an earlier start that need not be rendered again.

#![allow(clippy::disallowed_methods, reason = "a test spoils files on purpose")]

use crate::common::window::{Window, click, press, render, until_seen as until, window_at};
use eframe::egui;
use egui::{Key, Modifiers};
use egui_kittest::kittest::Queryable as _;
use flowblend::app::Places;

#[test]
fn a_clip_of_an_earlier_start_is_shown_at_once_unless_other_models_or_programs_made_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let places = || Places {
        runs: Some(folder.path().join("runs")),
        ..Places::default()
    };
    let (mut window, pace) = window_at(places());
    render(&mut window, &pace);
    until(&mut window, |window| {
        let runs = window.state().gallery().runs();
        runs.iter().all(|run| run.name.is_some())
    });
    drop(window);

    let again = || {
        let (mut window, pace) = window_at(places());
        until(&mut window, |window| {
            window.state().gallery().runs().len() == 1
        });
        press(&mut window, Modifiers::COMMAND, Key::Enter);
        (window, pace)
    };
    let (mut window, _pace) = again();
    assert!(window.state().session().active().is_none());
    until(&mut window, |window| {
        window.state().gallery().shown().is_some()
    });
    assert_eq!(window.state().player().frame_count(), 17);
    let is_there = |window: &Window<'_>| {
        let said = window.query_by_label_contains("the clip is there");
        said.is_some()
    };
    assert!(is_there(&window));
    // Of a seed that is yet to be drawn there is no clip.
    click(&mut window, "Seed is locked");
    assert!(!is_there(&window));
    drop(window);

    // The same settings with other weights, or by another version; and a record of a version that named no source.
    let runs = std::fs::read_dir(folder.path().join("runs")).expect("the folder");
    let run = runs.flatten().next().expect("the run").path();
    let record = run.join("run.json");
    let written = std::fs::read_to_string(&record).expect("the record");
    let mut changed: serde_json::Value = serde_json::from_str(&written).expect("JSON");
    for source in [Some("another"), Some(""), None] {
        let report = changed["report"].as_object_mut().expect("the report");
        match source {
            Some(source) => report.insert("source".to_owned(), source.into()),
            None => report.remove("source"),
        };
        std::fs::write(&record, changed.to_string()).expect("the record");
        let (window, _pace) = again();
        assert!(window.state().session().active().is_some(), "{source:?}");
    }
}
