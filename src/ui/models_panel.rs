//! The pairs: what each needs, what is missing and where to put it.

use eframe::egui;
use egui::{Align, Button, Context, Frame, Layout, Response, RichText, ScrollArea, Ui, vec2};

use super::add_pair;
use super::dialogs::{message, modal, title};
use super::format;
use super::theme::{GRID_PX, RADIUS_PX, bold, palette, regular};
use crate::app::{AddRequest, Pulling, Request, Scene};
use crate::engine::{PairMemory, PairReport, PairState};
use crate::project::{PairRef, size_text};
use crate::schedule::ModelRole;

const WIDTH_PX: f32 = 640.0;
/// Width of the column with the facts' names.
const NAMES_PX: f32 = 112.0;
/// Faults that a pair names; the rest is counted.
const NAMED: usize = 4;

/// The list over the window.
pub fn show(ctx: &Context, scene: &Scene<'_>, out: &mut Vec<Request>) {
    // Pages of their own sizes.
    let page = match scene.models.form() {
        Some(_) => "add pair",
        None => "models",
    };
    let modal = modal(ctx, page).show(ctx, |ui| {
        ui.set_width(WIDTH_PX);
        if let Some(form) = scene.models.form() {
            title(ui, "Add a pair");
            add_pair::show(ui, scene, form, out);
            return;
        }
        title(ui, "Models");
        let height = (ctx.content_rect().height() - 200.0).clamp(200.0, 640.0);
        let page = ScrollArea::vertical()
            .max_height(height)
            .min_scrolled_height(height);
        page.show(ui, |ui| match scene.models.reports() {
            None => {
                ui.label("Looking at the pairs…");
            }
            Some([]) => {
                ui.label("No pairs are known. Add one that lies on your disk.");
            }
            Some(reports) => reports.iter().for_each(|pair| card(ui, scene, pair, out)),
        });
        message(ui, scene, out);
        footer(ui, scene, out);
    });
    if modal.backdrop_response.clicked() {
        out.push(Request::CloseModels);
    }
}

/// How far a download is, in words.
pub fn progress_text(pull: &Pulling) -> String {
    if pull.is_cancelling {
        return format!("Stopping the download of {}", pull.name);
    }
    let progress = &pull.progress;
    if progress.file.is_empty() {
        return format!("Downloading {} · asking the hub", pull.name);
    }
    format!(
        "Downloading {} · {} of {} · {}",
        pull.name,
        size_text(progress.done),
        size_text(progress.total),
        progress.file
    )
}

fn footer(ui: &mut Ui, scene: &Scene<'_>, out: &mut Vec<Request>) {
    ui.horizontal(|ui| {
        let add = ui
            .add_enabled(!scene.models.is_changing(), Button::new("Add pair…"))
            .on_hover_text("Make a pair known that lies elsewhere: a folder with a pair.json, or two models, and a distilled one if there is one")
            .on_disabled_hover_text("The list is being changed; its files are looked at");
        if add.clicked() {
            out.push(Request::AddPair(AddRequest::Open));
        }
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            let close = ui.button("Close").on_hover_text("Back to the clip (Esc)");
            if close.clicked() {
                out.push(Request::CloseModels);
            }
        });
    });
}

fn card(ui: &mut Ui, scene: &Scene<'_>, pair: &PairReport, out: &mut Vec<Request>) {
    let frame = Frame::new()
        .fill(palette(ui).well)
        .corner_radius(RADIUS_PX)
        .inner_margin(GRID_PX * 1.5);
    frame.show(ui, |ui| {
        ui.set_width(ui.available_width());
        ui.spacing_mut().item_spacing.y = 6.0;
        heading(ui, scene, pair);
        facts(ui, pair);
        buttons(ui, scene, pair, out);
    });
}

fn heading(ui: &mut Ui, scene: &Scene<'_>, pair: &PairReport) {
    let palette = palette(ui);
    ui.horizontal(|ui| {
        ui.label(
            RichText::new(&pair.name)
                .font(bold(14.0))
                .color(palette.text_strong),
        );
        if let Some(title) = &pair.title {
            ui.label(
                RichText::new(title)
                    .font(regular(12.0))
                    .color(palette.text_weak),
            );
        }
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            let (words, colour) = match pair.state {
                PairState::Ready if is_used(scene, pair) => ("In use", palette.next),
                PairState::Ready => ("Ready", palette.text_strong),
                PairState::Incomplete => ("Files are missing", palette.text_weak),
                PairState::Incompatible => ("Cannot be blended", palette.error),
                PairState::Faulty => ("Cannot be read", palette.error),
            };
            ui.label(RichText::new(words).font(regular(12.0)).color(colour));
        });
    });
}

fn facts(ui: &mut Ui, pair: &PairReport) {
    let mut rows: Vec<(&str, String)> = Vec::new();
    for fault in pair.faults.iter().take(NAMED) {
        rows.push(("Missing or wrong", crate::app::sentence(fault)));
    }
    if pair.faults.len() > NAMED {
        let rest = pair.faults.len() - NAMED;
        rows.push(("Missing or wrong", format!("And {rest} more.")));
    }
    for (role, place) in pair.models() {
        let name = match role {
            ModelRole::Large => "Large model",
            ModelRole::Small => "Small model",
            ModelRole::Distilled => "Distilled model",
        };
        let place = place.display();
        rows.push((
            name,
            match pair.comes_from(role) {
                Some(repo) => format!("goes to {place}, from {repo}"),
                None => place.to_string(),
            },
        ));
    }
    if pair.lacks_distilled {
        let note = "The pair works without it; only stages of the letter D need it.";
        rows.push(("Distilled model", note.to_owned()));
    }
    rows.push((
        "Compatible",
        match pair.state {
            PairState::Ready => "yes, the models share latents, VAE and text encoder".to_owned(),
            PairState::Incompatible => "no".to_owned(),
            _ => "not known before its files are here".to_owned(),
        },
    ));
    rows.extend(pair.memory.as_ref().map(|need| ("Memory", memory(need))));
    rows.extend(pair.licence.clone().map(|licence| ("Licence", licence)));
    // Lines of a page, not rows of buttons.
    ui.scope(|ui| {
        ui.spacing_mut().interact_size.y = 0.0;
        ui.spacing_mut().item_spacing.y = 4.0;
        let mut before = "";
        for (name, value) in rows {
            row(ui, if name == before { "" } else { name }, &value);
            before = name;
        }
    });
}

