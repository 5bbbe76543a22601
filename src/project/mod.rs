//! What a person works on and what is kept of it: run settings, recipes, files on disk.

mod atomic;
mod autosave;
mod crash;
mod device_choice;
mod file;
pub mod paths;
mod preferences;
mod preset;
mod recipe;
mod scribe;
mod settings;
mod space;
mod vocabulary;

pub use atomic::{
    AtomicError, AtomicFile, folder_of, sync_folder, write_atomic, write_bytes_atomic,
};
pub use autosave::{Autosave, Draft, LeftDraft};
pub use crash::{report_crashes_to, untold_crash};
pub use device_choice::DeviceChoice;
pub use file::{ProjectError, ProjectFile};
pub use preferences::{Look, Preferences};
pub use preset::Preset;
pub use recipe::{Recipe, RecipeError, recipe_beside};
pub use scribe::Scribe;
pub use settings::{PairRef, RunSettings, SettingsError};
pub use space::{free_bytes, size_text};
pub use vocabulary::{unknown_spans, unknown_words};
