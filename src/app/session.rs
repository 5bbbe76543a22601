use std::sync::Arc;

use crate::analysis::Divergence;
use crate::engine::{
    EngineEvent, EventKind, FinishedRun, KeptSteps, PairSummary, PausedRun, Phase, Probe, RunId,
    StepReport, SweepRow,
};
use crate::media::Clip;
use crate::preview::LatentFrames;
use crate::project::{PairRef, RunSettings};

/// How far a sweep is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sweeping {
    /// Clips that were measured.
    pub done: usize,
    /// Clips in all.
    pub of: usize,
}

/// The run that is going, as far as the engine told.
#[derive(Clone, Debug)]
pub struct ActiveRun {
    /// Which run.
    pub id: RunId,
    /// What it renders; the document may have moved on.
    pub settings: RunSettings,
    /// What it is doing.
    pub phase: Option<Phase>,
    /// Steps that were taken from an earlier run.
    pub reused: usize,
    /// Steps finished after those.
    pub steps: Vec<StepReport>,
    /// Bytes read and bytes of the weights that are being loaded.
    pub loaded: Option<(u64, u64)>,
    /// Parts of the decode that are done and all of them, once decoding began.
    pub decoded: Option<(usize, usize)>,
    /// The clip as far as it is decoded, where the VAE hands it over frame by frame.
    pub clip: Option<Arc<Clip>>,
    /// For a measurement of the divergence: what was found at each step so far.
    pub divergences: Option<Vec<Divergence>>,
    /// For a sweep: how far it is. Its steps are those of many plans.
    pub sweep: Option<Sweeping>,
    /// Seconds until the clip is there, when the engine knows.
    pub eta_secs: Option<f64>,
    /// The run is to rest once so many steps are taken; 0 is as soon as it can.
    pub pauses_after: Option<usize>,
    /// The run decides on its plan as it goes; the one in `settings` is where it begins.
    pub is_online: bool,
    /// Somebody asked to stop and the engine has not answered yet.
    pub is_cancelling: bool,
}

impl ActiveRun {
    /// Whether it measures how far the models differ, and makes no clip.
    pub fn is_probe(&self) -> bool {
        self.divergences.is_some()
    }

    /// Whether it measures, and makes no clip.
    pub fn is_measurement(&self) -> bool {
        self.is_probe() || self.sweep.is_some()
    }

    /// Steps that are there, reused and finished ones.
    pub fn steps_done(&self) -> usize {
        self.reused + self.steps.len()
    }

    /// Steps that it takes in all, reused ones among them.
    pub fn steps_in_all(&self) -> usize {
        match self.is_online {
            // The plan in its settings is not the one it takes.
            true => self.settings.steps,
            false => self.settings.steps_taken(),
        }
    }

    /// How far it is, in steps of the solver's own grid.
    pub fn place_done(&self) -> f64 {
        self.place(self.steps_done())
    }

    /// Where it was after so many steps, in steps of the solver's own grid.
    pub fn place(&self, steps: usize) -> f64 {
        match self.is_online {
            true => steps as f64,
            false => self.settings.course().place(steps, &self.settings.grid()),
        }
    }

    /// Whether it rests as soon as the step it is at is done.
    pub fn pauses_now(&self) -> bool {
        self.pauses_after
            .is_some_and(|steps| steps <= self.steps_done() + 1)
    }

    /// Adds frames that were decoded. Those that are not whole are left out: the finished clip follows.
    fn take_frames(&mut self, frames: Vec<Vec<u8>>) {
        let RunSettings {
            width, height, fps, ..
        } = self.settings;
        let is_whole = |frame: &Vec<u8>| frame.len() == 3 * width * height;
        if self.is_measurement() || frames.is_empty() || !frames.iter().all(is_whole) {
            return;
        }
        let clip = self.clip.get_or_insert_with(|| {
            Arc::new(Clip {
                width,
                height,
                fps,
                frames: Vec::new(),
            })
        });
        Arc::make_mut(clip).frames.extend(frames);
    }

    /// How much of the steps is done, 0..=1. Decoding counts as one more step.
    pub fn progress(&self) -> f32 {
        if let Some(found) = &self.divergences {
            let (done, total) = (self.steps_done() + found.len(), 2 * self.settings.steps);
            return (done as f32 / total.max(1) as f32).min(1.0);
        }
        if let Some(Sweeping { done, of }) = self.sweep {
            return done as f32 / of.max(1) as f32;
        }
        let decoded = match self.decoded {
            Some((done, total)) => done as f32 / total.max(1) as f32,
            None => 0.0,
        };
        ((self.steps_done() as f32 + decoded) / (self.steps_in_all() + 1) as f32).min(1.0)
    }
}

