//! How a clip is written, where to, and whether to replace what is there.

use std::path::Path;

use eframe::egui;
use egui::{
    Align, Button, Checkbox, Context, DragValue, Label, Layout, RichText, Slider, TextEdit, Ui,
    vec2,
};

use super::dialogs::{Answer, modal, question, title};
use super::format;
use super::theme::{FIELD_HEIGHT_PX, GRID_PX, mono, palette, regular};
use super::widgets::{self, chip, note, number};
use crate::app::{ExportForm, ExportPage, ExportRequest, ExportSettings, Request, sentence};
use crate::media::{Format, Quality};

const WIDTH_PX: f32 = 640.0;
const FORMATS_PX: f32 = 208.0;
/// Width of the column with the fields' names.
const NAMES_PX: f32 = 72.0;
const NUMBER_PX: f32 = 88.0;
/// High enough for the formats, so that the page keeps its height when another one is chosen.
const COLUMNS_PX: f32 = 328.0;
const SIZES_PERCENT: [f64; 4] = [50.0, 100.0, 200.0, 400.0];
/// Beyond these an export is a mistake more often than a wish.
const MOST_PERCENT: f64 = 1600.0;
const MOST_FPS: f64 = 240.0;
/// What viewers of GIFs keep up with.
const MOST_GIF_FPS: f64 = 50.0;

/// The page over the window.
pub fn show(ctx: &Context, page: ExportPage<'_>, out: &mut Vec<Request>) {
    let mut wishes = Vec::new();
    // Names of their own, since a page must not inherit the size of the one before.
    let name = match page {
        ExportPage::Form(_) => "export",
        ExportPage::Path(_) => "export path",
        ExportPage::Replace(_) => "export replace",
    };
    let modal = modal(ctx, name).show(ctx, |ui| match page {
        ExportPage::Form(form) => form_page(ui, &form, &mut wishes),
        ExportPage::Path(path) => path_page(ui, path, &mut wishes),
        ExportPage::Replace(path) => replace_page(ui, path, &mut wishes),
    });
    if modal.backdrop_response.clicked() {
        wishes.push(ExportRequest::Back);
    }
    out.extend(wishes.into_iter().map(Request::Export));
}

fn form_page(ui: &mut Ui, form: &ExportForm<'_>, out: &mut Vec<ExportRequest>) {
    ui.set_width(WIDTH_PX);
    title(ui, "Export clip");
    let mut settings = form.settings.clone();
    if let Some(is_both) = form.is_both {
        what(ui, is_both, out);
    }
    ui.horizontal_top(|ui| {
        ui.spacing_mut().item_spacing.x = GRID_PX * 3.0;
        ui.vertical(|ui| {
            ui.set_width(FORMATS_PX);
            ui.set_min_height(COLUMNS_PX);
            ui.spacing_mut().item_spacing.y = 4.0;
            formats(ui, form, &mut settings);
        });
        ui.vertical(|ui| {
            ui.spacing_mut().item_spacing = vec2(GRID_PX, 12.0);
            options(ui, form, &mut settings);
        });
    });
    if settings != *form.settings {
        out.push(ExportRequest::Change(settings));
    }
    ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
        let options = form.settings.encode_options(None);
        let refused = options.check(form.settings.format, form.shape).err();
        let why_not = refused.map(|why| sentence(&why.to_string()));
        // Enter exports from the first moment on, and again after a field was left.
        let hint = "Choose the file and write the clip (Enter)";
        let export = ui
            .add_enabled_ui(why_not.is_none(), |ui| next_button(ui, "Export…"))
            .inner
            .on_hover_text(hint)
            .on_disabled_hover_text(why_not.as_deref().unwrap_or_default());
        if ui.memory(|memory| memory.focused().is_none()) {
            export.request_focus();
        }
        if export.clicked() {
            out.push(ExportRequest::Choose);
        }
        let cancel = ui.button("Cancel").on_hover_text("Back to the clip (Esc)");
        if cancel.clicked() {
            out.push(ExportRequest::Back);
        }
        if let Some(why) = &why_not {
            let text = RichText::new(why).font(regular(12.0));
            ui.add(Label::new(text.color(palette(ui).error)).wrap());
        }
    });
}

/// What is written, while two clips are compared.
fn what(ui: &mut Ui, is_both: bool, out: &mut Vec<ExportRequest>) {
    ui.horizontal(|ui| {
        ui.spacing_mut().item_spacing.x = 4.0;
        for (both, words, hint) in [
            (false, "This clip", "Write the shown clip, A, alone"),
            (
                true,
                "Both beside each other",
                "Write A and B as one clip, each with its plan, time and seed under it; small clips are enlarged so that this can be read",
            ),
        ] {
            if chip(ui, is_both == both, words)
                .on_hover_text(hint)
                .clicked()
            {
                out.push(ExportRequest::Both(both));
            }
        }
    });
}

