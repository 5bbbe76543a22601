//! Quality against predicted seconds: a point for every plan.

use std::ops::RangeInclusive;

use eframe::egui;
use egui::accesskit::Role;
use egui::{Align2, CursorIcon, Pos2, Rect, Sense, Stroke, Ui, Vec2, WidgetInfo, pos2, vec2};

use crate::app::{AnalysisRequest, Request, Scene, SweepView};
use crate::engine::{PlanResult, Quality, SweepSummary};
use crate::ui::format;
use crate::ui::theme::{mono, palette, regular};
use crate::ui::widgets::paint_text;

/// Room for the figures at the left and below, and for what they are above.
const LEFT_PX: f32 = 52.0;
const BELOW_PX: f32 = 36.0;
const ABOVE_PX: f32 = 30.0;
const MARGIN_PX: f32 = 14.0;
const POINT_PX: f32 = 4.0;
/// What can be clicked around a point.
const GRAB_PX: f32 = 14.0;
/// Lines of the grid, about.
const LINES: f64 = 5.0;

/// The plans that were tried. A click on one puts it on the timeline.
pub fn show(
    ui: &mut Ui,
    scene: &Scene<'_>,
    sweep: Option<&SweepView>,
    size: Vec2,
    out: &mut Vec<Request>,
) {
    let (rect, response) = ui.allocate_exact_size(size, Sense::hover());
    ui.painter().rect_filled(rect, 4.0, palette(ui).well);
    let quality = scene.analysis.quality();
    let summary = sweep.and_then(|sweep| sweep.summary.as_ref());
    let places = summary.and_then(|summary| Places::new(rect, summary, quality));
    let (Some(summary), Some(places)) = (summary, places) else {
        let text = "Each plan that is tried becomes a point here.";
        let weak = palette(ui).text_weak;
        // Painted text is silent; this is what assistive technology reads.
        response.widget_info(|| WidgetInfo::labeled(Role::Label, true, text));
        let (middle, font) = (rect.center(), regular(12.0));
        paint_text(
            ui,
            middle,
            Align2::CENTER_CENTER,
            text,
            font,
            weak,
            rect.width(),
        );
        return;
    };
    axes(ui, &places, quality);
    let front = summary.front(quality);
    let line: Vec<Pos2> = front.iter().map(|i| places.points[*i]).collect();
    let weak = palette(ui).text_weak;
    ui.painter().line(line, Stroke::new(1.0, weak));
    let best = summary.best(Quality::Ssim, scene.analysis.wish());
    for (i, plan) in summary.plans.iter().enumerate() {
        let place = Place {
            at: places.points[i],
            on_front: front.contains(&i),
            is_best: best == Some(i),
            is_there: scene.document.settings().plan == plan.plan,
        };
        point(ui, summary, plan, &place, i, out);
    }
}

/// Where the points lie.
struct Places {
    plot: Rect,
    secs: RangeInclusive<f64>,
    quality: RangeInclusive<f64>,
    points: Vec<Pos2>,
}

impl Places {
    /// `None` where there is nothing to place.
    fn new(rect: Rect, summary: &SweepSummary, quality: Quality) -> Option<Self> {
        let trades = summary.trades(quality);
        let secs = span(trades.iter().map(|trade| trade.secs))?;
        let span = span(trades.iter().map(|trade| trade.quality))?;
        let min = rect.min + vec2(LEFT_PX, ABOVE_PX);
        let plot = Rect::from_min_max(min, rect.max - vec2(MARGIN_PX, BELOW_PX));
        let place = |trade: &crate::analysis::Trade| {
            // What is endless, as PSNR of the reference is, lies on the upper edge.
            pos2(
                plot.left() + plot.width() * share(trade.secs, &secs),
                plot.bottom() - plot.height() * share(trade.quality, &span),
            )
        };
        Some(Self {
            points: trades.iter().map(place).collect(),
            plot,
            secs,
            quality: span,
        })
    }
}

/// The finite values with a little room around them. `None` where there are none.
fn span(values: impl Iterator<Item = f64>) -> Option<RangeInclusive<f64>> {
    let finite = values.filter(|value| value.is_finite());
    let (low, high) = finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
        (low.min(value), high.max(value))
    });
    let room = match high - low {
        width if width > 0.0 => 0.06 * width,
        _ => 0.5 * high.abs().max(1e-3),
    };
    (low <= high).then_some(low - room..=high + room)
}

fn share(value: f64, span: &RangeInclusive<f64>) -> f32 {
    let share = (value - span.start()) / (span.end() - span.start());
    share.clamp(0.0, 1.0) as f32
}

/// Round figures within a span, with the digits that tell them apart.
fn lines(span: &RangeInclusive<f64>) -> (Vec<f64>, usize) {
    let rough = (span.end() - span.start()) / LINES;
    let power = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|of| of * power)
        .find(|step| *step >= rough)
        .unwrap_or(rough);
    let first = (span.start() / step).ceil() as i64;
    let last = (span.end() / step).floor() as i64;
    let digits = (-step.log10().floor()).max(0.0) as usize;
    ((first..=last).map(|i| i as f64 * step).collect(), digits)
}

