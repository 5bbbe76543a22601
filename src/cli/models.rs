use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::json;

use super::CliError;
use super::models_pull::{PullArgs, pull};
use super::options::GlobalOptions;
use crate::engine::{PairReport, PairState, survey};
use crate::models::registry::Registry;
use crate::models::{AddError, PartCheck, add, check};
use crate::project::size_text;

/// Faults of a part that are named; the rest is counted.
const NAMED: usize = 10;

#[derive(Debug, Args)]
pub(super) struct ModelsOptions {
    #[command(subcommand)]
    command: Option<ModelsCommand>,
}

#[derive(Debug, Subcommand)]
enum ModelsCommand {
    /// The pairs that are known here: what each needs, and what is missing.
    List,
    /// Whether the files of a model are whole and fit one another; loads nothing.
    Check {
        /// A model: a folder in diffusers' layout or its authors', or a transformer's file.
        model: PathBuf,
    },
    /// Make a pair known that lies elsewhere; it is checked first, and nothing is copied.
    Add {
        /// A folder with a pair.json; or, with --small, the large model: a folder or a file.
        #[arg(value_name = "DIR")]
        large: PathBuf,
        /// The small model: a folder or a file.
        #[arg(long, value_name = "DIR")]
        small: Option<PathBuf>,
        /// What the pair will be called [default: what its pair.json or its large model is called].
        #[arg(long)]
        name: Option<String>,
    },
    /// Take a pair that was added out of the list again; no file of it is touched.
    Remove {
        /// What the pair is called.
        name: String,
    },
    /// Download a public pair; goes on where an earlier pull stopped.
    Pull(PullArgs),
}

/// `flowblend models`.
pub(super) fn models(options: &ModelsOptions, global: &GlobalOptions) -> Result<(), CliError> {
    match &options.command {
        None | Some(ModelsCommand::List) => list(global),
        Some(ModelsCommand::Check { model }) => report(model, global.json),
        Some(ModelsCommand::Add { large, small, name }) => {
            add_pair(large, small.as_deref(), name.as_deref(), global.json)
        }
        Some(ModelsCommand::Remove { name }) => {
            Registry::open()
                .forget(name)
                .map_err(|why| CliError::Failed(why.to_string()))?;
            tell_name(name, global.json);
            Ok(())
        }
        Some(ModelsCommand::Pull(args)) => pull(args, global.json),
    }
}

fn add_pair(
    large: &Path,
    small: Option<&Path>,
    name: Option<&str>,
    as_json: bool,
) -> Result<(), CliError> {
    let name = add(&mut Registry::open(), large, small, name).map_err(|why| match why {
        AddError::OneModel(_) | AddError::BothNamed(_) | AddError::Name(_) => {
            CliError::Usage(why.to_string())
        }
        AddError::Incomplete(faults) => {
            for fault in &faults {
                eprintln!("{fault}");
            }
            let count = faults.len();
            CliError::Failed(format!(
                "the pair was not added, because its models are not whole: mend what is named above ({count} in all) and add it again"
            ))
        }
        why => CliError::Failed(why.to_string()),
    })?;
    tell_name(&name, as_json);
    Ok(())
}

fn tell_name(name: &str, as_json: bool) {
    if as_json {
        println!("{}", json!({ "name": name }));
    } else {
        println!("{name}");
    }
}

fn list(global: &GlobalOptions) -> Result<(), CliError> {
    let pairs = survey(global.engine().weight_bytes());
    if global.json {
        println!("{}", json!({ "pairs": pairs }));
        return Ok(());
    }
    if pairs.is_empty() {
        println!("no pairs are known; set FLOWBLEND_MODELS to a folder that holds some");
    }
    pairs.iter().for_each(describe);
    Ok(())
}

fn describe(pair: &PairReport) {
    match &pair.title {
        Some(title) => println!("{}: {title}", pair.name),
        None => println!("{}", pair.name),
    }
    let row = |name: &str, value: &str| println!("  {name:<12} {value}");
    row(
        "state",
        match pair.state {
            PairState::Ready => "ready",
            PairState::Incomplete => "not complete",
            PairState::Incompatible => "its models cannot be blended",
            PairState::Faulty => "cannot be read",
        },
    );
    for fault in &pair.faults {
        row("", fault);
    }
    if let (PairState::Incomplete, Some(bytes)) = (pair.state, pair.download_bytes) {
        let name = &pair.name;
        let text = format!(
            "flowblend models pull {name} (about {} in all)",
            size_text(bytes)
        );
        row("download", &text);
    }
    let repos = pair.repos.as_ref();
    let models = [
        ("large", &pair.large),
        ("small", &pair.small),
        ("distilled", &pair.distilled),
    ];
    for (i, (name, place)) in models.into_iter().enumerate() {
        let Some(place) = place else { continue };
        match repos.and_then(|repos| repos.get(i)) {
            Some(repo) if pair.state != PairState::Ready => {
                row(name, &format!("{}, the files of {repo}", place.display()));
            }
            _ => row(name, &place.display().to_string()),
        }
    }
    if let Some(memory) = &pair.memory {
        let at_least = if memory.weights_only { "at least " } else { "" };
        row(
            "memory",
            &format!(
                "{at_least}{}, or {} with the models swapped at the boundaries",
                size_text(memory.together),
                size_text(memory.swapped)
            ),
        );
    }
    if let Some(licence) = &pair.licence {
        row("licence", licence);
    }
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
