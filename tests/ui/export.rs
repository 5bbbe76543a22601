//! Exports from the window, driven as a person would, over a pipeline without models. There is no
//! desktop and so no file dialog: paths are typed.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::common::fake;
use eframe::egui;
use egui::accesskit::Role;
use egui::{Key, Modifiers, vec2};
use egui_kittest::Harness;
use egui_kittest::kittest::{NodeT as _, Queryable as _};
use flowblend::app::{App, ExportHost};
use flowblend::media::{Format, read_clip};
use flowblend::project::{Recipe, write_bytes_atomic};
use tempfile::TempDir;

type Window<'a> = Harness<'a, App>;

/// Every encoder is there, and choices are kept in `folder`.
fn host(folder: &Path) -> ExportHost {
    ExportHost {
        check: Arc::new(|_| Ok(())),
        settings_file: Some(settings_file(folder)),
    }
}

fn settings_file(folder: &Path) -> PathBuf {
    folder.join("config").join("export.json")
}

/// The window with a finished run.
fn window<'a>(host: ExportHost) -> Window<'a> {
    let (factory, pace) = fake();
    let mut window = Harness::builder()
        .with_size(vec2(1280.0, 720.0))
        .with_step_dt(1.0 / 60.0)
        .with_max_steps(64)
        .build_eframe(|cc| {
            let app = App::new(cc, factory).expect("the engine starts");
            app.with_exports(host)
        });
    until(&mut window, "the pair", |window| {
        !window.state().document().settings().prompt.is_empty()
    });
    press(&mut window, Modifiers::NONE, Key::Escape);
    pace.allow(31);
    press(&mut window, Modifiers::COMMAND, Key::Enter);
    until(&mut window, "the clip", |window| {
        window.state().gallery().shown().is_some()
    });
    press(&mut window, Modifiers::NONE, Key::K);
    press(&mut window, Modifiers::NONE, Key::Home);
    window
}

fn until(window: &mut Window<'_>, what: &str, done: impl Fn(&Window<'_>) -> bool) {
    let patience = Instant::now() + Duration::from_secs(120);
    while !done(window) {
        assert!(Instant::now() < patience, "{what} never came");
        window.step();
        std::thread::yield_now();
    }
    window.run_steps(3);
}

fn press(window: &mut Window<'_>, modifiers: Modifiers, key: Key) {
    window.key_press_modifiers(modifiers, key);
    window.run_steps(3);
}

fn open(window: &mut Window<'_>) {
    press(window, Modifiers::COMMAND, Key::E);
}

fn click(window: &mut Window<'_>, label: &str) {
    window.get_by_role_and_label(Role::Button, label).click();
    window.run_steps(3);
}

fn type_path(window: &mut Window<'_>, path: &Path) {
    let field = "File to export to";
    window.get_by_label(field).focus();
    window.run_steps(2);
    press(window, Modifiers::COMMAND, Key::A);
    window
        .get_by_label(field)
        .type_text(&path.display().to_string());
    window.run_steps(2);
}

fn saved(window: &mut Window<'_>, path: &Path) {
    let text = format!("Saved to {}", path.display());
    until(window, &text, |window| {
        window.query_by_label(&text).is_some()
    });
    window.get_by_label("Open folder");
}

fn write(path: &Path, text: &str) {
    write_bytes_atomic(path, true, text.as_bytes()).expect("a file");
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name())
        .filter_map(|name| name.into_string().ok())
        .filter(|name| name != "config")
        .collect();
    names.sort();
    names
}

#[test]
fn a_chosen_format_is_written_to_the_typed_path_with_its_recipe() {
    let folder = TempDir::new().expect("a folder");
    let mut window = window(host(folder.path()));
    open(&mut window);
    click(&mut window, "GIF");
    click(&mut window, "200 %");
    window.get_by_label("128 × 128 pixels");
    click(&mut window, "Export…");
    // The ending comes with the format.
    type_path(&mut window, &folder.path().join("my clip"));
    click(&mut window, "Export");
    let path = folder.path().join("my clip.gif");
    saved(&mut window, &path);
    let (clip, comment) = read_clip(&path).expect("a readable file");
    assert_eq!((clip.width, clip.height), (128, 128));
    assert_eq!(clip.frames.len(), 17);
    assert!(comment.is_some_and(|text| text.contains("48151623")));
}

