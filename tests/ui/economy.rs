//! Cache and guidance in the window, over a pipeline without models.

use crate::common::window::{Window, press, window};
use eframe::egui;
use egui::accesskit::Role;
use egui::{Key, Modifiers};
use egui_kittest::kittest::Queryable as _;
use flowblend::schedule::{CacheMethod, CacheRule};

fn click(window: &mut Window<'_>, label: &str) {
    window.get_by_label(label).click();
    window.run_steps(4);
}

fn cache(window: &Window<'_>) -> Option<CacheRule> {
    window.state().document().settings().cache
}

#[test]
fn a_cache_is_chosen_tuned_and_undone() {
    let (mut window, _pace) = window();
    assert!(window.query_by_label("Cache").is_none(), "folded away");
    click(&mut window, "Cache and guidance");
    assert!(window.query_by_label("Threshold").is_none());
    window
        .get_by_role_and_label(Role::ComboBox, "Cache")
        .click();
    window.run_steps(4);
    click(&mut window, "EasyCache");
    assert_eq!(cache(&window), Some(CacheRule::new(CacheMethod::EasyCache)));
    assert!(window.query_all_by_label("Threshold").next().is_some());
    press(&mut window, Modifiers::COMMAND, Key::Z);
    assert_eq!(cache(&window), None);
    press(&mut window, Modifiers::COMMAND | Modifiers::SHIFT, Key::Z);
    assert_eq!(cache(&window), Some(CacheRule::new(CacheMethod::EasyCache)));
}
