use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::json;

use super::CliError;
use super::distilled::DistilledOptions;
use super::models_check::check;
use super::models_pull::{PullArgs, pull};
use super::options::GlobalOptions;
use crate::engine::{PairReport, PairState, survey};
use crate::models::registry::Registry;
use crate::models::{AddError, Candidate, add};
use crate::project::size_text;

#[derive(Debug, Args)]
pub(super) struct ModelsOptions {
    #[command(subcommand)]
    command: Option<ModelsCommand>,
}

#[derive(Debug, Subcommand)]
enum ModelsCommand {
    /// The pairs that are known here: what each needs, and what is missing.
    List,
    /// Whether the files of a model, or of a whole pair, are there and fit one another; loads nothing.
    Check {
        /// A folder with a pair.json; or a model: a folder in diffusers' layout or its authors', or a transformer's file.
        #[arg(value_name = "DIR")]
        model: PathBuf,
    },
    /// Make a pair known that lies elsewhere; it is checked first, and nothing is copied.
    Add(AddArgs),
    /// Take a pair that was added out of the list again; no file of it is touched.
    Remove {
        /// What the pair is called.
        name: String,
    },
    /// Download a public pair; goes on where an earlier pull stopped.
    Pull(PullArgs),
}

/// Options of `flowblend models add`.
#[derive(Debug, Args)]
struct AddArgs {
    /// A folder with a pair.json; or, with --small, the large model: a folder or a file.
    #[arg(value_name = "DIR")]
    large: PathBuf,
    /// The small model: a folder or a file.
    #[arg(long, value_name = "DIR")]
    small: Option<PathBuf>,
    #[command(flatten)]
    distilled: DistilledOptions,
    /// What the pair will be called [default: what its pair.json or its large model is called].
    #[arg(long)]
    name: Option<String>,
}

/// `flowblend models`.
pub(super) fn models(options: &ModelsOptions, global: &GlobalOptions) -> Result<(), CliError> {
    match &options.command {
        None | Some(ModelsCommand::List) => list(global),
        Some(ModelsCommand::Check { model }) => check(model, global.json),
        Some(ModelsCommand::Add(args)) => add_pair(args, global.json),
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

fn add_pair(args: &AddArgs, as_json: bool) -> Result<(), CliError> {
    let pair = Candidate {
        large: args.large.clone(),
        small: args.small.clone(),
        distilled: args.distilled.model().cloned(),
        taught: args.distilled.sigmas()?,
        name: args.name.clone(),
    };
    let name = add(&mut Registry::open(), &pair).map_err(|why| match why {
        AddError::OneModel(_)
        | AddError::AllNamed(_)
        | AddError::Untaught
        | AddError::Name(_) => CliError::Usage(why.to_string()),
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
    let pairs = survey(global.engine().weights());
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
    for (role, place) in pair.models() {
        let from = pair
            .comes_from(role)
            .map(|repo| format!(", the files of {repo}"));
        let from = from.unwrap_or_default();
        row(role.name(), &format!("{}{from}", place.display()));
    }
    if pair.lacks_distilled {
        let name = &pair.name;
        row(
            "",
            &format!("only stages of the letter D need it; flowblend models pull {name} brings it"),
        );
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
