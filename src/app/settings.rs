//! What a person sets once: read at the start, kept as it changes, and carried out.

use eframe::egui;
use std::path::PathBuf;
use std::sync::Arc;

use egui::{Context, ThemePreference, Vec2};

use super::file_dialog::{Choice, FileDialog};
use super::{App, Notice};
use crate::engine::EngineSetup;
use crate::project::{Look, Preferences};

/// What the window's layout needs, in points. A window that has less is drawn smaller than it was set to.
const LEAST_POINTS: Vec2 = Vec2::new(1024.0, 640.0);

/// A folder that is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetFolder {
    /// Where finished runs live.
    Runs,
    /// Where exports start.
    Exports,
}

/// What a person does in the settings.
#[derive(Clone, Debug, PartialEq)]
pub enum SettingsRequest {
    /// Set something.
    Change(Box<Preferences>),
    /// Ask the desktop for a folder.
    Choose(SetFolder),
    /// Put the settings away.
    Close,
}

/// What is set, and the page on which it is set.
#[derive(Default)]
pub struct Settings {
    /// Whether the page is on the screen.
    pub is_open: bool,
    preferences: Preferences,
    /// As they were at the start, which some of them are taken at.
    at_start: Preferences,
    /// Where finished runs lie unless another folder is set.
    usual_runs: Option<PathBuf>,
    file: Option<PathBuf>,
    /// What was carried out last, until the newer ones are as well.
    before: Option<Preferences>,
    asking: Option<(SetFolder, FileDialog)>,
    /// egui's magnification as it was last seen, and as it was asked for.
    seen_zoom: Option<f32>,
    asked_zoom: Option<f32>,
}

impl Settings {
    /// What is set.
    pub fn preferences(&self) -> &Preferences {
        &self.preferences
    }

    /// What was set when the window opened.
    pub fn at_start(&self) -> &Preferences {
        &self.at_start
    }

    /// Where finished runs lie unless another folder is set.
    pub fn usual_runs(&self) -> Option<&PathBuf> {
        self.usual_runs.as_ref()
    }

    /// Takes what `file` holds and keeps changes there. Gives what there is to say of it.
    pub(super) fn keep_in(&mut self, file: PathBuf, usual_runs: Option<PathBuf>) -> Option<Notice> {
        let (kept, why) = Preferences::read(&file);
        // The engine was started on its device already.
        let mut before = std::mem::replace(&mut self.preferences, kept.clone());
        before.device = kept.device;
        self.before = Some(before);
        self.at_start = kept;
        self.usual_runs = usual_runs;
        self.file = Some(file);
        why.map(|why| Notice::error(&why))
    }
}

impl App {
    pub(super) fn obey_settings(&mut self, frame: &eframe::Frame, request: SettingsRequest) {
        match request {
            SettingsRequest::Change(preferences) => self.set(|set| *set = *preferences),
            SettingsRequest::Choose(folder) => self.choose_folder(frame, folder),
            SettingsRequest::Close => self.settings.is_open = false,
        }
    }

    /// Changes what is set; it is carried out before the next frame is drawn.
    pub(super) fn set(&mut self, change: impl FnOnce(&mut Preferences)) {
        let before = self.settings.preferences.clone();
        change(&mut self.settings.preferences);
        if self.settings.preferences == before {
            return;
        }
        self.settings.before.get_or_insert(before);
        let Some(file) = &self.settings.file else {
            return;
        };
        match (self.settings.preferences.to_json(), &self.scribe) {
            (Ok(json), Some(scribe)) => scribe.replace(file.clone(), json),
            (Err(why), _) => {
                self.notice = Some(Notice::error(&format!(
                    "the settings could not be kept ({why}); choose folders with Unicode names"
                )));
            }
            (Ok(_), None) => {}
        }
    }

    /// Carries out what was set, and looks at the dialog and at egui's own keys for its size.
    pub(super) fn follow_settings(&mut self, ctx: &Context) {
        self.follow_chosen_folder();
        self.follow_zoom(ctx);
        let Some(before) = self.settings.before.take() else {
            return;
        };
        let set = &self.settings.preferences;
        if set.look != before.look {
            ctx.set_theme(match set.look {
                Look::System => ThemePreference::System,
                Look::Dark => ThemePreference::Dark,
                Look::Light => ThemePreference::Light,
            });
        }
        self.view.is_smooth = set.is_smooth;
        self.player.set_looping(set.is_looping);
        self.exporter.start_in(set.export_folder.clone());
        self.files.set_autosave_pace(set.autosave_secs);
        let setup = setup(set, &before);
        if setup != setup_of_start(&before) {
            self.engine.configure(setup);
        }
        // What the command line asked for is kept until another device is chosen here.
        if setup.device.is_some() {
            self.engine.describe(self.asked.clone());
        }
    }

