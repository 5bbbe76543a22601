//! What to render, and the button that starts it.

use eframe::egui;
use egui::accesskit::Role;
use egui::text::{CCursorRange, TextFormat};
use egui::text_edit::TextEditState;
use egui::{
    Align2, DragValue, Response, RichText, ScrollArea, Sense, TextBuffer, TextEdit, Ui, WidgetInfo,
    vec2,
};

use super::economy;
use super::format;
use super::icons::Icon;
use super::presets;
use super::theme::{FIELD_HEIGHT_PX, GRID_PX, RADIUS_PX, bold, mono, palette, regular};
use super::view::View;
use super::vocabulary::{underlined, unknown_spans, words_at};
use super::widgets::{
    choice, edit, field, field_with_corner, focus_ring, icon_button, number, paint_text, text_width,
};
use crate::app::{Command, DocCommand, Readiness, Request, Scene};
use crate::schedule::{History, ModelRole, Solver};

/// Longest prompt taken, in characters; text encoders read far less.
const PROMPT_CHARS: usize = 2000;

/// From one model's dot to the next.
const DOT_PX: f32 = 14.0;

/// Everything that decides a run, and the button that starts it.
pub fn show(ui: &mut Ui, scene: &Scene<'_>, view: &mut View, out: &mut Vec<Request>) {
    ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
        ui.spacing_mut().item_spacing = vec2(GRID_PX * 1.5, 12.0);
        prompts(ui, scene, view, out);
        pair(ui, scene, out);
        numbers(ui, scene, out);
        economy::show(ui, scene, out);
        seed(ui, scene, view, out);
        ui.add_space(4.0);
        generate(ui, scene, out);
    });
}

fn prompts(ui: &mut Ui, scene: &Scene<'_>, view: &mut View, out: &mut Vec<Request>) {
    let settings = scene.document.settings();
    let mut chosen = None;
    let corner = |ui: &mut Ui| chosen = presets::menu(ui, scene);
    let vocabulary = scene.pair.map_or(&[][..], |pair| &pair.vocabulary);
    field_with_corner(ui, "Prompt", corner, |ui| {
        let mut text = settings.prompt.clone();
        let colours = palette(ui);
        let plain = TextFormat::simple(regular(13.0), colours.text);
        let mut layout = |ui: &Ui, text: &dyn TextBuffer, wrap_px: f32| {
            let text = text.as_str();
            let unknown = unknown_spans(text, vocabulary);
            let mut job = underlined(text, &unknown, &plain, colours.error);
            job.wrap.max_width = wrap_px;
            ui.fonts_mut(|fonts| fonts.layout_job(job))
        };
        let response = ui.add(
            TextEdit::multiline(&mut text)
                .hint_text("What should the clip show?")
                .desired_width(f32::INFINITY)
                .desired_rows(4)
                .char_limit(PROMPT_CHARS)
                .layouter(&mut layout)
                .margin(vec2(12.0, 8.0)),
        );
        if std::mem::take(&mut view.wants_prompt) {
            mark_all(ui, &response, &text);
        }
        let response = response.accessible_name("Prompt");
        let keys = |command: Command| command.keys_text(ui.ctx()).unwrap_or_default();
        let hint = format!(
            "What the clip shall show. {} and {} fetch earlier prompts",
            keys(Command::EarlierPrompt),
            keys(Command::LaterPrompt)
        );
        let response = response.on_hover_text(hint);
        edit(&response, out, || DocCommand::Prompt(text));
    });
    if let Some(preset) = chosen {
        // However soon it follows another preset, it is an undo of its own.
        out.push(Request::EndBurst);
        out.push(Request::Edit(DocCommand::Preset(preset)));
    }
    let unknown = unknown_spans(&settings.prompt, vocabulary);
    let unknown = words_at(&settings.prompt, &unknown);
    if !unknown.is_empty() {
        let known = vocabulary
            .iter()
            .map(|(slot, words)| format!("{slot}: {}", words.join(", ")))
            .collect::<Vec<_>>()
            .join("\n");
        let text = format!("This pair does not know: {}", unknown.join(", "));
        ui.label(
            RichText::new(text)
                .font(regular(12.0))
                .color(palette(ui).error),
        )
        .on_hover_text(format!("It was taught these words.\n{known}"));
    }
    field(ui, "Negative prompt", |ui| {
        let mut text = settings.negative.clone();
        let response = ui.add(
            TextEdit::singleline(&mut text)
                .hint_text("What it should not show")
                .desired_width(f32::INFINITY)
                .char_limit(PROMPT_CHARS)
                .min_size(vec2(0.0, FIELD_HEIGHT_PX))
                .align(Align2::LEFT_CENTER)
                .margin(vec2(12.0, 4.0)),
        );
        let response = response
            .on_hover_text("What guidance leads away from; counts where CFG is above 1")
            .accessible_name("Negative prompt");
        edit(&response, out, || DocCommand::Negative(text));
    });
}

