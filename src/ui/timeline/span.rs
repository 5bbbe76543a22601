/// How far in the axis can be zoomed.
const MAX_ZOOM: f64 = 16.0;

/// Which part of the axis the track shows, as shares of the whole of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AxisSpan {
    start: f64,
    length: f64,
}

impl Default for AxisSpan {
    fn default() -> Self {
        Self {
            start: 0.0,
            length: 1.0,
        }
    }
}

impl AxisSpan {
    /// Where the shown part begins, 0..=1.
    pub fn start(&self) -> f64 {
        self.start
    }

    /// How much is shown, above 0 and up to 1.
    pub fn length(&self) -> f64 {
        self.length
    }

    /// Times the size at which the whole schedule is shown; 1 or more.
    pub fn zoom(&self) -> f64 {
        1.0 / self.length
    }

    /// Whether the whole schedule is shown.
    pub fn is_whole(&self) -> bool {
        self.length >= 1.0
    }

    /// Zooms by `factor`, keeping what is `at` (a share of the track's width) where it is as far as
    /// the schedule's ends allow.
    pub fn zoom_at(&mut self, at: f64, factor: f64) {
        let length = (self.length / factor).clamp(1.0 / MAX_ZOOM, 1.0);
        if length.is_finite() {
            self.start += at * (self.length - length);
            self.length = length;
            self.keep_inside();
        }
    }

    /// Moves what is shown by a share of the track's width; above 0 shows what comes later.
    pub fn pan(&mut self, by: f64) {
        if by.is_finite() {
            self.start += by * self.length;
            self.keep_inside();
        }
    }

    /// Moves just so far that `share` of the axis is shown, not at the very edge.
    pub fn reveal(&mut self, share: f64) {
        let margin = self.length / 8.0;
        let (low, high) = (share + margin - self.length, share - margin);
        self.start = self.start.clamp(low, high.max(low));
        self.keep_inside();
    }

    fn keep_inside(&mut self) {
        self.start = self.start.clamp(0.0, 1.0 - self.length);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn zooming_in_keeps_what_is_under_the_pointer(
            at in 0.0f64..=1.0, then in 0.0f64..=1.0, first in 1.0f64..8.0, second in 1.0f64..8.0,
        ) {
            let mut span = AxisSpan::default();
            span.zoom_at(at, first);
            let before = span.start() + then * span.length();
            span.zoom_at(then, second);
            prop_assert!((span.start() + then * span.length() - before).abs() < 1e-9);
        }

        #[test]
        fn what_is_shown_stays_inside_and_zooming_out_shows_all(
            moves in proptest::collection::vec((0.0f64..=1.0, 0.2f64..5.0, -3.0f64..3.0), 0..20),
        ) {
            let mut span = AxisSpan::default();
            for (at, factor, by) in moves {
                span.zoom_at(at, factor);
                span.pan(by);
                span.reveal(at);
                prop_assert!(span.start() >= 0.0 && span.start() + span.length() <= 1.0 + 1e-12);
                prop_assert!(span.zoom() >= 1.0 && span.zoom() <= MAX_ZOOM + 1e-9);
                let shown = span.start() - 1e-12..=span.start() + span.length() + 1e-12;
                prop_assert!(shown.contains(&at));
            }
            span.zoom_at(0.3, 1e-9);
            prop_assert_eq!(span, AxisSpan::default());
        }
    }

    #[test]
    fn nonsense_moves_nothing() {
        let mut span = AxisSpan::default();
        span.zoom_at(0.5, 4.0);
        let before = span;
        span.zoom_at(0.5, f64::NAN);
        span.pan(f64::NAN);
        assert_eq!(span, before);
    }
}
