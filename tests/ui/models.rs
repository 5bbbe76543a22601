//! The list of pairs in the window, driven as a person would.

use crate::common;

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use crate::common::models::{Steer, source};
use crate::common::window::{Window, press, until_seen as until};
use crate::common::{Pace, fake};
use eframe::egui;
use egui::accesskit::Role;
use egui::{Key, Modifiers, vec2};
use egui_kittest::Harness;
use egui_kittest::kittest::{NodeT as _, Queryable as _};
use flowblend::app::{App, ModelsSource};
use flowblend::engine::{Candidate, ForgottenPair, PipelineFactory};
use flowblend::hub::PullProgress;
use flowblend::models::{UserPair, UserPlace};
use flowblend::project::PairRef;
use flowblend::schedule::DistilledGrid;

/// The window with its list of pairs open.
fn window<'a>() -> (Window<'a>, Pace, Steer) {
    let ((factory, pace), (source, steer)) = (fake(), source());
    (build(factory, source), pace, steer)
}

fn build<'a>(factory: PipelineFactory, source: ModelsSource) -> Window<'a> {
    let mut window = Harness::builder()
        .with_size(vec2(1440.0, 900.0))
        .with_step_dt(1.0 / 60.0)
        .with_max_steps(64)
        .build_eframe(|cc| {
            let app = App::new(cc, factory).expect("the engine starts");
            app.with_models(source)
        });
    until(&mut window, |window| window.state().pair().is_some());
    press(&mut window, Modifiers::NONE, Key::Escape);
    press(&mut window, Modifiers::COMMAND, Key::M);
    until(&mut window, |window| {
        window.query_by_label("Use toy").is_some()
    });
    window
}

fn click(window: &mut Window<'_>, label: &str) {
    window.get_by_label(label).click();
    window.run_steps(3);
}

fn is_disabled(window: &Window<'_>, label: &str) -> bool {
    window.get_by_label(label).accesskit_node().is_disabled()
}

fn progress(done: u64) -> PullProgress {
    PullProgress {
        file: "large/vae/config.json".to_owned(),
        done,
        total: 4_000_000_000,
    }
}

#[test]
fn every_pair_tells_its_state_and_what_it_lacks() {
    let (mut window, _pace, _steer) = window();
    for words in ["In use", "Files are missing", "Cannot be blended"] {
        window.get_by_label(words);
    }
    // One here, and the other in the status bar.
    assert_eq!(window.query_all_by_label("Ready").count(), 2);
    window.get_by_label("The large model is missing: /models/wan2.1/large does not exist.");
    window.get_by_label("goes to /models/wan2.1/large, from Wan-AI/Wan2.1-T2V-14B-Diffusers");
    window.get_by_label("at least 63.4 GB, or 57.2 GB with the models swapped at the boundaries");
    window.get_by_label("Apache-2.0");
    // Only what can be used can be chosen, and only what is published downloaded.
    for (label, disabled) in [
        ("Use demo", true),
        ("Use toy", false),
        ("Use wan2.1", true),
        ("Use mixed", true),
        ("Download wan2.1", false),
    ] {
        assert_eq!(is_disabled(&window, label), disabled, "{label}");
    }
    assert!(window.query_by_label("Download mixed").is_none());
    press(&mut window, Modifiers::NONE, Key::Escape);
    assert!(window.query_by_label("Use toy").is_none());
}

#[test]
fn another_pair_brings_its_settings_keeps_the_prompt_and_is_one_undo() {
    let (mut window, _pace, _steer) = window();
    let before = window.state().document().settings().clone();
    click(&mut window, "Use toy");
    until(&mut window, |window| {
        window.state().pair().is_some_and(|pair| pair.name == "toy")
    });
    let toy = PairRef::Named("toy".to_owned());
    let settings = window.state().document().settings();
    assert_eq!((&settings.pair, settings.steps), (&toy, 12));
    assert_eq!(
        (&settings.prompt, settings.seed),
        (&before.prompt, before.seed)
    );
    assert_eq!(window.state().document().undo_words(), Some("model pair"));
    window.get_by_label("toy · 30 M / 3.1 M");
    // Back again, and the engine describes the pair that the document has.
    press(&mut window, Modifiers::COMMAND, Key::Z);
    assert_eq!(*window.state().document().settings(), before);
    until(&mut window, |window| {
        window
            .state()
            .pair()
            .is_some_and(|pair| pair.name == "demo")
    });
    press(&mut window, Modifiers::COMMAND, Key::Y);
    until(&mut window, |window| {
        window.state().pair().is_some_and(|pair| pair.name == "toy")
    });
}

#[test]
fn the_pair_of_a_run_that_is_going_stays() {
    let (mut window, pace, _steer) = window();
    press(&mut window, Modifiers::NONE, Key::Escape);
    press(&mut window, Modifiers::COMMAND, Key::Enter);
    pace.allow(1);
    until(&mut window, |window| {
        window.state().session().active().is_some()
    });
    press(&mut window, Modifiers::COMMAND, Key::M);
    until(&mut window, |window| {
        window.query_by_label("Use toy").is_some()
    });
    assert!(is_disabled(&window, "Use toy"));
}

