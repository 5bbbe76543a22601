//! What clips and runs are like: similarity, sharpness, flicker, how far two models' velocities differ,
//! a network that reads what a clip shows, how sure an average is, and which plan follows from it all.

mod bootstrap;
mod criteria;
mod detail;
mod divergence;
mod error;
mod features;
mod frechet;
mod look;
mod luma;
mod mismatch;
mod reader;
mod similarity;
mod valley;

pub use bootstrap::{Interval, bootstrap, mean, median};
pub use criteria::{Trade, Wish, best, early_boundary, knee, late_boundary, pareto_front};
pub use detail::detail_error;
pub use divergence::{
    Divergence, DivergenceCurve, EARLY_RIM, LATE_RIM, Measure, divergence, divergence_map,
};
pub use error::AnalysisError;
pub use features::{Extractor, Features};
pub use frechet::{Frechet, frechet};
pub use look::{flicker, sharpness};
pub use mismatch::mismatch;
pub use reader::{ColourReading, Reader, ReaderSpec, Reading, Validation, likeliest};
pub use similarity::{Similarity, Worst, frame_similarity, psnr, ssim};
pub use valley::Valley;
