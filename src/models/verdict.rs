use std::path::Path;

use super::{PairSpec, check, check_pair};

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
    look("large", &pair.large, |_| true, &mut faults);
    // VAE and text encoder come from the large model.
    let is_needed = |part: &str| part == "transformer";
    look("small", &pair.small, is_needed, &mut faults);
    if let Some(distilled) = &pair.distilled {
        look("distilled", distilled, is_needed, &mut faults);
    }
    if !faults.is_empty() {
        return Verdict::Incomplete(faults);
    }
    match check_pair(pair) {
        Ok(()) => Verdict::Ready,
        Err(why) => Verdict::Incompatible(why.to_string()),
    }
}

fn look(which: &str, model: &Path, is_needed: impl Fn(&str) -> bool, faults: &mut Vec<String>) {
    if !model.exists() {
        faults.push(format!(
            "the {which} model is missing: {} does not exist",
            model.display()
        ));
        return;
    }
    for part in check(model).iter().filter(|part| is_needed(part.part)) {
        let name = format!("{which} model, {}", part.part.replace('_', " "));
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
