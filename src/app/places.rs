use std::path::PathBuf;
use std::sync::Arc;

use super::{App, ExportHost, Exporter, Models, ModelsSource, Notice};
use crate::library::{Keeper, Shelf};
use crate::project::{Scribe, paths, untold_crash};

/// Where the window keeps what outlives it. A place that is `None` keeps nothing.
#[derive(Clone, Debug, Default)]
pub struct Places {
    /// Folder of finished runs.
    pub runs: Option<PathBuf>,
    /// Folder of unsaved work.
    pub drafts: Option<PathBuf>,
    /// List of the runs that wait.
    pub queue: Option<PathBuf>,
    /// List of prompts that were rendered.
    pub prompts: Option<PathBuf>,
    /// Folder of reports about faults of the program.
    pub crashes: Option<PathBuf>,
    /// Choices of the last export.
    pub export: Option<PathBuf>,
    /// List of projects used lately.
    pub recent: Option<PathBuf>,
    /// What the person set.
    pub settings: Option<PathBuf>,
    /// What happened.
    pub log: Option<PathBuf>,
}

impl Places {
    /// The user's own, by the system's customs.
    pub fn of_user() -> Self {
        let data = paths::data_dir();
        Self {
            runs: paths::runs_dir(),
            queue: data.as_ref().map(|dir| dir.join("queue.json")),
            prompts: data.as_ref().map(|dir| dir.join("prompts.json")),
            crashes: data.as_ref().map(|dir| dir.join("crashes")),
            log: data.as_ref().map(|dir| dir.join("log/flowblend.log")),
            drafts: data.map(|dir| dir.join("drafts")),
            settings: paths::settings_file(),
            export: paths::config_dir().map(|dir| dir.join("export.json")),
            recent: paths::config_dir().map(|dir| dir.join("recent.json")),
        }
    }
}

impl App {
    /// Takes another source of pairs, for tests.
    #[must_use]
    pub fn with_models(mut self, source: ModelsSource) -> Self {
        self.models = Models::new(source, Arc::clone(&self.wake));
        self
    }

    /// Keeps things where `places` says. Without, nothing outlives the window.
    #[must_use]
    pub fn with_places(mut self, mut places: Places) -> Self {
        let (settings, log) = (places.settings.take(), places.log.take());
        if settings.is_some() || log.is_some() {
            match Scribe::start() {
                Ok(scribe) => self.scribe = Some(scribe),
                Err(why) => {
                    self.notice = Some(Notice::error(&format!(
                        "settings will not be kept ({why}); restart flowblend"
                    )));
                }
            }
        }
        if let Some(file) = log {
            self.log.keep_in(file);
        }
        if places.export.is_some() {
            let host = ExportHost {
                settings_file: places.export,
                ..ExportHost::default()
            };
            self.exporter = Exporter::new(host, Arc::clone(&self.wake));
        }
        if let Some(list) = places.recent {
            self.files.keep_recent_in(list);
        }
        if let Some(file) = places.queue {
            self.queue.keep_in(file);
        }
        if let Some(file) = places.prompts {
            self.history.keep_in(file);
        }
        if let Some(file) = settings {
            let notice = self.settings.keep_in(file, places.runs.clone());
            self.notice = notice.or(self.notice.take());
            let folder = self.settings.preferences().runs_folder.clone();
            places.runs = folder.or(places.runs);
        }
        let report = places.crashes.and_then(|folder| untold_crash(&folder));
        let crash = report.map(|report| Notice {
            folder: report.parent().map(Into::into),
            ..Notice::error(&format!(
                "the program ended by a fault of its own; what happened is in {}",
                report.display()
            ))
        });
        let draft = places
            .drafts
            .and_then(|folder| self.files.autosave_in(&folder));
        // After a fault both are told at once: what happened, and that the work is there.
        let told = match (crash, draft) {
            (Some(crash), Some(draft)) => Some(Notice {
                text: format!("{} The work it had is still there.", crash.text),
                offer: draft.offer,
                ..crash
            }),
            (crash, draft) => crash.or(draft),
        };
        self.notice = told.or(self.notice.take());
        if let Some(folder) = places.runs {
            match Keeper::start(Shelf::new(folder), Arc::clone(&self.wake)) {
                Ok(keeper) => self.keeper = Some(keeper),
                Err(why) => {
                    self.notice = Some(Notice::error(&format!(
                        "finished runs will not be kept ({why}); restart flowblend"
                    )));
                }
            }
        }
        self
    }

    /// Exports under other circumstances, for tests.
    #[must_use]
    pub fn with_exports(mut self, host: ExportHost) -> Self {
        self.exporter = Exporter::new(host, Arc::clone(&self.wake));
        self
    }
}
