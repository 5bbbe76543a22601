//! The networks: fast operations in [`nn`], one folder a model family, the reading of model
//! folders, and what is known about pairs of models.

mod compat;
mod dit;
mod error;
mod loader;
mod pair;
mod text;
mod weights;

pub mod ltx;
pub mod nn;
pub mod registry;
pub mod wan;

pub use compat::check_compatible;
pub use error::ModelError;
pub use loader::{file_hash, parameter_count};
pub use pair::{PairDefaults, PairSpec};
pub use text::T5Config;
