//! Clips and their files: encode, decode, metadata, export jobs.

mod beside;
mod clip;
mod codec;
mod colour;
mod decode;
mod encode;
mod error;
mod format;
mod frames;
mod gif;
mod job;
mod lettering;
mod picture;
mod rate;
mod sequence;
mod source;
mod video;

pub use beside::{Beside, Label};
pub use clip::{Clip, ClipShape};
pub use codec::Quality;
pub use decode::{read_clip, read_comment};
pub use encode::{EncodeOptions, ScaleFilter, check_target, check_written, encode};
pub use error::MediaError;
pub use format::Format;
pub use job::{ExportJob, ExportStatus};
pub use source::FrameSource;
