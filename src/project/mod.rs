//! What a person works on and what is kept of it: run settings, recipes, files on disk.

mod settings;

pub use settings::{PairRef, RunSettings, SettingsError};
