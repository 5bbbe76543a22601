//! A figure on any of the plot library's surfaces.

use std::fmt::Display;
use std::ops::Range;
use std::sync::OnceLock;

use plotters::coord::Shift;
use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint, Ranged};
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters::style::register_font;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::{Axis, Colour, Figure, Form, Panel, PlotError, Point, Series, Span, labels, ticks};

/// Sizes in pixels of an SVG.
const WIDTH: i32 = 860;
/// Of a panel below or above another, and of one alone.
const PANEL_HEIGHTS: [i32; 2] = [280, 440];
const HEAD_HEIGHT: i32 = 64;
const MARGIN: i32 = 20;
const X_LABELS: i32 = 46;
const Y_LABELS: i32 = 66;
const TITLE_PX: i32 = 18;
const WORDS_PX: i32 = 13;
/// Ticks at most.
const X_TICKS: usize = 16;
const Y_TICKS: usize = 6;
/// The bundled font of words; whoever looks at an SVG may not have it.
const FONT: &str = "Inter, sans-serif";

/// The colours of the window's light look.
const PAPER: RGBColor = WHITE;
const TEXT: RGBColor = RGBColor(0x2B, 0x30, 0x3B);
const TEXT_WEAK: RGBColor = RGBColor(0x5A, 0x62, 0x72);
const LINE: RGBColor = RGBColor(0xE3, 0xE6, 0xEC);
const FRAME: RGBColor = RGBColor(0x9A, 0xA1, 0xAF);

impl Colour {
    fn rgb(self) -> RGBColor {
        match self {
            Self::Measured => RGBColor(0x3D, 0x63, 0xDD),
            Self::Rest => FRAME,
            Self::Small => RGBColor(0x2F, 0x8F, 0x83),
        }
    }
}

/// Width and height of the picture, `scale` times as large as it is thought.
pub(super) fn size(figure: &Figure, scale: u16) -> (u32, u32) {
    let panels = figure.panels.len();
    let panel_height = PANEL_HEIGHTS[usize::from(panels == 1)];
    let height = HEAD_HEIGHT + panel_height * panels as i32 + MARGIN;
    let size = [WIDTH, height].map(|side| side.unsigned_abs() * u32::from(scale));
    size.into()
}

/// Draws the figure onto a surface of [`size`].
pub(super) fn draw<B: DrawingBackend>(
    figure: &Figure,
    area: &DrawingArea<B, Shift>,
    scale: u16,
) -> Result<(), PlotError> {
    load_font()?;
    let scale = i32::from(scale);
    area.fill(&PAPER).map_err(fault)?;
    let (head, body) = area.split_vertically(HEAD_HEIGHT * scale);
    let words = [
        (&figure.title, TITLE_PX, TEXT, MARGIN),
        (&figure.note, WORDS_PX, TEXT_WEAK, MARGIN + TITLE_PX + 6),
    ];
    for (text, px, colour, top) in words {
        let at = (MARGIN * scale, top * scale);
        head.draw(&Text::new(text.as_str(), at, font(px * scale, colour)))
            .map_err(fault)?;
    }
    let panels = body.margin(0, MARGIN * scale, 0, 0);
    let panels = panels.split_evenly((figure.panels.len().max(1), 1));
    for (panel, area) in figure.panels.iter().zip(panels) {
        panel.draw(&area, scale)?;
    }
    area.present().map_err(fault)
}

/// A straight scale with ticks of our own.
#[derive(Clone)]
struct Scale {
    straight: RangedCoordf64,
    ticks: Vec<f64>,
}

impl Ranged for Scale {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        self.straight.map(value, limit)
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        match hint.weight().allow_light_points() {
            true => Vec::new(),
            false => self.ticks.clone(),
        }
    }

    fn range(&self) -> Range<f64> {
        self.straight.range()
    }
}

type Chart<'a, B> = ChartContext<'a, B, Cartesian2d<Scale, Scale>>;

impl Panel {
    fn draw<B: DrawingBackend>(
        &self,
        area: &DrawingArea<B, Shift>,
        scale: i32,
    ) -> Result<(), PlotError> {
        let (x, y) = (self.x_range(), self.y_range());
        let mut chart = ChartBuilder::on(area)
            .margin_left(MARGIN * scale / 2)
            .margin_right(MARGIN * scale)
            .margin_top(MARGIN * scale / 2)
            .x_label_area_size(X_LABELS * scale)
            .y_label_area_size(Y_LABELS * scale)
            .build_cartesian_2d(self.x.scale(&x, X_TICKS), self.y.scale(&y, Y_TICKS))
            .map_err(fault)?;
        for span in &self.spans {
            span.fill(&mut chart, &y)?;
        }
        chart
            .configure_mesh()
            .x_desc(self.x.label.as_str())
            .y_desc(self.y.label.as_str())
            .x_labels(X_TICKS)
            .y_labels(Y_TICKS)
            .x_label_formatter(&|tick| ticks::words(*tick, &x, X_TICKS, self.x.is_whole))
            .y_label_formatter(&|tick| ticks::words(*tick, &y, Y_TICKS, self.y.is_whole))
            .axis_desc_style(font(WORDS_PX * scale, TEXT))
            .label_style(font(WORDS_PX * scale, TEXT_WEAK))
            .axis_style(FRAME.stroke_width(scale.unsigned_abs()))
            .bold_line_style(LINE.stroke_width(scale.unsigned_abs()))
            .light_line_style(TRANSPARENT)
            .set_all_tick_mark_size(4 * scale)
            .draw()
            .map_err(fault)?;
        for series in &self.series {
            series.draw(&mut chart, scale)?;
        }
        for span in &self.spans {
            span.name(&mut chart, &y, scale)?;
        }
        self.name_dots(&mut chart, scale)
    }

