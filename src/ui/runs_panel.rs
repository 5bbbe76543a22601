//! The finished runs.

use eframe::egui;
use egui::accesskit::Role;
use egui::{
    Align2, Button, Color32, CornerRadius, Rect, Response, RichText, ScrollArea, Sense, Stroke,
    StrokeKind, Ui, WidgetInfo, pos2, vec2,
};

use super::format;
use super::icons::Icon;
use super::theme::{GRID_PX, RADIUS_PX, bold, palette, regular};
use super::widgets::{focus_ring, paint_text};
use crate::app::{CompareRequest, GalleryRun, Request, Scene};
use crate::schedule::Plan;

const ENTRY_HEIGHT_PX: f32 = 84.0;
const COMPARE_WORDS: &str = "Compare with the shown clip";

/// The finished runs of this session; a click restores clip and settings.
pub fn show(ui: &mut Ui, scene: &Scene<'_>, out: &mut Vec<Request>) {
    heading(ui);
    if scene.gallery.runs().is_empty() {
        ui.add_space(GRID_PX);
        ui.label(
            RichText::new("Finished runs appear here, each with its plan, time and seed. Press Ctrl+Enter for the first one.")
                .font(regular(12.0))
                .color(palette(ui).text_weak),
        );
        return;
    }
    ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
        ui.spacing_mut().item_spacing.y = GRID_PX;
        let shown = scene.gallery.shown().map(|run| run.id);
        let other = scene.comparison.sides(scene.gallery).map(|s| s.other.id);
        for run in scene.gallery.runs() {
            let is_shown = shown == Some(run.id);
            let side = match other {
                Some(_) if is_shown => Some("A"),
                Some(other) if other == run.id => Some("B"),
                _ => None,
            };
            entry(ui, run, is_shown, side, out);
        }
    });
}

fn heading(ui: &mut Ui) {
    let palette = palette(ui);
    let (rect, _) = ui.allocate_exact_size(vec2(ui.available_width(), 24.0), Sense::hover());
    let width = paint_text(
        ui,
        rect.left_top() + vec2(0.0, 10.0),
        Align2::LEFT_CENTER,
        "Runs",
        bold(13.0),
        palette.text_strong,
        rect.width(),
    );
    let y = rect.bottom();
    ui.painter()
        .hline(rect.x_range(), y, Stroke::new(1.0, palette.line));
    ui.painter().hline(
        rect.left()..=rect.left() + width,
        y - 0.5,
        Stroke::new(2.0, palette.next),
    );
}

/// One run; `side` is its letter in the comparison.
fn entry(
    ui: &mut Ui,
    run: &GalleryRun,
    is_shown: bool,
    side: Option<&str>,
    out: &mut Vec<Request>,
) {
    let palette = palette(ui);
    let settings = &run.run.settings;
    let letters = settings.plan.letters();
    let report = &run.run.report;
    let total_secs = report.encode_secs + report.denoise_secs + report.decode_secs;
    let facts = format!(
        "{} · seed {}",
        format::seconds(report.denoise_secs),
        format::grouped(settings.seed)
    );
    let compared = side.map_or(String::new(), |letter| {
        format!(", side {letter} of the comparison")
    });
    let size = vec2(ui.available_width(), ENTRY_HEIGHT_PX);
    let (rect, response) = ui.allocate_exact_size(size, Sense::click());
    let picture = Rect::from_min_size(rect.min + vec2(8.0, 8.0), vec2(76.0, 68.0));
    response.widget_info(|| {
        WidgetInfo::selected(
            Role::Button,
            true,
            is_shown,
            format!("Run {letters}, {facts}{compared}"),
        )
    });
    if ui.is_rect_visible(rect) {
        let fill = if response.hovered() {
            palette.field_hover
        } else {
            palette.field
        };
        ui.painter().rect_filled(rect, RADIUS_PX, fill);
        if is_shown {
            let stroke = Stroke::new(1.5, palette.next);
            ui.painter()
                .rect_stroke(rect, RADIUS_PX, stroke, StrokeKind::Inside);
        }
        focus_ring(ui, &response, rect);
        thumbnail(ui, run, picture);
        if let Some(letter) = side {
            side_mark(ui, picture, letter);
        }
        let text = Rect::from_min_max(
            pos2(picture.right() + 12.0, rect.top() + 10.0),
            rect.max - vec2(12.0, 10.0),
        );
        paint_text(
            ui,
            text.left_top(),
            Align2::LEFT_TOP,
            &letters,
            bold(14.0),
            palette.text_strong,
            text.width(),
        );
        paint_text(
            ui,
            text.right_top() + vec2(0.0, 2.0),
            Align2::RIGHT_TOP,
            &format::seconds(report.denoise_secs),
            regular(12.0),
            palette.text,
            text.width(),
        );
        paint_text(
            ui,
            text.left_center() + vec2(0.0, 2.0),
            Align2::LEFT_CENTER,
            &format!("seed {}", format::grouped(settings.seed)),
            regular(11.5),
            palette.text_weak,
            text.width(),
        );
        let bar = Rect::from_min_max(pos2(text.left(), text.bottom() - 8.0), text.max);
        plan_bar(ui, &settings.plan, settings.steps, bar);
    }
    if !is_shown {
        compare_button(ui, run, &response, picture, out);
    }
    response.context_menu(|ui| {
        let button = Button::new(COMPARE_WORDS);
        if ui
            .add_enabled(!is_shown, button)
            .on_disabled_hover_text("This is the shown clip; choose another run to compare it with")
            .clicked()
        {
            out.push(Request::Compare(CompareRequest::With(run.id)));
            ui.close();
        }
    });
    let response = response.on_hover_ui(|ui| {
        ui.label(RichText::new(&settings.prompt).color(palette.text_strong));
        ui.label(
            RichText::new(format!(
                "{}×{}, {} frames, {} steps, CFG {}, shift {}\nDenoising {}, everything {}",
                settings.width,
                settings.height,
                settings.frames,
                settings.steps,
                format::scale(settings.cfg),
                format::scale(settings.shift),
                format::seconds(report.denoise_secs),
                format::seconds(total_secs),
            ))
            .font(regular(12.0))
            .color(palette.text_weak),
        );
        ui.label(
            RichText::new("Click to show the clip and take its settings")
                .font(regular(12.0))
                .color(palette.text_weak),
        );
    });
    if response.clicked() {
        out.push(Request::Restore(run.id));
    }
}

