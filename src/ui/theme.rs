//! Colours, fonts and measures, in one place. Colour carries meaning: amber is the large model, teal
//! the small one, violet a distilled one, blue the next thing to do and what is being computed.

use eframe::egui;
use std::sync::Arc;

use egui::{
    Color32, Context, CornerRadius, FontData, FontDefinitions, FontFamily, FontId, Margin, Shadow,
    Stroke, Style, TextStyle, Theme, Vec2, Visuals,
};

use super::icons;
use crate::schedule::ModelRole;

/// The one corner radius.
pub const RADIUS_PX: u8 = 5;
/// The grid everything is laid out on.
pub const GRID_PX: f32 = 8.0;
/// Height of a field, a button and a menu entry.
pub const FIELD_HEIGHT_PX: f32 = 32.0;
/// Width of a hairline.
pub const HAIRLINE_PX: f32 = 1.0;

/// The meanings that colours have, for one look.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Palette {
    /// The large model.
    pub large: Color32,
    /// The small model.
    pub small: Color32,
    /// A distilled model.
    pub distilled: Color32,
    /// The next thing to do, and what is being computed.
    pub next: Color32,
    /// A chosen switch behind its label.
    pub chosen: Color32,
    /// Something went wrong.
    pub error: Color32,
    /// Text on the next thing to do.
    pub on_next: Color32,
    /// Text on a coloured block.
    pub on_colour: Color32,
    /// Panels.
    pub panel: Color32,
    /// Behind the preview.
    pub stage: Color32,
    /// Behind the timeline.
    pub well: Color32,
    /// Fields and cards.
    pub field: Color32,
    /// Fields and cards under the pointer.
    pub field_hover: Color32,
    /// Hairlines.
    pub line: Color32,
    /// Headlines and values.
    pub text_strong: Color32,
    /// Text.
    pub text: Color32,
    /// Labels and notes.
    pub text_weak: Color32,
}

const fn hex(rgb: u32) -> Color32 {
    Color32::from_rgb((rgb >> 16) as u8, (rgb >> 8) as u8, rgb as u8)
}

const DARK: Palette = Palette {
    large: hex(0xD89A46),
    small: hex(0x4CA79B),
    distilled: hex(0x9C82DC),
    next: hex(0x7C9CFF),
    chosen: hex(0x2C3758),
    error: hex(0xFF8A80),
    on_next: hex(0x10131B),
    on_colour: hex(0x14161C),
    panel: hex(0x181B22),
    stage: hex(0x08090C),
    well: hex(0x0F1116),
    field: hex(0x20242D),
    field_hover: hex(0x2A2F3A),
    line: hex(0x2A2E37),
    text_strong: hex(0xF2F4F8),
    text: hex(0xD6DAE3),
    text_weak: hex(0x949BA9),
};

const LIGHT: Palette = Palette {
    large: hex(0xE3A74F),
    small: hex(0x58B5A8),
    distilled: hex(0xA98FE6),
    next: hex(0x3D63DD),
    chosen: hex(0xD9E2FF),
    error: hex(0xB3261E),
    on_next: hex(0xFFFFFF),
    on_colour: hex(0x14161C),
    panel: hex(0xF6F7F9),
    stage: hex(0xDCDFE5),
    well: hex(0xECEEF2),
    field: hex(0xFFFFFF),
    field_hover: hex(0xE9EDF5),
    line: hex(0xCFD4DD),
    text_strong: hex(0x12141A),
    text: hex(0x2B303B),
    text_weak: hex(0x5A6272),
};

impl Palette {
    /// The palette of the look that `visuals` belong to.
    pub fn of(visuals: &Visuals) -> &'static Self {
        if visuals.dark_mode { &DARK } else { &LIGHT }
    }

    /// The colour of a model.
    pub fn model(&self, role: ModelRole) -> Color32 {
        match role {
            ModelRole::Large => self.large,
            ModelRole::Small => self.small,
            ModelRole::Distilled => self.distilled,
        }
    }
}

/// The palette of the look in use.
pub fn palette(ui: &egui::Ui) -> &'static Palette {
    Palette::of(ui.visuals())
}

/// Words that matter.
pub fn bold(size_px: f32) -> FontId {
    FontId::new(size_px, FontFamily::Name("bold".into()))
}

/// Words.
pub fn regular(size_px: f32) -> FontId {
    FontId::new(size_px, FontFamily::Proportional)
}

/// Figures.
pub fn mono(size_px: f32) -> FontId {
    FontId::new(size_px, FontFamily::Monospace)
}

/// Figures that matter.
pub fn mono_bold(size_px: f32) -> FontId {
    FontId::new(size_px, FontFamily::Name("mono bold".into()))
}

/// Installs fonts and both looks.
pub fn install(ctx: &Context) {
    ctx.set_fonts(fonts());
    for (theme, palette) in [(Theme::Dark, &DARK), (Theme::Light, &LIGHT)] {
        ctx.set_style_of(theme, style(theme, palette));
    }
}

