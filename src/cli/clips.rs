use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::CliError;
use crate::library::Shelf;
use crate::media::{self, Clip};
use crate::project::{Preferences, Recipe, paths};

/// A clip and what it was called by.
pub(super) struct NamedClip {
    /// The file or the run, as it was asked for.
    pub(super) name: String,
    pub(super) clip: Clip,
    /// What made it, where the file tells.
    pub(super) recipe: Option<Recipe>,
}

impl NamedClip {
    /// Reads a file or folder of frames; where there is none of that name, the clip of the gallery's run
    /// whose name begins so.
    pub(super) fn read(name: &OsStr) -> Result<Self, CliError> {
        let path = Path::new(name);
        let (clip, comment) = match path.exists() {
            true => media::read_clip(path).map_err(failed)?,
            false => media::read_clip(&run_clip(path)?).map_err(failed)?,
        };
        Ok(Self {
            name: path.display().to_string(),
            clip,
            recipe: comment.and_then(|text| Recipe::from_json(&text).ok()),
        })
    }
}

/// The file of a run of the gallery.
fn run_clip(name: &Path) -> Result<PathBuf, CliError> {
    let missing = |why: String| {
        CliError::Failed(format!(
            "{} is neither a file nor a run: {why}",
            name.display()
        ))
    };
    // The window's settings decide where its runs are.
    let set = paths::settings_file().and_then(|file| Preferences::read(&file).0.runs_folder);
    let folder = set
        .or_else(paths::runs_dir)
        .ok_or_else(|| missing("there is no home folder to look for runs in".to_owned()))?;
    let shelf = Shelf::new(folder);
    let found = shelf.find(&name.to_string_lossy());
    Ok(shelf.clip_path(&found.map_err(|why| missing(why.to_string()))?))
}

fn failed(why: impl std::fmt::Display) -> CliError {
    CliError::Failed(why.to_string())
}