/// Gives a text field the keyboard, its words marked.
fn mark_all(ui: &Ui, field: &Response, text: &str) {
    field.request_focus();
    let mut state = TextEditState::load(ui.ctx(), field.id).unwrap_or_default();
    let all = CCursorRange::select_all_str(text);
    state.cursor.set_char_range(Some(all));
    state.store(ui.ctx(), field.id);
}

/// Names the pair; a click shows all that are known.
fn pair(ui: &mut Ui, scene: &Scene<'_>, out: &mut Vec<Request>) {
    field(ui, "Model pair", |ui| {
        let palette = palette(ui);
        let size = vec2(ui.available_width(), FIELD_HEIGHT_PX);
        let (rect, response) = ui.allocate_exact_size(size, Sense::click());
        let fill = if response.hovered() {
            palette.field_hover
        } else {
            palette.field
        };
        ui.painter().rect_filled(rect, RADIUS_PX, fill);
        focus_ring(ui, &response, rect);
        let middle = rect.left_center();
        let roles: Vec<ModelRole> = match scene.pair {
            Some(pair) => ModelRole::ALL
                .into_iter()
                .filter(|r| pair.has(*r))
                .collect(),
            None => vec![ModelRole::Large, ModelRole::Small],
        };
        for (i, role) in roles.iter().enumerate() {
            let dot = middle + vec2(16.0 + DOT_PX * i as f32, 0.0);
            ui.painter().circle_filled(dot, 5.0, palette.model(*role));
        }
        let text = match scene.pair {
            Some(pair) => {
                let counts = roles
                    .iter()
                    .map(|role| format::parameters(pair.parameters[role.index()]));
                format!("{} · {}", pair.name, counts.collect::<Vec<_>>().join(" / "))
            }
            None => scene.pair_words().to_owned(),
        };
        let words_px = 16.0 + DOT_PX * roles.len() as f32;
        paint_text(
            ui,
            middle + vec2(words_px, 0.0),
            Align2::LEFT_CENTER,
            &text,
            regular(13.0),
            palette.text,
            rect.width() - words_px - 12.0,
        );
        response.widget_info(|| WidgetInfo::labeled(Role::Button, true, &text));
        let hint = format!(
            "Parameters of the large, the small and the distilled model, as far as the pair has them. {}",
            Command::Models.hover_text(ui.ctx())
        );
        if response.on_hover_text(hint).clicked() {
            out.push(Request::Command(Command::Models));
        }
    });
}