fn fonts() -> FontDefinitions {
    // The fonts that come with egui stay behind ours, for the odd character that ours lack.
    let mut fonts = FontDefinitions::default();
    let fallback = fonts
        .families
        .get(&FontFamily::Proportional)
        .cloned()
        .unwrap_or_default();
    let files: [(&str, &'static [u8], FontFamily); 6] = [
        (
            "Inter",
            include_bytes!("../../assets/fonts/Inter-Regular.otf"),
            FontFamily::Proportional,
        ),
        (
            "Inter SemiBold",
            include_bytes!("../../assets/fonts/Inter-SemiBold.otf"),
            FontFamily::Name("bold".into()),
        ),
        (
            "JetBrains Mono",
            include_bytes!("../../assets/fonts/JetBrainsMono-Regular.ttf"),
            FontFamily::Monospace,
        ),
        (
            "JetBrains Mono SemiBold",
            include_bytes!("../../assets/fonts/JetBrainsMono-SemiBold.ttf"),
            FontFamily::Name("mono bold".into()),
        ),
        (
            "Phosphor Fill",
            include_bytes!("../../assets/fonts/Phosphor-Fill.ttf"),
            FontFamily::Name(icons::FILLED.into()),
        ),
        (
            "Phosphor Bold",
            include_bytes!("../../assets/fonts/Phosphor-Bold.ttf"),
            FontFamily::Name(icons::LINED.into()),
        ),
    ];
    for (name, bytes, family) in files {
        fonts
            .font_data
            .insert(name.to_owned(), Arc::new(FontData::from_static(bytes)));
        let mut order = vec![name.to_owned()];
        order.extend(fallback.iter().cloned());
        fonts.families.insert(family, order);
    }
    fonts
}

fn style(theme: Theme, palette: &Palette) -> Style {
    let mut style = theme.default_style();
    style.text_styles = [
        (TextStyle::Small, regular(11.5)),
        (TextStyle::Body, regular(13.0)),
        (TextStyle::Button, regular(13.0)),
        (TextStyle::Heading, bold(16.0)),
        (TextStyle::Monospace, mono(13.0)),
    ]
    .into();
    style.drag_value_text_style = TextStyle::Monospace;
    style.spacing.item_spacing = Vec2::splat(GRID_PX);
    style.spacing.button_padding = Vec2::new(12.0, 4.0);
    style.spacing.interact_size = Vec2::new(32.0, FIELD_HEIGHT_PX);
    style.spacing.menu_margin = Margin::same(6);
    style.spacing.window_margin = Margin::same(16);
    style.spacing.tooltip_width = 320.0;
    style.spacing.icon_width = 16.0;
    style.spacing.scroll.floating = true;
    style.interaction.tooltip_delay = 0.4;
    style.interaction.selectable_labels = false;
    colour(&mut style.visuals, palette);
    style
}

fn colour(visuals: &mut Visuals, palette: &Palette) {
    let radius = CornerRadius::same(RADIUS_PX);
    visuals.panel_fill = palette.panel;
    visuals.window_fill = palette.panel;
    visuals.window_stroke = Stroke::new(HAIRLINE_PX, palette.line);
    visuals.window_corner_radius = radius;
    visuals.menu_corner_radius = radius;
    visuals.extreme_bg_color = palette.field;
    visuals.text_edit_bg_color = Some(palette.field);
    visuals.faint_bg_color = palette.well;
    visuals.error_fg_color = palette.error;
    visuals.warn_fg_color = palette.error;
    visuals.hyperlink_color = palette.next;
    visuals.weak_text_color = Some(palette.text_weak);
    visuals.selection.bg_fill = palette.chosen;
    visuals.selection.stroke = Stroke::new(1.5, palette.next);
    visuals.text_cursor.stroke = Stroke::new(1.5, palette.next);
    visuals.popup_shadow = Shadow {
        offset: [0, 4],
        blur: 16,
        spread: 0,
        color: Color32::from_black_alpha(96),
    };
    visuals.window_shadow = visuals.popup_shadow;

    let widgets = &mut visuals.widgets;
    for (state, fill, text) in [
        (&mut widgets.noninteractive, palette.panel, palette.text),
        (&mut widgets.inactive, palette.field, palette.text),
        (
            &mut widgets.hovered,
            palette.field_hover,
            palette.text_strong,
        ),
        (
            &mut widgets.active,
            palette.field_hover,
            palette.text_strong,
        ),
        (&mut widgets.open, palette.field_hover, palette.text_strong),
    ] {
        state.bg_fill = fill;
        state.weak_bg_fill = fill;
        state.bg_stroke = Stroke::NONE;
        state.fg_stroke = Stroke::new(1.0, text);
        state.corner_radius = radius;
        state.expansion = 0.0;
    }
    widgets.noninteractive.bg_stroke = Stroke::new(HAIRLINE_PX, palette.line);
    // The outline of what the keyboard has reached.
    widgets.active.bg_stroke = Stroke::new(1.5, palette.next);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn luminance(c: Color32) -> f64 {
        let channel = |v: u8| {
            let v = f64::from(v) / 255.0;
            if v <= 0.03928 {
                v / 12.92
            } else {
                ((v + 0.055) / 1.055).powf(2.4)
            }
        };
        0.2126 * channel(c.r()) + 0.7152 * channel(c.g()) + 0.0722 * channel(c.b())
    }

    fn contrast(a: Color32, b: Color32) -> f64 {
        let (a, b) = (luminance(a), luminance(b));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    #[test]
    fn text_can_be_read_in_both_looks() {
        for palette in [DARK, LIGHT] {
            for ground in [palette.panel, palette.well, palette.field] {
                assert!(contrast(palette.text, ground) > 7.0);
                assert!(contrast(palette.text_weak, ground) > 4.5, "{ground:?}");
                assert!(contrast(palette.error, ground) > 4.5, "{ground:?}");
            }
            for role in ModelRole::ALL {
                assert!(contrast(palette.on_colour, palette.model(role)) > 4.5);
            }
        }
    }
}
