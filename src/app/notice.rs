use std::error::Error;
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
    /// What lies behind an error, the nearest cause first.
    pub causes: Vec<String>,
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
            causes: Vec::new(),
            folder: None,
            offer: None,
        }
    }

    /// Something went wrong, with what lies behind it.
    pub fn fault(why: &dyn Error) -> Self {
        let causes = std::iter::successors(why.source(), |cause| (*cause).source());
        Self {
            causes: causes.map(ToString::to_string).collect(),
            ..Self::error(&why.to_string())
        }
    }

    /// Something was done.
    pub fn done(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            is_error: false,
            causes: Vec::new(),
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
            causes: Vec::new(),
            folder: match path.is_dir() {
                true => Some(path.to_owned()),
                false => path.parent().map(PathBuf::from),
            },
            offer: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project::AtomicError;

    #[test]
    fn a_fault_has_the_causes_behind_it() {
        let disk = std::io::Error::other("the cable is loose");
        let why = AtomicError::from_io(std::path::Path::new("/clips/a.mp4"), disk);
        let notice = Notice::fault(&why);
        assert!(notice.is_error && notice.text.ends_with('.'));
        assert_eq!(notice.causes, ["the cable is loose"]);
        assert!(Notice::error("no").causes.is_empty());
    }
}
