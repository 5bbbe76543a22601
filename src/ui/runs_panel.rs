//! The finished runs.

use eframe::egui;
use egui::accesskit::Role;
use egui::{
    Align2, Button, Color32, CornerRadius, Rect, Response, RichText, ScrollArea, Sense, Stroke,
    StrokeKind, TextEdit, Ui, WidgetInfo, pos2, vec2,
};

use super::format;
use super::icons::Icon;
use super::paused_list;
use super::queue_panel;
use super::run_card::plan_bar;
use super::theme::{GRID_PX, RADIUS_PX, bold, palette, regular};
use super::view::{Side, View};
use super::widgets::{fitting, focus_ring, icon_button, paint_text, text_width};
use crate::app::{CompareRequest, GalleryRun, Request, Scene};

const ENTRY_HEIGHT_PX: f32 = 84.0;
const COMPARE_WORDS: &str = "Compare with the shown clip";

/// Finished runs or waiting ones, as the tabs say.
pub fn show(ui: &mut Ui, scene: &Scene<'_>, view: &mut View, out: &mut Vec<Request>) {
    tabs(ui, scene, view);
    paused_list::show(ui, scene, out);
    match view.side {
        Side::Runs => runs(ui, scene, view, out),
        Side::Queue => queue_panel::show(ui, scene, out),
    }
}

/// The finished runs; a click restores clip and settings.
fn runs(ui: &mut Ui, scene: &Scene<'_>, view: &mut View, out: &mut Vec<Request>) {
    if scene.gallery.runs().is_empty() {
        ui.add_space(GRID_PX);
        ui.label(
            RichText::new("Finished runs appear here, each with its plan, time and seed. Press Ctrl+Enter for the first one.")
                .font(regular(12.0))
                .color(palette(ui).text_weak),
        );
        return;
    }
    ui.add_space(GRID_PX);
    filters(ui, view);
    ui.add_space(GRID_PX);
    let all = scene.gallery.runs();
    let runs: Vec<_> = all
        .iter()
        .filter(|run| !view.only_starred || run.record.is_starred)
        .filter(|run| run.answers_to(&view.runs_filter))
        .collect();
    if runs.is_empty() {
        ui.label(
            RichText::new(format!("None of the {} runs fits the filter.", all.len()))
                .font(regular(12.0))
                .color(palette(ui).text_weak),
        );
        return;
    }
    ui.spacing_mut().item_spacing.y = GRID_PX;
    let chosen = scene.gallery.chosen();
    let shown = scene.gallery.shown().map(|run| run.id);
    let other = scene.comparison.sides(scene.gallery).map(|s| s.other.id);
    // Only what is in sight is laid out: there may be hundreds.
    ScrollArea::vertical().auto_shrink(false).show_rows(
        ui,
        ENTRY_HEIGHT_PX,
        runs.len(),
        |ui, rows| {
            for run in &runs[rows] {
                let side = match other {
                    Some(_) if shown == Some(run.id) => Some("A"),
                    Some(other) if other == run.id => Some("B"),
                    _ => None,
                };
                entry(ui, run, chosen == Some(run.id), side, out);
            }
        },
    );
}

/// What the list is narrowed to.
fn filters(ui: &mut Ui, view: &mut View) {
    ui.horizontal(|ui| {
        ui.spacing_mut().item_spacing.x = GRID_PX;
        let star = vec2(28.0, 26.0);
        let width = ui.available_width() - star.x - GRID_PX;
        ui.add(
            TextEdit::singleline(&mut view.runs_filter)
                .hint_text("Prompt, plan or seed")
                .font(regular(12.0))
                .desired_width(width)
                .min_size(vec2(width, star.y))
                .align(Align2::LEFT_CENTER)
                .margin(vec2(8.0, 2.0)),
        )
        .on_hover_text("Show only runs with these words in the prompt, this plan or this seed")
        .accessible_name("Filter the runs");
        if icon_button(ui, Icon::Star, star, "Only starred runs", view.only_starred)
            .on_hover_text("Show only runs that you starred")
            .clicked()
        {
            view.only_starred = !view.only_starred;
        }
    });
}

/// What can be done with a run besides showing it.
fn run_menu(ui: &mut Ui, run: &GalleryRun, is_shown: bool, out: &mut Vec<Request>) {
    let compare = ui
        .add_enabled(!is_shown, Button::new(COMPARE_WORDS))
        .on_hover_text("Hold both clips against each other, in step")
        .on_disabled_hover_text("This is the shown clip; choose another run to compare it with");
    if compare.clicked() {
        out.push(Request::Compare(CompareRequest::With(run.id)));
        ui.close();
    }
    let again = ui.button("Render again").on_hover_text(
        "Take this run's settings and render them; with a new seed while the seed is free",
    );
    if again.clicked() {
        out.push(Request::RenderAgain(run.id));
        ui.close();
    }
    let star = match run.record.is_starred {
        true => "Remove star",
        false => "Star",
    };
    if ui
        .button(star)
        .on_hover_text("Starred runs can be listed alone")
        .clicked()
    {
        out.push(Request::Star(run.id));
        ui.close();
    }
    let delete = ui
        .add_enabled(
            run.name.is_some(),
            egui::Button::new("Delete").shortcut_text("Del"),
        )
        .on_hover_text("Take the run out of the list and off the disk; can be undone")
        .on_disabled_hover_text("The run is not on disk, so there is nothing to delete yet");
    if delete.clicked() {
        out.push(Request::DeleteRun(run.id));
        ui.close();
    }
}

