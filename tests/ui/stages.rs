//! Stages of the plan: split, merged, removed, their models and named plans, over a pipeline without models.

use crate::common;

use crate::common::timeline::{at_step, block, choose, click, handle, is, menu_at, plan};
use crate::common::window::{Window, press, until, window, window_over};
use eframe::egui;
use egui::{Key, Modifiers, PointerButton, vec2};
use egui_kittest::kittest::{NodeT as _, Queryable as _};
use flowblend::schedule::{DistilledGrid, ModelRole};

#[test]
fn presets_change_the_models_and_keep_the_boundaries() {
    let (mut window, _pace) = window();
    window.get_by_label("Plan SSS").click();
    window.run_steps(3);
    let plan = &window.state().document().settings().plan;
    assert_eq!(
        (plan.letters().as_str(), plan.boundaries()),
        ("SSS", &[0.4, 0.8][..])
    );
}

#[test]
fn the_menu_of_a_stage_splits_merges_and_removes_and_each_is_an_undo() {
    let (mut window, _pace) = window();
    menu_at(&mut window, 18.2);
    choose(&mut window, "Split at step 18");
    is(&window, "LSSL", &[12, 18, 24]);
    assert!(
        window.query_by_label("Remove stage").is_none(),
        "the menu closed"
    );
    menu_at(&mut window, 20.5);
    choose(&mut window, "Add large stage after");
    is(&window, "LSSLL", &[12, 18, 21, 24]);
    menu_at(&mut window, 16.5);
    choose(&mut window, "Merge with stage before");
    is(&window, "SSLL", &[18, 21, 24]);
    menu_at(&mut window, 19.5);
    choose(&mut window, "Merge with stage after");
    is(&window, "SSL", &[18, 24]);
    menu_at(&mut window, 26.5);
    choose(&mut window, "Remove stage");
    is(&window, "SS", &[18]);
    for undone in [
        ("SSL", &[18, 24][..]),
        ("SSLL", &[18, 21, 24]),
        ("LSSLL", &[12, 18, 21, 24]),
        ("LSSL", &[12, 18, 24]),
        ("LSL", &[12, 24]),
    ] {
        press(&mut window, Modifiers::COMMAND, Key::Z);
        is(&window, undone.0, undone.1);
    }
    assert!(window.state().document().undo_words().is_none());
}

#[test]
fn the_menu_sets_model_and_guidance_of_its_stage_alone() {
    let (mut window, _pace) = window();
    menu_at(&mut window, 18.2);
    assert!(
        window
            .get_by_label("Distilled")
            .accesskit_node()
            .is_disabled(),
        "this pair has none"
    );
    choose(&mut window, "Large");
    is(&window, "LLL", &[12, 24]);
    menu_at(&mut window, 18.2);
    window.get_by_label("CFG of the stage").focus();
    window.run_steps(2);
    press(&mut window, Modifiers::COMMAND, Key::A);
    window.get_by_label("CFG of the stage").type_text("2.5");
    press(&mut window, Modifiers::NONE, Key::Enter);
    let cfgs = |window: &Window<'_>| {
        plan(window)
            .stages()
            .iter()
            .map(|s| s.cfg)
            .collect::<Vec<_>>()
    };
    assert_eq!(cfgs(&window), [None, Some(2.5), None]);
    let own = window.state().document().settings().step_plans();
    assert!(
        own.iter()
            .all(|s| s.cfg == if s.stage == 1 { 2.5 } else { 4.0 })
    );
    choose(&mut window, "Run's, 4.0");
    assert_eq!(cfgs(&window), [None; 3]);
    press(&mut window, Modifiers::NONE, Key::Escape);
    assert!(window.query_by_label("Run's, 4.0").is_none());
}

#[test]
fn a_double_click_splits_and_what_cannot_be_is_greyed() {
    let (mut window, _pace) = window();
    let pos = at_step(&window, 5.1);
    click(&mut window, pos, PointerButton::Primary);
    is(&window, "LSL", &[12, 24]);
    click(&mut window, pos, PointerButton::Primary);
    is(&window, "LLSL", &[5, 12, 24]);
    choose(&mut window, "Plan T-Stitch");
    is(&window, "SL", &[12]);
    let last = handle(&window, 0) + vec2(60.0, 20.0);
    click(&mut window, last, PointerButton::Secondary);
    let entry = window.get_by_label("Merge with stage after");
    assert!(entry.accesskit_node().is_disabled());
    choose(&mut window, "Remove stage");
    is(&window, "S", &[]);
}

