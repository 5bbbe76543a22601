use std::path::PathBuf;

use crate::project::AtomicError;

/// Why a picture could not be drawn or written. Each is a whole sentence for the user.
#[derive(Debug, thiserror::Error)]
pub enum PlotError {
    /// The name's ending belongs to no picture.
    #[error("{} does not say what the plot is written as; end the name in .png or .svg", .0.display())]
    UnknownFormat(PathBuf),
    /// The file could not be put in place.
    #[error(transparent)]
    File(#[from] AtomicError),
    /// The numbers or the font cannot be drawn.
    #[error("the plot could not be drawn ({0}); please report this")]
    Draw(String),
}
