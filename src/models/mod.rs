//! The networks: fast operations in [`nn`], one folder a model family, the reading of model
//! folders, and what is known about pairs of models.

mod compat;
mod error;
mod loader;
mod pair;
pub mod registry;
mod weights;

pub mod nn;
pub mod wan;

pub use compat::check_compatible;
pub use error::ModelError;
pub use loader::file_hash;
pub use pair::{PairDefaults, PairSpec, PreviewFactors};
