use std::path::PathBuf;

use crate::project::paths;

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
}

impl Places {
    /// The user's own, by the system's customs.
    pub fn of_user() -> Self {
        let data = paths::data_dir();
        Self {
            runs: data.as_ref().map(|dir| dir.join("runs")),
            queue: data.as_ref().map(|dir| dir.join("queue.json")),
            prompts: data.as_ref().map(|dir| dir.join("prompts.json")),
            crashes: data.as_ref().map(|dir| dir.join("crashes")),
            drafts: data.map(|dir| dir.join("drafts")),
            export: paths::config_dir().map(|dir| dir.join("export.json")),
            recent: paths::config_dir().map(|dir| dir.join("recent.json")),
        }
    }
}
