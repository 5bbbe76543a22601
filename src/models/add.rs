//! A pair that lies somewhere else becomes known.

use std::path::{Path, PathBuf};

use super::registry::{Origin, Registry, RememberError};
use super::verdict::{Verdict, verdict};
use super::{Distilled, ModelError, UserPair, UserPlace};
use crate::schedule::DistilledGrid;

/// A pair to be added.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Candidate {
    /// A folder with a `pair.json`; or, together with `small`, the large model: a folder or a file of any layout.
    pub large: PathBuf,
    /// The small model.
    pub small: Option<PathBuf>,
    /// A step-distilled model beside them.
    pub distilled: Option<PathBuf>,
    /// What that one was taught.
    pub taught: Option<DistilledGrid>,
    /// What it will be called; else as its `pair.json` says, or as its large model is called.
    pub name: Option<String>,
}

/// Why a pair was not added. Each is a whole sentence for the user, but for the faults of
/// [`Incomplete`](Self::Incomplete), which are a sentence each.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AddError {
    /// Nothing is there.
    #[error("there is nothing at {}; check the path", .0.display())]
    NotThere(PathBuf),
    /// Half a pair.
    #[error("{} is one model, and a pair needs two; name the small one as well (--small)", .0.display())]
    OneModel(PathBuf),
    /// A folder with a pair.json already says which models it has.
    #[error("{} has a pair.json, which names its models; leave out the others (--small and --distilled)", .0.display())]
    AllNamed(PathBuf),
    /// A distilled model without its noise levels, or the levels alone.
    #[error(
        "a distilled model is of use at the noise levels that it was taught only: name the model together with its steps or \
         levels (--distilled DIR with --distilled-steps or --distilled-sigmas)"
    )]
    Untaught,
    /// No name for a pair.
    #[error("'{0}' cannot be a pair's name; give one without / and \\")]
    Name(String),
    /// Another pair has the name.
    #[error("there is a pair called `{0}` already; give this one another name (--name)")]
    Taken(String),
    /// Something is missing or broken.
    #[error("the pair was not added, because its models are not whole: {}", .0.join("; "))]
    Incomplete(Vec<String>),
    /// The two models cannot be blended, or the pair's file cannot be used.
    #[error("the pair was not added: {0}")]
    Unusable(String),
    /// The user's file cannot be written.
    #[error(transparent)]
    Remember(#[from] RememberError),
}

impl From<ModelError> for AddError {
    fn from(error: ModelError) -> Self {
        Self::Unusable(error.to_string())
    }
}

/// Checks a pair and remembers where it lies. Copies nothing. Gives the name it is known by from now on.
pub fn add(registry: &mut Registry, pair: &Candidate) -> Result<String, AddError> {
    let place = pair.place()?;
    let spec = place.spec()?;
    let name = match (&pair.name, &place) {
        (Some(name), _) => name.trim().to_owned(),
        (None, UserPlace::Models { large, .. }) => stem(large),
        (None, UserPlace::Folder { .. }) => spec.name.clone(),
    };
    if name.is_empty() || name.contains(['/', '\\']) {
        return Err(AddError::Name(name));
    }
    let taken = |pair: &super::registry::KnownPair| {
        // What the user added under this name may move.
        pair.name == name && pair.origin != Origin::Added
    };
    if registry.known().iter().any(taken) {
        return Err(AddError::Taken(name));
    }
    match verdict(&spec) {
        Verdict::Ready => {}
        Verdict::Incomplete(faults) => return Err(AddError::Incomplete(faults)),
        Verdict::Incompatible(why) => return Err(AddError::Unusable(why)),
    }
    registry.remember(UserPair {
        name: name.clone(),
        place,
    })?;
    Ok(name)
}

impl Candidate {
    /// Where its models are, from the root on: the program may be started elsewhere the next time.
    fn place(&self) -> Result<UserPlace, AddError> {
        let distilled = self.distilled()?;
        let large = whole(&self.large)?;
        let is_pair = large.join("pair.json").is_file();
        match (&self.small, distilled) {
            (None, None) if is_pair => Ok(UserPlace::Folder { folder: large }),
            _ if is_pair => Err(AddError::AllNamed(large)),
            (None, _) => Err(AddError::OneModel(large)),
            (Some(small), distilled) => Ok(UserPlace::Models {
                large,
                small: whole(small)?,
                distilled: match distilled {
                    None => None,
                    Some(Distilled { model, sigmas }) => Some(Distilled {
                        model: whole(&model)?,
                        sigmas,
                    }),
                },
            }),
        }
    }

    /// The distilled model with what it was taught; neither is of use alone.
    fn distilled(&self) -> Result<Option<Distilled>, AddError> {
        match (self.distilled.clone(), self.taught.clone()) {
            (None, None) => Ok(None),
            (Some(model), Some(sigmas)) => Ok(Some(Distilled { model, sigmas })),
            _ => Err(AddError::Untaught),
        }
    }
}

fn whole(path: &Path) -> Result<PathBuf, AddError> {
    path.canonicalize()
        .map_err(|_| AddError::NotThere(path.to_owned()))
}

fn stem(path: &Path) -> String {
    let name = if path.is_file() {
        path.file_stem()
    } else {
        path.file_name()
    };
    name.unwrap_or_default().to_string_lossy().into_owned()
}
