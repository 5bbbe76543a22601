//! Finished runs on disk: a folder each, listed at the next start.

mod keeper;
mod record;
mod shelf;
mod thumbnail;

pub use keeper::{Keeper, Kept, Told};
pub use record::{RecordError, RunRecord};
pub use shelf::{RunName, Shelf, ShelfError};
pub use thumbnail::Thumbnail;
