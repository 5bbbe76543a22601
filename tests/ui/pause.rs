//! Runs that rest between two steps, as a person at the window meets them.

use std::path::Path;

use crate::common::window::{
    CTRL_SHIFT, Window, click, press, until, until_seen, window, window_at,
};
use eframe::egui;
use egui::accesskit::Role;
use egui::{Key, Modifiers, vec2};
use egui_kittest::Harness;
use egui_kittest::kittest::Queryable as _;
use flowblend::app::{App, Places};
use flowblend::engine::{EngineOptions, PairPipeline, Pipeline as _, PipelineFactory, RunRequest};
use flowblend::project::{ProjectFile, RunSettings};
use flowblend::sampler::Cancel;

fn rests(app: &App) -> Option<usize> {
    let idle = app.session().active().is_none();
    app.paused().shown().filter(|_| idle).map(|r| r.run.steps)
}

#[test]
fn a_run_is_paused_looked_at_and_gone_on_with() {
    let (mut window, pace) = window();
    assert!(window.query_by_label_contains("Paused at").is_none());
    press(&mut window, Modifiers::COMMAND, Key::Enter);
    pace.allow(11);
    let steps = |app: &App| app.session().active().map_or(0, |run| run.steps_done());
    until(&mut window, |app| steps(app) == 11);
    press(&mut window, CTRL_SHIFT, Key::P);
    // The step that is going is finished first.
    assert_eq!(steps(window.state()), 11);
    assert!(
        window
            .query_by_label_contains("pauses after this step")
            .is_some()
    );
    pace.allow(1);
    until(&mut window, |app| rests(app) == Some(12));
    // In the status bar and on its card.
    let words = window.query_all_by_label("Paused at step 12 of 30");
    assert_eq!(words.count(), 2);

    // The estimate plays on: all its frames, one after the other.
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..240 {
        window.step();
        seen.insert(window.state().player().frame_index());
    }
    assert_eq!(seen.len(), 5, "{seen:?}");

    // The device is free: another run goes through, and the paused one still rests.
    press(&mut window, Modifiers::NONE, Key::OpenBracket);
    pace.allow(31);
    press(&mut window, Modifiers::COMMAND, Key::Enter);
    until(&mut window, |app| app.gallery().runs().len() == 1);
    assert!(window.state().paused().shown().is_none());
    assert_eq!(window.state().paused().runs().len(), 1);

    click(&mut window, "Show: Paused at step 12 of 30");
    assert_eq!(rests(window.state()), Some(12));
    let resting = window.state().paused().runs()[0].run.settings.clone();
    assert_eq!(window.state().document().settings(), &resting);
    click(&mut window, "Continue: Paused at step 12 of 30");
    until(&mut window, |app| steps(app) == 12);
    pace.allow(19);
    until(&mut window, |app| app.gallery().runs().len() == 2);
    let report = window.state().gallery().runs()[0].report();
    assert_eq!((report.reused_steps, report.steps.len()), (12, 18));
    assert!(window.state().paused().runs().is_empty());
}

#[test]
fn a_run_that_decides_on_its_plan_is_paused_and_goes_on_deciding() {
    let (mut window, pace) = window();
    press(&mut window, Modifiers::NONE, Key::A);
    click(&mut window, "Generate so");
    press(&mut window, Modifiers::NONE, Key::Escape);
    pace.allow(5);
    let steps = |app: &App| app.session().active().map_or(0, |run| run.steps_done());
    until(&mut window, |app| steps(app) == 5);
    press(&mut window, CTRL_SHIFT, Key::P);
    pace.allow(1);
    until(&mut window, |app| rests(app) == Some(6));
    press(&mut window, CTRL_SHIFT, Key::R);
    until(&mut window, |app| steps(app) == 6);
    let active = window.state().session().active();
    assert!(active.is_some_and(|run| run.is_online));
    pace.allow(25);
    until(&mut window, |app| app.gallery().runs().len() == 1);
    // The document has the plan that came out, and nothing rests any more.
    let plan = &window.state().document().settings().plan;
    assert_eq!(plan.words(), "LSL 0.30/0.90");
    assert!(window.state().paused().runs().is_empty());
}

