//! What outlives the window: finished runs and projects.

#![allow(clippy::disallowed_methods, reason = "a test spoils files on purpose")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::common::window::{
    Window, press, render, until_seen as until, window_at, window_opening,
};
use eframe::egui;
use egui::accesskit::Role;
use egui::{DroppedFile, Key, Modifiers};
use egui_kittest::kittest::Queryable as _;
use flowblend::app::Places;
use flowblend::project::{ProjectFile, Recipe, RunSettings};

fn places(folder: &Path) -> Places {
    Places {
        runs: Some(folder.join("runs")),
        drafts: Some(folder.join("drafts")),
        queue: Some(folder.join("queue.json")),
        prompts: Some(folder.join("prompts.json")),
        crashes: Some(folder.join("crashes")),
        export: Some(folder.join("export.json")),
        recent: Some(folder.join("recent.json")),
        settings: Some(folder.join("settings.json")),
        log: Some(folder.join("log/flowblend.log")),
    }
}

fn is_kept(window: &Window<'_>) -> bool {
    let runs = window.state().gallery().runs();
    runs.iter().all(|run| run.name.is_some())
}

fn click(window: &mut Window<'_>, label: &str) {
    // An entry of a menu has its keys behind its words.
    let is_meant = |name: &str| name == label || name.strip_prefix(label) == Some(" Del");
    window
        .get_by(|node| {
            matches!(node.role(), Role::Button | Role::Tab)
                && node.label().is_some_and(|name| is_meant(&name))
        })
        .click();
    window.run_steps(3);
}

fn type_path(window: &mut Window<'_>, field: &str, path: &Path) {
    until(window, |window| window.query_by_label(field).is_some());
    let node = window.get_by_role_and_label(Role::TextInput, field);
    node.focus();
    window.run_steps(2);
    press(window, Modifiers::COMMAND, Key::A);
    let field = window.get_by_role_and_label(Role::TextInput, field);
    field.type_text(&path.display().to_string());
    window.run_steps(2);
    press(window, Modifiers::NONE, Key::Enter);
}

fn set_seed(window: &mut Window<'_>, text: &str) {
    window
        .get_by_role_and_label(Role::TextInput, "Filter the runs")
        .focus();
    window.run_steps(2);
    press(window, Modifiers::COMMAND, Key::A);
    let field = window.get_by_role_and_label(Role::TextInput, "Filter the runs");
    field.type_text(text);
    window.run_steps(3);
}

#[test]
fn finished_runs_are_there_again_after_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut window, pace) = window_at(places(folder.path()));
    render(&mut window, &pace);
    until(&mut window, is_kept);
    let before = window.state().gallery().runs()[0]
        .finished()
        .expect("its clip");
    drop(window);

    let (mut window, _pace) = window_at(places(folder.path()));
    until(&mut window, |window| {
        window.state().gallery().runs().len() == 1
    });
    let run = &window.state().gallery().runs()[0];
    assert_eq!(run.settings(), &before.settings);
    assert_eq!(run.report().steps.len(), before.report.steps.len());
    assert_eq!(run.report().denoise_secs, before.report.denoise_secs);
    assert!(run.thumbnail.is_some() && run.clip().is_none());
    assert!(window.state().gallery().shown().is_none());

    let entry = window.get_by(|node| {
        node.role() == Role::Button && node.label().is_some_and(|name| name.starts_with("Run LSL"))
    });
    entry.click();
    until(&mut window, |window| {
        window.state().gallery().shown().is_some()
    });
    let shown = window.state().gallery().shown().and_then(|run| run.clip());
    assert_eq!(**shown.expect("its clip"), *before.clip);
    assert!(window.state().player().frame_count() > 0);
}