fn formats(ui: &mut Ui, form: &ExportForm<'_>, settings: &mut ExportSettings) {
    for format in Format::ALL {
        let missing = form.missing.iter().find(|(missing, _)| *missing == format);
        let is_chosen = settings.format == format;
        let mut name = RichText::new(format.name());
        if is_chosen {
            name = name.color(palette(ui).text_strong);
        }
        let mut button =
            Button::selectable(is_chosen, name).min_size(vec2(FORMATS_PX, FIELD_HEIGHT_PX));
        // Pushes the name to the left; says without a pointer that something is wrong.
        button = button.right_text(RichText::new(match missing {
            Some(_) => "no encoder",
            None => "",
        }));
        let response = ui
            .add_enabled(missing.is_none(), button)
            .on_hover_text(sentence(format.purpose()))
            .accessible_name(format.name());
        if let Some((_, why)) = missing {
            response.on_disabled_hover_text(sentence(why));
        } else if response.clicked() && !is_chosen {
            settings.format = format;
            // The scale of another encoder.
            settings.crf = None;
        }
    }
}

fn options(ui: &mut Ui, form: &ExportForm<'_>, settings: &mut ExportSettings) {
    let format = settings.format;
    note(ui, &sentence(format.purpose()));
    if let Some(scale) = format.quality() {
        row(ui, "Quality", |ui| quality(ui, scale, settings));
    }
    if format == Format::Png {
        row(ui, "Frame", |ui| frame(ui, form, settings));
    } else {
        row(ui, "Rate", |ui| rate(ui, form, settings));
    }
    row(ui, "Size", |ui| size(ui, form, settings));
    if settings.scale_percent != 100.0 {
        row(ui, "Pixels", |ui| pixels(ui, settings));
    }
    if format == Format::Gif {
        row(ui, "Plays", |ui| plays(ui, settings));
    }
    row(ui, "Recipe", |ui| {
        let hint = "Prompt, seed, plan and the models' checksums, as text inside the file: what it takes to make the clip again";
        ui.add_enabled(
            form.has_recipe,
            Checkbox::new(&mut settings.has_recipe, "Keep it in the file"),
        )
        .on_hover_text(hint)
        .on_disabled_hover_text("No one recipe made this clip")
        .accessible_name("Keep the recipe in the file");
    });
}

fn quality(ui: &mut Ui, scale: Quality, settings: &mut ExportSettings) {
    let crf = scale.of(settings.crf);
    // The better the further to the right, against the encoder's own scale.
    let mut grade = scale.worst - crf;
    let hint = "Larger files look better. The figure is the encoder's constant rate factor, the lower the better";
    ui.spacing_mut().slider_width = 160.0;
    // What the handle is as high as; the row stays as high as a field.
    ui.set_min_height(FIELD_HEIGHT_PX);
    ui.spacing_mut().interact_size.y = 20.0;
    let slider = ui
        .add(
            Slider::new(&mut grade, 0..=scale.worst - scale.best)
                .show_value(false)
                .trailing_fill(true),
        )
        .on_hover_text(hint)
        .accessible_name("Quality");
    if slider.changed() {
        settings.crf = Some(scale.worst - grade).filter(|crf| *crf != scale.default);
    }
    note(ui, &format!("{} · CRF {crf}", scale.words(crf)));
}

fn rate(ui: &mut Ui, form: &ExportForm<'_>, settings: &mut ExportSettings) {
    let own = form.shape.fps;
    let most = match settings.format {
        Format::Gif => MOST_GIF_FPS,
        _ => MOST_FPS,
    };
    let mut fps = settings.fps.unwrap_or(own);
    let drag = DragValue::new(&mut fps)
        .range(1.0..=most)
        .speed(0.1)
        .max_decimals(3);
    let hint = "Frames a second: another rate plays the same frames faster or slower";
    let response = number(ui, NUMBER_PX, drag)
        .on_hover_text(hint)
        .accessible_name("Frames a second");
    if response.changed() {
        settings.fps = (fps != own).then_some(fps);
    }
    let count = form.shape.frames;
    note(
        ui,
        &format!(
            "fps · {count} frames, {}",
            format::seconds(count as f64 / fps)
        ),
    );
    if settings.fps.is_some()
        && chip(ui, false, "Own rate")
            .on_hover_text("As fast as the clip in the window")
            .clicked()
    {
        settings.fps = None;
    }
}

fn frame(ui: &mut Ui, form: &ExportForm<'_>, settings: &mut ExportSettings) {
    let count = form.shape.frames;
    let mut shown = settings.frame + 1;
    let drag = DragValue::new(&mut shown).range(1..=count);
    let response = number(ui, NUMBER_PX, drag)
        .on_hover_text("The frame that becomes the picture")
        .accessible_name("Frame");
    if response.changed() {
        settings.frame = shown.saturating_sub(1);
    }
    note(ui, &format!("of {count}"));
    if settings.frame != form.shown_frame
        && chip(ui, false, "Shown frame")
            .on_hover_text("The frame that the preview shows")
            .clicked()
    {
        settings.frame = form.shown_frame;
    }
}

