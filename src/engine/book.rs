//! Small tables kept between starts, whose loss costs no more than time.

use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::project::write_bytes_atomic;

/// The table in `file`; an empty one where there is none that can be read.
pub(super) fn read<T: DeserializeOwned + Default>(file: Option<&Path>) -> T {
    file.and_then(|file| std::fs::read(file).ok())
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .unwrap_or_default()
}

/// Writes a table down. A folder that cannot be written to is no reason to bother anyone.
pub(super) fn write(file: Option<&Path>, table: &impl Serialize) {
    let (Some(file), Ok(json)) = (file, serde_json::to_vec_pretty(table)) else {
        return;
    };
    if let Some(folder) = file.parent() {
        let _ = std::fs::create_dir_all(folder);
    }
    let _ = write_bytes_atomic(file, true, &json);
}