#[test]
fn runs_are_filtered_starred_deleted_and_brought_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut window, pace) = window_at(places(folder.path()));
    render(&mut window, &pace);
    until(&mut window, is_kept);
    assert!(
        window
            .query_by_label_contains("None of the 1 runs")
            .is_none()
    );
    set_seed(&mut window, "nowhere");
    assert!(
        window
            .query_by_label_contains("None of the 1 runs")
            .is_some()
    );
    set_seed(&mut window, "lsl");
    assert!(
        window
            .query_by_label_contains("None of the 1 runs")
            .is_none()
    );

    click(&mut window, "Only starred runs");
    assert!(
        window
            .query_by_label_contains("None of the 1 runs")
            .is_some()
    );
    click(&mut window, "Only starred runs");
    click(&mut window, "More about run LSL");
    click(&mut window, "Star");
    assert!(window.state().gallery().runs()[0].record.is_starred);

    click(&mut window, "More about run LSL");
    click(&mut window, "Delete");
    assert!(window.state().gallery().runs().is_empty());
    click(&mut window, "Undo");
    until(&mut window, |window| {
        window.state().gallery().runs().len() == 1
    });
    assert!(window.state().gallery().runs()[0].record.is_starred);
    drop(window);

    // The star was written down; a deletion is for good once the window is closed.
    let (mut window, _pace) = window_at(places(folder.path()));
    until(&mut window, |window| {
        window.state().gallery().runs().len() == 1
    });
    assert!(window.state().gallery().runs()[0].record.is_starred);
    click(&mut window, "More about run LSL");
    click(&mut window, "Delete");
    drop(window);
    let left = std::fs::read_dir(folder.path().join("runs")).expect("the folder");
    assert_eq!(left.count(), 0);
}

#[test]
fn a_project_is_saved_opened_and_asked_about() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("work.flowblend");
    let (mut window, _pace) = window_at(places(folder.path()));
    let fresh = window.state().document().settings().clone();
    press(&mut window, Modifiers::NONE, Key::OpenBracket);
    let edited = window.state().document().settings().clone();
    assert_ne!(edited, fresh);

    // The ending is ours to add.
    press(&mut window, Modifiers::COMMAND, Key::S);
    type_path(&mut window, "File to save to", &file.with_extension(""));
    until(&mut window, |_| file.exists());
    assert_eq!(
        ProjectFile::open(&file).expect("a project").settings,
        edited
    );
    assert!(!window.state().document().is_edited());

    press(&mut window, Modifiers::NONE, Key::OpenBracket);
    press(&mut window, Modifiers::COMMAND, Key::N);
    click(&mut window, "Cancel");
    assert_ne!(window.state().document().settings(), &fresh);
    press(&mut window, Modifiers::COMMAND, Key::N);
    click(&mut window, "Discard");
    assert_eq!(window.state().document().settings(), &fresh);

    press(&mut window, Modifiers::COMMAND, Key::O);
    type_path(&mut window, "File to open", &file);
    until(&mut window, |window| {
        *window.state().document().settings() == edited
    });
    assert!(!window.state().document().is_edited());

    // Another file is not replaced unasked.
    let other = folder.path().join("other.flowblend");
    std::fs::write(&other, "theirs").expect("written");
    press(&mut window, Modifiers::COMMAND | Modifiers::SHIFT, Key::S);
    type_path(&mut window, "File to save to", &other);
    assert!(window.query_by_label_contains("exists already").is_some());
    assert_eq!(std::fs::read(&other).expect("readable"), b"theirs");

    // Saved under its name without another question.
    press(&mut window, Modifiers::NONE, Key::OpenBracket);
    let again = window.state().document().settings().clone();
    press(&mut window, Modifiers::COMMAND, Key::N);
    click(&mut window, "Save");
    assert_eq!(window.state().document().settings(), &fresh);
    assert_eq!(ProjectFile::open(&file).expect("a project").settings, again);
}

#[test]
fn a_kept_clip_opens_as_a_recipe_and_other_files_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut window, pace) = window_at(places(folder.path()));
    render(&mut window, &pace);
    until(&mut window, is_kept);
    let rendered = window.state().document().settings().clone();
    press(&mut window, Modifiers::NONE, Key::OpenBracket);
    assert_ne!(window.state().document().settings(), &rendered);
    let run = std::fs::read_dir(folder.path().join("runs")).expect("the folder");
    let run = run.flatten().next().expect("one run").path();
    let clip = std::fs::read_dir(run).expect("the run").flatten();
    let clip = clip
        .map(|entry| entry.path())
        .find(|path| path.file_stem().is_some_and(|stem| stem == "clip"))
        .expect("its clip");
    let comment = flowblend::media::read_comment(&clip).expect("readable");
    let recipe = Recipe::from_json(&comment.expect("a comment")).expect("a recipe");
    assert_eq!(recipe.settings, rendered);

    press(&mut window, Modifiers::COMMAND, Key::O);
    click(&mut window, "Discard");
    type_path(&mut window, "File to open", &clip);
    until(&mut window, |window| {
        *window.state().document().settings() == rendered
    });
    press(&mut window, Modifiers::COMMAND, Key::Z);
    assert_ne!(window.state().document().settings(), &rendered);

    let other = folder.path().join("other.flowblend");
    std::fs::write(&other, "{}").expect("written");
    press(&mut window, Modifiers::COMMAND, Key::O);
    click(&mut window, "Discard");
    type_path(&mut window, "File to open", &other);
    until(&mut window, |window| {
        window
            .query_by_label_contains("is no flowblend project")
            .is_some()
    });
}

