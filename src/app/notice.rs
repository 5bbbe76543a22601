use std::path::PathBuf;

use super::Request;
use super::forecast::sentence;

/// A message that stays until it is put away.
#[derive(Clone, Debug, PartialEq)]
pub struct Notice {
    /// One sentence: what happened, and for errors what to do.
    pub text: String,
    /// Whether something went wrong.
    pub is_error: bool,
    /// A folder worth opening.
    pub folder: Option<PathBuf>,
    /// Words of a button and what it asks for.
    pub offer: Option<(&'static str, Request)>,
}

impl Notice {
    /// Something went wrong.
    pub fn error(text: &str) -> Self {
        Self {
            text: sentence(text),
            is_error: true,
            folder: None,
            offer: None,
        }
    }

    /// Something was done.
    pub fn done(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            is_error: false,
            folder: None,
            offer: None,
        }
    }

    /// The same with a button.
    #[must_use]
    pub fn offering(self, words: &'static str, request: Request) -> Self {
        Self {
            offer: Some((words, request)),
            ..self
        }
    }

    /// A file was written, or a folder of them.
    pub fn saved(path: &std::path::Path) -> Self {
        Self {
            text: format!("Saved to {}", path.display()),
            is_error: false,
            folder: match path.is_dir() {
                true => Some(path.to_owned()),
                false => path.parent().map(PathBuf::from),
            },
            offer: None,
        }
    }
}