#[test]
fn stages_and_boundaries_are_worked_by_keyboard_alone() {
    let (mut window, _pace) = window();
    block(&window, 2).focus();
    window.run_steps(2);
    press(&mut window, Modifiers::NONE, Key::S);
    is(&window, "LSSL", &[12, 18, 24]);
    // The new boundary is chosen.
    press(&mut window, Modifiers::NONE, Key::ArrowRight);
    is(&window, "LSSL", &[12, 19, 24]);
    press(&mut window, Modifiers::NONE, Key::Delete);
    is(&window, "LSL", &[12, 24]);
    block(&window, 1).focus();
    window.run_steps(2);
    press(&mut window, Modifiers::NONE, Key::Delete);
    is(&window, "SL", &[24]);
    block(&window, 2).focus();
    window.run_steps(2);
    press(&mut window, Modifiers::SHIFT, Key::F10);
    window.get_by_label("Split at step 27");
    press(&mut window, Modifiers::NONE, Key::ArrowDown);
    press(&mut window, Modifiers::NONE, Key::ArrowDown);
    press(&mut window, Modifiers::NONE, Key::Enter);
    assert_eq!(plan(&window).stages()[1].model, ModelRole::Small);
    assert!(block(&window, 2).is_focused());
}

#[test]
fn delete_without_a_choice_removes_nothing() {
    let (mut window, _pace) = window();
    press(&mut window, Modifiers::NONE, Key::Delete);
    press(&mut window, Modifiers::NONE, Key::Backspace);
    is(&window, "LSL", &[12, 24]);
}

#[test]
fn named_plans_are_marked_and_refused_where_a_model_is_missing() {
    let (mut window, _pace) = window();
    assert!(
        window
            .get_by_label("Plan LDL")
            .accesskit_node()
            .is_disabled()
    );
    choose(&mut window, "Plan T-Stitch");
    is(&window, "SL", &[12]);
    choose(&mut window, "Plan LSL");
    is(&window, "LSL", &[12, 24]);
    press(&mut window, Modifiers::NONE, Key::ArrowDown);
    press(&mut window, Modifiers::NONE, Key::ArrowRight);
    choose(&mut window, "Plan LLL");
    is(&window, "LLL", &[13, 24]);
    choose(&mut window, "Plan LSL");
    is(&window, "LSL", &[13, 24]);
    choose(&mut window, "Plan LSL");
    is(&window, "LSL", &[12, 24]);
}

#[test]
fn a_distilled_stage_shows_its_own_steps_and_says_how_many_jumps_it_makes() {
    let (mut window, pace) = window_over(common::distilled_fake(), 1440.0, 900.0);
    choose(&mut window, "Plan LDL");
    is(&window, "LDL", &[12, 24]);
    let settings = |window: &Window<'_>| window.state().document().settings().clone();
    let course = settings(&window).course();
    let taken = course.steps.iter().filter(|step| step.span.is_distilled());
    let own = taken.count();
    assert!(own > 1 && course.steps.len() == 18 + own);
    let name = |own: usize| {
        format!("Stage 2, distilled model, steps 13 to 24 in {own} of its own, CFG 1.0")
    };
    window.get_by_label(&name(own));

    // The run's progress counts the steps that it takes.
    press(&mut window, Modifiers::COMMAND, Key::Enter);
    pace.allow(14);
    until(&mut window, |app| {
        app.session()
            .active()
            .is_some_and(|run| run.steps.len() == 14)
    });
    let of = window
        .state()
        .session()
        .active()
        .map(|run| (run.steps[13].of, run.steps[13].model));
    assert_eq!(of, Some((18 + own, ModelRole::Distilled)));
    window.get_by_label_contains(&format!("step 15 of {}", 18 + own));
    pace.allow(own + 5);
    until(&mut window, |app| app.session().active().is_none());

    menu_at(&mut window, 18.2);
    window.get_by_label(&format!("Stage 2, 12 of 30 steps in {own} of its own"));
    window.get_by_label("Its own, 1.0");
    window.get_by_label("Jumps of the distilled model").focus();
    window.run_steps(2);
    press(&mut window, Modifiers::COMMAND, Key::A);
    window
        .get_by_label("Jumps of the distilled model")
        .type_text("2");
    press(&mut window, Modifiers::NONE, Key::Enter);
    assert_eq!(
        settings(&window).distilled_sigmas,
        DistilledGrid::even(2).ok()
    );
    choose(&mut window, "Pair's, 8");
    assert_eq!(
        settings(&window).distilled_sigmas,
        DistilledGrid::even(8).ok()
    );
    press(&mut window, Modifiers::NONE, Key::Escape);
    press(&mut window, Modifiers::COMMAND, Key::Z);
    press(&mut window, Modifiers::COMMAND, Key::Z);
    assert_eq!(
        settings(&window).distilled_sigmas,
        DistilledGrid::even(8).ok()
    );
    press(&mut window, Modifiers::COMMAND, Key::Z);
    is(&window, "LSL", &[12, 24]);
}