/// A file as the desktop hands it over.
#[derive(Debug)]
struct Dropped(PathBuf);

impl DroppedFile for Dropped {
    fn path(&self) -> &Path {
        &self.0
    }

    fn bytes(&self) -> Result<Vec<u8>, String> {
        std::fs::read(&self.0).map_err(|why| why.to_string())
    }
}

#[test]
fn a_dropped_clip_restores_its_settings_and_a_dropped_project_asks_first() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut window, pace) = window_at(places(folder.path()));
    press(&mut window, Modifiers::NONE, Key::OpenBracket);
    render(&mut window, &pace);
    until(&mut window, is_kept);
    let rendered = window.state().document().settings().clone();
    let project = folder.path().join("work.flowblend");
    let saved = RunSettings {
        seed: 5,
        ..rendered.clone()
    };
    ProjectFile::new(saved.clone())
        .save(&project)
        .expect("saved");
    let run = std::fs::read_dir(folder.path().join("runs")).expect("the folder");
    let run = run.flatten().next().expect("one run").path();
    let clip = std::fs::read_dir(run).expect("the run").flatten();
    let mut files = clip.map(|entry| entry.path());
    let clip = files.find(|path| path.file_stem().is_some_and(|stem| stem == "clip"));
    let clip = clip.expect("its clip");

    press(&mut window, Modifiers::NONE, Key::OpenBracket);
    let edited = window.state().document().settings().clone();
    assert_ne!(edited, rendered);
    let drop = |window: &mut Window<'_>, path: PathBuf| {
        let file = Arc::new(Dropped(path));
        window.input_mut().dropped_files.push(file);
        window.run_steps(3);
    };
    drop(&mut window, clip.clone());
    until(&mut window, |window| {
        *window.state().document().settings() == rendered
    });
    press(&mut window, Modifiers::COMMAND, Key::Z);
    assert_eq!(*window.state().document().settings(), edited);

    drop(&mut window, project.clone());
    click(&mut window, "Discard");
    until(&mut window, |window| {
        *window.state().document().settings() == saved
    });

    // The same files on the command line.
    for (file, expected) in [(clip, &rendered), (project, &saved)] {
        let (mut window, _pace) = window_opening(Some(file), places(folder.path()));
        until(&mut window, |window| {
            window.state().document().settings() == expected
        });
    }
}

#[test]
fn the_queue_takes_turns_can_be_put_in_order_and_outlives_the_window() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut window, pace) = window_at(places(folder.path()));
    let enqueue = Modifiers::COMMAND | Modifiers::SHIFT;
    let steps = |window: &Window<'_>| -> Vec<usize> {
        let waiting = window.state().queue().waiting().iter();
        waiting
            .map(|run| run.settings.plan.boundary_step(0, 30))
            .collect()
    };
    // The first begins at once; the others wait.
    for _ in 0..4 {
        press(&mut window, enqueue, Key::Enter);
        press(&mut window, Modifiers::NONE, Key::OpenBracket);
    }
    assert_eq!(steps(&window), [11, 10, 9]);
    assert!(window.state().queue().going().is_some());
    click(&mut window, "Move run 3 earlier");
    click(&mut window, "Remove run 1 from the queue");
    assert_eq!(steps(&window), [9, 10]);
    click(&mut window, "Undo");
    assert_eq!(steps(&window), [11, 9, 10]);
    click(&mut window, "Remove run 1 from the queue");
    assert_eq!(steps(&window), [9, 10]);

    // What Generate asks for comes next, without harm to the one that is going.
    press(&mut window, Modifiers::COMMAND, Key::Enter);
    assert_eq!(steps(&window), [8, 9, 10]);
    click(&mut window, "Pause");
    pace.allow(31);
    until(&mut window, |window| {
        window.state().gallery().runs().len() == 1
    });
    assert!(window.state().session().active().is_none());
    click(&mut window, "Resume");
    assert_eq!(steps(&window), [9, 10]);
    drop(window);

    let (mut window, pace) = window_at(places(folder.path()));
    assert_eq!(steps(&window), [8, 9, 10]);
    assert!(window.state().session().active().is_none());
    click(&mut window, "Queue (3)");
    pace.allow(93);
    click(&mut window, "Resume");
    until(&mut window, |window| {
        window.state().gallery().runs().len() == 4
    });
    assert!(window.state().queue().waiting().is_empty());

    // Four entries, one under the other.
    click(&mut window, "Runs");
    let entries = window.get_all_by(|node| {
        node.role() == Role::Button && node.label().is_some_and(|name| name.starts_with("Run LSL"))
    });
    let places: Vec<_> = entries.map(|entry| entry.rect()).collect();
    assert_eq!(places.len(), 4);
    assert!(
        places
            .windows(2)
            .all(|pair| pair[0].bottom() < pair[1].top())
    );
}