#[test]
fn enter_alone_exports_and_the_recipe_can_be_left_out() {
    let folder = TempDir::new().expect("a folder");
    let mut window = window(host(folder.path()));
    open(&mut window);
    window.get_by_label("Keep the recipe in the file").click();
    window.run_steps(3);
    press(&mut window, Modifiers::NONE, Key::Enter);
    let path = folder.path().join("clip.mp4");
    type_path(&mut window, &path);
    press(&mut window, Modifiers::NONE, Key::Enter);
    saved(&mut window, &path);
    let (clip, comment) = read_clip(&path).expect("a readable file");
    assert_eq!((clip.frames.len(), clip.fps), (17, 12.0));
    assert_eq!(comment, None);
}

#[test]
fn a_picture_is_the_frame_in_the_preview() {
    let folder = TempDir::new().expect("a folder");
    let mut window = window(host(folder.path()));
    for _ in 0..5 {
        press(&mut window, Modifiers::NONE, Key::ArrowRight);
    }
    open(&mut window);
    click(&mut window, "PNG picture");
    click(&mut window, "Export…");
    let path = folder.path().join("still.png");
    type_path(&mut window, &path);
    press(&mut window, Modifiers::NONE, Key::Enter);
    saved(&mut window, &path);
    let (still, _) = read_clip(&path).expect("a readable file");
    let shown = window.state().gallery().shown().expect("a run");
    assert!(still.frames[0] == shown.clip().expect("its clip").frames[5]);
}

#[test]
fn an_encoder_that_is_missing_is_grey_and_cannot_be_chosen() {
    let folder = TempDir::new().expect("a folder");
    let why = "the FFmpeg on this machine has no libx265 encoder";
    let mut window = window(ExportHost {
        check: Arc::new(move |format| match format {
            Format::H265 => Err(why.to_owned()),
            _ => Ok(()),
        }),
        ..host(folder.path())
    });
    open(&mut window);
    let label = "MP4 (H.265)";
    assert!(window.get_by_label(label).accesskit_node().is_disabled());
    window.get_by_label(label).hover();
    // Long enough for the tooltip.
    window.run_steps(60);
    window.get_by_label_contains("has no libx265 encoder");
    window.get_by_label(label).click();
    window.run_steps(3);
    assert_eq!(window.state().exporter().settings().format, Format::H264);
}

#[test]
fn an_existing_file_is_replaced_only_after_a_question() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("clip.mp4");
    write(&path, "mine");
    let mut window = window(host(folder.path()));
    open(&mut window);
    for answer in ["Keep it", "Replace"] {
        click(&mut window, "Export…");
        type_path(&mut window, &path);
        press(&mut window, Modifiers::NONE, Key::Enter);
        window.get_by_label("Replace it?");
        assert_eq!(fs::read(&path).expect("a file"), b"mine");
        click(&mut window, answer);
    }
    saved(&mut window, &path);
    assert_eq!(read_clip(&path).expect("a video").0.frames.len(), 17);
}

#[test]
fn escape_goes_one_page_back_and_then_out() {
    let folder = TempDir::new().expect("a folder");
    let mut window = window(host(folder.path()));
    open(&mut window);
    press(&mut window, Modifiers::NONE, Key::Enter);
    window.get_by_label("File to export to");
    press(&mut window, Modifiers::NONE, Key::Escape);
    window.get_by_label("Export…");
    press(&mut window, Modifiers::NONE, Key::Escape);
    assert!(window.query_by_label("Export…").is_none());
    assert!(names(folder.path()).is_empty());
}