/// On the thumbnail, seen while pointer or keyboard are there; the keyboard always finds it.
fn compare_button(
    ui: &Ui,
    run: &GalleryRun,
    entry: &Response,
    picture: Rect,
    out: &mut Vec<Request>,
) {
    let corner = picture.right_bottom() - vec2(4.0, 4.0);
    let rect = Align2::RIGHT_BOTTOM.anchor_size(corner, vec2(26.0, 22.0));
    let id = entry.id.with("compare");
    let response = ui.interact(rect, id, Sense::click());
    response.widget_info(|| {
        let letters = run.run.settings.plan.letters();
        WidgetInfo::labeled(
            Role::Button,
            true,
            format!("{COMPARE_WORDS}: run {}, {letters}", run.id),
        )
    });
    if entry.contains_pointer() || entry.has_focus() || response.has_focus() {
        let ground = Color32::from_black_alpha(if response.hovered() { 230 } else { 170 });
        ui.painter().rect_filled(rect, RADIUS_PX, ground);
        Icon::Compare.paint(ui.painter(), rect, Color32::WHITE);
        focus_ring(ui, &response, rect);
    }
    if response.on_hover_text(COMPARE_WORDS).clicked() {
        out.push(Request::Compare(CompareRequest::With(run.id)));
    }
}

/// A or B on the thumbnail of a run that is compared.
fn side_mark(ui: &Ui, picture: Rect, letter: &str) {
    let rect = Rect::from_min_size(picture.min + vec2(4.0, 4.0), vec2(20.0, 20.0));
    let ground = Color32::from_black_alpha(200);
    ui.painter().rect_filled(rect, RADIUS_PX, ground);
    paint_text(
        ui,
        rect.center(),
        Align2::CENTER_CENTER,
        letter,
        bold(12.0),
        Color32::WHITE,
        rect.width(),
    );
}

/// The clip's middle frame, cut to the shape of the entry.
fn thumbnail(ui: &Ui, run: &GalleryRun, rect: Rect) {
    let Some(texture) = &run.thumbnail else {
        ui.painter().rect_filled(rect, 4.0, palette(ui).stage);
        return;
    };
    let [width, height] = texture.size().map(|side| side as f32);
    let (shape, wanted) = (width / height.max(1.0), rect.width() / rect.height());
    let part = if shape > wanted {
        vec2(wanted / shape, 1.0)
    } else {
        vec2(1.0, shape / wanted)
    };
    let uv = Rect::from_center_size(pos2(0.5, 0.5), part);
    let mut picture = egui::epaint::RectShape::filled(rect, CornerRadius::same(4), Color32::WHITE);
    picture.brush = Some(std::sync::Arc::new(egui::epaint::Brush {
        fill_texture_id: texture.id(),
        uv,
    }));
    ui.painter().add(picture);
}

/// The stages as coloured lengths; neighbours of one model are one length.
pub fn plan_bar(ui: &Ui, plan: &Plan, steps: usize, rect: Rect) {
    let palette = palette(ui);
    let mut lengths: Vec<(crate::schedule::ModelRole, usize)> = Vec::new();
    for (i, stage) in plan.stages().iter().enumerate() {
        let count = plan.stage_steps(i, steps).len();
        match lengths.last_mut() {
            Some((model, so_far)) if *model == stage.model => *so_far += count,
            _ => lengths.push((stage.model, count)),
        }
    }
    lengths.retain(|(_, count)| *count > 0);
    let gaps = 2.0 * lengths.len().saturating_sub(1) as f32;
    let per_step = (rect.width() - gaps) / steps.max(1) as f32;
    let mut x = rect.left();
    for (model, count) in lengths {
        let width = per_step * count as f32;
        let part = Rect::from_min_size(pos2(x, rect.top()), vec2(width, rect.height()));
        ui.painter().rect_filled(part, 2.0, palette.model(model));
        x += width + 2.0;
    }
}
