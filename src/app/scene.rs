use std::sync::Arc;

use super::comparison::{is_reference, reference};
use super::paused::pause_problem;
use super::{
    ActiveRun, Analysis, Comparison, Document, ExportProgress, Files, Forecast, Gallery,
    GalleryRun, Likenesses, Log, Models, Notice, Paused, Probes, Queue, RunSession, Settings,
    Sides,
};
use crate::engine::{PairSummary, PausedRun, Phase, RunId};
use crate::media::Clip;
use crate::preview::{LatentFrames, Player, RgbFactors};
use crate::project::RunSettings;

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
    /// What the shown run is compared with, and how.
    pub comparison: &'a Comparison,
    /// How alike the compared clips are.
    pub likenesses: &'a Likenesses,
    /// Where playback is.
    pub player: &'a Player,
    /// How the pair's latents become a picture.
    pub rgb: Option<&'a Arc<RgbFactors>>,
    /// The message on show.
    pub notice: Option<&'a Notice>,
    /// The pairs, and the download that is going.
    pub models: &'a Models,
    /// How far the models differ, where it was measured.
    pub probes: &'a Probes,
    /// What sweeps found, and what the next one shall try.
    pub analysis: &'a Analysis,
    /// Runs that rest between two steps.
    pub paused: &'a Paused,
    /// Runs that wait for their turn.
    pub queue: &'a Queue,
    /// The document's file.
    pub files: &'a Files,
    /// What is set.
    pub settings: &'a Settings,
    /// What happened.
    pub log: &'a Log,
    /// How far the export is, while one is going.
    pub export: Option<ExportProgress>,
}

/// What the preview shows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Source {
    /// Nothing.
    Nothing,
    /// The estimate of the run that is going.
    Estimate(RunId),
    /// The clip of the run that is going: frames that are decoded, and the estimate of the others.
    Decoding(RunId),
    /// The last estimate of a paused run.
    Paused(u64),
    /// A clip.
    Clip(RunId),
}

/// An estimate and the run it is of.
#[derive(Clone, Copy, Debug)]
pub struct Estimate<'a> {
    /// Which run's.
    pub source: Source,
    /// What it renders.
    pub settings: &'a RunSettings,
    /// What the clip looks like so far.
    pub latents: &'a LatentFrames,
    /// The frames that are decoded already.
    pub clip: Option<&'a Arc<Clip>>,
}

impl Estimate<'_> {
    /// Frames of the clip that each latent frame but the first stands for: 4 where 17 are made of 5.
    pub fn stride(&self) -> usize {
        let made = self.settings.frames.saturating_sub(1);
        made / self.latents.frames.max(2).saturating_sub(1)
    }

    /// Frames that the player goes through: those of the clip once the first is decoded, before that the latent ones.
    pub fn frames(&self) -> usize {
        match self.clip {
            Some(_) => self.settings.frames,
            None => self.latents.frames,
        }
    }

    /// The latent frame that the player's frame is of. VAEs are causal in time: the first stands for itself, each of the
    /// others for as many frames.
    pub fn latent_frame(&self, frame: usize) -> usize {
        let frame = match self.clip {
            Some(_) => frame.div_ceil(self.stride().max(1)),
            None => frame,
        };
        frame.min(self.latents.frames.saturating_sub(1))
    }
}

/// What pressing Generate would do.
#[derive(Clone, Debug, PartialEq)]
pub enum Readiness {
    /// Start a run.
    Ready,
    /// Cancel the run and start another with the changed settings.
    Restart,
    /// Wait for the queue's run that is going, then start.
    Queued,
    /// Nothing: this very run is going.
    Running,
    /// Nothing, for a reason.
    Blocked(String),
}

/// What asking for the shown run's LLL reference would do.
#[derive(Clone, Debug, PartialEq)]
pub enum ReferenceState {
    /// Render it.
    Missing,
    /// Compare with it: it is in the gallery.
    Kept,
    /// Nothing, for a reason.
    Blocked(String),
}

