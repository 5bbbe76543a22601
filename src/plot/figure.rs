use std::ops::Range;

/// A picture: panels one above the other, under a title.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// What it shows.
    pub title: String,
    /// What the numbers stand on, in smaller letters under the title.
    pub note: String,
    /// The panels, from top to bottom.
    pub panels: Vec<Panel>,
}

/// Two axes and what is drawn between them.
#[derive(Clone, Debug, PartialEq)]
pub struct Panel {
    /// From left to right.
    pub x: Axis,
    /// From bottom to top.
    pub y: Axis,
    /// Curves and points, the first at the back.
    pub series: Vec<Series>,
    /// Stretches of the x axis that are marked.
    pub spans: Vec<Span>,
}

/// What an axis measures.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    /// Its name, with the unit where there is one.
    pub label: String,
    /// The values it reaches at least; it grows until all that is drawn has room.
    pub least: Option<Range<f64>>,
    /// Whether only whole numbers have ticks.
    pub is_whole: bool,
}

impl Axis {
    /// An axis as long as its values ask for.
    pub fn new(label: &str) -> Self {
        Self {
            label: label.to_owned(),
            least: None,
            is_whole: false,
        }
    }
}

/// Values that belong together.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// How they are drawn.
    pub form: Form,
    /// In which colour.
    pub colour: Colour,
    /// The values.
    pub points: Vec<Point>,
}

/// How values are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A line from each to the next, a dot at each, a band as far as they spread.
    Curve,
    /// A line from each to the next.
    Line,
    /// A dot at each, and its name beside it where there is room.
    Dots,
}

/// One value.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// Where on the x axis.
    pub x: f64,
    /// Where on the y axis.
    pub y: f64,
    /// How far it spreads to both sides on the y axis; 0 where it does not.
    pub spread: f64,
    /// What it is called.
    pub name: Option<String>,
}

/// A marked stretch of the x axis.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// From where to where.
    pub range: Range<f64>,
    /// What is so between them.
    pub label: String,
    /// Its colour, pale in the stretch and full at the ends.
    pub colour: Colour,
}

/// Colours by what they mean, as in the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    /// What was measured.
    Measured,
    /// What else was measured.
    Rest,
    /// The small model.
    Small,
}

impl Panel {
    /// What the x axis has to show.
    pub(super) fn x_range(&self) -> Range<f64> {
        let points = self.points().map(|point| point.x);
        let spans = self.spans.iter().flat_map(|s| [s.range.start, s.range.end]);
        reach(&self.x, points.chain(spans))
    }

    /// What the y axis has to show.
    pub(super) fn y_range(&self) -> Range<f64> {
        let ends = self
            .points()
            .flat_map(|point| [point.y - point.spread, point.y + point.spread]);
        reach(&self.y, ends)
    }

    fn points(&self) -> impl Iterator<Item = &Point> {
        self.series.iter().flat_map(|series| &series.points)
    }
}

/// From the lowest to the highest value and a little more, so that nothing is drawn on the frame; the ends
/// that the axis asks for stay where they are unless a value lies beyond.
fn reach(axis: &Axis, values: impl Iterator<Item = f64>) -> Range<f64> {
    let finite = values.filter(|value| value.is_finite());
    let (low, high) = finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
        (low.min(value), high.max(value))
    });
    let asked = axis
        .least
        .clone()
        .unwrap_or(f64::INFINITY..f64::NEG_INFINITY);
    let (bottom, top) = (low.min(asked.start), high.max(asked.end));
    if !bottom.is_finite() || !top.is_finite() {
        return 0.0..1.0;
    }
    let room = match top - bottom {
        0.0 => bottom.abs().max(1.0),
        length => length,
    } * 0.06;
    let bottom = if low > asked.start {
        bottom
    } else {
        bottom - room
    };
    let top = if high < asked.end { top } else { top + room };
    bottom..top
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_has_room_for_its_values_and_keeps_the_end_that_was_asked_for() {
        let axis = |least| Axis {
            least,
            ..Axis::new("")
        };
        let near = |range: Range<f64>, want: [f64; 2]| {
            let apart = (range.start - want[0]).abs() + (range.end - want[1]).abs();
            assert!(apart < 1e-9, "{range:?} against {want:?}");
        };
        let values = || [2.0, 12.0, f64::NAN, f64::INFINITY].into_iter();
        near(reach(&axis(None), values()), [1.4, 12.6]);
        near(reach(&axis(Some(0.0..0.0)), values()), [0.0, 12.72]);
        near(reach(&axis(Some(5.0..20.0)), values()), [0.92, 20.0]);
        near(reach(&axis(None), [3.0].into_iter()), [2.82, 3.18]);
        near(reach(&axis(None), [].into_iter()), [0.0, 1.0]);
    }
}
