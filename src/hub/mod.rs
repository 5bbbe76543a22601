//! Models from a hub: what a manifest lists is fetched file by file, goes on where it broke off, and
//! takes its name only once its checksum is right.

mod client;
mod error;
mod fetch;
mod job;
mod pull;
mod sums;

pub use error::HubError;
pub use job::{PullJob, PullStatus};
pub use pull::{Checked, PullOptions, PullProgress, Pulled, PulledFile, pull, pull_named};
pub use sums::SUMS_FILE;
