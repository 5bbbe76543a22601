use std::io;
use std::path::{Path, PathBuf};

use ffmpeg_next as ffmpeg;

use crate::project::{AtomicError, size_text};

/// Why a clip could not be written or read. Each is a whole sentence for the user.
#[derive(Debug, thiserror::Error)]
pub enum MediaError {
    /// Somebody asked to stop; nothing is left of the file.
    #[error("cancelled")]
    Cancelled,
    /// The file could not be put in place.
    #[error(transparent)]
    File(#[from] AtomicError),
    /// The name's ending belongs to no format.
    #[error(
        "'.{ending}' is no format flowblend writes; end the name in .mp4, .webm, .mov, .mkv, .gif or .png, or give a folder for PNGs"
    )]
    UnknownFormat {
        /// The ending, without its dot.
        ending: String,
    },
    /// The name's ending belongs to another format than the chosen one.
    #[error("{} is no name for {format}; end the name in .{ending} or choose another format", path.display())]
    WrongEnding {
        /// The file.
        path: PathBuf,
        /// The format's name.
        format: &'static str,
        /// Its ending, without the dot.
        ending: &'static str,
    },
    /// The disk has less room than the file may need.
    #[error(
        "the disk of {} has {} free, but this export may come to up to {}; free some space, choose another disk, or choose a smaller size", folder.display(), size_text(*free), size_text(*needed)
    )]
    NoSpace {
        /// Where the file should go.
        folder: PathBuf,
        /// Bytes that are free.
        free: u64,
        /// Bytes of the file at most.
        needed: u64,
    },
    /// The bundled font cannot be used.
    #[error(
        "the labels cannot be drawn, because the bundled font is damaged ({0}); install flowblend again"
    )]
    Font(String),
    /// The clip itself cannot be a video.
    #[error("the clip cannot be encoded: {0}")]
    BadClip(String),
    /// The chosen format cannot hold this clip.
    #[error("{format} {limit}; choose another format")]
    Unsuited {
        /// The format's name.
        format: &'static str,
        /// What it cannot do.
        limit: String,
    },
    /// This FFmpeg was built without the encoder.
    #[error(
        "the FFmpeg on this machine has no {encoder} encoder, which {format} needs; install a full FFmpeg or choose another format"
    )]
    NoEncoder {
        /// FFmpeg's name of the encoder, or the names of those that would do.
        encoder: String,
        /// The format that needs it.
        format: &'static str,
    },
    /// An encoder refused.
    #[error("{format} encoding failed while {doing} ({source}); try another format")]
    Encode {
        /// The format's name.
        format: &'static str,
        /// What was being done.
        doing: &'static str,
        /// What FFmpeg said.
        source: ffmpeg::Error,
    },
    /// Encoding pictures one by one failed.
    #[error("{format} encoding failed at frame {frame} ({message}); try another format")]
    Picture {
        /// The format's name.
        format: &'static str,
        /// The frame, from 0.
        frame: usize,
        /// What went wrong.
        message: String,
    },
    /// The folder holds more than an earlier sequence.
    #[error(
        "{} holds files that are no frames of flowblend's, so it is not replaced; choose another folder", .0.display()
    )]
    ForeignFolder(PathBuf),
    /// The path cannot be handed to FFmpeg.
    #[error("{} is no Unicode name, which video files need; choose another folder or name", .0.display())]
    NotUnicode(PathBuf),
    /// There is no such file.
    #[error("{} does not exist; check the name", .0.display())]
    Missing(PathBuf),
    /// The file is no video, or damaged.
    #[error("{} could not be read as a video ({message}); check that the file is complete", path.display())]
    Decode {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        message: String,
    },
    /// More than should be held in memory at once.
    #[error(
        "{} holds more than {limit_bytes} bytes of frames; cut it to the part of interest first", path.display()
    )]
    TooLong {
        /// The file.
        path: PathBuf,
        /// The limit, in bytes of decoded frames.
        limit_bytes: usize,
    },
}

impl MediaError {
    pub(super) fn io(path: &Path, source: io::Error) -> Self {
        AtomicError::from_io(path, source).into()
    }

    /// The same failure, said of the name the user knows instead of a temporary one.
    pub(super) fn about(self, path: &Path) -> Self {
        match self {
            Self::File(AtomicError::Full(_)) => Self::File(AtomicError::Full(path.to_owned())),
            Self::File(AtomicError::Io { source, .. }) => Self::io(path, source),
            other => other,
        }
    }

    pub(super) fn decode(path: &Path, message: impl ToString) -> Self {
        Self::Decode {
            path: path.to_owned(),
            message: message.to_string(),
        }
    }
}
