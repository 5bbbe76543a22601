use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::book;

/// Seconds that parts took on this machine, kept between starts so that the first prediction of a
/// session is already right. Losing the file costs nothing but that.
#[derive(Debug, Default)]
pub struct Timings {
    file: Option<PathBuf>,
    table: Table,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Table {
    #[serde(default)]
    secs: BTreeMap<String, f64>,
}

impl Timings {
    /// Opens the table kept in `file`; `None` keeps nothing.
    pub fn open(file: Option<PathBuf>) -> Self {
        let table = book::read(file.as_deref());
        Self { file, table }
    }

    /// Seconds remembered under `key`.
    pub fn get(&self, key: &str) -> Option<f64> {
        self.table.secs.get(key).copied()
    }

    /// Remembers a new measurement.
    pub fn set(&mut self, key: String, secs: f64) {
        self.table.secs.insert(key, secs);
    }

    /// Writes the table down. A folder that cannot be written to is no reason to bother anyone.
    pub fn save(&self) {
        book::write(self.file.as_deref(), &self.table);
    }
}