#[test]
fn a_size_that_the_encoder_refuses_is_explained_before_the_export() {
    let folder = TempDir::new().expect("a folder");
    let file = settings_file(folder.path());
    fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
    write(&file, r#"{"format":"h265","scale_percent":10}"#);
    let mut window = window(host(folder.path()));
    open(&mut window);
    window.get_by_label_contains("needs at least 64 pixels a side");
    let export = window.get_by_role_and_label(Role::Button, "Export…");
    assert!(export.accesskit_node().is_disabled());
    click(&mut window, "100 %");
    let export = window.get_by_role_and_label(Role::Button, "Export…");
    assert!(!export.accesskit_node().is_disabled());
}

#[test]
fn an_export_is_cancelled_and_leaves_nothing() {
    let folder = TempDir::new().expect("a folder");
    let file = settings_file(folder.path());
    fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
    // Large enough to go on for a while.
    write(&file, r#"{"format":"av1","scale_percent":1600}"#);
    let mut window = window(host(folder.path()));
    open(&mut window);
    click(&mut window, "Export…");
    type_path(&mut window, &folder.path().join("clip.webm"));
    press(&mut window, Modifiers::NONE, Key::Enter);
    window.get_by_label_contains("Exporting · frame");
    click(&mut window, "Cancel the export");
    let text = "Export cancelled; nothing was written";
    until(&mut window, text, |window| {
        window.query_by_label(text).is_some()
    });
    assert!(names(folder.path()).is_empty());
}

#[test]
fn choices_are_remembered() {
    let folder = TempDir::new().expect("a folder");
    let mut first = window(host(folder.path()));
    open(&mut first);
    click(&mut first, "WebM (AV1)");
    click(&mut first, "50 %");
    click(&mut first, "Export…");
    let path = folder.path().join("clip.webm");
    type_path(&mut first, &path);
    press(&mut first, Modifiers::NONE, Key::Enter);
    saved(&mut first, &path);
    let file = settings_file(folder.path());
    until(&mut first, "the kept choice", |_| file.exists());
    drop(first);
    let second = window(host(folder.path()));
    let settings = second.state().exporter().settings();
    assert_eq!(settings.format, Format::Av1);
    assert_eq!(settings.scale_percent, 50.0);
}

#[test]
fn without_a_clip_there_is_nothing_to_export() {
    let (factory, _pace) = fake();
    let mut window: Window<'_> = Harness::builder()
        .with_size(vec2(1280.0, 720.0))
        .build_eframe(|cc| App::new(cc, factory).expect("the engine starts"));
    open(&mut window);
    window.get_by_label("There is no clip to export yet; generate one first.");
}

#[test]
fn compared_clips_go_into_one_file_beside_each_other() {
    let folder = TempDir::new().expect("a folder");
    let (factory, pace) = fake();
    let mut window: Window<'_> = Harness::builder()
        .with_size(vec2(1280.0, 720.0))
        .with_step_dt(1.0 / 60.0)
        .with_max_steps(64)
        .build_eframe(|cc| {
            let app = App::new(cc, factory).expect("the engine starts");
            app.with_exports(host(folder.path()))
        });
    until(&mut window, "the pair", |window| {
        !window.state().document().settings().prompt.is_empty()
    });
    press(&mut window, Modifiers::NONE, Key::Escape);
    for (plan, runs) in [("Plan LLL", 1), ("Plan LSL", 2)] {
        window.get_by_label(plan).click();
        window.run_steps(3);
        pace.allow(31);
        press(&mut window, Modifiers::COMMAND, Key::Enter);
        until(&mut window, "the clip", |window| {
            window.state().gallery().runs().len() == runs
        });
    }
    // Nothing is compared: there is nothing to choose.
    open(&mut window);
    assert!(window.query_by_label("Both beside each other").is_none());
    press(&mut window, Modifiers::NONE, Key::Escape);

    press(&mut window, Modifiers::NONE, Key::C);
    open(&mut window);
    window.get_by_label("This clip");
    window.get_by_label("64 × 64 pixels");
    click(&mut window, "Both beside each other");
    assert!(window.query_by_label("64 × 64 pixels").is_none());
    click(&mut window, "MKV (FFV1)");
    click(&mut window, "Export…");
    let path = folder.path().join("both.mkv");
    type_path(&mut window, &path);
    press(&mut window, Modifiers::NONE, Key::Enter);
    saved(&mut window, &path);

    let (both, comment) = read_clip(&path).expect("a readable file");
    let shown = window.state().gallery().shown().expect("a run");
    let clip = shown.clip().expect("its clip");
    // Both are square and equally large, with a gap of 2 pixels.
    let zoom = (both.width - 2) / 2 / clip.width;
    assert!(zoom >= 2 && both.height > zoom * clip.height);
    assert_eq!(both.width, 2 * zoom * clip.width + 2);
    assert_eq!(both.frames.len(), clip.frames.len());
    let pixel = |x: usize, y: usize| &both.frames[3][(y * both.width + x) * 3..][..3];
    for at in [0, 20, 63] {
        let source = &clip.frames[3][(at * clip.width + at) * 3..][..3];
        assert_eq!(pixel(at * zoom, at * zoom), source);
        // The fake gives the same frames for every plan.
        assert_eq!(pixel((clip.width + at) * zoom + 2, at * zoom), source);
    }
    let recipe = Recipe::from_json(&comment.expect("a recipe")).expect("a recipe that opens");
    assert_eq!(recipe.settings.plan.letters(), "LSL");
    // The choice is still made when the next two are exported.
    open(&mut window);
    assert!(window.query_by_label("64 × 64 pixels").is_none());
}
