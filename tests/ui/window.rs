//! The window, driven as a person would, over a pipeline without models.

use crate::common;

use std::time::{Duration, Instant};

use crate::common::Pace;
use crate::common::window::{Window, press, until, window};
use eframe::egui;
use egui::accesskit::Role;
use egui::{Event, Key, Modifiers, vec2};
use egui_kittest::Harness;
use egui_kittest::kittest::{AccessKitNode, Queryable as _};
use flowblend::app::App;
use flowblend::project::RunSettings;

/// The prompt's field; its label has the same name.
fn prompt<'w>(window: &'w Window<'_>) -> egui_kittest::Node<'w> {
    window.get_by_role_and_label(Role::MultilineTextInput, "Prompt")
}

fn render(window: &mut Window<'_>, pace: &Pace) {
    let before = window.state().gallery().runs().len();
    pace.allow(31);
    press(window, Modifiers::COMMAND, Key::Enter);
    until(window, |app| app.gallery().runs().len() > before);
}

/// The button of the presets; the menu that it opens has the same name.
fn presets<'w>(window: &'w Window<'_>) -> egui_kittest::Node<'w> {
    window.get_by_role_and_label(Role::Button, "Presets")
}

/// The settings after a preset was chosen: its prompt and seed, and all else as `before`.
fn with_preset(before: &RunSettings, index: usize) -> RunSettings {
    let preset = common::presets().swap_remove(index);
    RunSettings {
        prompt: preset.prompt,
        seed: preset.seed,
        ..before.clone()
    }
}

#[test]
fn a_preset_sets_prompt_and_seed_and_one_undo_takes_both_back() {
    let (mut window, _pace) = window();
    let before = window.state().document().settings().clone();
    presets(&window).click();
    window.run_steps(3);
    window.get_by_label("Yellow star orbiting").click();
    window.run_steps(3);
    let document = window.state().document();
    assert_eq!(*document.settings(), with_preset(&before, 1));
    assert_eq!(document.undo_words(), Some("preset"));
    assert!(window.query_by_label("Yellow star orbiting").is_none());
    press(&mut window, Modifiers::COMMAND, Key::Z);
    assert_eq!(*window.state().document().settings(), before);
    assert!(window.state().document().undo_words().is_none());
}

#[test]
fn presets_are_chosen_by_keyboard_and_each_is_an_undo() {
    let (mut window, _pace) = window();
    let before = window.state().document().settings().clone();
    presets(&window).focus();
    window.run_steps(2);
    for (downs, index) in [(2, 1), (3, 2)] {
        press(&mut window, Modifiers::NONE, Key::Enter);
        for _ in 0..downs {
            press(&mut window, Modifiers::NONE, Key::ArrowDown);
        }
        press(&mut window, Modifiers::NONE, Key::Enter);
        assert_eq!(
            *window.state().document().settings(),
            with_preset(&before, index)
        );
        assert!(presets(&window).is_focused());
    }
    press(&mut window, Modifiers::COMMAND, Key::Z);
    assert_eq!(
        *window.state().document().settings(),
        with_preset(&before, 1)
    );
    press(&mut window, Modifiers::COMMAND, Key::Z);
    assert_eq!(*window.state().document().settings(), before);
}

#[test]
fn a_run_shows_its_steps_and_its_clip_plays_when_it_is_done() {
    let (mut window, pace) = window();
    press(&mut window, Modifiers::COMMAND, Key::Enter);
    pace.allow(17);
    until(&mut window, |app| {
        app.session().active().is_some_and(|a| a.steps.len() == 17)
    });
    window.get_by_label(
        "Denoising · step 18 of 30 · small model · 23.8 it/s · about 2 s left · 0.9 GB of memory",
    );
    until(&mut window, |app| {
        app.session().preview().is_some_and(|p| p.step == 16)
    });
    pace.allow(14);
    until(&mut window, |app| app.gallery().runs().len() == 1);
    let player = window.state().player();
    assert!(player.is_playing() && player.is_looping());
    assert_eq!(player.frame_count(), 17);
    let frame = player.frame_index();
    until(&mut window, move |app| app.player().frame_index() != frame);
    window.get_by_label("Run LSL, 4.3 s · seed 48 151 623");
}

