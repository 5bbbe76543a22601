//! The networks: fast operations in [`nn`], one folder a model family, the reading of model
//! folders, and what is known about pairs of models.

mod add;
mod check;
mod compat;
mod dit;
mod error;
mod family;
mod layout;
mod loader;
mod names;
mod pair;
mod text;
mod tiling;
mod user;
mod verdict;
mod weights;

pub mod ltx;
pub mod manifest;
pub mod nn;
pub mod registry;
pub mod vision;
pub mod wan;

pub use add::{AddError, Candidate, add};
pub use check::{PartCheck, PartState, check};
pub use compat::{check_compatible, check_pair, common_family};
pub use error::ModelError;
pub use family::{
    DecodeProgress, Family, Networks, TextEncoder, Transformer, TransformerConfig, Vae,
};
pub use loader::{hash_files, identity, read_ahead};
pub use pair::{Distilled, PairDefaults, PairSpec};
pub use text::T5Config;
pub use tiling::{Span, Tiling};
pub use user::{UserPair, UserPlace};
pub use verdict::{Verdict, needed_parts, verdict};
pub use weights::{
    Format, LargeMatrices, Loading, Made, NumberFormat, Params, PartSize, Stored, read_header,
};
