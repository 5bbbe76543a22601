//! The real binary, as a person would call it.

use std::path::Path;
use std::process::{Command, Output};

/// Calls it in `folder`, where it also keeps what is its own.
pub fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_flowblend"));
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
    command
        .current_dir(folder)
        .args(arguments)
        .env("FLOWBLEND_MODELS", models)
        .env("XDG_CACHE_HOME", folder.join("cache"))
        .env("XDG_CONFIG_HOME", folder.join("config"))
        .env("XDG_DATA_HOME", folder.join("data"));
    command
}

/// Runs it to its end.
pub fn flowblend(folder: &Path, arguments: &[&str]) -> Output {
    command(folder, arguments).output().unwrap()
}
