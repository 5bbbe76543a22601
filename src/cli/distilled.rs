use std::path::PathBuf;

use clap::Args;

use super::CliError;
use crate::schedule::DistilledGrid;

/// A step-distilled model, and the noise levels that it was taught.
#[derive(Debug, Args)]
pub(super) struct DistilledOptions {
    /// A step-distilled model for stages of the letter D, a folder or a file; tell with --distilled-steps or
    /// --distilled-sigmas what it was taught.
    #[arg(long, value_name = "DIR", requires = "small")]
    distilled: Option<PathBuf>,
    /// Steps that a distilled model takes on the whole way from noise to clip, all of one length; a stage takes those in
    /// its part [default: the noise levels that the pair states].
    #[arg(long, value_name = "N")]
    distilled_steps: Option<usize>,
    /// The same as noise levels, for steps of any length: from 1 down to 0, for example 1,0.9375,0.833,0.625,0.
    #[arg(
        long,
        value_name = "S,S",
        value_delimiter = ',',
        allow_negative_numbers = true,
        conflicts_with = "distilled_steps"
    )]
    distilled_sigmas: Option<Vec<f64>>,
}

impl DistilledOptions {
    /// The model's folder or file, where one was named.
    pub(super) fn model(&self) -> Option<&PathBuf> {
        self.distilled.as_ref()
    }

    /// The noise levels of distilled stages, where they were asked for.
    pub(super) fn sigmas(&self) -> Result<Option<DistilledGrid>, CliError> {
        let grid = match (self.distilled_steps, &self.distilled_sigmas) {
            (Some(steps), _) => Some(DistilledGrid::even(steps)),
            (None, Some(levels)) => Some(DistilledGrid::try_from(levels.clone())),
            (None, None) => None,
        };
        grid.transpose()
            .map_err(|why| CliError::Usage(why.to_string()))
    }
}
