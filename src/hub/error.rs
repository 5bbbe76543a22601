use std::path::PathBuf;

use crate::models::ModelError;
use crate::models::registry::RememberError;
use crate::project::{AtomicError, size_text};

/// Why a pull ended without all its files. Each is a whole sentence for the user.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HubError {
    /// Somebody asked to stop.
    #[error("stopped; what was downloaded is kept, and the next pull goes on from there")]
    Cancelled,
    /// The endpoint is no address.
    #[error("the endpoint {0} cannot be used; give one such as http://localhost:8080")]
    Endpoint(String),
    /// The hub wants to know who asks.
    #[error(
        "the hub does not give {url} to everybody (status {status}); accept the model's terms on its page, download it there, and put it into the folder by hand"
    )]
    Refused {
        /// What was asked for.
        url: String,
        /// 401 or 403.
        status: u16,
    },
    /// The hub has no such file.
    #[error(
        "{url} does not exist (status {status}); check the endpoint, or the repository and revision in the manifest"
    )]
    NotFound {
        /// What was asked for.
        url: String,
        /// The hub's answer.
        status: u16,
    },
    /// An answer that means nothing here.
    #[error("{url} was answered with status {status}; check the endpoint")]
    Status {
        /// What was asked for.
        url: String,
        /// The hub's answer.
        status: u16,
    },
    /// Asked again and again without getting further.
    #[error(
        "{path} could not be downloaded ({reason}); check the network, then pull again, it goes on from there"
    )]
    Broken {
        /// The file.
        path: String,
        /// What happened the last time.
        reason: String,
    },
    /// The address cannot be asked at all.
    #[error("{url} cannot be asked for ({reason}); check the endpoint")]
    Transport {
        /// What was asked for.
        url: String,
        /// What the transport says.
        reason: String,
    },
    /// Two places disagree about a file's length.
    #[error(
        "{path} has {stated} bytes according to {by}, but what is sent has {found}; it was not kept, the endpoint is at fault or its file was changed"
    )]
    Size {
        /// The file.
        path: String,
        /// The length it should have.
        stated: u64,
        /// Who states that.
        by: &'static str,
        /// The length it has.
        found: u64,
    },
    /// The bytes are others than those that were published.
    #[error(
        "{path} arrived with the SHA-256 {found}, but {by} states {stated}; it was removed, pull again or from another endpoint"
    )]
    Hash {
        /// The file.
        path: String,
        /// The sum it should have.
        stated: String,
        /// Who states that.
        by: &'static str,
        /// The sum it has.
        found: String,
    },
    /// Something else has the file's name.
    #[error(
        "{} is there already, but is not what {by} describes ({reason}); move it away and pull again", path.display()
    )]
    Foreign {
        /// The file.
        path: PathBuf,
        /// Who states what it should be.
        by: &'static str,
        /// How it differs.
        reason: String,
    },
    /// Another download writes the same file.
    #[error("{} is being downloaded already; wait for that, or stop it", .0.display())]
    Busy(PathBuf),
    /// The disk is too small for what is missing.
    #[error(
        "{} has {} free, but {} are still to be downloaded; free some, or choose another disk with --to", folder.display(), size_text(*free), size_text(*needed)
    )]
    NoSpace {
        /// Where the files go.
        folder: PathBuf,
        /// Bytes that are free.
        free: u64,
        /// Bytes that are missing.
        needed: u64,
    },
    /// A file cannot be written.
    #[error(transparent)]
    Write(#[from] AtomicError),
    /// The manifest, or a list of shards, cannot be used.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// Where the pair lies could not be remembered.
    #[error(transparent)]
    Remember(#[from] RememberError),
}