    /// Writes the names of dots, those of the last series first.
    fn name_dots<B: DrawingBackend>(
        &self,
        chart: &mut Chart<'_, B>,
        scale: i32,
    ) -> Result<(), PlotError> {
        let dots = self
            .series
            .iter()
            .rev()
            .filter(|one| one.form == Form::Dots);
        let points: Vec<&Point> = dots.flat_map(|series| &series.points).collect();
        let style = font(WORDS_PX * scale, TEXT);
        let room = chart.plotting_area().get_pixel_range();
        let mut sizes = Vec::with_capacity(points.len());
        for point in &points {
            let size = match &point.name {
                Some(name) => {
                    let size = chart.plotting_area().estimate_text_size(name, &style);
                    let (width, height) = size.map_err(fault)?;
                    Some((width as i32, height as i32))
                }
                None => None,
            };
            sizes.push(size);
        }
        let places: Vec<_> = points
            .iter()
            .map(|point| chart.backend_coord(&(point.x, point.y)))
            .collect();
        let room = [room.0, room.1];
        let corners = labels::place(&places, &sizes, &room, 6 * scale);
        for ((point, place), corner) in points.iter().zip(&places).zip(corners) {
            if let (Some(name), Some(corner)) = (&point.name, corner) {
                let offset = (corner.0 - place.0, corner.1 - place.1);
                let text = EmptyElement::at((point.x, point.y))
                    + Text::new(name.clone(), offset, style.clone());
                chart.draw_series([text]).map_err(fault)?;
            }
        }
        Ok(())
    }
}

impl Axis {
    fn scale(&self, range: &Range<f64>, most: usize) -> Scale {
        Scale {
            straight: range.clone().into(),
            ticks: ticks::ticks(range, most, self.is_whole),
        }
    }
}

impl Series {
    fn draw<B: DrawingBackend>(
        &self,
        chart: &mut Chart<'_, B>,
        scale: i32,
    ) -> Result<(), PlotError> {
        let colour = self.colour.rgb();
        let places = self.points.iter().map(|point| (point.x, point.y));
        let line = |width: u32| {
            LineSeries::new(
                places.clone(),
                colour.stroke_width(width * scale.unsigned_abs()),
            )
        };
        let dots = |radius: i32| {
            let dot = move |at| Circle::new(at, radius * scale, colour.filled());
            places.clone().map(dot)
        };
        match self.form {
            Form::Line => {
                chart.draw_series(line(1)).map_err(fault)?;
            }
            Form::Dots => {
                chart.draw_series(dots(4)).map_err(fault)?;
            }
            Form::Curve => {
                if self.points.iter().any(|point| point.spread > 0.0) {
                    let edge = |side: f64| move |p: &Point| (p.x, p.y + side * p.spread);
                    let upper = self.points.iter().map(edge(1.0));
                    let lower = self.points.iter().rev().map(edge(-1.0));
                    let band =
                        Polygon::new(upper.chain(lower).collect::<Vec<_>>(), colour.mix(0.18));
                    chart.draw_series([band]).map_err(fault)?;
                }
                chart.draw_series(line(2)).map_err(fault)?;
                chart.draw_series(dots(3)).map_err(fault)?;
            }
        }
        Ok(())
    }
}

impl Span {
    fn fill<B: DrawingBackend>(
        &self,
        chart: &mut Chart<'_, B>,
        y: &Range<f64>,
    ) -> Result<(), PlotError> {
        let corners = [(self.range.start, y.start), (self.range.end, y.end)];
        let pale = self.colour.rgb().mix(0.12).filled();
        chart
            .draw_series([Rectangle::new(corners, pale)])
            .map_err(fault)?;
        Ok(())
    }

    /// Its ends and, between them at the top, its label.
    fn name<B: DrawingBackend>(
        &self,
        chart: &mut Chart<'_, B>,
        y: &Range<f64>,
        scale: i32,
    ) -> Result<(), PlotError> {
        let colour = self.colour.rgb();
        for x in [self.range.start, self.range.end] {
            let line = PathElement::new(
                [(x, y.start), (x, y.end)],
                colour.stroke_width(scale.unsigned_abs()),
            );
            chart.draw_series([line]).map_err(fault)?;
        }
        let middle = (self.range.start + self.range.end) / 2.0;
        let style = font(WORDS_PX * scale, colour).pos(Pos::new(HPos::Center, VPos::Top));
        // Just under the frame.
        let label = EmptyElement::at((middle, y.end))
            + Text::new(self.label.clone(), (0, 6 * scale), style);
        chart.draw_series([label]).map_err(fault)?;
        Ok(())
    }
}

fn font(px: i32, colour: RGBColor) -> TextStyle<'static> {
    (FONT, px).into_font().color(&colour)
}

/// Tells the library the bundled font, once.
fn load_font() -> Result<(), PlotError> {
    static LOADED: OnceLock<bool> = OnceLock::new();
    let bytes = include_bytes!("../../assets/fonts/Inter-Regular.otf");
    let load = || register_font(FONT, FontStyle::Normal, bytes).is_ok();
    match LOADED.get_or_init(load) {
        true => Ok(()),
        false => Err(PlotError::Draw("the bundled font is damaged".to_owned())),
    }
}

fn fault(why: impl Display) -> PlotError {
    PlotError::Draw(why.to_string())
}
