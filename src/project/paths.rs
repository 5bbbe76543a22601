//! Where the program keeps what is its own, by the system's customs.

use std::path::PathBuf;

use directories::ProjectDirs;

fn dirs() -> Option<ProjectDirs> {
    ProjectDirs::from("", "", "flowblend")
}

/// What can be lost without harm, such as measured times.
pub fn cache_dir() -> Option<PathBuf> {
    dirs().map(|dirs| dirs.cache_dir().to_owned())
}

/// What the user set or added, such as the pairs of models that lie elsewhere.
pub fn config_dir() -> Option<PathBuf> {
    dirs().map(|dirs| dirs.config_dir().to_owned())
}

/// What the user keeps, such as downloaded models.
pub fn data_dir() -> Option<PathBuf> {
    dirs().map(|dirs| dirs.data_dir().to_owned())
}

/// Finished runs, where the user set no other folder.
pub fn runs_dir() -> Option<PathBuf> {
    data_dir().map(|dir| dir.join("runs"))
}

/// What the user set in the window.
pub fn settings_file() -> Option<PathBuf> {
    config_dir().map(|dir| dir.join("settings.json"))
}
