//! What a person sets once, for every project.

use eframe::egui;
use std::path::{Path, PathBuf};

use egui::{
    Align, Button, Checkbox, Context, DragValue, Id, Layout, RichText, ScrollArea, TextEdit, Ui,
    vec2,
};

use super::dialogs::{message, modal, title};
use super::theme::{bold, palette};
use super::widgets::{chip, described_row, note, number};
use crate::app::{Request, Scene, SetFolder, SettingsRequest};
use crate::engine::{DeviceChoice, device_missing};
use crate::project::{Look, Preferences};

const WIDTH_PX: f32 = 640.0;
/// Width of the column with the rows' names.
const NAMES_PX: f32 = 128.0;
const NUMBER_PX: f32 = 72.0;
const PATH_PX: f32 = 320.0;
const SCALES_PERCENT: [f64; 6] = [75.0, 90.0, 100.0, 125.0, 150.0, 200.0];

/// The page over the window.
pub fn show(ctx: &Context, scene: &Scene<'_>, out: &mut Vec<Request>) {
    let mut wishes = Vec::new();
    let kept = scene.settings.preferences();
    let mut set = kept.clone();
    let modal = modal(ctx, "settings").show(ctx, |ui| {
        ui.set_width(WIDTH_PX);
        title(ui, "Settings");
        let height = (ctx.content_rect().height() - 200.0).clamp(200.0, 640.0);
        let page = ScrollArea::vertical()
            .max_height(height)
            .min_scrolled_height(height)
            .auto_shrink([false, true]);
        page.show(ui, |ui| {
            ui.spacing_mut().item_spacing.y = 6.0;
            // Room for the bar beside what is read.
            ui.set_max_width(WIDTH_PX - 16.0);
            computing(ui, scene, &mut set);
            folders(ui, scene, &mut set, &mut wishes);
            preview(ui, &mut set);
            program(ui, &mut set);
        });
        message(ui, scene, out);
        footer(ui, &mut set, &mut wishes);
    });
    if modal.backdrop_response.clicked() {
        wishes.push(SettingsRequest::Close);
    }
    if set != *kept {
        wishes.insert(0, SettingsRequest::Change(Box::new(set)));
    }
    out.extend(wishes.into_iter().map(Request::Settings));
}

fn computing(ui: &mut Ui, scene: &Scene<'_>, set: &mut Preferences) {
    section(ui, "Computing");
    let now = match scene.pair {
        Some(pair) => format!("Taken by the next run. In use: {}", pair.device),
        None => "Taken by the next run".to_owned(),
    };
    described_row(ui, NAMES_PX, "Device", &now, |ui| device(ui, set));
    let threads = if set.threads == scene.settings.at_start().threads {
        "Of the processor. A change is taken at the next start of flowblend"
    } else {
        "Taken at the next start of flowblend"
    };
    described_row(ui, NAMES_PX, "Threads", threads, |ui| {
        let all = std::thread::available_parallelism().map_or(1, |n| n.get() as u16);
        let choices = [("All cores", None), ("As many as", Some(all))];
        for (words, threads) in choices {
            let is_chosen = set.threads.is_some() == threads.is_some();
            let hint = match threads {
                None => "Compute on every core there is",
                Some(_) => {
                    "Leave cores to other programs; another number gives other bytes for the same seed"
                }
            };
            if chip(ui, is_chosen, words).on_hover_text(hint).clicked() && !is_chosen {
                set.threads = threads;
            }
        }
        if let Some(threads) = &mut set.threads {
            let drag = DragValue::new(threads)
                .range(Preferences::THREADS)
                .speed(0.1);
            number(ui, NUMBER_PX, drag)
                .on_hover_text("Threads of the processor that runs compute on")
                .accessible_name("Threads");
        }
    });
    let hint = "So that a change of the plan computes only what it changes. Taken by the next run";
    described_row(ui, NAMES_PX, "Steps kept", hint, |ui| {
        for (gigabytes, words, hint) in [
            (
                &mut set.steps_in_memory_gb,
                "GB in memory",
                "Memory for steps of earlier runs; 0 keeps none there",
            ),
            (
                &mut set.steps_on_disk_gb,
                "GB on disk",
                "Disk space for steps of earlier runs, also of earlier starts; 0 keeps none there",
            ),
        ] {
            let drag = DragValue::new(gigabytes)
                .range(Preferences::GIGABYTES)
                .speed(0.05)
                .max_decimals(2);
            number(ui, NUMBER_PX, drag)
                .on_hover_text(hint)
                .accessible_name(format!("Steps kept, {words}"));
            note(ui, words);
        }
    });
}

