//! How alike the compared clips are, frame by frame.

use std::ops::RangeInclusive;

use eframe::egui;
use egui::accesskit::Role;
use egui::{Align2, Color32, Pos2, Rect, Sense, Shape, Stroke, Ui, WidgetInfo, pos2, vec2};

use super::theme::{mono, palette, regular};
use super::widgets::{paint_text, text_width};
use crate::analysis::Similarity;
use crate::app::{ActiveRun, Likeness, Request, Scene};

/// Height of the curve with its figures.
pub const HEIGHT_PX: f32 = 64.0;
/// Width of the figures at its left.
const FIGURES_PX: f32 = 212.0;
/// Width of the scale of PSNR at the right end.
const AXIS_PX: f32 = 32.0;
/// Least range of the curve of PSNR, so that a small ripple looks small.
const LEAST_SPAN_DB: f64 = 6.0;
/// Least range of the curve of SSIM.
const LEAST_SPAN_SSIM: f64 = 0.05;

/// The curves of PSNR and SSIM with their mean, in step with the player; a click goes to a frame.
pub fn show(ui: &mut Ui, scene: &Scene<'_>, out: &mut Vec<Request>) {
    let Some(sides) = scene.compared() else {
        let is_awaited = |run: &ActiveRun| scene.comparison.is_rendering(run.id);
        let text = if scene.estimate().is_some() {
            "The comparison goes on when the run is done."
        } else if scene.session.active().is_some_and(is_awaited) {
            "The LLL reference is being rendered; the comparison begins when it is done."
        } else if scene.gallery.runs().len() > 1 {
            "Choose the other run above or in the gallery, or render the LLL reference."
        } else {
            "There is no other run yet: render the LLL reference, or generate another plan."
        };
        return sentence(ui, text);
    };
    if let Some(why) = sides.mismatch() {
        return sentence(ui, &why);
    }
    let Some(likeness) = scene.likenesses.of(sides.shown.id, sides.other.id) else {
        return sentence(ui, "The clips are about to be measured.");
    };
    if let Some(why) = &likeness.failure {
        return sentence(ui, why);
    }
    let (figures, curve) = ui
        .available_rect_before_wrap()
        .split_left_right_at_x(ui.max_rect().left() + FIGURES_PX);
    // Not for the Tab key: left and right move the playhead wherever it is.
    let sense = Sense::CLICK | Sense::DRAG;
    let response = ui.allocate_rect(curve, sense);
    let frame_at = |x: f32| {
        let plot = plot_rect(curve);
        let share = ((x - plot.left()) / plot.width()).clamp(0.0, 1.0);
        (share * likeness.total.saturating_sub(1) as f32).round() as usize
    };
    if let Some(pos) = response.interact_pointer_pos() {
        out.push(Request::Seek(frame_at(pos.x)));
    }
    let hovered = response.hover_pos().map(|pos| frame_at(pos.x));
    let at = hovered.unwrap_or(scene.player.frame_index());
    draw(ui, likeness, curve, scene.player.frame_index(), hovered);
    let frame = likeness.frames.get(at);
    table(ui, likeness, figures, at, frame);
    let mean = Similarity::mean(&likeness.frames);
    response.widget_info(|| {
        let words = mean.as_ref().map(words).unwrap_or_default();
        let name = format!("Similarity of A and B, mean {words}");
        WidgetInfo::labeled(Role::Image, true, name)
    });
    if let Some(frame) = frame {
        response.on_hover_text(format!(
            "Frame {} of {}: {}. Click to go there.",
            at + 1,
            likeness.total,
            words(frame)
        ));
    }
}

/// PSNR and SSIM in words.
fn words(similarity: &Similarity) -> String {
    let psnr = psnr_words(similarity.psnr_db());
    match similarity.ssim {
        Some(ssim) => format!("PSNR {psnr}, SSIM {}", ssim_words(ssim)),
        None => format!("PSNR {psnr}"),
    }
}

fn psnr_words(db: f64) -> String {
    if db.is_infinite() {
        "∞ dB".to_owned()
    } else {
        format!("{db:.1} dB")
    }
}