/// What an event means for the window.
#[derive(Debug)]
pub enum Outcome {
    /// Only the state of the run moved on.
    Progress,
    /// A pair is known now, or measured better.
    Pair(Arc<PairSummary>),
    /// A pair cannot be used; a sentence.
    PairFailed(PairRef, String),
    /// What the engine keeps of earlier runs changed.
    StepsKept(Arc<KeptSteps>),
    /// A clip is there.
    Finished(RunId, Box<FinishedRun>),
    /// A plan of a sweep was measured.
    SweepRow(Box<SweepRow>),
    /// The sweep is complete.
    Swept,
    /// How far the models differ was measured.
    Probed(RunId, Box<Probe>),
    /// The run with these settings stopped because somebody asked.
    Cancelled(Box<RunSettings>),
    /// The run rests because somebody asked.
    Paused(RunId, Box<PausedRun>),
    /// A run rests since an earlier start of the program.
    LeftPaused(Box<PausedRun>),
    /// The run ended with an error; a sentence.
    Failed(String),
}

/// Follows the engine's events. The newest run counts; what older ones still say is dropped.
#[derive(Debug, Default)]
pub struct RunSession {
    newest: Option<RunId>,
    active: Option<ActiveRun>,
    preview: Option<LatentFrames>,
}

impl RunSession {
    /// The run that is going.
    pub fn active(&self) -> Option<&ActiveRun> {
        self.active.as_ref()
    }

    /// The newest estimate of the clip of the run that is going.
    pub fn preview(&self) -> Option<&LatentFrames> {
        self.preview.as_ref()
    }

    /// A run was handed to the engine.
    pub fn started(&mut self, id: RunId, settings: RunSettings) {
        self.newest = Some(id);
        self.preview = None;
        self.active = Some(ActiveRun {
            id,
            settings,
            phase: None,
            reused: 0,
            steps: Vec::new(),
            loaded: None,
            decoded: None,
            clip: None,
            divergences: None,
            sweep: None,
            eta_secs: None,
            pauses_after: None,
            is_online: false,
            is_cancelling: false,
        });
    }

    /// A measurement of the divergence along such a run was handed to the engine.
    pub fn probe_started(&mut self, id: RunId, settings: RunSettings) {
        self.started(id, settings);
        if let Some(active) = &mut self.active {
            active.divergences = Some(Vec::new());
        }
    }

    /// A sweep of so many clips was handed to the engine.
    pub fn sweep_started(&mut self, id: RunId, settings: RunSettings, clips: usize) {
        self.started(id, settings);
        if let Some(active) = &mut self.active {
            active.sweep = Some(Sweeping { done: 0, of: clips });
        }
    }

    /// The run decides on its plan as it goes.
    pub fn deciding(&mut self) {
        if let Some(active) = &mut self.active {
            active.is_online = true;
        }
    }

    /// Somebody asked the engine to stop.
    pub fn cancelling(&mut self) {
        if let Some(active) = &mut self.active {
            active.is_cancelling = true;
        }
    }

    /// Somebody asked the run to rest once so many steps are taken.
    pub fn pausing(&mut self, steps: usize) {
        if let Some(active) = &mut self.active {
            active.pauses_after = Some(steps);
        }
    }

    /// Takes a preview, unless it belongs to an older run or makes no sense.
    pub fn take_preview(&mut self, run: RunId, frames: LatentFrames) {
        let values = frames.channels * frames.frames * frames.height * frames.width;
        let is_current = self.active.as_ref().is_some_and(|a| a.id == run);
        // A preview is a courtesy: a bad one is left out and the run goes on.
        if is_current && values > 0 && frames.data.len() == values {
            self.preview = Some(frames);
        }
    }

    /// Takes an event; `None` for what an older run still says.
    pub fn take(&mut self, event: EngineEvent) -> Option<Outcome> {
        let EngineEvent { run, kind } = event;
        let active = match kind {
            EventKind::Pair(pair) => return Some(Outcome::Pair(pair)),
            EventKind::StepsKept(kept) => return Some(Outcome::StepsKept(kept)),
            EventKind::PairFailed(pair, why) => return Some(Outcome::PairFailed(pair, why)),
            EventKind::LeftPaused(paused) => return Some(Outcome::LeftPaused(paused)),
            // Told about no run: the engine itself failed.
            EventKind::Failed(why) if run == RunId(0) => return Some(Outcome::Failed(why)),
            _ if Some(run) != self.newest => return None,
            _ => self.active.as_mut()?,
        };
        Some(match kind {
            EventKind::Phase(phase) => {
                active.phase = Some(phase);
                active.loaded = None;
                Outcome::Progress
            }
            EventKind::StepsReused(steps) => {
                active.reused = steps;
                Outcome::Progress
            }
            EventKind::StepsKept(kept) => Outcome::StepsKept(kept),
            EventKind::Loaded { done, total } => {
                active.loaded = Some((done, total));
                Outcome::Progress
            }
            EventKind::Step(step) => {
                active.eta_secs = step.eta_secs;
                active.steps.push(step);
                Outcome::Progress
            }
            EventKind::Decoded {
                done,
                total,
                frames,
            } => {
                active.decoded = Some((done, total));
                active.take_frames(frames);
                Outcome::Progress
            }
            EventKind::Divergence(found) => {
                active.eta_secs = None;
                active.divergences.get_or_insert_default().push(found);
                Outcome::Progress
            }
            EventKind::Probed(probe) => {
                let id = active.id;
                self.ended();
                Outcome::Probed(id, probe)
            }
            EventKind::SweepRow(row) => {
                if let Some(sweep) = &mut active.sweep {
                    sweep.done += 1;
                }
                Outcome::SweepRow(row)
            }
            EventKind::Swept => {
                self.ended();
                Outcome::Swept
            }
            EventKind::Finished(run) => {
                let id = active.id;
                self.ended();
                Outcome::Finished(id, run)
            }
            EventKind::Cancelled => {
                let run = (!active.is_measurement()).then(|| active.settings.clone());
                self.ended();
                run.map_or(Outcome::Progress, |run| Outcome::Cancelled(Box::new(run)))
            }
            EventKind::Paused(paused) => {
                let id = active.id;
                self.ended();
                Outcome::Paused(id, paused)
            }
            EventKind::Failed(why) => {
                self.ended();
                Outcome::Failed(why)
            }
            EventKind::Pair(pair) => Outcome::Pair(pair),
            EventKind::PairFailed(pair, why) => Outcome::PairFailed(pair, why),
            EventKind::LeftPaused(paused) => Outcome::LeftPaused(paused),
        })
    }