fn tabs(ui: &mut Ui, scene: &Scene<'_>, view: &mut View) {
    let palette = palette(ui);
    let waiting = scene.queue.waiting().len();
    let queue = match waiting {
        0 => "Queue".to_owned(),
        count => format!("Queue ({count})"),
    };
    let (row, _) = ui.allocate_exact_size(vec2(ui.available_width(), 24.0), Sense::hover());
    ui.painter()
        .hline(row.x_range(), row.bottom(), Stroke::new(1.0, palette.line));
    let mut x = row.left();
    for (side, text, hint) in [
        (Side::Runs, "Runs", "Finished runs"),
        (Side::Queue, queue.as_str(), "Runs that wait for their turn"),
    ] {
        let width = text_width(ui, text, bold(13.0));
        let rect = Rect::from_min_size(pos2(x, row.top()), vec2(width, row.height()));
        let response = ui
            .interact(
                rect,
                ui.scope_id().with(("side", side as u8)),
                Sense::click(),
            )
            .on_hover_text(hint);
        let is_chosen = view.side == side;
        response.widget_info(|| WidgetInfo::selected(Role::Tab, true, is_chosen, text));
        focus_ring(ui, &response, rect);
        let colour = match is_chosen || response.hovered() {
            true => palette.text_strong,
            false => palette.text_weak,
        };
        let at = rect.left_top() + vec2(0.0, 10.0);
        paint_text(
            ui,
            at,
            Align2::LEFT_CENTER,
            text,
            bold(13.0),
            colour,
            row.width(),
        );
        if is_chosen {
            let line = Stroke::new(2.0, palette.next);
            ui.painter().hline(rect.x_range(), row.bottom() - 0.5, line);
        }
        if response.clicked() {
            view.side = side;
        }
        x = rect.right() + 20.0;
    }
}

/// What tells runs of one plan apart.
fn facts(run: &GalleryRun) -> String {
    format!(
        "{} · seed {}",
        format::denoise_time(run.report()),
        format::grouped(run.settings().seed)
    )
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
    let settings = run.settings();
    let letters = settings.plan.letters();
    let report = run.report();
    let total_secs = report.encode_secs + report.denoise_secs + report.decode_secs;
    let facts = facts(run);
    let compared = side.map_or(String::new(), |letter| {
        format!(", side {letter} of the comparison")
    });
    let size = vec2(ui.available_width(), ENTRY_HEIGHT_PX);
    let (rect, response) = ui.allocate_exact_size(size, Sense::click());
    let picture = Rect::from_min_size(rect.min + vec2(8.0, 8.0), vec2(68.0, 68.0));
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
        if run.record.is_starred {
            let after = text_width(ui, &letters, bold(14.0)) + 14.0;
            let star = Rect::from_center_size(text.left_top() + vec2(after, 9.0), vec2(14.0, 14.0));
            Icon::Star.paint(ui.painter(), star, palette.text);
        }
        paint_text(
            ui,
            text.right_top() + vec2(0.0, 2.0),
            Align2::RIGHT_TOP,
            &format::denoise_time_short(report),
            regular(12.0),
            palette.text,
            text.width(),
        );
        let seed = format::grouped(settings.seed);
        // The button for more stands at its right.
        let room_px = text.width() - 24.0;
        paint_text(
            ui,
            text.left_center() + vec2(0.0, 2.0),
            Align2::LEFT_CENTER,
            fitting(ui, &[format!("seed {seed}"), seed], regular(11.5), room_px),
            regular(11.5),
            palette.text_weak,
            room_px,
        );
        let bar = Rect::from_min_max(pos2(text.left(), text.bottom() - 8.0), text.max);
        plan_bar(ui, &settings.plan, settings.steps, bar);
    }
    if !is_shown {
        compare_button(ui, run, &response, picture, out);
    }
    let more = Rect::from_min_size(
        pos2(rect.right() - 34.0, rect.center().y - 11.0),
        vec2(26.0, 22.0),
    );
    // A child of its own: the place of the next entry does not follow from this button's.
    let mut corner = ui.new_child(egui::UiBuilder::new().max_rect(more));
    let name = format!("More about run {letters}");
    let menu = icon_button(&mut corner, Icon::More, more.size(), &name, false)
        .on_hover_text("Compare, render again, star or delete the run");
    egui::Popup::menu(&menu).show(|ui| run_menu(ui, run, is_shown, out));
    response.context_menu(|ui| run_menu(ui, run, is_shown, out));
    if response.has_focus() && ui.input(|i| i.key_pressed(egui::Key::Delete)) && run.name.is_some()
    {
        out.push(Request::DeleteRun(run.id));
    }
    let is_clicked = response
        .on_hover_ui(|ui| {
            let zone = jiff::tz::TimeZone::system();
            let when = run.record.finished.to_zoned_datetime(zone);
            ui.label(
                RichText::new(when.strftime("%Y-%m-%d %H:%M").to_string())
                    .font(regular(12.0))
                    .color(palette.text_weak),
            );
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
                    format::denoise_time(report),
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
        })
        .clicked();
    if is_clicked {
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
        let letters = run.settings().plan.letters();
        let facts = facts(run);
        WidgetInfo::labeled(
            Role::Button,
            true,
            format!("{COMPARE_WORDS}: {letters}, {facts}"),
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