#[test]
fn what_was_rendered_before_is_shown_at_once_unless_the_seed_is_free() {
    let (mut window, pace) = window();
    render(&mut window, &pace);
    let first = window.state().gallery().shown().map(|run| run.id);
    press(&mut window, Modifiers::NONE, Key::OpenBracket);
    render(&mut window, &pace);
    assert_ne!(window.state().gallery().shown().map(|run| run.id), first);

    press(&mut window, Modifiers::NONE, Key::CloseBracket);
    press(&mut window, Modifiers::COMMAND, Key::Enter);
    let app = window.state();
    assert_eq!(app.gallery().shown().map(|run| run.id), first);
    assert!(app.session().active().is_none());

    window.get_by_label("Seed is locked").click();
    window.run_steps(3);
    press(&mut window, Modifiers::COMMAND, Key::Enter);
    assert!(window.state().session().active().is_some());
}

#[test]
fn frames_play_as_they_are_decoded() {
    let (mut window, pace) = window();
    press(&mut window, Modifiers::COMMAND, Key::Enter);
    pace.allow(30);
    until(&mut window, |app| {
        let active = app.session().active();
        active.is_some_and(|run| run.clip.is_some()) && app.player().frame_count() == 17
    });
    let frames = |app: &App| {
        let run = app.gallery().runs().first();
        let whole = run.and_then(|run| run.clip()).cloned();
        let decoded = app.session().active().and_then(|run| run.clip.clone());
        (whole.or(decoded)).map_or_else(Vec::new, |clip| clip.frames.clone())
    };
    let first = frames(window.state());
    assert_eq!(first.len(), 1);
    // A frame that is not there yet can be looked at as well: its estimate.
    press(&mut window, Modifiers::NONE, Key::K);
    press(&mut window, Modifiers::NONE, Key::End);
    assert_eq!(window.state().player().frame_index(), 16);
    pace.allow(1);
    until(&mut window, |app| app.gallery().runs().len() == 1);
    let all = frames(window.state());
    assert!(all.len() == 17 && all[0] == first[0]);
}

#[test]
fn space_and_arrows_play_and_step_but_not_while_typing() {
    let (mut window, pace) = window();
    render(&mut window, &pace);
    press(&mut window, Modifiers::NONE, Key::Space);
    assert!(!window.state().player().is_playing());
    press(&mut window, Modifiers::NONE, Key::Home);
    press(&mut window, Modifiers::NONE, Key::ArrowRight);
    assert_eq!(window.state().player().frame_index(), 1);
    press(&mut window, Modifiers::SHIFT, Key::ArrowRight);
    assert_eq!(window.state().player().frame_index(), 13);
    prompt(&window).focus();
    window.run_steps(2);
    press(&mut window, Modifiers::NONE, Key::Space);
    press(&mut window, Modifiers::NONE, Key::L);
    assert!(!window.state().player().is_playing());
    assert_eq!(window.state().player().frame_index(), 13);
}