/// SSIM with three decimals. Only equal frames are 1: what is nearly so must not look it.
fn ssim_words(ssim: f64) -> String {
    if (0.9995..1.0).contains(&ssim) {
        "0.999+".to_owned()
    } else {
        format!("{ssim:.3}")
    }
}

/// The ends of a curve's scale: its lowest and highest finite value, at least `least` apart, and not
/// above `top`. `None` where there is no finite one.
fn ends(values: impl Iterator<Item = f64>, least: f64, top: f64) -> Option<RangeInclusive<f64>> {
    let (low, high) = values
        .filter(|v| v.is_finite())
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| {
            (low.min(v), high.max(v))
        });
    if low > high {
        return None;
    }
    let spare = (least - (high - low)).max(0.0) / 2.0;
    let high = (high + spare).min(top);
    Some((low - spare).min(high - least)..=high)
}

/// A share of the height, 0 at the bottom; what is beyond the scale lies on its end.
fn height(value: f64, scale: &RangeInclusive<f64>) -> f32 {
    let share = (value - scale.start()) / (scale.end() - scale.start());
    share.clamp(0.0, 1.0) as f32
}

/// The part of the curve's room that its lines take.
fn plot_rect(rect: Rect) -> Rect {
    let mut plot = rect.shrink2(vec2(6.0, 11.0));
    plot.max.x -= AXIS_PX;
    plot
}

/// The two lines, the playhead, and the ends of PSNR's scale.
fn draw(ui: &Ui, likeness: &Likeness, rect: Rect, playhead: usize, hovered: Option<usize>) {
    let palette = palette(ui);
    let painter = ui.painter();
    let field = rect.shrink2(vec2(0.0, 6.0));
    painter.rect_filled(field, 4.0, palette.field);
    let plot = plot_rect(rect);
    let last = likeness.total.saturating_sub(1).max(1) as f32;
    let x = |frame: usize| plot.left() + plot.width() * frame as f32 / last;
    let mark = |frame: usize, colour: Color32| {
        painter.vline(x(frame), field.y_range(), Stroke::new(1.0, colour));
    };
    if let Some(frame) = hovered {
        mark(frame, palette.text_weak);
    }
    mark(playhead, palette.text_strong);
    let points = |values: &[f64], scale: Option<&RangeInclusive<f64>>| -> Vec<Pos2> {
        let place = |(i, &v): (usize, &f64)| {
            // Without a scale all are the same: on the top.
            let share = scale.map_or(1.0, |scale| height(v, scale));
            pos2(x(i), plot.bottom() - plot.height() * share)
        };
        values.iter().enumerate().map(place).collect()
    };
    let ssim: Vec<f64> = likeness.frames.iter().map_while(|f| f.ssim).collect();
    let scale = ends(ssim.iter().copied(), LEAST_SPAN_SSIM, 1.0);
    let weak = palette.text_weak;
    let stroke = Stroke::new(1.5, weak);
    painter.extend(Shape::dashed_line(
        &points(&ssim, scale.as_ref()),
        stroke,
        4.0,
        3.0,
    ));
    let psnr: Vec<f64> = likeness.frames.iter().map(Similarity::psnr_db).collect();
    let scale = ends(psnr.iter().copied(), LEAST_SPAN_DB, f64::INFINITY);
    let psnr = points(&psnr, scale.as_ref());
    if let Some((low, high)) = scale.map(RangeInclusive::into_inner) {
        for (value, y) in [(high, plot.top()), (low, plot.bottom())] {
            let pos = pos2(field.right() - 6.0, y);
            let text = format!("{value:.1}");
            paint_text(
                ui,
                pos,
                Align2::RIGHT_CENTER,
                &text,
                mono(10.0),
                weak,
                AXIS_PX,
            );
        }
    }
    if let Some(&dot) = psnr.get(playhead) {
        painter.circle_filled(dot, 3.0, palette.text_strong);
    }
    painter.line(psnr, Stroke::new(1.5, palette.text));
}

