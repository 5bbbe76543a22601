//! The one thread that owns the device: commands in, events out.

mod device;
mod eta;
mod event;
mod handle;
mod memory;
mod pipeline;
mod threads;

pub use device::{DeviceChoice, OpenDevice};
pub use eta::Eta;
pub use event::{
    EngineEvent, EventKind, FinishedRun, PairRules, PairSummary, Phase, RunId, RunReport, StepReport,
};
pub use handle::{EngineHandle, Wake};
pub use memory::peak_rss_bytes;
pub use pipeline::{Pipeline, PipelineFactory, Progress, RunError, RunRequest};
pub use threads::set_threads;
