//! Pictures of measurements: curves and points over axes, as PNG or SVG. Knows numbers and words only;
//! what they mean is its callers' business.

mod draw;
mod error;
mod figure;
mod file;
mod labels;
mod ticks;

pub use error::PlotError;
pub use figure::{Axis, Colour, Figure, Form, Panel, Point, Series, Span};
pub use file::PlotFormat;