fn numbers(ui: &mut Ui, scene: &Scene<'_>, out: &mut Vec<Request>) {
    let settings = scene.document.settings();
    let (mut width, mut height, mut frames, mut fps) = (
        settings.width,
        settings.height,
        settings.frames,
        settings.fps,
    );
    row(ui, |ui, column_px| {
        // Two fields and the word between them, with 4 points on either side of it.
        let half_px =
            |ui: &Ui, word: &str, font| (column_px - text_width(ui, word, font) - 8.0) / 2.0;
        field(ui, "Size", |ui| {
            ui.horizontal(|ui| {
                ui.spacing_mut().item_spacing.x = 4.0;
                let half_px = half_px(ui, "×", regular(13.0));
                let sides = |name: &str| format!("{name} of the clip in pixels");
                let wide = number(
                    ui,
                    half_px,
                    DragValue::new(&mut width).range(8..=2048).speed(1.0),
                )
                .on_hover_text(sides("Width"))
                .accessible_name("Width");
                ui.label(RichText::new("×").color(palette(ui).text_weak));
                let high = number(
                    ui,
                    half_px,
                    DragValue::new(&mut height).range(8..=2048).speed(1.0),
                )
                .on_hover_text(sides("Height"))
                .accessible_name("Height");
                edit(&wide, out, || DocCommand::Size(width, settings.height));
                edit(&high, out, || DocCommand::Size(settings.width, height));
            });
        });
        field(ui, "Frames, at fps", |ui| {
            ui.horizontal(|ui| {
                ui.spacing_mut().item_spacing.x = 4.0;
                let half_px = half_px(ui, "at", regular(12.0));
                let count = number(
                    ui,
                    half_px,
                    DragValue::new(&mut frames).range(1..=401).speed(0.2),
                )
                .on_hover_text("Number of frames")
                .accessible_name("Frames");
                ui.label(
                    RichText::new("at")
                        .font(regular(12.0))
                        .color(palette(ui).text_weak),
                );
                let rate = number(
                    ui,
                    half_px,
                    DragValue::new(&mut fps)
                        .range(1.0..=60.0)
                        .speed(0.1)
                        .custom_formatter(|fps, _| trimmed(fps)),
                )
                .on_hover_text("Frames a second at playback")
                .accessible_name("Frames a second");
                edit(&count, out, || DocCommand::Frames(frames));
                edit(&rate, out, || DocCommand::Fps(fps));
            });
        });
    });
    size_problem(ui, scene);
    let (mut steps, mut shift, mut cfg) = (settings.steps, settings.shift, settings.cfg);
    row(ui, |ui, column_px| {
        field(ui, "Steps", |ui| {
            let fewest = settings.plan.stages().len();
            let response = number(
                ui,
                column_px,
                DragValue::new(&mut steps).range(fewest..=200).speed(0.1),
            )
            .on_hover_text("Denoising steps; more take longer and look cleaner");
            edit(&response, out, || DocCommand::Steps(steps));
        });
        field(ui, "Shift", |ui| {
            let value = DragValue::new(&mut shift)
                .range(0.1..=20.0)
                .speed(0.02)
                .max_decimals(2)
                .custom_formatter(|scale, _| format::scale(scale));
            let response = number(ui, column_px, value).on_hover_text(
                "Flow shift: above 1 more steps go to high noise, where structure forms",
            );
            edit(&response, out, || DocCommand::Shift(shift));
        });
    });
    row(ui, |ui, column_px| {
        field(ui, "Solver", |ui| {
            let solvers = Solver::ALL.map(|solver| (solver, solver_name(solver)));
            let about = (
                "Solver",
                "How the velocity is integrated from noise to the clip",
            );
            if let Some(solver) = choice(ui, about, column_px, settings.solver, &solvers) {
                out.push(Request::Edit(DocCommand::Solver(solver)));
            }
        });
        field(ui, "CFG", |ui| {
            let value = DragValue::new(&mut cfg)
                .range(1.0..=20.0)
                .speed(0.02)
                .max_decimals(2)
                .custom_formatter(|scale, _| format::scale(scale));
            let response = number(ui, column_px, value)
                .on_hover_text("Guidance: higher follows the prompt more closely; 1 switches it off and halves the time");
            edit(&response, out, || DocCommand::Cfg(cfg));
        });
    });
    // Other solvers remember nothing.
    if settings.solver.is_multistep() {
        row(ui, |ui, column_px| {
            field(ui, "Solver's history", |ui| {
                let histories = [History::Keep, History::Reset]
                    .map(|history| (history, format!("{history} at boundaries")));
                let about = (
                    "Solver's history",
                    "What the solver does with older estimates where the model changes",
                );
                if let Some(history) = choice(ui, about, column_px, settings.history, &histories) {
                    out.push(Request::Edit(DocCommand::History(history)));
                }
            });
        });
    }
}