#[test]
fn what_is_typed_at_the_start_is_the_prompt_and_no_key() {
    let (factory, _pace) = common::fake();
    let mut window: Window<'_> = Harness::builder()
        .with_size(vec2(1440.0, 900.0))
        .with_step_dt(1.0 / 60.0)
        .build_eframe(|cc| App::new(cc, factory).expect("the engine starts"));
    // Perhaps before the pair is known, perhaps after: nobody waits for that.
    let letters = [(Key::D, "d"), (Key::B, "b"), (Key::S, "s"), (Key::A, "a")];
    for (key, letter) in letters {
        window.event(Event::Text(letter.to_owned()));
        press(&mut window, Modifiers::NONE, key);
    }
    until(&mut window, |app| app.pair().is_some());
    let app = window.state();
    assert_eq!(app.document().settings().prompt, "dbsa");
    assert!(app.session().active().is_none() && !app.analysis().is_open);
    // The rest is the pair's own.
    let defaults = &app.pair().expect("the pair").defaults;
    let expected = RunSettings {
        prompt: "dbsa".to_owned(),
        ..defaults.clone()
    };
    assert_eq!(app.document().settings(), &expected);
    // Out of the field they are keys.
    press(&mut window, Modifiers::NONE, Key::Escape);
    press(&mut window, Modifiers::NONE, Key::A);
    assert!(window.state().analysis().is_open);
    // A new document takes words at once, too.
    press(&mut window, Modifiers::NONE, Key::Escape);
    press(&mut window, Modifiers::COMMAND, Key::N);
    window.get_by_label("Discard").click();
    window.run_steps(3);
    window.event(Event::Text("x".to_owned()));
    window.run_steps(3);
    assert_eq!(window.state().document().settings().prompt, "x");
}

#[test]
fn escape_asks_before_it_cancels() {
    let (mut window, pace) = window();
    press(&mut window, Modifiers::COMMAND, Key::Enter);
    pace.allow(3);
    until(&mut window, |app| {
        app.session().active().is_some_and(|a| a.steps.len() == 3)
    });
    press(&mut window, Modifiers::NONE, Key::Escape);
    window.get_by_label("Cancel this run?");
    window.get_by_label("Keep rendering").click();
    window.run_steps(3);
    assert!(window.query_by_label("Cancel this run?").is_none());
    assert!(
        window
            .state()
            .session()
            .active()
            .is_some_and(|a| !a.is_cancelling)
    );
    press(&mut window, Modifiers::NONE, Key::Escape);
    press(&mut window, Modifiers::NONE, Key::Escape);
    until(&mut window, |app| app.session().active().is_none());
    assert!(window.state().gallery().runs().is_empty());
}

#[test]
fn generate_says_why_it_cannot() {
    let (mut window, _pace) = window();
    prompt(&window).focus();
    window.run_steps(2);
    press(&mut window, Modifiers::COMMAND, Key::A);
    press(&mut window, Modifiers::NONE, Key::Delete);
    window.get_by_label("Write a prompt first: what should the clip show?");
    press(&mut window, Modifiers::COMMAND, Key::Enter);
    assert!(window.state().session().active().is_none());
}

#[test]
fn a_size_the_family_refuses_is_explained_under_the_field() {
    let (mut window, _pace) = window();
    window.get_by_label("Width").focus();
    window.run_steps(2);
    press(&mut window, Modifiers::COMMAND, Key::A);
    window.get_by_label("Width").type_text("70");
    window.run_steps(2);
    let found = window
        .query_all_by_label_contains("sides must be multiples of 16")
        .count();
    assert!(found >= 1);
}

/// Types a number into its field and leaves it.
fn type_number(window: &mut Window<'_>, name: &str, text: &str) {
    // What stands over the field has the same name.
    let is_field = |node: &AccessKitNode<'_>| {
        node.role() != Role::Label && node.label().as_deref() == Some(name)
    };
    window.get_by(is_field).focus();
    window.run_steps(2);
    press(window, Modifiers::COMMAND, Key::A);
    window.get_by(is_field).type_text(text);
    window.run_steps(2);
    press(window, Modifiers::NONE, Key::Enter);
}

#[test]
fn the_shift_follows_the_size_for_as_long_as_it_is_the_models_own() {
    let (mut window, _pace) = window();
    let seen = |window: &Window<'_>| {
        let settings = window.state().document().settings();
        (settings.width, settings.frames, settings.shift)
    };
    assert_eq!(seen(&window), (64, 17, 3.0));
    type_number(&mut window, "Width", "128");
    assert_eq!(seen(&window), (128, 17, 6.0));
    // Both are one edit.
    press(&mut window, Modifiers::COMMAND, Key::Z);
    assert_eq!(seen(&window), (64, 17, 3.0));
    press(&mut window, Modifiers::COMMAND, Key::Y);
    assert_eq!(seen(&window), (128, 17, 6.0));
    // A shift that somebody chose stays.
    type_number(&mut window, "Shift", "2.5");
    type_number(&mut window, "Frames", "33");
    assert_eq!(seen(&window), (128, 33, 2.5));
    press(&mut window, Modifiers::COMMAND, Key::Z);
    press(&mut window, Modifiers::COMMAND, Key::Z);
    type_number(&mut window, "Frames", "33");
    let (_, frames, shift) = seen(&window);
    assert!(
        frames == 33 && (shift - 3.0 * 2.0 * 33.0 / 17.0).abs() < 1e-9,
        "{shift}"
    );
}

