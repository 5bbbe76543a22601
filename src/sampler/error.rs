/// What can end a denoise, or a pass of one of its models, early.
#[derive(Debug, thiserror::Error)]
pub enum SampleError {
    /// Somebody asked to stop.
    #[error("cancelled")]
    Cancelled,
    /// Numbers that no model would continue from.
    #[error("{what} contains NaN or infinite values; {hint}")]
    NonFinite {
        /// The tensor and where it came from.
        what: String,
        /// What the user can do.
        hint: &'static str,
    },
    /// A tensor does not have the shape the step needs.
    #[error("{what} has shape {found:?}, but {expected:?} is needed")]
    Shape {
        /// The tensor's name.
        what: String,
        /// Its shape.
        found: Vec<usize>,
        /// The shape that fits.
        expected: Vec<usize>,
    },
    /// The plan names a model the pair does not have.
    #[error("the plan needs a {0} model, which this pair does not have; choose another plan")]
    MissingModel(&'static str),
    /// A tensor operation failed: out of memory, or a fault of ours.
    #[error("a tensor operation failed: {0}")]
    Tensor(#[from] candle_core::Error),
}