/// Mean and one frame's figures, under what the lines mean.
fn table(ui: &Ui, likeness: &Likeness, rect: Rect, at: usize, frame: Option<&Similarity>) {
    let palette = palette(ui);
    let columns = [rect.left(), rect.left() + 74.0, rect.left() + 146.0];
    let rows = [-17.0, 0.0, 17.0].map(|dy| rect.center().y + dy);
    let write = |column: usize, row: usize, text: &str, colour| {
        let pos = pos2(columns[column], rows[row]);
        let font = if column > 0 && row > 0 {
            mono(11.5)
        } else {
            regular(11.5)
        };
        paint_text(ui, pos, Align2::LEFT_CENTER, text, font, colour, 72.0)
    };
    for (column, name) in [(1, "PSNR"), (2, "SSIM")] {
        let width = write(column, 0, name, palette.text_weak);
        let sample = pos2(columns[column] + width + 6.0, rows[0]);
        let line = [sample, sample + vec2(16.0, 0.0)];
        if column == 1 {
            ui.painter()
                .line_segment(line, Stroke::new(1.5, palette.text));
        } else {
            let stroke = Stroke::new(1.5, palette.text_weak);
            ui.painter()
                .extend(Shape::dashed_line(&line, stroke, 4.0, 3.0));
        }
    }
    let mean = Similarity::mean(&likeness.frames);
    let title = if likeness.is_complete() {
        "mean".to_owned()
    } else {
        format!("{} of {}", likeness.frames.len(), likeness.total)
    };
    let lines = [
        (1, title, mean.as_ref(), palette.text_strong),
        (2, format!("frame {}", at + 1), frame, palette.text),
    ];
    for (row, title, figures, colour) in lines {
        write(0, row, &title, palette.text_weak);
        if let Some(figures) = figures {
            write(1, row, &psnr_words(figures.psnr_db()), colour);
            let ssim = figures.ssim.map_or("–".to_owned(), ssim_words);
            write(2, row, &ssim, colour);
        }
    }
}

fn sentence(ui: &mut Ui, text: &str) {
    let rect = ui.available_rect_before_wrap();
    let font = regular(12.0);
    let colour = palette(ui).text_weak;
    let width = text_width(ui, text, font.clone()).min(rect.width());
    paint_text(
        ui,
        rect.left_center(),
        Align2::LEFT_CENTER,
        text,
        font,
        colour,
        width,
    );
    // Painted text is silent; this is what assistive technology reads.
    let (_, response) = ui.allocate_exact_size(rect.size(), Sense::hover());
    response.widget_info(|| WidgetInfo::labeled(Role::Label, true, text));
    response.on_hover_text(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scale_holds_its_values_and_is_never_too_fine() {
        let of = |values: &[f64]| ends(values.iter().copied(), 6.0, f64::INFINITY);
        assert_eq!(of(&[f64::INFINITY]), None);
        assert_eq!(of(&[20.0, 35.0, f64::INFINITY]), Some(20.0..=35.0));
        assert_eq!(of(&[30.0, 31.0]), Some(27.5..=33.5));
        let ssim = ends([0.99, 1.0].into_iter(), 0.05, 1.0).unwrap();
        assert_eq!(*ssim.end(), 1.0);
        assert!((ssim.start() - 0.95).abs() < 1e-12);
    }

    #[test]
    fn values_beyond_the_scale_lie_on_its_end() {
        let scale = 20.0..=40.0;
        assert_eq!(height(f64::INFINITY, &scale), 1.0);
        assert_eq!(height(30.0, &scale), 0.5);
        assert_eq!(height(10.0, &scale), 0.0);
    }

    #[test]
    fn figures_read_naturally() {
        let alike = Similarity {
            mean_square: 0.0,
            ssim: Some(1.0),
        };
        assert_eq!(words(&alike), "PSNR ∞ dB, SSIM 1.000");
        let near = Similarity {
            mean_square: 65.025,
            ssim: Some(0.99991),
        };
        assert_eq!(words(&near), "PSNR 30.0 dB, SSIM 0.999+");
        let small = Similarity {
            mean_square: 65.025,
            ssim: None,
        };
        assert_eq!(words(&small), "PSNR 30.0 dB");
    }
}
