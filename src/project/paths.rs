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
