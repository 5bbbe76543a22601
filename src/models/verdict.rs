use std::path::Path;

use super::{PairSpec, PartCheck, check, check_pair};
use crate::schedule::ModelRole;

/// Whether a pair can be run, found out without loading anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Everything that a run needs is there and fits.
    Ready,
    /// Something is missing or broken; each is a sentence that says what and where.
    Incomplete(Vec<String>),
    /// The models are whole, but cannot share a run; a sentence.
    Incompatible(String),
}

/// Looks at the models of a pair: configs and the headers of weight files.
pub fn verdict(pair: &PairSpec) -> Verdict {
    let mut faults = Vec::new();
    for role in ModelRole::ALL {
        if let Some(model) = pair.model(role) {
            look(role, model, &mut faults);
        }
    }
    if !faults.is_empty() {
        return Verdict::Incomplete(faults);
    }
    match check_pair(pair) {
        Ok(()) => Verdict::Ready,
        Err(why) => Verdict::Incompatible(why.to_string()),
    }
}

/// What a pair needs of the model at `path`: VAE, text encoder and tokenizer come from the large one, so of the others it is
/// the transformer only.
pub fn needed_parts(role: ModelRole, path: &Path) -> Vec<PartCheck> {
    let mut parts = check(path);
    parts.retain(|part| role == ModelRole::Large || part.part == "transformer");
    parts
}

fn look(role: ModelRole, model: &Path, faults: &mut Vec<String>) {
    if !model.exists() {
        faults.push(format!(
            "the {role} model is missing: {} does not exist",
            model.display()
        ));
        return;
    }
    for part in needed_parts(role, model) {
        let name = format!("{role} model, {}", part.part.replace('_', " "));
        match &part.outcome {
            Err(why) => faults.push(format!("{name}: {why}")),
            Ok(state) => match &state.faults[..] {
                [] => {}
                [only] => faults.push(format!("{name}: {only}")),
                [first, rest @ ..] => {
                    faults.push(format!("{name}: {first}; and {} faults more", rest.len()));
                }
            },
        }
    }
}