#[test]
fn a_run_goes_to_a_typed_step_and_is_dropped() {
    let (mut window, pace) = window();
    press(&mut window, CTRL_SHIFT, Key::T);
    let type_step = |window: &mut Window<'_>, text: &str| {
        press(window, Modifiers::COMMAND, Key::A);
        let field = window.get_by_role_and_label(Role::TextInput, "Step");
        field.type_text(text);
        window.run_steps(3);
    };
    window.run_steps(3);
    type_step(&mut window, "31");
    assert!(window.query_by_label("Type a step from 1 to 30.").is_some());
    type_step(&mut window, "5");
    press(&mut window, Modifiers::NONE, Key::Enter);
    pace.allow(5);
    until(&mut window, |app| rests(app) == Some(5));
    assert!(window.query_by_label("Step").is_none());

    // Further, by the same way: on from where it rests.
    press(&mut window, CTRL_SHIFT, Key::T);
    window.run_steps(3);
    type_step(&mut window, "7");
    press(&mut window, Modifiers::NONE, Key::Enter);
    pace.allow(2);
    until(&mut window, |app| rests(app) == Some(7));
    assert_eq!(window.state().paused().runs().len(), 1);

    click(&mut window, "Drop: Paused at step 7 of 30");
    assert!(window.state().paused().runs().is_empty());
    assert!(window.query_by_label_contains("Paused at").is_none());

    // Not for good: it is back where it was, and can be gone on with.
    click(&mut window, "Undo");
    assert_eq!(rests(window.state()), Some(7));
    assert!(
        window
            .query_by_label("The paused run was dropped")
            .is_none()
    );
    click(&mut window, "Continue: Paused at step 7 of 30");
    pace.allow(24);
    until(&mut window, |app| app.gallery().runs().len() == 1);
    assert_eq!(window.state().gallery().runs()[0].report().reused_steps, 7);
}

#[test]
fn the_queue_waits_for_its_paused_run() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut window, pace) = window_at(Places {
        queue: Some(folder.path().join("queue.json")),
        ..Places::default()
    });
    for _ in 0..2 {
        press(&mut window, CTRL_SHIFT, Key::Enter);
        press(&mut window, Modifiers::NONE, Key::OpenBracket);
    }
    pace.allow(2);
    until(&mut window, |app| {
        app.session()
            .active()
            .is_some_and(|run| run.steps_done() == 2)
    });
    press(&mut window, CTRL_SHIFT, Key::P);
    pace.allow(1);
    until(&mut window, |app| rests(app) == Some(3));
    window.run_steps(10);
    assert!(window.state().session().active().is_none());
    assert!(window.state().queue().is_paused());
    press(&mut window, CTRL_SHIFT, Key::R);
    pace.allow(28 + 31);
    until(&mut window, |app| app.gallery().runs().len() == 2);
    assert!(window.state().queue().waiting().is_empty());
}

/// A window over the bundled pair, which keeps its steps in `cache`.
fn real_window<'a>(cache: &Path) -> Window<'a> {
    let cache = cache.to_owned();
    let factory: PipelineFactory = Box::new(move || {
        let options = EngineOptions::default();
        Box::new(PairPipeline::with_cache_in(options, Some(cache.clone())))
    });
    let mut window = Harness::builder()
        .with_size(vec2(1440.0, 900.0))
        .with_step_dt(1.0 / 60.0)
        .with_max_steps(64)
        .build_eframe(|cc| App::new(cc, factory).expect("the engine starts"));
    until_seen(&mut window, |window| window.state().pair().is_some());
    window
}

#[test]
fn a_paused_run_is_offered_after_a_restart_and_ends_in_the_same_clip() {
    let folder = tempfile::tempdir().expect("a folder");
    let cache = folder.path().join("cache");
    let mut window = real_window(&cache);
    // A short one will do.
    let project = folder.path().join("short.flowblend");
    let short = RunSettings {
        steps: 6,
        ..window.state().document().settings().clone()
    };
    ProjectFile::new(short.clone())
        .save(&project)
        .expect("saved");
    press(&mut window, Modifiers::COMMAND, Key::O);
    until_seen(&mut window, |window| {
        window.query_by_label("File to open").is_some()
    });
    let field = window.get_by_role_and_label(Role::TextInput, "File to open");
    field.type_text(&project.display().to_string());
    window.run_steps(3);
    press(&mut window, Modifiers::NONE, Key::Enter);
    until(&mut window, |app| *app.document().settings() == short);
    press(&mut window, CTRL_SHIFT, Key::T);
    window.run_steps(3);
    press(&mut window, Modifiers::COMMAND, Key::A);
    let field = window.get_by_role_and_label(Role::TextInput, "Step");
    field.type_text("3");
    window.run_steps(3);
    press(&mut window, Modifiers::NONE, Key::Enter);
    until(&mut window, |app| rests(app) == Some(3));
    let settings: RunSettings = window.state().document().settings().clone();
    drop(window);

    let mut window = real_window(&cache);
    until(&mut window, |app| rests(app) == Some(3));
    assert_eq!(window.state().paused().runs()[0].run.settings, settings);
    // Its estimate is on show, and plays.
    assert!(window.state().player().frame_count() > 1);
    press(&mut window, CTRL_SHIFT, Key::R);
    until(&mut window, |app| app.gallery().runs().len() == 1);
    let run = window.state().gallery().runs()[0]
        .finished()
        .expect("its clip");
    assert_eq!(run.report.reused_steps, 3);
    assert!(window.state().paused().runs().is_empty());
    drop(window);

    let whole = PairPipeline::with_cache_in(EngineOptions::default(), None)
        .run(&RunRequest::from(settings), &Cancel::new(), &mut |_| {})
        .expect("a clip");
    assert!(whole.clip.frames == run.clip.frames);
    // Nothing is offered any more.
    let mut window = real_window(&cache);
    window.run_steps(10);
    assert!(window.state().paused().runs().is_empty());
}
