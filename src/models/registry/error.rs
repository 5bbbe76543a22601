use crate::project::AtomicError;

/// Why a pair could not be remembered.
#[derive(Debug, thiserror::Error)]
pub enum RememberError {
    /// The file cannot be written.
    #[error(transparent)]
    Write(#[from] AtomicError),
    /// The file that is there would be lost.
    #[error("{0}")]
    Unreadable(String),
}

/// Why a pair could not be forgotten.
#[derive(Debug, thiserror::Error)]
pub enum ForgetError {
    /// Nobody added it.
    #[error(
        "`{name}` cannot be removed, because it was not added ({added}); pairs in a folder of models go with their files"
    )]
    NotAdded {
        /// What was asked for.
        name: String,
        /// Those that could be.
        added: String,
    },
    /// The list cannot be read or written.
    #[error(transparent)]
    List(#[from] RememberError),
}
