use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::engine::RunReport;
use crate::project::RunSettings;

/// The newest format this build writes and the newest it reads.
const FORMAT: u32 = 1;

/// What is remembered of a finished run, beside its clip.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    /// Version of this structure.
    pub format: u32,
    /// Version of the program that wrote it.
    pub version: String,
    /// When the run was over.
    pub finished: Timestamp,
    /// What it was asked for, the seed filled in.
    pub settings: RunSettings,
    /// What it measured.
    pub report: RunReport,
    /// Marked by the person as worth keeping in sight.
    #[serde(default)]
    pub is_starred: bool,
}

/// Why a record cannot be read. Each is a whole sentence for the user.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// Written by a later version.
    #[error(
        "the run has format {found}, but this version reads up to {FORMAT}; update flowblend to see it"
    )]
    Newer {
        /// The format it has.
        found: u64,
    },
    /// Unreadable.
    #[error("the run's record is damaged ({0}); its clip still lies beside it")]
    Damaged(#[from] serde_json::Error),
}

impl RunRecord {
    /// The record of a run that is over now.
    pub fn new(settings: RunSettings, report: RunReport) -> Self {
        Self {
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            finished: Timestamp::now(),
            settings,
            report,
            is_starred: false,
        }
    }

    /// As JSON, for people too.
    pub fn to_json(&self) -> Result<Vec<u8>, RecordError> {
        Ok(serde_json::to_vec_pretty(self)?)
    }

    /// Reads what [`to_json`](Self::to_json) wrote. Unknown fields of the same format are ignored.
    pub fn from_json(json: &[u8]) -> Result<Self, RecordError> {
        let value: Value = serde_json::from_slice(json)?;
        match value.get("format").and_then(Value::as_u64) {
            Some(found) if found > u64::from(FORMAT) => Err(RecordError::Newer { found }),
            _ => Ok(serde_json::from_value(value)?),
        }
    }
}
