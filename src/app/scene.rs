use std::sync::Arc;

use super::{Document, ExportProgress, Forecast, Gallery, Models, Notice, RunSession};
use crate::engine::PairSummary;
use crate::preview::{Player, RgbFactors};

/// Everything panels look at while they draw. They change none of it.
pub struct Scene<'a> {
    /// What is worked on.
    pub document: &'a Document,
    /// The document's pair, once the engine described it.
    pub pair: Option<&'a PairSummary>,
    /// Why the pair cannot be used, as a sentence.
    pub pair_error: Option<&'a str>,
    /// What the document will cost.
    pub forecast: &'a Forecast,
    /// The run that is going.
    pub session: &'a RunSession,
    /// Finished runs.
    pub gallery: &'a Gallery,
    /// Where playback is.
    pub player: &'a Player,
    /// How the pair's latents become a picture.
    pub rgb: Option<&'a Arc<RgbFactors>>,
    /// The message on show.
    pub notice: Option<&'a Notice>,
    /// The pairs, and the download that is going.
    pub models: &'a Models,
    /// How far the export is, while one is going.
    pub export: Option<ExportProgress>,
}

/// What pressing Generate would do.
#[derive(Clone, Debug, PartialEq)]
pub enum Readiness {
    /// Start a run.
    Ready,
    /// Cancel the run and start another with the changed settings.
    Restart,
    /// Nothing: this very run is going.
    Running,
    /// Nothing, for a reason.
    Blocked(String),
}

impl Scene<'_> {
    /// What stands where the pair's facts will be.
    pub fn pair_words(&self) -> &'static str {
        match self.pair_error {
            Some(_) => "No model pair",
            None => "Looking for the model pair",
        }
    }

    /// What pressing Generate would do.
    pub fn readiness(&self) -> Readiness {
        if let Some(problem) = &self.forecast.problem {
            return Readiness::Blocked(problem.clone());
        }
        match self.session.active() {
            Some(active) if active.is_cancelling => Readiness::Ready,
            Some(active) if active.settings == *self.document.settings() => Readiness::Running,
            Some(_) => Readiness::Restart,
            None => Readiness::Ready,
        }
    }
}
