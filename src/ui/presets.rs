//! Prompts that a pair draws well, to start from.

use eframe::egui;
use egui::{
    Atom, Button, Popup, RectAlign, Response, RichText, ScrollArea, Shape, Stroke, Tooltip, Ui,
    accesskit, vec2,
};

use super::format;
use super::theme::{GRID_PX, palette, regular};
use crate::app::Scene;
use crate::project::Preset;

/// Height of an entry of the menu.
const ENTRY_HEIGHT_PX: f32 = 28.0;
/// Height at which a long menu begins to scroll.
const MENU_HEIGHT_PX: f32 = 400.0;

/// A menu of the pair's presets; gives the one that was chosen. Draws nothing where there are none.
pub fn menu(ui: &mut Ui, scene: &Scene<'_>) -> Option<Preset> {
    let presets = scene.pair.map_or(&[][..], |pair| &pair.presets);
    if presets.is_empty() {
        return None;
    }
    let button = menu_button(ui);
    let popup = Popup::menu(&button)
        .align(RectAlign::BOTTOM_END)
        .accessible_name("Presets")
        .show(|ui| {
            let page = ScrollArea::vertical().max_height(MENU_HEIGHT_PX);
            page.show(ui, |ui| entries(ui, scene, presets)).inner
        });
    let (preset, response) = popup?.inner?;
    if response.has_focus() {
        // The entry is gone with the menu; whoever came by keyboard goes on from the button.
        button.request_focus();
    }
    Some(preset.clone())
}

/// A small button that stays behind the field's name until it is reached for.
fn menu_button(ui: &mut Ui) -> Response {
    let weak = palette(ui).text_weak;
    let arrow = Atom::paint(vec2(8.0, 5.0), |ui, args| {
        let rect = args.rect;
        ui.painter().add(Shape::convex_polygon(
            vec![rect.left_top(), rect.right_top(), rect.center_bottom()],
            args.fallback_text_color,
            Stroke::NONE,
        ));
    });
    ui.visuals_mut().widgets.inactive.fg_stroke.color = weak;
    ui.spacing_mut().button_padding = vec2(GRID_PX, 0.0);
    ui.spacing_mut().interact_size.y = ui.available_height();
    ui.add(
        Button::new((RichText::new("Presets").font(regular(12.0)), arrow))
            .frame_when_inactive(false)
            .gap(6.0),
    )
    .on_hover_text("Start from a prompt and a seed that this pair draws well")
}

/// The names, the document's own marked; gives the entry that was chosen.
fn entries<'a>(
    ui: &mut Ui,
    scene: &Scene<'_>,
    presets: &'a [Preset],
) -> Option<(&'a Preset, Response)> {
    ui.spacing_mut().item_spacing.y = 2.0;
    ui.spacing_mut().interact_size.y = ENTRY_HEIGHT_PX;
    ui.spacing_mut().button_padding = vec2(GRID_PX, 2.0);
    let strong = palette(ui).text_strong;
    let settings = scene.document.settings();
    let mut chosen = None;
    for preset in presets {
        let is_chosen = (&preset.prompt, preset.seed) == (&settings.prompt, settings.seed);
        let mut name = RichText::new(&preset.name);
        if is_chosen {
            name = name.color(strong);
        }
        let response = ui.add(Button::selectable(is_chosen, name));
        explain(&response, preset);
        if response.clicked() {
            ui.close();
            chosen = Some((preset, response));
        }
    }
    chosen
}

/// The tooltip of an entry, on its right: below it would hide the entries that follow.
fn explain(response: &Response, preset: &Preset) {
    let text = format!("{}\nSeed {}", preset.prompt, format::grouped(preset.seed));
    let mut tooltip = Tooltip::for_enabled(response).gap(GRID_PX * 1.5);
    tooltip.popup = tooltip.popup.align(RectAlign::RIGHT);
    tooltip.show(|ui| {
        ui.set_max_width(ui.spacing().tooltip_width);
        ui.label(&text);
    });
    let describe = |node: &mut accesskit::Node| node.set_description(text);
    response.ctx.accesskit_node_builder(response.id, describe);
}
