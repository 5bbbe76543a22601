//! Pictures of the window's main states, over a pipeline without models.
//!
//! Drawn by whatever Vulkan driver there is, in CI by a software one. A driver may differ in the last
//! bit of a blended edge, so up to `MAX_FAILED_PIXELS` of the picture's 1.3 million may differ by more
//! than the threshold. `UPDATE_SNAPSHOTS=1 cargo test --test ui snapshots` renews them.

use crate::common;

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::common::{Pace, fake};
use eframe::egui;
use egui::accesskit::Role;
use egui::{Key, Modifiers, vec2};
use egui_kittest::kittest::Queryable as _;
use egui_kittest::{Harness, SnapshotOptions};
use flowblend::app::{App, ExportHost, ModelsSource};
use flowblend::engine::PipelineFactory;
use flowblend::hub::PullProgress;

const MAX_FAILED_PIXELS: usize = 400;

type Window<'a> = Harness<'a, App>;

fn window<'a>(width: f32, height: f32) -> (Window<'a>, Pace) {
    window_with(width, height, common::models::source().0)
}

fn window_of<'a>(width: f32, height: f32, engine: (PipelineFactory, Pace)) -> (Window<'a>, Pace) {
    build(width, height, common::models::source().0, engine)
}

fn window_with<'a>(width: f32, height: f32, models: ModelsSource) -> (Window<'a>, Pace) {
    build(width, height, models, fake())
}

fn build<'a>(
    width: f32,
    height: f32,
    models: ModelsSource,
    (factory, pace): (PipelineFactory, Pace),
) -> (Window<'a>, Pace) {
    let options = SnapshotOptions::new()
        .threshold(1.0)
        .max_failed_pixels(MAX_FAILED_PIXELS);
    let mut window = Harness::builder()
        .with_size(vec2(width, height))
        .with_step_dt(1.0 / 60.0)
        .with_options(options)
        .wgpu()
        .build_eframe(|cc| {
            let app = App::new(cc, factory).expect("the engine starts");
            // Pictures must not depend on what is installed, or on what somebody chose before.
            let exports = ExportHost {
                check: Arc::new(|_| Ok(())),
                settings_file: None,
            };
            app.with_models(models).with_exports(exports)
        });
    until(&mut window, |app| {
        !app.document().settings().prompt.is_empty()
    });
    press(&mut window, Modifiers::NONE, Key::Escape);
    (window, pace)
}

