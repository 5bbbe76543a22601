use std::path::PathBuf;

use crate::project::paths;

/// Where the window keeps what outlives it. A place that is `None` keeps nothing.
#[derive(Clone, Debug, Default)]
pub struct Places {
    /// Finished runs.
    pub runs: Option<PathBuf>,
}

impl Places {
    /// The user's own, by the system's customs.
    pub fn of_user() -> Self {
        let data = paths::data_dir();
        Self {
            runs: data.map(|dir| dir.join("runs")),
        }
    }
}