fn size(ui: &mut Ui, form: &ExportForm<'_>, settings: &mut ExportSettings) {
    ui.vertical(|ui| {
        ui.spacing_mut().item_spacing.y = 4.0;
        ui.horizontal(|ui| {
            ui.spacing_mut().item_spacing.x = 4.0;
            let drag = DragValue::new(&mut settings.scale_percent)
                .range(1.0..=MOST_PERCENT)
                .max_decimals(1)
                .suffix(" %");
            number(ui, NUMBER_PX, drag)
                .on_hover_text("Size, with that of the clip as 100 %")
                .accessible_name("Size in percent");
            ui.add_space(4.0);
            for percent in SIZES_PERCENT {
                let is_chosen = settings.scale_percent == percent;
                if chip(ui, is_chosen, &format!("{percent} %"))
                    .on_hover_text("Write the clip at this size")
                    .clicked()
                {
                    settings.scale_percent = percent;
                }
            }
        });
        let shape = form.shape;
        let options = settings.encode_options(None);
        let (width, height) = options.written_size(settings.format, shape.width, shape.height);
        let text = RichText::new(format!("{width} × {height} pixels"));
        ui.label(text.font(mono(12.0)).color(palette(ui).text_weak));
    });
}

fn pixels(ui: &mut Ui, settings: &mut ExportSettings) {
    for (is_smooth, words, hint) in [
        (true, "Smooth", "Blend neighbouring pixels"),
        (false, "Sharp squares", "Repeat or drop whole pixels"),
    ] {
        if chip(ui, settings.is_smooth == is_smooth, words)
            .on_hover_text(hint)
            .clicked()
        {
            settings.is_smooth = is_smooth;
        }
    }
}

fn plays(ui: &mut Ui, settings: &mut ExportSettings) {
    let drag = DragValue::new(&mut settings.plays)
        .range(0..=1000)
        .speed(0.1)
        .custom_formatter(|plays, _| match plays {
            0.0 => "for ever".to_owned(),
            1.0 => "once".to_owned(),
            more => format!("{more} times"),
        })
        .custom_parser(|text| match text.trim() {
            "for ever" => Some(0.0),
            "once" => Some(1.0),
            number => number.trim_end_matches(" times").parse().ok(),
        });
    number(ui, NUMBER_PX, drag)
        .on_hover_text("How often the animation plays; 0 is for ever")
        .accessible_name("Plays");
}

/// Asks for the path, where the desktop has no file dialog of its own.
fn path_page(ui: &mut Ui, path: &Path, out: &mut Vec<ExportRequest>) {
    ui.set_width(520.0);
    title(ui, "Export clip");
    ui.label("Write the clip to this path. The ending of the chosen format is added where it is missing.");
    let mut text = path.display().to_string();
    let field = ui
        .add(
            TextEdit::singleline(&mut text)
                .desired_width(f32::INFINITY)
                .margin(vec2(12.0, 8.0)),
        )
        .on_hover_text("A file, or for pictures of every frame a new folder")
        .accessible_name("File to export to");
    if field.changed() {
        out.push(ExportRequest::Type(text.into()));
    }
    // Asked first: Enter takes the focus away, and giving it back would hide that.
    let is_entered = field.lost_focus() && ui.input(|i| i.key_pressed(egui::Key::Enter));
    if ui.memory(|memory| memory.focused().is_none()) {
        field.request_focus();
    }
    ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
        let export = next_button(ui, "Export").on_hover_text("Write the clip (Enter)");
        if is_entered || export.clicked() {
            out.push(ExportRequest::Accept);
        }
        let back = ui.button("Back").on_hover_text("Back to the format (Esc)");
        if back.clicked() {
            out.push(ExportRequest::Back);
        }
    });
}

fn replace_page(ui: &mut Ui, path: &Path, out: &mut Vec<ExportRequest>) {
    let text = format!("{} exists already.", path.display());
    match question(
        ui,
        "Replace it?",
        &text,
        &[
            ("Keep it", "Choose another file (Esc)", Answer::No),
            ("Replace", "Write the clip over it", Answer::Yes),
        ],
    ) {
        Some(Answer::Yes) => out.push(ExportRequest::Replace),
        Some(_) => out.push(ExportRequest::Back),
        None => {}
    }
}

fn next_button(ui: &mut Ui, text: &str) -> egui::Response {
    let palette = palette(ui);
    ui.add(Button::new(RichText::new(text).color(palette.on_next)).fill(palette.next))
}

/// A field with its name in front.
fn row(ui: &mut Ui, name: &str, add_field: impl FnOnce(&mut Ui)) {
    widgets::row(
        ui,
        NAMES_PX,
        |ui| note(ui, name),
        |ui| {
            ui.horizontal(add_field);
        },
    );
}