fn axes(ui: &Ui, places: &Places, quality: Quality) {
    let palette = palette(ui);
    let (plot, painter) = (places.plot, ui.painter());
    let hairline = Stroke::new(1.0, palette.line);
    let write = |pos, anchor, text: &str| {
        paint_text(ui, pos, anchor, text, mono(10.5), palette.text_weak, 60.0);
    };
    let (values, digits) = lines(&places.secs);
    for value in values {
        let x = plot.left() + plot.width() * share(value, &places.secs);
        painter.vline(x, plot.y_range(), hairline);
        let pos = pos2(x, plot.bottom() + 6.0);
        write(pos, Align2::CENTER_TOP, &format!("{value:.digits$}"));
    }
    let (values, digits) = lines(&places.quality);
    for value in values {
        let y = plot.bottom() - plot.height() * share(value, &places.quality);
        painter.hline(plot.x_range(), y, hairline);
        let pos = pos2(plot.left() - 6.0, y);
        write(pos, Align2::RIGHT_CENTER, &format!("{value:.digits$}"));
    }
    let name = match quality {
        Quality::Ssim => "SSIM to LLL",
        Quality::Psnr => "PSNR to LLL, dB; LLL itself at the top",
    };
    let font = regular(11.5);
    let below = pos2(plot.right(), plot.bottom() + 20.0);
    let (weak, width) = (palette.text_weak, plot.width());
    let secs = "seconds of a whole run, predicted from the sweep's step and decode times";
    paint_text(
        ui,
        below,
        Align2::RIGHT_TOP,
        secs,
        font.clone(),
        weak,
        width,
    );
    let above = plot.left_top() - vec2(0.0, 8.0);
    paint_text(ui, above, Align2::LEFT_BOTTOM, name, font, weak, width);
}

/// A plan's point, and what it is.
struct Place {
    at: Pos2,
    on_front: bool,
    is_best: bool,
    is_there: bool,
}

fn point(
    ui: &mut Ui,
    summary: &SweepSummary,
    plan: &PlanResult,
    place: &Place,
    index: usize,
    out: &mut Vec<Request>,
) {
    let grab = Rect::from_center_size(place.at, vec2(GRAB_PX, GRAB_PX));
    let id = ui.scope_id().with(("plan", index));
    let response = ui.interact(grab, id, Sense::click());
    let words = words(summary, plan, place);
    response.widget_info(|| WidgetInfo::labeled(Role::Button, true, &words));
    let palette = palette(ui);
    let is_lit = response.hovered() || response.has_focus();
    let colour = match place.on_front || is_lit {
        true => palette.text_strong,
        false => palette.text_weak,
    };
    let painter = ui.painter();
    if place.is_best {
        painter.circle_filled(place.at, POINT_PX + 5.0, palette.chosen);
    }
    match place.on_front {
        true => painter.circle_filled(place.at, POINT_PX, colour),
        false => painter.circle_stroke(place.at, POINT_PX - 0.5, Stroke::new(1.0, colour)),
    };
    if place.is_there || is_lit {
        let ring = if is_lit { palette.next } else { colour };
        painter.circle_stroke(place.at, POINT_PX + 3.5, Stroke::new(1.5, ring));
    }
    let what = match place.is_there {
        true => "It is on the timeline.",
        false => "Click to put it on the timeline.",
    };
    let response = response
        .on_hover_text(format!("{words}. {what}"))
        .on_hover_cursor(CursorIcon::PointingHand);
    if response.clicked() && !place.is_there {
        out.push(Request::Analysis(AnalysisRequest::Use(plan.plan.clone())));
    }
}

/// The plan and its figures.
fn words(summary: &SweepSummary, plan: &PlanResult, place: &Place) -> String {
    let mut parts = vec![plan.plan.words()];
    parts.extend(plan.similarity.ssim.map(|ssim| format!("SSIM {ssim:.3}")));
    let psnr = plan.similarity.psnr_db();
    parts.push(match psnr.is_finite() {
        true => format!("PSNR {psnr:.1} dB"),
        false => "PSNR ∞ dB".to_owned(),
    });
    parts.extend(plan.secs.map(format::seconds));
    let reference = summary.reference().and_then(|reference| reference.secs);
    let faster = plan
        .secs
        .zip(reference)
        .map(|(own, reference)| reference / own);
    parts.extend(faster.map(|times| format!("{times:.2} × as fast as LLL")));
    parts.push(format!("{} large steps", plan.large_steps));
    if place.is_best {
        parts.push("the best as asked".to_owned());
    } else if place.on_front {
        parts.push("no other is better in both".to_owned());
    }
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_holds_what_is_finite_with_room_around() {
        let of = |values: &[f64]| span(values.iter().copied());
        assert_eq!(of(&[f64::INFINITY, f64::NAN]), None);
        let some = of(&[20.0, 40.0, f64::INFINITY]).unwrap();
        assert!(*some.start() < 20.0 && *some.end() > 40.0 && *some.end() < 42.0);
        let single = of(&[1.0]).unwrap();
        assert!(single.start() < single.end());
        assert_eq!(share(f64::INFINITY, &some), 1.0);
    }

    #[test]
    fn lines_are_round_and_inside() {
        assert_eq!(
            lines(&(0.13..=1.09)).0,
            [0.2, 0.4, 0.6000000000000001, 0.8, 1.0]
        );
        for span in [0.0..=1e-3, 0.93..=1.01, 3.0..=480.0] {
            let (values, digits) = lines(&span);
            assert!((2..=6).contains(&values.len()), "{values:?}");
            assert!(values.iter().all(|value| span.contains(value)));
            let mut texts: Vec<_> = values.iter().map(|v| format!("{v:.digits$}")).collect();
            texts.dedup();
            assert_eq!(texts.len(), values.len(), "{texts:?}");
        }
    }
}
