//! Clips and their files: encode, decode, metadata, export jobs.

mod clip;
mod colour;
mod decode;
mod encode;
mod error;
mod format;
mod gif;
mod job;
mod rate;
mod sequence;
mod video;

pub use clip::Clip;
pub use decode::{read_clip, read_comment};
pub use encode::{EncodeOptions, check_target, encode};
pub use error::MediaError;
pub use format::Format;
pub use job::{ExportJob, ExportStatus};
