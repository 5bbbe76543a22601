//! Every control of every page has a name for assistive technology and a tooltip for everybody else.

use std::collections::BTreeSet;

use crate::common::window::{Window, press, render, until, window};
use eframe::egui;
use egui::accesskit::Role;
use egui::{Key, Modifiers, Order, Pos2};
use egui_kittest::kittest::{NodeT as _, Queryable as _};

/// Roles of what a person acts on.
const CONTROLS: [Role; 9] = [
    Role::Button,
    Role::CheckBox,
    Role::ComboBox,
    Role::MultilineTextInput,
    Role::Slider,
    Role::SpinButton,
    Role::Tab,
    Role::TextInput,
    Role::Link,
];
/// The menus of the window say by their names what they hold.
const MENUS: [&str; 6] = ["File", "Edit", "Run", "Timeline", "View", "Help"];

/// Those that are filled in. One that has no name of its own is read out by its tooltip, which is too long for a name.
const FIELDS: [Role; 3] = [Role::MultilineTextInput, Role::SpinButton, Role::TextInput];

/// A control: what it is, whether it explains itself to assistive technology, and its middle.
type Control = (String, bool, Pos2);

fn controls(window: &Window<'_>) -> Vec<Control> {
    window
        .query_all_by(|node| CONTROLS.contains(&node.role()))
        .map(|node| {
            let control = node.accesskit_node();
            let name = control.label().unwrap_or_default();
            let is_tooltip = control.description().is_some_and(|hint| hint == name);
            let name = match FIELDS.contains(&control.role()) && is_tooltip {
                true => String::new(),
                false => name,
            };
            // What a tooltip of words says is also told to assistive technology.
            let is_described = control.description().is_some_and(|hint| !hint.is_empty());
            let name = format!("{:?} '{name}'", control.role());
            (name, is_described, node.rect().center())
        })
        .collect()
}

/// Looks at all controls but those that lie behind a page.
fn check(window: &mut Window<'_>, page: &str, behind: &[Control]) {
    let ctx = window.ctx.clone();
    ctx.all_styles_mut(|style| {
        style.interaction.tooltip_delay = 0.0;
        style.interaction.show_tooltips_only_when_still = false;
    });
    let screen = ctx.content_rect();
    let mut controls = controls(window);
    controls.retain(|control| !behind.contains(control));
    assert!(!controls.is_empty(), "{page}: nothing to act on");
    let mut faults = BTreeSet::new();
    for (name, is_described, at) in controls {
        if name.ends_with("''") {
            faults.insert(format!("{name} at {at:?} has no name"));
        }
        let is_menu = MENUS.iter().any(|menu| name == format!("Button '{menu}'"));
        if is_described || is_menu || !screen.contains(at) {
            continue;
        }
        window.hover_at(at);
        window.run_steps(3);
        let has_tooltip = ctx.memory(|memory| {
            let layers = memory.areas().visible_layer_ids();
            layers.iter().any(|layer| layer.order == Order::Tooltip)
        });
        if !has_tooltip {
            faults.insert(format!("{name} has no tooltip"));
        }
    }
    assert!(faults.is_empty(), "{page}: {faults:#?}");
}

fn click(window: &mut Window<'_>, label: &str) {
    window.get_by_label(label).click();
    window.run_steps(3);
}

#[test]
fn of_the_window_at_its_start_and_with_runs() {
    let (mut window, pace) = window();
    check(&mut window, "start", &[]);
    render(&mut window, &pace);
    click(&mut window, "Plan LLL");
    render(&mut window, &pace);
    check(&mut window, "two runs", &[]);
    press(&mut window, Modifiers::NONE, Key::C);
    check(&mut window, "comparing", &[]);
    press(&mut window, Modifiers::NONE, Key::Escape);
    // One that waits, while one is going.
    for _ in 0..3 {
        press(&mut window, Modifiers::NONE, Key::OpenBracket);
        press(
            &mut window,
            Modifiers::COMMAND | Modifiers::SHIFT,
            Key::Enter,
        );
    }
    pace.allow(2);
    until(&mut window, |app| {
        app.session()
            .active()
            .is_some_and(|run| run.steps_done() == 2)
    });
    check(&mut window, "queue", &[]);
    press(&mut window, Modifiers::COMMAND | Modifiers::SHIFT, Key::P);
    pace.allow(1);
    until(&mut window, |app| app.paused().shown().is_some());
    check(&mut window, "paused", &[]);
}

#[test]
fn of_every_page() {
    let (mut window, pace) = window();
    render(&mut window, &pace);
    for (page, modifiers, key) in [
        ("export", Modifiers::COMMAND, Key::E),
        ("models", Modifiers::COMMAND, Key::M),
        ("settings", Modifiers::COMMAND, Key::Comma),
        ("log", Modifiers::COMMAND, Key::L),
        ("commands", Modifiers::COMMAND, Key::P),
        ("analysis", Modifiers::NONE, Key::A),
        ("keys", Modifiers::NONE, Key::F1),
    ] {
        let behind = controls(&window);
        press(&mut window, modifiers, key);
        check(&mut window, page, &behind);
        press(&mut window, Modifiers::NONE, Key::Escape);
    }
    press(&mut window, Modifiers::COMMAND, Key::M);
    let behind = controls(&window);
    click(&mut window, "Add pair…");
    check(&mut window, "adding a pair", &behind);
    press(&mut window, Modifiers::NONE, Key::Escape);
    press(&mut window, Modifiers::NONE, Key::Escape);
    for menu in MENUS {
        let behind = controls(&window);
        click(&mut window, menu);
        check(&mut window, menu, &behind);
        press(&mut window, Modifiers::NONE, Key::Escape);
    }
    press(&mut window, Modifiers::NONE, Key::OpenBracket);
    let behind = controls(&window);
    press(&mut window, Modifiers::COMMAND, Key::N);
    check(&mut window, "unsaved changes", &behind);
    // The answer that loses nothing has the keyboard.
    assert!(window.get_by_label("Save").accesskit_node().is_focused());
}