fn device(ui: &mut Ui, set: &mut Preferences) {
    let number_of = match set.device {
        DeviceChoice::Cuda(number) => number,
        _ => 0,
    };
    for (words, choice, hint) in [
        (
            "Automatic",
            DeviceChoice::Best,
            "A GPU that this build can use and finds, else the processor",
        ),
        ("CPU", DeviceChoice::Cpu, "The processor"),
        (
            "CUDA",
            DeviceChoice::Cuda(number_of),
            "An NVIDIA GPU, by its number",
        ),
        ("Metal", DeviceChoice::Metal, "An Apple GPU"),
    ] {
        let missing = device_missing(choice);
        let response = ui
            .add_enabled_ui(missing.is_none(), |ui| {
                chip(ui, set.device == choice, words)
            })
            .inner
            .on_hover_text(hint)
            .on_disabled_hover_text(missing.unwrap_or_default());
        if response.clicked() {
            set.device = choice;
        }
    }
    if let DeviceChoice::Cuda(number_of) = &mut set.device {
        let drag = DragValue::new(number_of).range(0..=15).speed(0.05);
        number(ui, NUMBER_PX, drag)
            .on_hover_text("The GPU's number, as nvidia-smi counts; 0 is the first")
            .accessible_name("Number of the GPU");
    }
}

fn folders(
    ui: &mut Ui,
    scene: &Scene<'_>,
    set: &mut Preferences,
    wishes: &mut Vec<SettingsRequest>,
) {
    section(ui, "Folders");
    let usual_runs = scene.settings.usual_runs().map_or_else(
        || "nowhere".to_owned(),
        |folder| folder.display().to_string(),
    );
    let is_new = set.runs_folder != scene.settings.at_start().runs_folder;
    let runs = if is_new {
        "Taken at the next start of flowblend; earlier runs stay where they are"
    } else {
        "A change is taken at the next start of flowblend"
    };
    for (which, name, folder, usual, about) in [
        (
            SetFolder::Runs,
            "Finished runs",
            &mut set.runs_folder,
            usual_runs.as_str(),
            runs,
        ),
        (
            SetFolder::Exports,
            "Exports",
            &mut set.export_folder,
            "the folder of your videos",
            "Suggested for an export; afterwards the folder of the last one is",
        ),
    ] {
        let typed_id = Id::unique(("settings folder", name));
        let typed = ui.data(|data| data.get_temp::<String>(typed_id));
        let is_bad = typed.is_some_and(|text| folder_of(&text).is_err());
        let about = if is_bad {
            "Give a whole path, from the root on; until then the folder stays as it was"
        } else {
            about
        };
        described_row(ui, NAMES_PX, name, about, |ui| {
            path_field(ui, typed_id, name, folder, usual);
            if ui
                .button("Choose…")
                .on_hover_text("Ask the desktop for a folder")
                .accessible_name(format!("{name}: choose a folder…"))
                .clicked()
            {
                wishes.push(SettingsRequest::Choose(which));
            }
        });
    }
}

/// A path that is taken when its field is left. Empty is the usual folder.
fn path_field(ui: &mut Ui, id: Id, name: &str, folder: &mut Option<PathBuf>, usual: &str) {
    let kept = folder
        .as_deref()
        .map_or_else(String::new, |folder: &Path| folder.display().to_string());
    let typed = ui.data(|data| data.get_temp::<String>(id));
    let mut text = typed.unwrap_or(kept);
    let field = ui
        .add(
            TextEdit::singleline(&mut text)
                .hint_text(usual)
                .desired_width(PATH_PX)
                .margin(vec2(12.0, 6.0)),
        )
        .on_hover_text("A folder's whole path; empty for the usual one")
        .accessible_name(format!("Folder: {name}"));
    if field.changed() {
        ui.data_mut(|data| data.insert_temp(id, text.clone()));
    }
    if field.lost_focus()
        && let Some(typed) = ui.data_mut(|data| data.remove_temp::<String>(id))
        && let Ok(chosen) = folder_of(&typed)
    {
        *folder = chosen;
    }
}

/// The folder that a text names; none for an empty one.
fn folder_of(text: &str) -> Result<Option<PathBuf>, ()> {
    let path = PathBuf::from(text.trim());
    if path.as_os_str().is_empty() {
        Ok(None)
    } else if path.is_absolute() {
        Ok(Some(path))
    } else {
        Err(())
    }
}

