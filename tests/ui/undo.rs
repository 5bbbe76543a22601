//! One order of undo for edits and for what is taken away beside them.

use crate::common::timeline::boundary_step;
use crate::common::window::{CTRL_SHIFT, Window, click, press, render, until, window, window_at};
use eframe::egui;
use egui::accesskit::Role;
use egui::{Key, Modifiers};
use egui_kittest::kittest::Queryable as _;
use flowblend::app::{App, Places};

fn undo(window: &mut Window<'_>) {
    press(window, Modifiers::COMMAND, Key::Z);
}

fn redo(window: &mut Window<'_>) {
    press(window, Modifiers::COMMAND, Key::Y);
}

fn steps(app: &App) -> usize {
    app.session().active().map_or(0, |run| run.steps_done())
}

/// The step of the first boundary, and the runs that rest.
fn state(window: &Window<'_>) -> (usize, usize) {
    let resting = window.state().paused().runs().len();
    (boundary_step(window, 0), resting)
}

#[test]
fn a_dropped_run_comes_back_in_one_order_with_the_edits() {
    let (mut window, pace) = window();
    press(&mut window, Modifiers::NONE, Key::OpenBracket);
    press(&mut window, Modifiers::COMMAND, Key::Enter);
    pace.allow(2);
    until(&mut window, |app| steps(app) == 2);
    press(&mut window, CTRL_SHIFT, Key::P);
    pace.allow(1);
    until(&mut window, |app| !app.paused().runs().is_empty());
    click(&mut window, "Drop: Paused at step 3 of 30");
    press(&mut window, Modifiers::NONE, Key::OpenBracket);
    let dropped = "The paused run was dropped";
    assert!(window.query_by_label(dropped).is_some());
    assert_eq!(state(&window), (10, 0));

    for expected in [(11, 0), (11, 1), (12, 1), (12, 1)] {
        undo(&mut window);
        assert_eq!(state(&window), expected);
    }
    assert!(window.query_by_label(dropped).is_none());
    for expected in [(11, 1), (11, 0), (10, 0), (10, 0)] {
        redo(&mut window);
        assert_eq!(state(&window), expected);
    }
    assert!(window.query_by_label(dropped).is_some());
    undo(&mut window);
    undo(&mut window);

    // The button of the message is the same undo: what it brought back can be dropped again.
    click(&mut window, "Drop: Paused at step 3 of 30");
    click(&mut window, "Undo");
    assert_eq!(state(&window), (11, 1));
    let words = |window: &Window<'_>| {
        let document = window.state().document();
        (document.undo_words(), document.redo_words())
    };
    assert_eq!(words(&window), (Some("boundary"), Some("dropped run")));
    redo(&mut window);
    assert_eq!(words(&window), (Some("dropped run"), None));
    // Somebody renders it to its end: nothing is left to bring back.
    pace.allow(31);
    press(&mut window, Modifiers::COMMAND, Key::Enter);
    until(&mut window, |app| app.gallery().runs().len() == 1);
    assert_eq!(words(&window), (Some("boundary"), None));
    undo(&mut window);
    assert_eq!(state(&window), (12, 0));
}

#[test]
fn deleted_runs_and_those_taken_out_of_the_queue_come_back_the_last_one_first() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut window, pace) = window_at(Places {
        runs: Some(folder.path().join("runs")),
        ..Places::default()
    });
    render(&mut window, &pace);
    let is_kept = |app: &App| app.gallery().runs().iter().all(|run| run.name.is_some());
    until(&mut window, is_kept);
    let seen = |window: &Window<'_>| {
        let app = window.state();
        (app.gallery().runs().len(), app.queue().waiting().len())
    };
    // One run is going, two wait for it.
    press(&mut window, Modifiers::NONE, Key::OpenBracket);
    press(&mut window, Modifiers::COMMAND, Key::Enter);
    for _ in 0..2 {
        press(&mut window, Modifiers::NONE, Key::OpenBracket);
        press(&mut window, CTRL_SHIFT, Key::Enter);
    }
    assert_eq!(seen(&window), (1, 2));
    let order = |window: &Window<'_>| -> Vec<u64> {
        let waiting = window.state().queue().waiting();
        waiting.iter().map(|run| run.id).collect()
    };
    let before = order(&window);
    click(&mut window, "Remove run 1 from the queue");
    assert_eq!(seen(&window), (1, 1));
    window.get_by_role_and_label(Role::Tab, "Runs").click();
    window.run_steps(3);
    click(&mut window, "More about run LSL");
    click(&mut window, "Delete");
    assert_eq!(seen(&window), (0, 1));

    undo(&mut window);
    until(&mut window, |app| app.gallery().runs().len() == 1);
    assert_eq!(seen(&window), (1, 1));
    undo(&mut window);
    assert_eq!(order(&window), before);
    redo(&mut window);
    redo(&mut window);
    assert_eq!(seen(&window), (0, 1));
    undo(&mut window);
    until(&mut window, |app| app.gallery().runs().len() == 1);
    // With the run that was taken out its turn has come.
    undo(&mut window);
    pace.allow(3 * 31);
    until(&mut window, |app| app.gallery().runs().len() == 4);
    // What has begun cannot be taken out of the queue again.
    redo(&mut window);
    assert_eq!(seen(&window), (4, 0));
    assert_eq!(window.state().document().undo_words(), Some("boundary"));
}
