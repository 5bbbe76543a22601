use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::json;

use super::CliError;
use super::options::GlobalOptions;
use crate::models::{PartCheck, check, registry};

/// Faults of a part that are named; the rest is counted.
const NAMED: usize = 10;

#[derive(Debug, Args)]
pub(super) struct ModelsOptions {
    #[command(subcommand)]
    command: Option<ModelsCommand>,
}

#[derive(Debug, Subcommand)]
enum ModelsCommand {
    /// The pairs that are known here.
    List,
    /// Whether the files of a model are whole and fit one another; loads nothing.
    Check {
        /// A model: a folder in diffusers' layout or its authors', or a transformer's file.
        model: PathBuf,
    },
}

/// `flowblend models`.
pub(super) fn models(options: &ModelsOptions, global: &GlobalOptions) -> Result<(), CliError> {
    match &options.command {
        None | Some(ModelsCommand::List) => list(global.json),
        Some(ModelsCommand::Check { model }) => report(model, global.json),
    }
}

fn list(as_json: bool) -> Result<(), CliError> {
    let pairs: Vec<_> = registry::known()
        .into_iter()
        .map(|name| (registry::find(&name), name))
        .collect();
    if as_json {
        let pairs: Vec<_> = pairs
            .iter()
            .map(|(pair, name)| match pair {
                Ok(pair) => json!({"name": name, "large": pair.large, "small": pair.small}),
                Err(why) => json!({"name": name, "error": why.to_string()}),
            })
            .collect();
        println!("{}", json!({ "pairs": pairs }));
        return Ok(());
    }
    if pairs.is_empty() {
        println!("no pairs are known; set FLOWBLEND_MODELS to a folder that holds some");
    }
    for (pair, name) in pairs {
        match pair {
            Ok(pair) => {
                println!("{name}");
                println!("  large  {}", pair.large.display());
                println!("  small  {}", pair.small.display());
            }
            Err(why) => println!("{name}: {why}"),
        }
    }
    Ok(())
}

fn report(model: &Path, as_json: bool) -> Result<(), CliError> {
    if !model.exists() {
        return Err(CliError::Failed(format!(
            "there is no model at {}; check the path",
            model.display()
        )));
    }
    let parts = check(model);
    let complete = parts.iter().all(PartCheck::is_complete);
    if as_json {
        let parts: Vec<_> = parts.iter().map(to_json).collect();
        println!("{}", json!({ "complete": complete, "parts": parts }));
    } else {
        parts.iter().for_each(print);
    }
    if complete {
        return Ok(());
    }
    let broken: Vec<_> = parts
        .iter()
        .filter(|part| !part.is_complete())
        .map(|part| part.part)
        .collect();
    Err(CliError::Failed(format!(
        "{} cannot be used as a whole model: look above at {}",
        model.display(),
        broken.join(", ")
    )))
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

fn to_json(check: &PartCheck) -> serde_json::Value {
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
