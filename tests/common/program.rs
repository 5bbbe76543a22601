//! The real binary, as a person would call it.

use std::path::Path;
use std::process::{Command, Output};

/// Runs it in `folder`, where it also keeps what it caches.
pub fn flowblend(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_flowblend"))
        .current_dir(folder)
        .args(arguments)
        .env(
            "FLOWBLEND_MODELS",
            Path::new(env!("CARGO_MANIFEST_DIR")).join("models"),
        )
        .env("XDG_CACHE_HOME", folder.join("cache"))
        .output()
        .unwrap()
}