/// A rate as people write it: `12`, `23.976`.
fn trimmed(rate: f64) -> String {
    let text = format!("{rate:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn solver_name(solver: Solver) -> String {
    let name = match solver {
        Solver::UniPc1 => "UniPC 1",
        Solver::UniPc2 => "UniPC",
        Solver::UniPc3 => "UniPC 3",
        Solver::DpmPp2M => "DPM++ 2M",
        Solver::DpmPp3M => "DPM++ 3M",
        _ => solver.name(),
    };
    let mut chars = name.chars();
    chars
        .next()
        .map(|first| first.to_uppercase().chain(chars).collect())
        .unwrap_or_default()
}

/// Says under the fields why the size cannot be rendered.
fn size_problem(ui: &mut Ui, scene: &Scene<'_>) {
    let settings = scene.document.settings();
    if let Some(Err(why)) = scene
        .pair
        .map(|pair| pair.rules.check_size(settings.size()))
    {
        let text = crate::app::sentence(&why);
        ui.label(
            RichText::new(text)
                .font(regular(12.0))
                .color(palette(ui).error),
        );
    }
}

/// Two columns of equal width.
pub(super) fn row(ui: &mut Ui, add_fields: impl FnOnce(&mut Ui, f32)) {
    let column_px = (ui.available_width() - ui.spacing().item_spacing.x) / 2.0;
    ui.horizontal_top(|ui| add_fields(ui, column_px.floor()));
}

fn seed(ui: &mut Ui, scene: &Scene<'_>, view: &mut View, out: &mut Vec<Request>) {
    let seed = scene.document.settings().seed;
    field(ui, "Seed", |ui| {
        ui.horizontal(|ui| {
            ui.spacing_mut().item_spacing.x = GRID_PX;
            let width = ui.available_width() - 2.0 * (FIELD_HEIGHT_PX + GRID_PX);
            // The text being typed is kept while the field has the focus; a seed is 64 bits, more
            // than a drag field's float can hold.
            let id = ui.make_persistent_id("seed");
            let typed = ui.data(|data| data.get_temp::<String>(id));
            let mut text = typed.unwrap_or_else(|| format::grouped(seed));
            let response = ui
                .add(
                    TextEdit::singleline(&mut text)
                        .id(id)
                        .font(mono(13.0))
                        .desired_width(width)
                        .min_size(vec2(width, FIELD_HEIGHT_PX))
                        .align(Align2::LEFT_CENTER)
                        .char_limit(30)
                        .margin(vec2(12.0, 4.0)),
                )
                .on_hover_text("Seed of the initial noise: the same seed gives the same clip")
                .accessible_name("Seed");
            if let Some(value) = format::parse_grouped(&text).filter(|_| response.changed()) {
                out.push(Request::Edit(DocCommand::Seed(value)));
            }
            let is_typed_in = response.has_focus();
            ui.data_mut(|data| {
                if is_typed_in {
                    data.insert_temp(id, text);
                } else {
                    data.remove::<String>(id);
                }
            });
            if response.lost_focus() {
                out.push(Request::EndBurst);
            }
            let side = vec2(FIELD_HEIGHT_PX, FIELD_HEIGHT_PX);
            if icon_button(ui, Icon::Dice, side, "New random seed", false)
                .on_hover_text("Take another random seed")
                .clicked()
            {
                out.push(Request::RollSeed);
            }
            let (icon, name, hint) = if view.rolls_seed {
                (
                    Icon::Unlocked,
                    "Seed is free",
                    "Every run draws a new seed; click to keep this one",
                )
            } else {
                (
                    Icon::Locked,
                    "Seed is locked",
                    "Every run uses this seed, so plans can be compared; click to draw a new one each time",
                )
            };
            if icon_button(ui, icon, side, name, view.rolls_seed)
                .on_hover_text(hint)
                .clicked()
            {
                view.rolls_seed = !view.rolls_seed;
            }
        });
    });
}

/// The one blue button: what it would do, how long that takes, or why it cannot.
fn generate(ui: &mut Ui, scene: &Scene<'_>, out: &mut Vec<Request>) {
    let readiness = scene.readiness();
    let (steps, kept) = (scene.forecast.course.steps.len(), scene.forecast.kept_steps);
    let work = match kept {
        0 => format!("{steps} steps"),
        kept if kept == steps => "only decode".to_owned(),
        kept => format!("{} of {steps} steps", steps - kept),
    };
    let cost = match scene.forecast.total_secs() {
        Some(secs) => format!("{work} · {}", format::about(secs)),
        None => work,
    };
    let measures = scene
        .session
        .active()
        .is_some_and(|run| run.is_measurement());
    let (title, subtitle, is_enabled) = match &readiness {
        Readiness::Restart if measures => {
            ("Generate", format!("stops the measuring · {cost}"), true)
        }
        Readiness::Ready => ("Generate", cost, true),
        Readiness::Restart => ("Restart", format!("with the changes · {cost}"), true),
        Readiness::Queued => (
            "Next",
            format!("after the run that is going · {cost}"),
            true,
        ),
        Readiness::Running => ("Rendering", "with these settings".to_owned(), false),
        Readiness::Blocked(_) => ("Generate", "see below".to_owned(), false),
    };
    let why_not = match &readiness {
        Readiness::Blocked(why) => why.clone(),
        _ => {
            "This run is going on. Change something to restart, or press Esc to cancel.".to_owned()
        }
    };
    let response = ui
        .add_enabled_ui(is_enabled, |ui| {
            // Its own grey says that it is off; faded as well, it could not be read.
            ui.set_opacity(1.0);
            big_button(ui, title, &subtitle)
        })
        .inner
        .on_hover_text(Command::Generate.hover_text(ui.ctx()))
        .on_disabled_hover_text(&why_not);
    if response.clicked() {
        out.push(Request::Command(Command::Generate));
    }
    let weak = palette(ui).text_weak;
    let note = match &readiness {
        Readiness::Blocked(why) => RichText::new(why).font(regular(12.0)).color(weak),
        _ => RichText::new(Command::Generate.keys_text(ui.ctx()).unwrap_or_default())
            .font(mono(11.5))
            .color(weak),
    };
    ui.vertical_centered(|ui| ui.label(note));
}

fn big_button(ui: &mut Ui, title: &str, subtitle: &str) -> Response {
    let palette = palette(ui);
    let size = vec2(ui.available_width(), 48.0);
    let (rect, response) = ui.allocate_exact_size(size, Sense::click());
    response.widget_info(|| WidgetInfo::labeled(Role::Button, ui.is_enabled(), title));
    let (fill, text) = match (ui.is_enabled(), response.hovered()) {
        (false, _) => (palette.field, palette.text_weak),
        (true, false) => (palette.next, palette.on_next),
        (true, true) => (palette.next.gamma_multiply(0.9), palette.on_next),
    };
    ui.painter().rect_filled(rect, RADIUS_PX, fill);
    focus_ring(ui, &response, rect.expand(3.0));
    for (y, line, font) in [(-9.0, title, bold(15.0)), (10.0, subtitle, regular(12.0))] {
        paint_text(
            ui,
            rect.center() + vec2(0.0, y),
            Align2::CENTER_CENTER,
            line,
            font,
            text,
            rect.width() - 16.0,
        );
    }
    response
}