impl Scene<'_> {
    /// The estimate that the preview shows: that of the run that is going, else of a paused one. While a
    /// comparison waits for its reference, the clip stays on show.
    pub fn estimate(&self) -> Option<Estimate<'_>> {
        let is_compared = self.comparison.is_on();
        let Some((active, latents)) = self.session.active().zip(self.session.preview()) else {
            return self
                .paused
                .shown()
                .filter(|_| !is_compared)
                .map(|resting| Estimate {
                    source: Source::Paused(resting.id),
                    settings: &resting.run.settings,
                    latents: &resting.run.estimate,
                    clip: None,
                });
        };
        let is_awaited = is_compared && self.comparison.is_rendering(active.id);
        let clip = active.clip.as_ref();
        (!is_awaited).then_some(Estimate {
            source: match clip {
                Some(_) => Source::Decoding(active.id),
                None => Source::Estimate(active.id),
            },
            settings: &active.settings,
            latents,
            clip,
        })
    }

    /// Why the run cannot be paused now.
    pub fn pause_problem(&self) -> Option<&'static str> {
        pause_problem(self.session.active())
    }

    /// Why a paused run with these settings cannot be gone on with now.
    pub fn continue_problem(&self, run: &PausedRun) -> Option<&'static str> {
        let settings = &run.settings;
        if run.online.is_some() && self.session.active().is_some() {
            return Some(
                "A run is going on; one that decides on its plan waits in no queue, so continue it after that",
            );
        }
        let is_going = |active: &ActiveRun| !active.is_cancelling && active.settings == *settings;
        if self.session.active().is_some_and(is_going) {
            return Some("It is going on already");
        }
        let mut waiting = self.queue.waiting().iter();
        waiting
            .any(|waiting| waiting.settings == *settings)
            .then_some("It waits for its turn in the queue")
    }

    /// Why the document cannot be rendered up to a step.
    pub fn run_to_problem(&self, step: usize) -> Option<String> {
        match (self.readiness(), self.session.active()) {
            (Readiness::Blocked(why), _) => Some(why),
            (Readiness::Queued, _) => Some(
                "A run of the queue is going on; wait for it to finish, pause it or cancel it"
                    .to_owned(),
            ),
            (Readiness::Running, Some(active)) if active.phase == Some(Phase::Decoding) => {
                Some("All steps are taken; the run is decoding".to_owned())
            }
            (Readiness::Running, Some(active)) if active.steps_done() >= step => {
                Some(format!("The run has taken step {step} already"))
            }
            _ => None,
        }
    }

    /// The newest run that was rendered with the document's very settings, by the same models, device and version of the
    /// program: its clip is what another render would give.
    pub fn known_run(&self) -> Option<&GalleryRun> {
        let (settings, source) = (self.document.settings(), &self.pair?.source);
        let mut runs = self.gallery.runs().iter().filter(|_| !source.is_empty());
        runs.find(|run| run.settings() == settings && run.report().source == *source)
    }

    /// The run that Generate would show rather than render: none where it draws another seed first.
    pub fn shown_at_once(&self) -> Option<&GalleryRun> {
        self.known_run().filter(|_| !self.forecast.rolls_seed)
    }

    /// The two runs that the preview compares.
    pub fn compared(&self) -> Option<Sides<'_>> {
        match self.estimate() {
            Some(_) => None,
            None => self.comparison.sides(self.gallery),
        }
    }

    /// What asking for the LLL reference would do.
    pub fn reference_state(&self) -> ReferenceState {
        let blocked = |why: &str| ReferenceState::Blocked(why.to_owned());
        let Some(shown) = self.gallery.shown() else {
            return blocked("There is no clip to compare yet; generate one first");
        };
        let settings = shown.settings();
        if is_reference(settings, settings) {
            return blocked("The shown clip is the large model's own: it is its reference");
        }
        let sides = self.comparison.sides(self.gallery);
        if sides.is_some_and(|s| is_reference(s.other.settings(), settings)) {
            return blocked("The clip is compared with its LLL reference already");
        }
        if reference(self.gallery, shown).is_some() {
            return ReferenceState::Kept;
        }
        match self.session.active() {
            Some(active) if self.comparison.is_rendering(active.id) => {
                blocked("The reference is being rendered")
            }
            Some(_) => blocked("A run is going on; wait for it to finish, or cancel it"),
            None => ReferenceState::Missing,
        }
    }

    /// Why the models cannot be held against one another, or plans be tried, as a sentence.
    pub fn measure_blocked(&self) -> Option<String> {
        if let Some(problem) = &self.forecast.problem {
            return Some(problem.clone());
        }
        self.session.active().map(|active| {
            match active.is_measurement() {
                true => "Something is being measured; wait for it to finish, or cancel it",
                false => "A run is going on; wait for it to finish, or cancel it",
            }
            .to_owned()
        })
    }

    /// What stands where the pair's facts will be.
    pub fn pair_words(&self) -> &'static str {
        match self.pair_error {
            Some(_) => "No model pair",
            None => "Looking for the model pair",
        }
    }

    /// The boundaries that suit the pair, as fractions of the steps; none before it is known.
    pub fn own_boundaries(&self) -> &[f64] {
        self.pair
            .map_or(&[], |pair| pair.defaults.plan.boundaries())
    }

    /// What pressing Generate would do.
    pub fn readiness(&self) -> Readiness {
        if let Some(problem) = &self.forecast.problem {
            return Readiness::Blocked(problem.clone());
        }
        match self.session.active() {
            Some(active) if active.is_cancelling => Readiness::Ready,
            Some(active) if active.is_measurement() => Readiness::Restart,
            Some(active) if active.settings == *self.document.settings() => Readiness::Running,
            Some(active) if self.queue.going() == Some(active.id) => Readiness::Queued,
            Some(_) => Readiness::Restart,
            None => Readiness::Ready,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::{Guidance, History, Plan, Solver};

    #[test]
    fn frames_know_their_latent_frame_before_and_after_the_first_is_decoded() {
        let settings = RunSettings {
            pair: Default::default(),
            prompt: String::new(),
            negative: String::new(),
            seed: 1,
            plan: Plan::parse("L", &[]).unwrap(),
            steps: 3,
            shift: 3.0,
            solver: Solver::Euler,
            history: History::default(),
            distilled_sigmas: None,
            cfg: 4.0,
            guidance: Guidance::default(),
            cache: None,
            width: 8,
            height: 8,
            frames: 9,
            fps: 8.0,
        };
        let latents = LatentFrames {
            step: 2,
            channels: 1,
            frames: 3,
            height: 1,
            width: 1,
            data: Arc::new([0.0; 3]),
        };
        let clip = Arc::new(Clip {
            width: 8,
            height: 8,
            fps: 8.0,
            frames: vec![vec![0; 192]],
        });
        let mut estimate = Estimate {
            source: Source::Estimate(RunId(1)),
            settings: &settings,
            latents: &latents,
            clip: None,
        };
        let found = |estimate: &Estimate<'_>| -> Vec<usize> {
            let frames = 0..estimate.frames();
            frames.map(|frame| estimate.latent_frame(frame)).collect()
        };
        assert_eq!(found(&estimate), [0, 1, 2]);
        estimate.clip = Some(&clip);
        assert_eq!(found(&estimate), [0, 1, 1, 1, 1, 2, 2, 2, 2]);
    }
}