    fn ended(&mut self) {
        self.active = None;
        self.preview = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sampler::Origin;
    use crate::schedule::{Guidance, History, ModelRole, Plan, Solver};

    fn settings() -> RunSettings {
        RunSettings {
            pair: PairRef::default(),
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
            width: 64,
            height: 64,
            frames: 17,
            fps: 12.0,
        }
    }

    fn step(run: u64, step: usize) -> EngineEvent {
        EngineEvent {
            run: RunId(run),
            kind: EventKind::Step(StepReport {
                step,
                of: 3,
                model: ModelRole::Large,
                sigma: 1.0,
                cfg: 4.0,
                origin: Origin::Computed,
                off: None,
                secs: 0.1,
                eta_secs: Some(0.2),
            }),
        }
    }

    fn latents(values: usize) -> LatentFrames {
        LatentFrames {
            step: 0,
            channels: 4,
            frames: 1,
            height: 2,
            width: 2,
            data: vec![0.0; values].into(),
        }
    }

    #[test]
    fn what_an_older_run_still_says_is_dropped() {
        let mut session = RunSession::default();
        session.started(RunId(1), settings());
        assert!(session.take(step(1, 0)).is_some());
        session.started(RunId(2), settings());
        assert!(session.take(step(1, 1)).is_none());
        let cancelled = EngineEvent {
            run: RunId(1),
            kind: EventKind::Cancelled,
        };
        assert!(session.take(cancelled).is_none());
        session.take_preview(RunId(1), latents(16));
        assert!(session.preview().is_none());
        assert!(session.active().unwrap().steps.is_empty());
    }

    #[test]
    fn a_bad_preview_is_left_out_and_the_run_goes_on() {
        let mut session = RunSession::default();
        session.started(RunId(1), settings());
        session.take_preview(RunId(1), latents(15));
        assert!(session.preview().is_none());
        session.take_preview(RunId(1), latents(16));
        assert!(session.preview().is_some() && session.active().is_some());
    }

    #[test]
    fn frames_gather_as_they_are_decoded_and_broken_ones_are_left_out() {
        let mut session = RunSession::default();
        session.started(RunId(1), settings());
        let frame = vec![7; 3 * settings().width * settings().height];
        let mut decode = |done, frames| {
            let kind = EventKind::Decoded {
                done,
                total: 2,
                frames,
            };
            session.take(EngineEvent {
                run: RunId(1),
                kind,
            });
            let clip = session.active().unwrap().clip.clone();
            clip.map_or(0, |clip| clip.frames.len())
        };
        assert_eq!(decode(0, Vec::new()), 0);
        assert_eq!(decode(1, vec![frame.clone()]), 1);
        assert_eq!(decode(1, vec![frame[1..].to_vec()]), 1);
        assert_eq!(decode(2, vec![frame; 4]), 5);
    }

    #[test]
    fn progress_follows_steps_and_decoding() {
        let mut session = RunSession::default();
        session.started(RunId(1), settings());
        for i in 0..3 {
            session.take(step(1, i));
        }
        assert_eq!(session.active().unwrap().progress(), 0.75);
        let decoded = EventKind::Decoded {
            done: 5,
            total: 5,
            frames: Vec::new(),
        };
        session.take(EngineEvent {
            run: RunId(1),
            kind: decoded,
        });
        assert_eq!(session.active().unwrap().progress(), 1.0);
        let ended = EngineEvent {
            run: RunId(1),
            kind: EventKind::Failed("no".into()),
        };
        assert!(matches!(session.take(ended), Some(Outcome::Failed(_))));
        assert!(session.active().is_none());
    }
}
