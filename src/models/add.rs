//! A pair that lies somewhere else becomes known.

use std::path::{Path, PathBuf};

use super::registry::{Origin, Registry, RememberError};
use super::verdict::{Verdict, verdict};
use super::{ModelError, PairSpec, UserPair, UserPlace};

/// Why a pair was not added. Each is a whole sentence for the user, but for the faults of
/// [`Incomplete`](Self::Incomplete), which are a sentence each.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AddError {
    /// Nothing is there.
    #[error("there is nothing at {}; check the path", .0.display())]
    NotThere(PathBuf),
    /// Half a pair.
    #[error("{} is one model, and a pair needs two; name the small one with --small", .0.display())]
    OneModel(PathBuf),
    /// A folder with a pair.json already says which models it has.
    #[error("{} has a pair.json, which names both models; leave out --small", .0.display())]
    BothNamed(PathBuf),
    /// No name for a pair.
    #[error("'{0}' cannot be a pair's name; give one without / and \\")]
    Name(String),
    /// Another pair has the name.
    #[error("there is a pair called `{0}` already; give this one another name with --name")]
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

/// Checks the pair at `large` (a folder with a `pair.json`, or together with `small` a model of any
/// layout) and remembers where it lies. Copies nothing. Gives the name it is known by from now on.
pub fn add(
    registry: &mut Registry,
    large: &Path,
    small: Option<&Path>,
    name: Option<&str>,
) -> Result<String, AddError> {
    let large = whole(large)?;
    let is_pair = large.join("pair.json").is_file();
    let (spec, place) = match small {
        Some(_) if is_pair => return Err(AddError::BothNamed(large)),
        None if !is_pair => return Err(AddError::OneModel(large)),
        Some(small) => {
            let small = whole(small)?;
            let spec = PairSpec::from_folders(&large, &small);
            (spec, UserPlace::Models { large, small })
        }
        None => (PairSpec::read(&large)?, UserPlace::Folder { folder: large }),
    };
    let name = match name {
        Some(name) => name.trim().to_owned(),
        None if small.is_some() => stem(&spec.large),
        None => spec.name.clone(),
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

/// The path from the root on: the program may be started elsewhere the next time.
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