/// A fact and its name; a long one goes on in lines of its own column.
fn row(ui: &mut Ui, name: &str, value: &str) {
    let palette = palette(ui);
    ui.horizontal_top(|ui| {
        let column = vec2(NAMES_PX, 0.0);
        ui.allocate_ui_with_layout(column, Layout::top_down(Align::Min), |ui| {
            ui.set_width(NAMES_PX);
            ui.label(
                RichText::new(name)
                    .font(regular(12.0))
                    .color(palette.text_weak),
            );
        });
        ui.vertical(|ui| {
            ui.label(RichText::new(value).font(regular(12.0)).color(palette.text));
        });
    });
}

fn memory(need: &PairMemory) -> String {
    let at_least = if need.weights_only { "at least " } else { "" };
    format!(
        "{at_least}{}, or {} with the models swapped at the boundaries",
        format::bytes(need.together),
        format::bytes(need.swapped)
    )
}

fn buttons(ui: &mut Ui, scene: &Scene<'_>, pair: &PairReport, out: &mut Vec<Request>) {
    let name = &pair.name;
    let pulling = scene.models.pulling();
    if let Some(pull) = pulling.as_ref().filter(|pull| pull.name == *name) {
        let bar = egui::ProgressBar::new(pull.share()).desired_height(6.0);
        ui.add(bar.fill(palette(ui).next));
        ui.label(RichText::new(progress_text(pull)).font(regular(12.0)));
    }
    ui.horizontal(|ui| {
        let is_running = scene.session.active().is_some();
        let why_not = match pair.state {
            PairState::Ready if is_used(scene, pair) => Some("This pair is in use"),
            PairState::Ready if is_running => {
                Some("A run is going on; wait for it or cancel it first")
            }
            PairState::Ready => None,
            PairState::Incomplete => Some("Its files are not complete; see what is missing"),
            PairState::Incompatible => Some("Its models cannot share a run"),
            PairState::Faulty => Some("The file that describes it cannot be used"),
        };
        let hint = "Render with this pair; the prompt stays, the rest becomes what suits the pair";
        if button(ui, "Use", &format!("Use {name}"), hint, why_not).clicked() {
            out.push(Request::UsePair(name.clone()));
        }
        download(ui, pair, pulling.as_ref(), out);
        let why_not = match (&pair.folder, &pair.large) {
            (Some(_), _) => None,
            (None, Some(_)) => Some("The folder does not exist yet"),
            (None, None) => Some("It is not known where its files are"),
        };
        let hint = "Show the files in the file manager";
        let open = button(
            ui,
            "Open folder",
            &format!("Open folder of {name}"),
            hint,
            why_not,
        );
        if let Some(folder) = pair.folder.as_ref().filter(|_| open.clicked()) {
            out.push(Request::OpenFolder(folder.clone()));
        }
        if pair.is_added {
            let why_not = if is_used(scene, pair) {
                Some("This pair is in use; use another one first")
            } else {
                scene
                    .models
                    .is_changing()
                    .then_some("The list is being changed")
            };
            let hint =
                "Take the pair out of this list. Its files stay where they are; can be undone";
            let label = format!("Remove {name}");
            if button(ui, "Remove", &label, hint, why_not).clicked() {
                out.push(Request::ForgetPair(name.clone()));
            }
        }
    });
}

fn download(ui: &mut Ui, pair: &PairReport, pulling: Option<&Pulling>, out: &mut Vec<Request>) {
    let Some(bytes) = pair
        .download_bytes
        .filter(|_| pair.state != PairState::Ready || pair.lacks_distilled)
    else {
        return;
    };
    let name = &pair.name;
    match pulling {
        Some(pull) if pull.name == *name => {
            let why_not = pull.is_cancelling.then_some("It is stopping");
            let hint = "Stop the download; what came is kept, and the next one goes on from there";
            let label = format!("Stop the download of {name}");
            if button(ui, "Stop", &label, hint, why_not).clicked() {
                out.push(Request::CancelPull);
            }
        }
        other => {
            let why_not = other.map(|_| "Another download is going on");
            let text = if pair.lacks_distilled {
                "Download the distilled model".to_owned()
            } else {
                format!("Download, about {}", size_text(bytes))
            };
            let hint = "Fetch what is missing from the model hub; goes on where an earlier download stopped";
            if button(ui, &text, &format!("Download {name}"), hint, why_not).clicked() {
                out.push(Request::PullPair(name.clone()));
            }
        }
    }
}

/// A button that says why it is off, where it is.
fn button(ui: &mut Ui, text: &str, label: &str, hint: &str, why_not: Option<&str>) -> Response {
    ui.add_enabled(why_not.is_none(), Button::new(text))
        .on_hover_text(hint)
        .on_disabled_hover_text(why_not.unwrap_or_default())
        .accessible_name(label)
}

fn is_used(scene: &Scene<'_>, pair: &PairReport) -> bool {
    matches!(&scene.document.settings().pair, PairRef::Named(name) if *name == pair.name)
}