#[test]
fn live_mode_renders_when_the_hand_rests_and_stops_when_it_moves() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut window, pace) = window_at(places(folder.path()));
    render(&mut window, &pace);
    window.get_by_label("Live rendering").click();
    window.run_steps(3);
    let active = |window: &Window<'_>| {
        let active = window.state().session().active();
        active.map(|run| (run.id, run.settings.plan.boundary_step(0, 30)))
    };
    press(&mut window, Modifiers::NONE, Key::OpenBracket);
    window.step();
    assert_eq!(active(&window), None);
    until(&mut window, |window| active(window).is_some());
    let (first, step) = active(&window).expect("a run");
    assert_eq!(step, 11);

    // Moved again: that run is not wanted any more, and the next rest starts another.
    press(&mut window, Modifiers::NONE, Key::OpenBracket);
    pace.allow(200);
    until(&mut window, |window| {
        active(window).is_some_and(|(id, _)| id != first)
            || window.state().gallery().runs().len() == 2
    });
    until(&mut window, |window| {
        window.state().gallery().runs().len() == 2
    });
    let newest = window.state().gallery().runs()[0].settings();
    assert_eq!(newest.plan.boundary_step(0, 30), 10);

    // A plan that was rendered before is there at once, without a run.
    for _ in 0..2 {
        press(&mut window, Modifiers::NONE, Key::CloseBracket);
    }
    until(&mut window, |window| {
        let shown = window.state().gallery().shown();
        shown.is_some_and(|run| run.settings().plan.boundary_step(0, 30) == 12)
    });
    assert_eq!(window.state().gallery().runs().len(), 2);
}

#[test]
fn the_palette_finds_commands_and_the_keyboard_fetches_earlier_prompts() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut window, pace) = window_at(places(folder.path()));
    press(&mut window, Modifiers::COMMAND, Key::P);
    window
        .get_by_role_and_label(Role::TextInput, "Command")
        .type_text("keyboard");
    window.run_steps(3);
    press(&mut window, Modifiers::NONE, Key::Enter);
    assert!(window.query_by_label("Play backwards").is_some());
    press(&mut window, Modifiers::NONE, Key::Escape);
    assert!(window.query_by_label("Play backwards").is_none());

    render(&mut window, &pace);
    let first = window.state().document().settings().prompt.clone();
    let type_prompt = |window: &mut Window<'_>, text: &str| {
        let prompt = |window: &mut Window<'_>| {
            window
                .get_by_role_and_label(Role::MultilineTextInput, "Prompt")
                .focus();
            window.run_steps(2);
        };
        prompt(window);
        press(window, Modifiers::COMMAND, Key::A);
        let field = window.get_by_role_and_label(Role::MultilineTextInput, "Prompt");
        field.type_text(text);
        window.run_steps(3);
    };
    type_prompt(&mut window, "a white star");
    render(&mut window, &pace);
    type_prompt(&mut window, "a cyan");
    let now = |window: &Window<'_>| window.state().document().settings().prompt.clone();
    press(&mut window, Modifiers::ALT, Key::ArrowUp);
    assert_eq!(now(&window), "a white star");
    press(&mut window, Modifiers::ALT, Key::ArrowUp);
    assert_eq!(now(&window), first);
    press(&mut window, Modifiers::ALT, Key::ArrowDown);
    press(&mut window, Modifiers::ALT, Key::ArrowDown);
    assert_eq!(now(&window), "a cyan");
    drop(window);

    let (mut window, _pace) = window_at(places(folder.path()));
    press(&mut window, Modifiers::ALT, Key::ArrowUp);
    assert_eq!(now(&window), "a white star");
}