#[test]
fn a_pair_that_cannot_be_used_leaves_the_document_alone() {
    let ((factory, _pace), (mut source, _steer)) = (fake(), source());
    source.survey = Arc::new(|_| {
        let mut reports = common::models::reports();
        reports[1].name = "gone".to_owned();
        reports
    });
    let mut window: Window<'_> = Harness::builder()
        .with_size(vec2(1440.0, 900.0))
        .build_eframe(|cc| {
            let app = App::new(cc, factory).expect("the engine starts");
            app.with_models(source)
        });
    until(&mut window, |window| window.state().pair().is_some());
    let before = window.state().document().settings().clone();
    press(&mut window, Modifiers::COMMAND, Key::M);
    until(&mut window, |window| {
        window.query_by_label("Use gone").is_some()
    });
    click(&mut window, "Use gone");
    until(&mut window, |window| {
        window
            .query_by_label("The pair was taken away; add it again.")
            .is_some()
    });
    assert_eq!(*window.state().document().settings(), before);
    assert!(
        window
            .state()
            .pair()
            .is_some_and(|pair| pair.name == "demo")
    );
}

#[test]
fn a_distilled_model_has_a_row_and_may_come_later() {
    let ((factory, _pace), (mut source, _steer)) = (fake(), source());
    source.survey = Arc::new(|_| {
        let mut reports = common::models::reports();
        let place = |name: &str| Some(PathBuf::from(format!("/models/{name}/distilled")));
        reports[0].distilled = place("demo");
        reports[1].distilled = place("toy");
        reports[1].lacks_distilled = true;
        reports[1].download_bytes = Some(60_000_000_000);
        let repos = ["them/large", "them/small", "them/distilled"];
        reports[1].repos = Some(repos.map(str::to_owned).to_vec());
        reports
    });
    let mut window = build(factory, source);
    for words in [
        "/models/demo/distilled",
        "goes to /models/toy/distilled, from them/distilled",
        "The pair works without it; only stages of the letter D need it.",
    ] {
        window.get_by_label(words);
    }
    // The models that are here come from nowhere any more.
    window.get_by_label("/models/toy/large");
    assert!(!is_disabled(&window, "Use toy"));
    assert!(window.query_by_label("Download demo").is_none());
    click(&mut window, "Download toy");
    until(&mut window, |window| {
        window.query_by_label("Stop the download of toy").is_some()
    });
}

#[test]
fn a_pair_that_was_added_leaves_the_list_and_comes_back() {
    let ((factory, _pace), (mut source, _steer)) = (fake(), source());
    // The list, with every pair but the bundled one added.
    let listed = Arc::new(Mutex::new(vec!["toy".to_owned(), "mixed".to_owned()]));
    let list = Arc::clone(&listed);
    source.survey = Arc::new(move |weights| {
        assert_eq!(
            weights,
            common::pipeline::weights(),
            "as the pair's device has them"
        );
        let names = list.lock().expect("the list");
        let mut reports = common::models::reports();
        reports.retain(|pair| pair.name == "demo" || names.contains(&pair.name));
        for pair in &mut reports {
            pair.is_added = pair.name != "demo";
        }
        reports
    });
    let list = Arc::clone(&listed);
    source.forget = Arc::new(move |name| {
        list.lock().expect("the list").retain(|known| known != name);
        Ok(ForgottenPair::from(UserPair {
            name: name.to_owned(),
            place: UserPlace::Folder {
                folder: PathBuf::from("/models").join(name),
            },
        }))
    });
    let list = Arc::clone(&listed);
    source.put_back = Arc::new(move |pair| {
        list.lock().expect("the list").push(pair.name().to_owned());
        Ok(())
    });
    let mut window = build(factory, source);
    assert!(window.query_by_label("Remove demo").is_none());
    click(&mut window, "Remove mixed");
    until(&mut window, |window| {
        window.query_by_label("Remove mixed").is_none()
    });
    let said = "The pair mixed was taken out of the list";
    // On the page, and in the window's own line behind it.
    assert_eq!(window.query_all_by_label(said).count(), 2);
    assert_eq!(*listed.lock().expect("the list"), ["toy"]);
    window
        .get_all_by_label("Undo")
        .last()
        .expect("on the page")
        .click();
    until(&mut window, |window| {
        window.query_by_label("Remove mixed").is_some()
    });
    assert!(window.query_by_label(said).is_none());
    // The pair of the document stays.
    click(&mut window, "Use toy");
    until(&mut window, |window| {
        window.state().pair().is_some_and(|pair| pair.name == "toy")
    });
    press(&mut window, Modifiers::COMMAND, Key::M);
    until(&mut window, |window| {
        window.query_by_label("Remove toy").is_some()
    });
    assert!(is_disabled(&window, "Remove toy"));
}