    /// Takes what egui's own keys for the size asked for, and draws everything as large as is set, as far as the window
    /// has room.
    fn follow_zoom(&mut self, ctx: &Context) {
        let zoom = ctx.zoom_factor();
        let seen = self.settings.seen_zoom.replace(zoom);
        if seen.is_some_and(|seen| seen != zoom) && self.settings.asked_zoom != Some(zoom) {
            let percent = (f64::from(zoom) * 100.0).round();
            self.set(|set| set.scale_percent = percent);
        }
        let wanted = (self.settings.preferences.scale_percent / 100.0) as f32;
        let fitting = fitting_zoom(wanted, ctx.content_rect().size() * zoom);
        // A hair's difference is one of rounding.
        let zoom = match (fitting - zoom).abs() < 1e-3 {
            true => zoom,
            false => fitting,
        };
        ctx.set_zoom_factor(zoom);
        self.settings.asked_zoom = Some(zoom);
    }

    fn choose_folder(&mut self, frame: &eframe::Frame, folder: SetFolder) {
        if self.settings.asking.is_some() {
            return;
        }
        let title = match folder {
            SetFolder::Runs => "Folder of finished runs",
            SetFolder::Exports => "Folder that exports start in",
        };
        let opened = FileDialog::open(frame, Arc::clone(&self.wake), move |dialog| {
            dialog.set_title(title).pick_folder()
        });
        match opened {
            Ok(dialog) => self.settings.asking = Some((folder, dialog)),
            Err(why) => self.notice = Some(Notice::error(&why)),
        }
    }

    fn follow_chosen_folder(&mut self) {
        let asking = self.settings.asking.as_ref();
        let Some((folder, choice)) =
            asking.and_then(|(folder, dialog)| Some((*folder, dialog.poll()?)))
        else {
            return;
        };
        self.settings.asking = None;
        match (choice, folder) {
            (Choice::Path(path), SetFolder::Runs) => self.set(|set| set.runs_folder = Some(path)),
            (Choice::Path(path), SetFolder::Exports) => {
                self.set(|set| set.export_folder = Some(path));
            }
            (Choice::PutAway, _) => {}
            (Choice::Missing, _) => {
                self.notice = Some(Notice::error(
                    "this desktop has no file dialog; type the folder's path into the field",
                ));
            }
        }
    }
}

/// The magnification for a window of so many points at none: the wanted one, or less where the layout would not fit.
fn fitting_zoom(wanted: f32, window: Vec2) -> f32 {
    match (window / LEAST_POINTS).min_elem() {
        // A window that is put away has no size.
        room if room > 0.0 => wanted.min(room),
        _ => wanted,
    }
}

/// What the engine goes by, with the device only where it changed.
fn setup(set: &Preferences, before: &Preferences) -> EngineSetup {
    let bytes = |gigabytes: f64| (gigabytes * f64::from(1 << 30)) as u64;
    EngineSetup {
        device: (set.device != before.device).then_some(set.device),
        steps_in_memory: bytes(set.steps_in_memory_gb),
        steps_on_disk: bytes(set.steps_on_disk_gb),
    }
}

/// What the engine goes by already.
fn setup_of_start(before: &Preferences) -> EngineSetup {
    setup(before, before)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_without_room_is_drawn_smaller_and_others_as_they_are_set() {
        for (wanted, points, zoom) in [
            (1.0, [1440.0, 900.0], 1.0),
            (1.0, [1024.0, 640.0], 1.0),
            // 1280 by 720 pixels at a scale of 1.5.
            (1.0, [853.0, 480.0], 0.75),
            (2.0, [1920.0, 1080.0], 1.6875),
            (0.9, [1440.0, 900.0], 0.9),
            (1.25, [0.0, 0.0], 1.25),
        ] {
            assert_eq!(fitting_zoom(wanted, points.into()), zoom);
        }
    }
}
