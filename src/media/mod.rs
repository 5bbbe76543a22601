//! Clips and their files: encode, decode, metadata, export jobs.

mod clip;

pub use clip::Clip;