#[test]
fn a_download_tells_how_far_it_is_and_stops_when_asked() {
    let (mut window, _pace, steer) = window();
    click(&mut window, "Download wan2.1");
    steer.send(progress(1_000_000_000)).expect("it goes on");
    let text = "Downloading wan2.1 · 1.0 GB of 4.0 GB · large/vae/config.json";
    until(&mut window, |window| {
        window.query_all_by_label(text).count() >= 1
    });
    click(&mut window, "Stop the download of wan2.1");
    until(&mut window, |window| {
        window.query_by_label("Download wan2.1").is_some()
    });
    assert!(window.query_by_label(text).is_none());
    // Once more, to its end.
    click(&mut window, "Download wan2.1");
    steer.send(progress(2_000_000_000)).expect("it goes on");
    steer.send(progress(4_000_000_000)).expect("it goes on");
    until(&mut window, |window| {
        window
            .query_by_label("The pair wan2.1 is complete")
            .is_some()
    });
}

#[test]
fn a_desktop_without_a_dialog_says_what_to_do_instead() {
    let (mut window, _pace, _steer) = window();
    click(&mut window, "Add pair…");
    click(&mut window, "Small model: choose a file…");
    let said = "This desktop has no file dialog; type the path into the field.";
    until(&mut window, |window| {
        window.query_all_by_label(said).count() == 2
    });
}

#[test]
fn a_pair_with_a_distilled_model_is_typed_checked_and_added() {
    let ((factory, _pace), (mut source, _steer)) = (fake(), source());
    let added = Arc::new(Mutex::new(Vec::new()));
    let asked = Arc::clone(&added);
    source.add = Arc::new(move |pair: &Candidate| {
        asked.lock().expect("the list").push(pair.clone());
        let taken = "there is a pair called `large` already; give this one another name (--name)";
        pair.name.clone().ok_or_else(|| taken.to_owned())
    });
    let mut window = build(factory, source);
    let field = |window: &Window<'_>, name: &str| {
        let field = window.get_by_role_and_label(Role::TextInput, name);
        (field.is_focused(), field.value().unwrap_or_default())
    };
    let type_in = |window: &mut Window<'_>, name: &str, text: &str| {
        window.get_by_role_and_label(Role::TextInput, name).focus();
        window.run_steps(2);
        let field = window.get_by_role_and_label(Role::TextInput, name);
        field.type_text(text);
        window.run_steps(3);
    };
    click(&mut window, "Add pair…");
    // Whoever opens the page can type at once, and Esc leads back.
    assert!(field(&window, "Large model").0);
    press(&mut window, Modifiers::NONE, Key::Escape);
    click(&mut window, "Add pair…");
    assert!(is_disabled(&window, "Add"));
    type_in(&mut window, "Large model", "/models/large");
    type_in(&mut window, "Small model", "/models/small.gguf");
    assert!(!is_disabled(&window, "Add"));
    type_in(&mut window, "Distilled model", "/models/fast");
    let wanted = "Say in how many steps the distilled model was taught to go.";
    assert!(is_disabled(&window, "Add") && window.query_by_label(wanted).is_some());
    type_in(&mut window, "Taught steps", "1, 0.9375, 0.625");
    let fault = "A distilled model's noise levels must go from 1 to 0; give for example 1, 0.75, 0.5, 0.25, 0.";
    assert!(window.query_by_label(fault).is_some());
    type_in(&mut window, "Taught steps", ", 0");

    // What is found in the files is said there, and nothing that was typed is lost.
    click(&mut window, "Add");
    let taken = "There is a pair called `large` already; give this one another name (--name).";
    until(&mut window, |window| {
        window.query_all_by_label(taken).count() == 2
    });
    assert_eq!(field(&window, "Distilled model").1, "/models/fast");
    type_in(&mut window, "Name", "mine");
    press(&mut window, Modifiers::NONE, Key::Enter);
    until(&mut window, |window| {
        window.query_by_label("The pair mine was added").is_some()
    });
    assert!(window.query_by_label("Add pair…").is_some());
    let added = added.lock().expect("the list");
    let levels = vec![1.0, 0.9375, 0.625, 0.0];
    let pair = Candidate {
        large: PathBuf::from("/models/large"),
        small: Some(PathBuf::from("/models/small.gguf")),
        distilled: Some(PathBuf::from("/models/fast")),
        taught: DistilledGrid::try_from(levels).ok(),
        name: None,
    };
    let named = Candidate {
        name: Some("mine".to_owned()),
        ..pair.clone()
    };
    assert_eq!(*added, [pair, named]);
}

#[test]
fn the_list_opens_from_the_pairs_field() {
    let (mut window, _pace, _steer) = window();
    press(&mut window, Modifiers::NONE, Key::Escape);
    click(&mut window, "demo · 30 M / 3.1 M");
    until(&mut window, |window| {
        window.query_by_label("Use toy").is_some()
    });
}
