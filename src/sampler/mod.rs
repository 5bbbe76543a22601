//! The denoise loop: solvers, guidance and the trajectory, over any [`VelocityModel`].

mod cancel;
mod denoise;
mod error;
mod guidance;
mod model;
mod noise;
mod online;
mod profile;
mod skip;
mod stepper;
mod trajectory;

pub use cancel::Cancel;
pub(crate) use denoise::is_finite;
pub use denoise::{ModelSet, StepView, denoise, denoise_from, denoise_until};
pub use error::SampleError;
pub use guidance::{Guided, TOGETHER};
pub use model::{Context, Entered, Parts, VelocityModel};
pub use noise::initial_noise;
pub use online::{Bend, OnDecided, OnlineRule, SrDiffusion, Switch, decide_again, denoise_online};
pub use profile::measure_profile;
pub use skip::COLLAPSED;
pub use stepper::Stepper;
pub use trajectory::{Origin, Trajectory};
