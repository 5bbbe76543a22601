//! The one thread that owns the device: commands in, events out.

mod event;
mod handle;
mod pipeline;

pub use event::{EngineEvent, EventKind, FinishedRun, PairRules, PairSummary, Phase, RunId, RunReport, StepReport};
pub use handle::{EngineHandle, Wake};
pub use pipeline::{Pipeline, PipelineFactory, Progress, RunError, RunRequest};