fn until(window: &mut Window<'_>, done: impl Fn(&App) -> bool) {
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

fn press(window: &mut Window<'_>, modifiers: Modifiers, key: Key) {
    window.key_press_modifiers(modifiers, key);
    window.run_steps(3);
}

/// Holds what plays at a known frame, so that the picture does not depend on how long things took.
fn hold(window: &mut Window<'_>, frame: usize) {
    press(window, Modifiers::NONE, Key::K);
    press(window, Modifiers::NONE, Key::Home);
    for _ in 0..frame {
        press(window, Modifiers::NONE, Key::ArrowRight);
    }
}

fn render(window: &mut Window<'_>, pace: &Pace) {
    let before = window.state().gallery().runs().len();
    pace.allow(31);
    press(window, Modifiers::COMMAND, Key::Enter);
    until(window, |app| app.gallery().runs().len() > before);
}

#[test]
fn ready() {
    let (mut window, _pace) = window(1280.0, 720.0);
    window.snapshot("ready");
}

#[test]
fn presets() {
    let (mut window, _pace) = window(1280.0, 720.0);
    window
        .get_by_role_and_label(Role::Button, "Presets")
        .click();
    window.run_steps(3);
    window.get_by_label("Yellow star orbiting").hover();
    // Long enough for the tooltip.
    window.run_steps(60);
    window.snapshot("presets");
}

#[test]
fn in_the_middle_of_a_run() {
    let (mut window, pace) = window(1440.0, 900.0);
    pace.allow(17);
    press(&mut window, Modifiers::COMMAND, Key::Enter);
    until(&mut window, |app| {
        app.session().active().is_some_and(|a| a.steps.len() == 17)
            && app.session().preview().is_some_and(|p| p.step == 16)
    });
    hold(&mut window, 2);
    window.snapshot("run");
}

#[test]
fn a_distilled_stage() {
    let (mut window, pace) = window_of(1440.0, 900.0, common::distilled_fake());
    window.get_by_label("Plan LDL").click();
    window.run_steps(3);
    pace.allow(15);
    press(&mut window, Modifiers::COMMAND, Key::Enter);
    until(&mut window, |app| {
        app.session().active().is_some_and(|a| a.steps.len() == 15)
            && app.session().preview().is_some_and(|p| p.step == 14)
    });
    hold(&mut window, 2);
    let stage = window.get_by_label_contains("Stage 2, distilled model");
    stage.click_secondary();
    window.run_steps(3);
    window.snapshot("distilled");
}

#[test]
fn finished_runs() {
    let (mut window, pace) = window(1440.0, 900.0);
    for plan in ["Plan LLL", "Plan SSS", "Plan LSL"] {
        window.get_by_label(plan).click();
        window.run_steps(3);
        render(&mut window, &pace);
    }
    window.remove_cursor();
    hold(&mut window, 8);
    window.snapshot("finished");
}

#[test]
fn compared_runs() {
    let (mut window, pace) = window_of(1440.0, 900.0, common::telling_fake());
    for plan in ["Plan LLL", "Plan LSL"] {
        window.get_by_label(plan).click();
        window.run_steps(3);
        render(&mut window, &pace);
    }
    window.remove_cursor();
    press(&mut window, Modifiers::NONE, Key::C);
    until(&mut window, |app| {
        let sides = app.comparison().sides(app.gallery());
        sides.is_some_and(|s| {
            let likeness = app.likenesses().of(s.shown.id, s.other.id);
            likeness.is_some_and(|likeness| likeness.is_complete())
        })
    });
    hold(&mut window, 8);
    window.snapshot("compared");
}

#[test]
fn light() {
    let (mut window, pace) = window(1280.0, 720.0);
    window.ctx.set_theme(egui::Theme::Light);
    render(&mut window, &pace);
    hold(&mut window, 8);
    window.snapshot("light");
}

#[test]
fn models() {
    let (source, steer) = common::models::source();
    let (mut window, _pace) = window_with(1440.0, 900.0, source);
    let shows = |window: &mut Window<'_>, label: &str| {
        let patience = Instant::now() + Duration::from_secs(60);
        while window.query_all_by_label(label).count() == 0 {
            assert!(Instant::now() < patience, "{label} never came");
            window.step();
        }
        window.run_steps(3);
    };
    press(&mut window, Modifiers::COMMAND, Key::M);
    shows(&mut window, "Download wan2.1");
    window.get_by_label("Download wan2.1").click();
    let progress = PullProgress {
        file: "large/vae/config.json".to_owned(),
        done: 1_000_000_000,
        total: 4_000_000_000,
    };
    steer.send(progress).expect("the download goes on");
    shows(
        &mut window,
        "Downloading wan2.1 · 1.0 GB of 4.0 GB · large/vae/config.json",
    );
    window.remove_cursor();
    window.run_steps(3);
    window.snapshot("models");
}

#[test]
fn export() {
    let (mut window, pace) = window(1280.0, 720.0);
    render(&mut window, &pace);
    hold(&mut window, 8);
    press(&mut window, Modifiers::COMMAND, Key::E);
    window.get_by_role_and_label(Role::Button, "400 %").click();
    window.run_steps(3);
    window.remove_cursor();
    window.run_steps(3);
    window.snapshot("export");
}

#[test]
fn shortcuts() {
    let (mut window, _pace) = window(1280.0, 720.0);
    press(&mut window, Modifiers::NONE, Key::F1);
    window.snapshot("shortcuts");
}
