use eframe::egui::{Pos2, Rect, Vec2, pos2, vec2};

/// How far in and out a picture can be zoomed.
const ZOOM_RANGE: std::ops::RangeInclusive<f32> = 1.0..=64.0;

/// Which part of a picture a pane shows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ZoomPan {
    /// 1 fits the whole picture into the pane; 2 shows it twice as large.
    zoom: f32,
    /// The point of the picture in the middle of the pane, as shares of its sides.
    centre: Vec2,
}

impl Default for ZoomPan {
    fn default() -> Self {
        Self {
            zoom: 1.0,
            centre: Vec2::splat(0.5),
        }
    }
}

impl ZoomPan {
    /// Times the size that fits; 1 or more.
    pub fn zoom(&self) -> f32 {
        self.zoom
    }

    /// Whether the whole picture is shown.
    pub fn is_fit(&self) -> bool {
        self.zoom == 1.0
    }

    /// Where the whole picture of `size` lies when shown in `pane`, in points: its proportions kept,
    /// centred, bars left where they do not agree. Reaches beyond the pane when zoomed.
    pub fn picture_rect(&self, pane: Rect, size: [usize; 2]) -> Rect {
        let drawn = fit_scale(pane, size) * self.zoom * as_vec(size);
        Rect::from_min_size(pane.center() - self.centre * drawn, drawn)
    }

    /// Zooms by `factor`, keeping what is under `pointer` where it is.
    pub fn zoom_at(&mut self, pane: Rect, size: [usize; 2], pointer: Pos2, factor: f32) {
        let before = self.picture_rect(pane, size);
        let share = (pointer - before.min) / before.size().max(Vec2::splat(f32::MIN_POSITIVE));
        self.set_zoom(self.zoom * factor);
        let after = self.picture_rect(pane, size);
        let slip = (after.min + share * after.size()) - pointer;
        self.drag(pane, size, -slip);
    }

    /// Moves the picture by `delta` points, as a drag does. Its edge never leaves the pane's middle,
    /// and a picture that fits stays centred.
    pub fn drag(&mut self, pane: Rect, size: [usize; 2], delta: Vec2) {
        let drawn = self.picture_rect(pane, size).size();
        if self.is_fit() || drawn.min_elem() <= 0.0 {
            self.centre = Vec2::splat(0.5);
        } else {
            self.centre = (self.centre - delta / drawn).clamp(Vec2::ZERO, Vec2::splat(1.0));
        }
    }

    /// Shows one pixel of the picture on one pixel of the screen, where the pane is small enough for
    /// that to be a zoom at all.
    pub fn one_to_one(&mut self, pane: Rect, size: [usize; 2], pixels_per_point: f32) {
        self.set_zoom(1.0 / (fit_scale(pane, size) * pixels_per_point));
    }

    /// Shows the whole picture again.
    pub fn reset(&mut self) {
        *self = Self::default();
    }

    fn set_zoom(&mut self, zoom: f32) {
        if zoom.is_finite() {
            self.zoom = zoom.clamp(*ZOOM_RANGE.start(), *ZOOM_RANGE.end());
        }
    }
}

/// The rectangle on whole pixels that is nearest to `rect`: texels of equal size, and no half-lit edge.
pub(super) fn on_pixels(rect: Rect, pixels_per_point: f32) -> Rect {
    let round = |p: Pos2| {
        let at = |v: f32| (v * pixels_per_point).round() / pixels_per_point;
        pos2(at(p.x), at(p.y))
    };
    Rect::from_min_max(round(rect.min), round(rect.max))
}

fn as_vec(size: [usize; 2]) -> Vec2 {
    vec2(size[0] as f32, size[1] as f32)
}

fn fit_scale(pane: Rect, size: [usize; 2]) -> f32 {
    (pane.size() / as_vec(size).max(Vec2::splat(1.0)))
        .min_elem()
        .max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: [usize; 2] = [64, 32];

    fn pane() -> Rect {
        Rect::from_min_size(pos2(10.0, 20.0), vec2(128.0, 128.0))
    }

    #[test]
    fn a_fit_keeps_proportions_between_bars() {
        let rect = ZoomPan::default().picture_rect(pane(), SIZE);
        assert_eq!(
            rect,
            Rect::from_min_size(pos2(10.0, 52.0), vec2(128.0, 64.0))
        );
    }

    #[test]
    fn zooming_keeps_what_is_under_the_pointer() {
        let mut view = ZoomPan::default();
        let pointer = pos2(60.0, 70.0);
        let share = |view: &ZoomPan| {
            let rect = view.picture_rect(pane(), SIZE);
            (pointer - rect.min) / rect.size()
        };
        let before = share(&view);
        for factor in [1.5, 2.0, 0.7] {
            view.zoom_at(pane(), SIZE, pointer, factor);
            assert!((share(&view) - before).length() < 1e-4);
        }
        view.zoom_at(pane(), SIZE, pointer, 1e-6);
        assert!(view.is_fit());
        assert_eq!(view, ZoomPan::default());
    }

    #[test]
    fn drags_follow_the_pointer_and_stop_at_the_middle() {
        let mut view = ZoomPan::default();
        view.drag(pane(), SIZE, vec2(30.0, 0.0));
        assert_eq!(view, ZoomPan::default());
        view.zoom_at(pane(), SIZE, pane().center(), 4.0);
        let before = view.picture_rect(pane(), SIZE);
        view.drag(pane(), SIZE, vec2(7.0, -3.0));
        let moved = view.picture_rect(pane(), SIZE).min - before.min;
        assert!((moved - vec2(7.0, -3.0)).length() < 1e-3);
        view.drag(pane(), SIZE, vec2(1e9, 0.0));
        assert!((view.picture_rect(pane(), SIZE).left() - pane().center().x).abs() < 1e-3);
    }

    #[test]
    fn one_to_one_counts_pixels_of_the_screen() {
        let mut view = ZoomPan::default();
        let small = Rect::from_min_size(Pos2::ZERO, vec2(16.0, 16.0));
        view.one_to_one(small, SIZE, 2.0);
        assert_eq!(view.picture_rect(small, SIZE).width() * 2.0, 64.0);
        assert!(ZoomPan::default().picture_rect(small, [0, 0]).is_finite());
    }
}
