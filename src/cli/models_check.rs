//! `flowblend models check`: one model, or all that a pair has.

use std::path::Path;

use serde_json::{Value, json};

use super::CliError;
use crate::models::{ModelError, PairSpec, PartCheck, check as parts_of, check_pair, needed_parts};
use crate::schedule::ModelRole;

/// Faults of a part that are named; the rest is counted.
const NAMED: usize = 10;

/// Looks at the model or the pair at `path`, and says what is missing, broken or does not fit.
pub(super) fn check(path: &Path, as_json: bool) -> Result<(), CliError> {
    if !path.exists() {
        return Err(CliError::Failed(format!(
            "there is no model at {}; check the path",
            path.display()
        )));
    }
    if path.join("pair.json").is_file() {
        return pair(path, as_json);
    }
    let parts = parts_of(path);
    if as_json {
        let (complete, parts) = (is_complete(&parts), all_to_json(&parts));
        println!("{}", json!({ "complete": complete, "parts": parts }));
    } else {
        parts.iter().for_each(print);
    }
    match broken(&parts)[..] {
        [] => Ok(()),
        ref broken => Err(CliError::Failed(format!(
            "{} cannot be used as a whole model: look above at {}",
            path.display(),
            broken.join(", ")
        ))),
    }
}

/// The models of a pair, as far as it needs them, and whether they can share a run.
fn pair(folder: &Path, as_json: bool) -> Result<(), CliError> {
    let failed = |why: ModelError| CliError::Failed(why.to_string());
    let spec = PairSpec::read(folder).map_err(failed)?;
    let models: Vec<(ModelRole, Vec<PartCheck>)> = ModelRole::ALL
        .into_iter()
        .filter_map(|role| Some((role, needed_parts(role, spec.model(role)?))))
        .collect();
    let broken: Vec<_> = models
        .iter()
        .filter(|(_, parts)| !is_complete(parts))
        .map(|(role, _)| role.name())
        .collect();
    // Two that are not whole need not be held against one another.
    let fits = broken.is_empty().then(|| check_pair(&spec));
    if as_json {
        let told = models
            .iter()
            .map(|(role, parts)| (role.name().to_owned(), all_to_json(parts)));
        println!(
            "{}",
            json!({
                "complete": broken.is_empty(),
                "models": told.collect::<serde_json::Map<_, _>>(),
                "compatible": fits.as_ref().map(Result::is_ok),
            })
        );
    } else {
        for (role, parts) in &models {
            println!("the {role} model");
            parts.iter().for_each(print);
        }
    }
    match fits {
        Some(Ok(())) => {
            if !as_json {
                println!("they can be blended: latents, VAE and text encoder agree");
            }
            Ok(())
        }
        Some(Err(why)) => Err(failed(why)),
        None => Err(CliError::Failed(format!(
            "{} cannot be used as a pair: look above at its {} model",
            folder.display(),
            broken.join(" and its ")
        ))),
    }
}

fn is_complete(parts: &[PartCheck]) -> bool {
    parts.iter().all(PartCheck::is_complete)
}

fn broken(parts: &[PartCheck]) -> Vec<&'static str> {
    let broken = parts.iter().filter(|part| !part.is_complete());
    broken.map(|part| part.part).collect()
}

fn all_to_json(parts: &[PartCheck]) -> Value {
    parts.iter().map(to_json).collect()
}

fn print(check: &PartCheck) {
    match &check.outcome {
        Err(why) => println!("{:<13} {why}", check.part),
        Ok(part) if part.faults.is_empty() => {
            let size = match part.tensors {
                0 => String::new(),
                n => format!(", {n} tensors, {} parameters", part.parameters),
            };
            println!("{:<13} complete{size}: {}", check.part, part.path.display());
        }
        Ok(part) => {
            let count = part.faults.len();
            println!(
                "{:<13} {count} faults in {}",
                check.part,
                part.path.display()
            );
            for fault in part.faults.iter().take(NAMED) {
                println!("  {fault}");
            }
            if count > NAMED {
                println!("  and {} more", count - NAMED);
            }
        }
    }
}

fn to_json(check: &PartCheck) -> Value {
    match &check.outcome {
        Err(why) => json!({"part": check.part, "complete": false, "error": why.to_string()}),
        Ok(part) => json!({
            "part": check.part,
            "complete": part.faults.is_empty(),
            "path": part.path,
            "tensors": part.tensors,
            "parameters": part.parameters,
            "faults": part.faults.iter().take(NAMED).map(ToString::to_string).collect::<Vec<_>>(),
            "fault_count": part.faults.len(),
        }),
    }
}
