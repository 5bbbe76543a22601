//! The one thread that owns the device: commands in, events out.

mod book;
mod boundary_book;
mod device;
mod eta;
mod event;
mod gpu_memory;
mod handle;
mod job;
mod loaded;
mod memory;
mod memory_plan;
mod pair_files;
mod pair_pipeline;
mod parts_bench;
mod pass_bench;
mod paused;
mod pipeline;
mod probe;
mod profile_book;
mod published;
mod residency;
mod rules;
mod setup;
mod step_cache;
mod step_clock;
mod step_store;
mod survey;
mod sweep;
mod tensor_cache;
mod tensors;
mod threads;
mod timings;
mod unwritten;
mod weight_hashes;

pub use crate::models::Candidate;
pub use crate::project::DeviceChoice;
pub use crate::sampler::OnlineRule;
pub use boundary_book::{BoundaryMethod, KnownBoundaries, KnownPlan, Remembered, RunKind};
pub use device::{OpenDevice, WeightFormat, device_missing};
pub use event::{
    EngineEvent, EventKind, FinishedRun, PairRules, PairSummary, Phase, RunId, RunReport,
    StepReport,
};
pub use handle::{EngineHandle, Wake};
pub use loaded::{GuidedPair, LoadedPair};
pub use memory::{available_bytes, keep_freed_memory, peak_rss_bytes};
pub use memory_plan::MemoryPlan;
pub use pair_pipeline::{EngineOptions, PairPipeline};
pub use parts_bench::{PartBench, PartsBench, PartsRequest};
pub use pass_bench::{PassBench, PassRequest};
pub use paused::PausedRun;
pub use pipeline::{Pipeline, PipelineFactory, Progress, RunError, RunRequest};
pub use probe::{FEW_STEPS, Probe, ProbeRequest};
pub use profile_book::Profiles;
pub use published::published_pair;
pub use residency::{Fit, MemoryNeed, Residency, stretches};
pub use setup::EngineSetup;
pub use step_cache::KeptSteps;
pub use survey::{
    ForgottenPair, PairMemory, PairReport, PairState, add_pair, forget_pair, put_pair_back, survey,
};
pub use sweep::{
    Criterion, PlanResult, Quality, SweepRequest, SweepRow, SweepSummary, SweepTimes, SweptRun,
    Work,
};
pub use tensors::write_divergence_maps;
pub use threads::set_threads;
pub use timings::{BySize, PairTimings, Recent};