fn preview(ui: &mut Ui, set: &mut Preferences) {
    section(ui, "Preview");
    let hint = "The picture that clears up while a run goes on. Taken by the next run";
    described_row(ui, NAMES_PX, "Live picture", hint, |ui| {
        let mut is_on = set.preview_every > 0;
        let switch = ui
            .add(Checkbox::new(&mut is_on, "Show it"))
            .on_hover_text("Without it a run is a little faster")
            .accessible_name("Show the live picture");
        if switch.changed() {
            set.preview_every = usize::from(is_on);
        }
        if set.preview_every > 0 {
            note(ui, "every");
            let drag = DragValue::new(&mut set.preview_every)
                .range(Preferences::PREVIEW_EVERY)
                .speed(0.05);
            number(ui, NUMBER_PX, drag)
                .on_hover_text("Steps from one picture to the next; 1 shows every step")
                .accessible_name("Steps between live pictures");
            note(ui, "steps");
        }
    });
    described_row(ui, NAMES_PX, "Playing", "", |ui| {
        ui.add(Checkbox::new(&mut set.is_looping, "Loop"))
            .on_hover_text(
                "Play clips again and again; the same switch as the one under the preview",
            )
            .accessible_name("Loop clips");
        ui.add_space(16.0);
        ui.add(Checkbox::new(&mut set.is_smooth, "Smooth pixels"))
            .on_hover_text("Blend neighbouring pixels instead of showing sharp squares");
    });
}

fn program(ui: &mut Ui, set: &mut Preferences) {
    section(ui, "Program");
    let hint = "Drafts of unsaved work, which a crash would lose else";
    described_row(ui, NAMES_PX, "Autosave", hint, |ui| {
        let mut is_on = set.autosave_secs.is_some();
        let switch = ui
            .add(Checkbox::new(&mut is_on, "Write drafts"))
            .on_hover_text("What was not saved is offered again after a crash");
        if switch.changed() {
            set.autosave_secs = Preferences::default().autosave_secs.filter(|_| is_on);
        }
        if let Some(secs) = &mut set.autosave_secs {
            note(ui, "at most every");
            let drag = DragValue::new(secs)
                .range(Preferences::AUTOSAVE_SECS)
                .speed(0.1)
                .max_decimals(1)
                .suffix(" s");
            number(ui, NUMBER_PX, drag)
                .on_hover_text("Least seconds between two drafts")
                .accessible_name("Seconds between drafts");
        }
    });
    described_row(ui, NAMES_PX, "Look", "", |ui| {
        for (words, look, hint) in [
            ("System", Look::System, "As the desktop has it"),
            ("Dark", Look::Dark, "Light on dark"),
            ("Light", Look::Light, "Dark on light"),
        ] {
            if chip(ui, set.look == look, words)
                .on_hover_text(hint)
                .accessible_name(format!("Look: {words}"))
                .clicked()
            {
                set.look = look;
            }
        }
    });
    described_row(ui, NAMES_PX, "Size", "", |ui| {
        for percent in SCALES_PERCENT {
            let is_chosen = (set.scale_percent - percent).abs() < 0.5;
            if chip(ui, is_chosen, &format!("{percent} %"))
                .on_hover_text("Size of everything, as far as the window has room; Ctrl with + and − changes it too")
                .accessible_name(format!("Size {percent} %"))
                .clicked()
            {
                set.scale_percent = percent;
            }
        }
        if !SCALES_PERCENT
            .iter()
            .any(|percent| (set.scale_percent - percent).abs() < 0.5)
        {
            note(ui, &format!("now {} %", set.scale_percent));
        }
    });
}

fn footer(ui: &mut Ui, set: &mut Preferences, wishes: &mut Vec<SettingsRequest>) {
    ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
        let close = ui
            .button("Close")
            .on_hover_text("Back to the window (Esc); everything is kept already");
        if close.clicked() {
            wishes.push(SettingsRequest::Close);
        }
        let usual = set.usual();
        let reset = ui
            .add_enabled(*set != usual, Button::new("Usual settings"))
            .on_hover_text("Set everything on this page back")
            .on_disabled_hover_text("Everything is as usual");
        if reset.clicked() {
            *set = usual;
        }
    });
}

fn section(ui: &mut Ui, name: &str) {
    ui.add_space(6.0);
    let text = RichText::new(name).font(bold(12.0));
    ui.label(text.color(palette(ui).text_weak));
}
