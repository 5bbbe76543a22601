use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::CliError;
use super::options::GlobalOptions;
use crate::engine::{EngineHandle, EventKind, PairSummary, PipelineFactory, RunId};
use crate::project::{PairRef, unknown_words};

/// The engine, driven from a terminal.
pub(super) struct Session {
    pub(super) engine: EngineHandle,
    interrupted: Arc<AtomicBool>,
}

impl Session {
    /// Starts the engine and ties Ctrl+C to its cancel.
    pub(super) fn start(global: &GlobalOptions) -> Result<Self, CliError> {
        Self::with(global.pipeline())
    }

    /// The same with another pipeline.
    pub(super) fn with(pipeline: PipelineFactory) -> Result<Self, CliError> {
        let engine = EngineHandle::spawn(pipeline, Arc::new(|| {})).map_err(|why| {
            CliError::Failed(format!(
                "the engine's thread cannot start: {why}; close other programs and try again"
            ))
        })?;
        let interrupted = Arc::new(AtomicBool::new(false));
        let cancel = engine.canceller();
        let flag = Arc::clone(&interrupted);
        ctrlc::set_handler(move || {
            if flag.swap(true, Ordering::SeqCst) {
                // Asked twice: the person does not want to wait for a clean end. Files are written
                // under temporary names, so nothing half-written stays under its own.
                std::process::exit(130);
            }
            cancel();
        })
        .map_err(|why| CliError::Failed(format!("Ctrl+C cannot be handled: {why}")))?;
        Ok(Self {
            engine,
            interrupted,
        })
    }

    /// Looks a pair up.
    pub(super) fn describe(&self, pair: PairRef) -> Result<Arc<PairSummary>, CliError> {
        self.engine.describe(pair);
        loop {
            match self.event_of(RunId(0))? {
                EventKind::Pair(summary) => return Ok(summary),
                EventKind::PairFailed(_, why) | EventKind::Failed(why) => {
                    return Err(CliError::Failed(why));
                }
                _ => {}
            }
        }
    }

    /// Waits for the next that happens to a run.
    pub(super) fn event_of(&self, run: RunId) -> Result<EventKind, CliError> {
        loop {
            match self.engine.wait() {
                Some(event) if event.run == run => return Ok(event.kind),
                Some(_) => {}
                None => {
                    return Err(CliError::Failed(
                        "the engine stopped without a word; please report this".to_owned(),
                    ));
                }
            }
        }
    }

    /// Whether Ctrl+C was pressed.
    pub(super) fn is_interrupted(&self) -> bool {
        self.interrupted.load(Ordering::SeqCst)
    }
}

/// Says on stderr which words of `prompts` the pair was never taught, and which it was: without them the clip shows something else.
pub(super) fn warn_of_unknown_words(pair: &PairSummary, prompts: &[String]) {
    let unknown = unknown_words(&prompts.join(" "), &pair.vocabulary);
    if unknown.is_empty() {
        return;
    }
    let slot = |(slot, words): &(String, Vec<String>)| format!("{slot}: {}", words.join(", "));
    let known: Vec<_> = pair.vocabulary.iter().map(slot).collect();
    eprintln!(
        "warning: this pair does not know: {}; it was taught {}",
        unknown.join(", "),
        known.join("; ")
    );
}