#[test]
fn an_error_is_a_sentence_that_can_be_put_away() {
    let (mut window, _pace) = window();
    prompt(&window).focus();
    window.run_steps(2);
    prompt(&window).type_text(" fail");
    window.run_steps(2);
    press(&mut window, Modifiers::COMMAND, Key::Enter);
    let text = "The weights of the large model are missing; download them into models/demo.";
    let patience = Instant::now() + Duration::from_secs(20);
    while window.query_by_label(text).is_none() {
        assert!(Instant::now() < patience);
        window.step();
    }
    window.get_by_label("Dismiss message").click();
    window.run_steps(3);
    assert!(window.query_by_label(text).is_none());
}

#[test]
fn an_unknown_word_is_named() {
    let (mut window, _pace) = window();
    prompt(&window).focus();
    window.run_steps(2);
    prompt(&window).type_text(" dragon");
    window.run_steps(2);
    window.get_by_label("This pair does not know: dragon");
}

#[test]
fn a_finished_run_restores_its_settings() {
    let (mut window, pace) = window();
    render(&mut window, &pace);
    window.get_by_label("Plan SSS").click();
    window.run_steps(3);
    window
        .get_by_label("Run LSL, 4.3 s · seed 48 151 623")
        .click();
    window.run_steps(3);
    assert_eq!(window.state().document().settings().plan.letters(), "LSL");
    press(&mut window, Modifiers::COMMAND, Key::Z);
    assert_eq!(window.state().document().settings().plan.letters(), "SSS");
}

#[test]
fn a_changed_document_restarts_the_run() {
    let (mut window, pace) = window();
    press(&mut window, Modifiers::COMMAND, Key::Enter);
    pace.allow(2);
    until(&mut window, |app| {
        app.session().active().is_some_and(|a| a.steps.len() == 2)
    });
    window.get_by_label("Plan LSS").click();
    window.run_steps(3);
    window.get_by_label("Restart").click();
    window.run_steps(3);
    // The run being cancelled may still take one.
    pace.allow(32);
    until(&mut window, |app| app.gallery().runs().len() == 1);
    assert_eq!(
        window.state().gallery().runs()[0].settings().plan.letters(),
        "LSS"
    );
}

#[test]
fn a_missing_pair_is_said_everywhere_and_nothing_can_be_started() {
    let factory = common::no_pair();
    let mut window: Window<'_> = Harness::builder()
        .with_size(vec2(1280.0, 720.0))
        .build_eframe(|cc| App::new(cc, factory).expect("the engine starts"));
    let patience = Instant::now() + Duration::from_secs(20);
    while window.query_by_label("Dismiss message").is_none() {
        assert!(Instant::now() < patience, "the error was never shown");
        window.step();
    }
    let text = "The demo pair is missing; install it again.";
    assert!(window.query_all_by_label(text).count() >= 2);
    assert!(
        window.query_by_label("Presets").is_none(),
        "there are none to choose from"
    );
    press(&mut window, Modifiers::COMMAND, Key::Enter);
    assert!(window.state().session().active().is_none());
}

#[test]
fn all_keys_are_on_one_page() {
    let (mut window, _pace) = window();
    press(&mut window, Modifiers::NONE, Key::F1);
    window.get_by_label("Play backwards");
    press(&mut window, Modifiers::NONE, Key::Escape);
    assert!(window.query_by_label("Play backwards").is_none());
}
