//! The pipeline behind the window: it renders a known picture, as slowly as a test lets it.

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError};
use flowblend::analysis::{Divergence, DivergenceCurve, Similarity};
use flowblend::engine::{
    DeviceChoice, EngineOptions, EngineSetup, FinishedRun, KeptSteps, MemoryNeed, PairRules,
    PairSummary, PairTimings, PausedRun, Phase, Pipeline, Probe, ProbeRequest, Progress, RunError,
    RunReport, RunRequest, StepReport, SweepRequest, SweepRow, WeightFormat, Work,
};
use flowblend::preview::{DivergenceMaps, RgbFactors};
use flowblend::project::{PairRef, RunSettings};
use flowblend::sampler::{Cancel, Origin};
use flowblend::schedule::{DistilledGrid, Flops, ModelRole, Plan};

use super::pictures::{LATENT_FRAMES, clip, latents};
use super::{defaults, presets};

/// What becomes of weights on its device, which is no processor.
pub fn weights() -> WeightFormat {
    let options = EngineOptions {
        device: DeviceChoice::Cuda(0),
        ..EngineOptions::default()
    };
    options.weights()
}

#[derive(Debug)]
struct Rules;

impl PairRules for Rules {
    fn flops(&self, role: ModelRole, (width, height, frames): (usize, usize, usize)) -> Flops {
        let tokens = (width * height * frames) as f64;
        let parameters = if role == ModelRole::Large { 30e6 } else { 3e6 };
        Flops {
            linear: tokens * parameters / 32.0,
            attention: tokens * tokens,
            ..Flops::default()
        }
    }

    fn check_size(&self, (width, height, frames): (usize, usize, usize)) -> Result<(), String> {
        if width % 16 != 0 || height % 16 != 0 {
            let near = |side: usize| ((side + 8) / 16 * 16).max(16);
            return Err(format!(
                "{width}×{height} cannot be rendered, because sides must be multiples of 16; the nearest is {}×{}",
                near(width),
                near(height)
            ));
        }
        if frames % 4 != 1 {
            return Err(format!(
                "{frames} frames cannot be rendered; use 4 n + 1, for example {}",
                frames / 4 * 4 + 1
            ));
        }
        Ok(())
    }

    fn memory(&self, _: (usize, usize, usize)) -> MemoryNeed {
        MemoryNeed {
            base: 912_000_000,
            ..MemoryNeed::default()
        }
    }

    /// In proportion to the clip, as far as families of such a kind go.
    fn shift(&self, (width, height, frames): (usize, usize, usize)) -> Option<f64> {
        let of_default = defaults();
        let (usual_width, usual_height, usual_frames) = of_default.size();
        let volume = |w: usize, h: usize, f: usize| (w * h * f) as f64;
        let share = volume(width, height, frames) / volume(usual_width, usual_height, usual_frames);
        Some(of_default.shift * share)
    }
}

/// A pipeline that computes nothing.
pub(super) struct Fake {
    tokens: Receiver<()>,
    /// Runs that rest, with the steps they took.
    resting: Vec<(RunSettings, usize)>,
    /// Runs whose steps are kept, with their number.
    kept: Vec<(RunSettings, usize)>,
    /// Whether a clip shows how many steps the small model took.
    tells_plans: bool,
    /// Whether the pair has a distilled model.
    is_distilled: bool,
    /// The device that the window asked for.
    device: Option<DeviceChoice>,
}

impl Fake {
    pub(super) fn new(tokens: Receiver<()>, tells_plans: bool, is_distilled: bool) -> Self {
        Self {
            tokens,
            resting: Vec::new(),
            kept: Vec::new(),
            tells_plans,
            is_distilled,
            device: None,
        }
    }

    fn device(&self) -> String {
        self.device
            .map_or_else(|| "CPU · 2 threads".to_owned(), |device| device.to_string())
    }

    /// Another device makes other clips.
    fn source(&self) -> String {
        format!("the fake on {}", self.device())
    }

    fn wait(&self, cancel: &Cancel) -> Result<(), RunError> {
        loop {
            cancel.check().map_err(|_| RunError::Cancelled)?;
            match self.tokens.recv_timeout(Duration::from_millis(2)) {
                Ok(()) => return Ok(()),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(RunError::Failed("the test is over".to_owned()));
                }
            }
        }
    }
}

