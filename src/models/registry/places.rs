use std::path::{Path, PathBuf};

use crate::project::paths;

/// The variable that names one more models root.
const ROOT_VARIABLE: &str = "FLOWBLEND_MODELS";

/// The names of what `is_wanted` under `root`, in the order of the alphabet.
pub(super) fn entries(root: &Path, is_wanted: impl Fn(&Path) -> bool) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(root) else {
        return Vec::new();
    };
    let mut names: Vec<String> = entries
        .filter_map(Result::ok)
        .filter(|entry| is_wanted(&entry.path()))
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort();
    names
}

/// The user's own folder of models; the working folder's where the system names none.
pub(super) fn user_models() -> PathBuf {
    paths::data_dir()
        .unwrap_or_else(|| PathBuf::from("."))
        .join("models")
}

/// The folders in which pairs are looked for, first come first: the one that the environment
/// names, `models/` beside the program or above it, `models/` in the working folder, and the one
/// of the sources that the program was built from.
pub(super) fn roots() -> Vec<PathBuf> {
    let mut roots = Vec::new();
    if let Some(named) = std::env::var_os(ROOT_VARIABLE).filter(|value| !value.is_empty()) {
        roots.push(PathBuf::from(named));
    }
    if let Ok(program) = std::env::current_exe() {
        roots.extend(
            program
                .ancestors()
                .skip(1)
                .map(|folder| folder.join("models")),
        );
    }
    roots.push(PathBuf::from("models"));
    roots.push(Path::new(env!("CARGO_MANIFEST_DIR")).join("models"));
    let mut seen = std::collections::HashSet::new();
    roots.retain(|root| root.is_dir() && seen.insert(root.clone()));
    roots
}
