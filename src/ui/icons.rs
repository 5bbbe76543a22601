//! Icons, all of them glyphs of Phosphor, so that they look of one hand and are sharp at every scale.

use eframe::egui;
use egui::{Align2, Color32, FontFamily, FontId, Painter, Rect};

/// Family of the filled icons.
pub const FILLED: &str = "icons filled";
/// Family of the icons drawn with a strong line.
pub const LINED: &str = "icons lined";

/// What an icon shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Icon {
    /// A triangle to the right.
    Play,
    /// Two bars.
    Pause,
    /// A bar and a triangle to the left.
    First,
    /// A triangle to the left.
    Back,
    /// A triangle to the right with a bar.
    Last,
    /// A small triangle to the right.
    Forward,
    /// Two arrows that chase each other.
    Loop,
    /// A die.
    Dice,
    /// A closed lock.
    Locked,
    /// An open lock.
    Unlocked,
    /// A cross.
    Close,
    /// An arrow head up.
    Up,
    /// An arrow head down.
    Down,
    /// A star.
    Star,
    /// Three dots: more to choose from.
    More,
    /// A picture, one half of it light.
    Compare,
    /// Two arrows that pass each other.
    Swap,
}

impl Icon {
    /// The glyph, its family, and its size in points.
    fn glyph(self) -> (char, &'static str, f32) {
        match self {
            Self::Play => ('\u{E3D0}', FILLED, 18.0),
            Self::Pause => ('\u{E39E}', FILLED, 18.0),
            Self::First => ('\u{E5A4}', FILLED, 17.0),
            Self::Last => ('\u{E5A6}', FILLED, 17.0),
            Self::Back => ('\u{E138}', FILLED, 18.0),
            Self::Forward => ('\u{E13A}', FILLED, 18.0),
            Self::Loop => ('\u{E3F6}', LINED, 16.0),
            Self::Dice => ('\u{E1EE}', FILLED, 17.0),
            Self::Locked => ('\u{E308}', FILLED, 16.0),
            Self::Unlocked => ('\u{E30A}', FILLED, 16.0),
            Self::Close => ('\u{E4F6}', LINED, 14.0),
            Self::Up => ('\u{E13C}', LINED, 14.0),
            Self::Down => ('\u{E136}', LINED, 14.0),
            Self::Star => ('\u{E46A}', FILLED, 15.0),
            Self::More => ('\u{E1FE}', LINED, 18.0),
            Self::Compare => ('\u{E462}', FILLED, 17.0),
            Self::Swap => ('\u{E0A0}', LINED, 16.0),
        }
    }

    /// Draws the icon in the middle of `rect`.
    pub fn paint(self, painter: &Painter, rect: Rect, colour: Color32) {
        let (glyph, family, size_px) = self.glyph();
        let font = FontId::new(size_px, FontFamily::Name(family.into()));
        let galley = painter.layout_no_wrap(glyph.to_string(), font, colour);
        // By its ink: a font puts glyphs on a line, not into a box.
        let corner = Align2::CENTER_CENTER
            .align_size_within_rect(galley.mesh_bounds.size(), rect)
            .min;
        let origin = corner - galley.mesh_bounds.min.to_vec2();
        painter.galley(origin, galley, colour);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_icon_has_its_glyph_and_lies_in_the_middle() {
        const ALL: [Icon; 17] = [
            Icon::Play,
            Icon::Pause,
            Icon::First,
            Icon::Back,
            Icon::Last,
            Icon::Forward,
            Icon::Loop,
            Icon::Dice,
            Icon::Locked,
            Icon::Unlocked,
            Icon::Close,
            Icon::Up,
            Icon::Down,
            Icon::Star,
            Icon::More,
            Icon::Compare,
            Icon::Swap,
        ];
        let ctx = egui::Context::default();
        super::super::theme::install(&ctx);
        let draw = |ui: &mut egui::Ui| {
            for icon in ALL {
                let (glyph, family, size_px) = icon.glyph();
                let font = FontId::new(size_px, FontFamily::Name(family.into()));
                let has = ui.fonts_mut(|fonts| fonts.has_glyph(&font, glyph));
                assert!(has, "{icon:?}");
                let galley = ui
                    .painter()
                    .layout_no_wrap(glyph.to_string(), font, Color32::WHITE);
                let ink = galley.mesh_bounds.size();
                assert!(
                    ink.min_elem() > 1.0 && ink.max_elem() < 20.0,
                    "{icon:?}: {ink}"
                );
            }
        };
        for _ in 0..2 {
            let mut output = ctx.run_ui(egui::RawInput::default(), draw);
            output.textures_delta.clear();
        }
    }
}