impl Pipeline for Fake {
    fn configure(&mut self, setup: EngineSetup) {
        self.device = setup.device.or(self.device);
    }

    fn describe(&mut self, pair: &PairRef) -> Result<PairSummary, String> {
        let name = match pair {
            PairRef::Named(name) if name == "gone" => {
                return Err("the pair was taken away; add it again".to_owned());
            }
            PairRef::Named(name) => name.clone(),
            PairRef::Folders { .. } => "folders".to_owned(),
        };
        let is_distilled = self.is_distilled;
        // Other pairs are best at other settings.
        let steps = if name == "toy" { 12 } else { defaults().steps };
        let (size, mut timings) = (defaults().size(), PairTimings::default());
        timings.large.add(size, 0.1);
        timings.small.add(size, 0.02);
        timings.decode.add(size, 0.5);
        Ok(PairSummary {
            pair: pair.clone(),
            name,
            defaults: RunSettings {
                pair: pair.clone(),
                steps,
                distilled_sigmas: is_distilled.then(|| DistilledGrid::even(8).expect("a grid")),
                ..defaults()
            },
            parameters: [
                30_000_000,
                3_100_000,
                if is_distilled { 3_100_000 } else { 0 },
            ],
            rgb: RgbFactors {
                factors: vec![[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
                bias: [0.0; 3],
            },
            rules: Arc::new(Rules),
            timings,
            known_boundaries: Vec::new(),
            known_plans: Vec::new(),
            profiles: Default::default(),
            memory_bytes: None,
            device: self.device(),
            source: self.source(),
            weights: weights(),
            vocabulary: vec![
                (
                    "colour".to_owned(),
                    vec!["red".to_owned(), "blue".to_owned(), "yellow".to_owned()],
                ),
                (
                    "shape".to_owned(),
                    vec!["circle".to_owned(), "star".to_owned()],
                ),
                (
                    "motion".to_owned(),
                    vec!["bouncing".to_owned(), "orbiting".to_owned()],
                ),
            ],
            presets: presets(),
        })
    }

    fn run(
        &mut self,
        request: &RunRequest,
        cancel: &Cancel,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<FinishedRun, RunError> {
        let decided = request
            .online
            .map(|_| Plan::parse("LSL", &[0.3, 0.9]).expect("a plan"));
        let settings = &RunSettings {
            plan: decided.unwrap_or_else(|| request.settings.plan.clone()),
            ..request.settings.clone()
        };
        if settings.prompt.contains("fail") {
            return Err(RunError::Failed(
                "the weights of the large model are missing; download them into models/demo"
                    .to_owned(),
            ));
        }
        progress(Progress::Phase(Phase::Encoding));
        progress(Progress::Phase(Phase::Denoising));
        let course = settings.course();
        let (grid, count) = (course.grid, course.steps.len());
        let mut steps = Vec::new();
        let mut begun = 0;
        self.resting.retain(|(run, taken)| {
            begun = if run == settings { *taken } else { begun };
            run != settings
        });
        if begun > 0 {
            progress(Progress::StepsReused(begun));
        }
        let plans = course.steps.into_iter().enumerate();
        for (step, plan) in plans.skip(begun) {
            if cancel.rests_after(step) {
                self.resting.push((settings.clone(), step));
                return Err(RunError::Paused(Box::new(PausedRun {
                    settings: settings.clone(),
                    online: request.online,
                    steps: step,
                    estimate: latents(step - 1, step as f32 / count as f32),
                    hold: Some("held by a test".into()),
                })));
            }
            self.wait(cancel)?;
            let share = (step + 1) as f32 / count as f32;
            if request.preview_every > 0 && (step + 1).is_multiple_of(request.preview_every) {
                progress(Progress::Preview(latents(step, share)));
            }
            let secs = if plan.model == ModelRole::Large {
                0.21
            } else {
                0.042
            };
            let report = StepReport {
                step,
                of: count,
                model: plan.model,
                sigma: grid.sigma(step),
                cfg: plan.cfg,
                origin: Origin::Computed,
                off: None,
                secs,
                eta_secs: Some(0.15 * (count - step) as f64),
            };
            steps.push(report);
            progress(Progress::Step(report));
        }
        let small_steps = steps.iter().filter(|s| s.model == ModelRole::Small).count();
        let darker = if self.tells_plans {
            small_steps as u8
        } else {
            0
        };
        // The first frame comes at once, the others with the decode's token.
        progress(Progress::Phase(Phase::Decoding));
        let clip = clip(settings, darker);
        let mut decoded = |done, frames: &[Vec<u8>]| {
            let is_watched = request.preview_every > 0;
            progress(Progress::Decoded {
                done,
                total: LATENT_FRAMES,
                frames: frames.iter().filter(|_| is_watched).cloned().collect(),
            });
        };
        decoded(1, &clip.frames[..1]);
        self.wait(cancel)?;
        decoded(LATENT_FRAMES, &clip.frames[1..]);
        self.kept.push((settings.clone(), count));
        let kept = KeptSteps::new(self.kept.clone());
        progress(Progress::StepsKept(Arc::new(kept)));
        Ok(FinishedRun {
            settings: settings.clone(),
            clip: Arc::new(clip),
            report: RunReport {
                denoise_secs: steps.iter().map(|s| s.secs).sum(),
                steps,
                reused_steps: begun,
                origins: Vec::new(),
                load_secs: 0.0,
                encode_secs: 0.05,
                decode_secs: 0.6,
                decoded_in_tiles: false,
                paper_flops: 1e12,
                full_flops: 2.1e12,
                device: self.device(),
                model_hashes: Vec::new(),
                files: Vec::new(),
                source: self.source(),
            },
            unwritten: None,
        })
    }

    /// One token a clip.
    fn sweep(
        &mut self,
        request: &SweepRequest,
        cancel: &Cancel,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(), RunError> {
        progress(Progress::Phase(Phase::Denoising));
        for settings in request.runs.iter().flat_map(|run| request.renders(run)) {
            self.wait(cancel)?;
            progress(Progress::SweepRow(Box::new(sweep_row(settings))));
        }
        Ok(())
    }

    fn probe(
        &mut self,
        request: &ProbeRequest,
        cancel: &Cancel,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Probe, RunError> {
        let settings = request.reference();
        progress(Progress::Phase(Phase::Probing));
        let mut steps = Vec::new();
        for step in 0..settings.steps {
            self.wait(cancel)?;
            let found = divergence(step, settings.steps);
            progress(Progress::Divergence(found));
            steps.push(found);
        }
        let mut curve = DivergenceCurve::default();
        let data = steps.iter().map(|d| d.relative_l2 as f32).collect();
        curve.add(steps);
        Ok(Probe {
            settings,
            curve,
            maps: Arc::new(DivergenceMaps {
                size: [1, 1, 1],
                data,
            }),
        })
    }
}

/// The nearer to the reference the more steps are large, early ones above all.
fn sweep_row(settings: RunSettings) -> SweepRow {
    let plans = settings.step_plans();
    let weight = |step: usize| if step < plans.len() / 3 { 3.0 } else { 1.0 };
    let of = |role: Option<ModelRole>| {
        let steps = plans.iter().enumerate();
        let counted = steps.filter(|(_, plan)| role.is_none_or(|role| plan.model == role));
        counted.map(|(i, _)| weight(i)).sum::<f64>()
    };
    let ssim = 0.5 + 0.5 * of(Some(ModelRole::Large)) / of(None);
    let count = |role| plans.iter().filter(|plan| plan.model == role).count();
    let (large_steps, small_steps) = (count(ModelRole::Large), count(ModelRole::Small));
    SweepRow {
        similarity: Similarity {
            mean_square: 400.0 * (1.0 - ssim),
            ssim: Some(ssim),
        },
        sharpness: Some(5.0 * ssim),
        flicker: Some(1.0),
        work: Work {
            large_steps,
            large_secs: 0.2 * large_steps as f64,
            small_steps,
            small_secs: 0.04 * small_steps as f64,
            distilled_steps: count(ModelRole::Distilled),
            distilled_secs: 0.02 * count(ModelRole::Distilled) as f64,
            decode_secs: 0.5,
        },
        settings,
    }
}

/// Far apart at both ends, near in the middle.
fn divergence(step: usize, steps: usize) -> Divergence {
    let place = (step as f64 + 0.5) / steps as f64;
    let relative_l2 = 0.4 + 2.4 * (place - 0.55).powi(2);
    Divergence {
        relative_l2,
        one_minus_cosine: relative_l2.powi(2) / 2.0,
    }
}
