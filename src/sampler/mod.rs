//! The denoise loop: solvers, guidance and the trajectory, over any [`VelocityModel`].

mod cancel;
mod error;
mod model;

pub use cancel::Cancel;
pub use error::SampleError;
pub use model::{Context, VelocityModel};
