//! A run that goes on from the steps of earlier ones gives the same bits as one from scratch.

use std::path::Path;
use std::sync::Arc;

use flowblend::engine::{
    EngineOptions, FinishedRun, KeptSteps, OnlineRule, PairPipeline, PausedRun, Pipeline as _,
    Progress, RunError, RunRequest, StepReport,
};
use flowblend::project::{PairRef, RunSettings};
use flowblend::sampler::{Cancel, Origin};
use flowblend::schedule::{
    CacheMethod, CacheRule, DistilledGrid, Guidance, ModelRole, Plan, Solver, Stage,
};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};

const STEPS: usize = 8;

struct Rig {
    pipeline: PairPipeline,
    kept: Arc<KeptSteps>,
    folder: tempfile::TempDir,
    runs: usize,
}

impl Rig {
    fn new() -> Self {
        Self {
            pipeline: PairPipeline::with_cache_in(EngineOptions::default(), None),
            kept: Arc::default(),
            folder: tempfile::tempdir().unwrap(),
            runs: 0,
        }
    }

    /// Ends the program and starts it again, with steps on disk.
    fn restart(&mut self, pair: &PairRef) {
        // The old one writes to the end before the new one looks.
        self.pipeline = PairPipeline::with_cache_in(EngineOptions::default(), None);
        let cache = self.folder.path().join("cache");
        self.pipeline = PairPipeline::with_cache_in(EngineOptions::default(), Some(cache));
        self.pipeline.describe(pair).unwrap();
        self.kept = self.pipeline.kept_steps().unwrap();
    }

    /// Of a pair in which the small model stands for the distilled one, too: what it names is no mean velocity, but
    /// the steps are the same.
    fn settings(&mut self) -> RunSettings {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/wan_native");
        let pair = PairRef::Folders {
            large: path.join("large"),
            small: path.join("small.gguf"),
            distilled: Some(path.join("small.gguf")),
        };
        RunSettings {
            distilled_sigmas: Some(DistilledGrid::even(5).unwrap()),
            prompt: "a red circle".into(),
            width: 32,
            height: 32,
            frames: 5,
            steps: STEPS,
            ..self.pipeline.describe(&pair).unwrap().defaults
        }
    }

    /// Runs, and gives the final latents as bytes of their file beside the run. Raises `cancel` after
    /// `stop` steps.
    fn run(
        &mut self,
        settings: &RunSettings,
        reuse_steps: bool,
        stop: Option<usize>,
    ) -> Result<(FinishedRun, Vec<u8>, usize), RunError> {
        self.run_by(None, settings, reuse_steps, stop)
    }

    /// The same by a rule that decides on the plan, if one does.
    fn run_by(
        &mut self,
        online: Option<OnlineRule>,
        settings: &RunSettings,
        reuse_steps: bool,
        stop: Option<usize>,
    ) -> Result<(FinishedRun, Vec<u8>, usize), RunError> {
        self.runs += 1;
        let latents = self
            .folder
            .path()
            .join(format!("{}.safetensors", self.runs));
        let request = RunRequest {
            online,
            save_latents: Some(latents.clone()),
            reuse_steps,
            ..settings.clone().into()
        };
        let (cancel, mut steps, mut reused) = (Cancel::new(), 0, 0);
        let kept = &mut self.kept;
        let finished = self
            .pipeline
            .run(&request, &cancel, &mut |progress| match progress {
                Progress::Step(_) => {
                    steps += 1;
                    if stop == Some(steps) {
                        cancel.cancel();
                    }
                }
                Progress::StepsReused(count) => reused = count,
                Progress::StepsKept(told) => *kept = told,
                _ => {}
            })?;
        assert_eq!(
            (finished.report.steps.len(), finished.report.reused_steps),
            (steps, reused)
        );
        Ok((finished, std::fs::read(latents).unwrap(), reused))
    }
}

/// Where a test's run rests, and what is told on the way.
fn pause(rig: &mut Rig, settings: &RunSettings, after: usize) -> (PausedRun, usize) {
    pause_by(rig, None, settings, after)
}

fn pause_by(
    rig: &mut Rig,
    online: Option<OnlineRule>,
    settings: &RunSettings,
    after: usize,
) -> (PausedRun, usize) {
    let request = RunRequest {
        online,
        reuse_steps: true,
        pause_after: Some(after),
        ..settings.clone().into()
    };
    let cancel = Cancel::new();
    cancel.pause_after(after);
    let (mut computed, kept) = (0, &mut rig.kept);
    let outcome = rig
        .pipeline
        .run(&request, &cancel, &mut |progress| match progress {
            Progress::Step(_) => computed += 1,
            Progress::StepsKept(told) => *kept = told,
            _ => {}
        });
    match outcome {
        Err(RunError::Paused(paused)) => (*paused, computed),
        other => panic!("it did not pause: {other:?}"),
    }
}

/// A plan of one to four stages, some with guidance of their own.
fn random_plan(random: &mut ChaCha8Rng) -> Plan {
    let mut number = |below: u64| random.next_u64() % below;
    let stages: Vec<Stage> = (0..=number(4))
        .map(|_| Stage {
            model: ModelRole::ALL[number(3) as usize],
            cfg: [None, None, Some(1.0), Some(3.0)][number(4) as usize],
        })
        .collect();
    let mut boundaries: Vec<f64> = (1..stages.len())
        .map(|_| number(STEPS as u64 + 1) as f64 / STEPS as f64)
        .collect();
    boundaries.sort_by(f64::total_cmp);
    Plan::new(stages, boundaries).unwrap()
}

/// A cache that spares some steps of these models, or none.
fn random_cache(random: &mut ChaCha8Rng) -> Option<CacheRule> {
    let method = *CacheMethod::ALL.get(random.next_u64() as usize % 6)?;
    let threshold = match method {
        CacheMethod::MagCache => 0.3,
        _ => 1.5,
    };
    Some(CacheRule { method, threshold })
}

#[test]
fn random_edits_end_in_the_same_bits() {
    // Some of the steps are in memory and some were left on disk by an earlier start.
    let (mut kept, mut fresh) = (Rig::new(), Rig::new());
    let base = kept.settings();
    let mut random = ChaCha8Rng::seed_from_u64(7);
    let (mut reused, mut total, mut distilled, mut spared) = (0, 0, 0, 0);
    for edit in 0..48 {
        if edit % 8 == 0 {
            kept.restart(&base.pair);
        }
        let settings = RunSettings {
            plan: random_plan(&mut random),
            seed: u64::from(edit % 7 == 6),
            cfg: if edit % 5 == 4 { 2.0 } else { base.cfg },
            // Multistep solvers for a while: what they remember ends at a distilled stage.
            solver: if edit < 32 {
                base.solver
            } else {
                Solver::UniPc3
            },
            distilled_sigmas: DistilledGrid::even(if edit % 3 == 0 { 3 } else { 5 }).ok(),
            guidance: [
                Guidance::default(),
                Guidance {
                    interval: Some([0.3, 0.9]),
                    rescale: 0.0,
                },
                Guidance {
                    interval: None,
                    rescale: 0.5,
                },
            ][edit / 16 % 3],
            cache: random_cache(&mut random).filter(|_| edit % 2 == 1),
            ..base.clone()
        };
        let promised = kept.kept.of(&settings);
        let (again, bits, steps) = kept.run(&settings, true, None).unwrap();
        let (whole, wanted, none) = fresh.run(&settings, false, None).unwrap();
        assert_eq!((steps, none), (promised, 0), "edit {edit}");
        assert!(bits == wanted, "edit {edit}: {:?}", settings.plan);
        assert!(again.clip.frames == whole.clip.frames, "edit {edit}");
        let all = settings.steps_taken();
        assert_eq!(kept.kept.of(&settings), all);
        assert_eq!(again.report.steps.len() + steps, all);
        let taken = again.report.steps.iter();
        assert!(taken.clone().all(|step| step.of == all));
        distilled += taken
            .filter(|step| step.model == ModelRole::Distilled)
            .count();
        let is_spared = |step: &&StepReport| step.origin == Origin::Skipped;
        spared += again.report.steps.iter().filter(is_spared).count();
        assert_eq!(again.report.origins, whole.report.origins, "edit {edit}");
        reused += steps;
        total += all;
    }
    assert!(reused > total / 5, "{reused} of {total}");
    assert!(distilled > 20, "{distilled}");
    assert!(spared > 10, "{spared}");
}

#[test]
fn a_changed_distilled_stage_is_computed_from_its_beginning() {
    let (mut rig, mut fresh) = (Rig::new(), Rig::new());
    let base = RunSettings {
        plan: Plan::parse("LDL", &[0.25, 0.75]).unwrap(),
        ..rig.settings()
    };
    let five = rig.run(&base, true, None).unwrap().0;
    let sigmas: Vec<f64> = five.report.steps.iter().map(|step| step.sigma).collect();
    let course = base.course();
    assert_eq!(sigmas, &course.grid.sigmas()[..course.grid.steps()]);
    assert!(five.report.steps.iter().all(|step| match step.model {
        ModelRole::Distilled => step.cfg == 1.0,
        _ => step.cfg == base.cfg,
    }));
    let with = |steps| RunSettings {
        distilled_sigmas: Some(DistilledGrid::even(steps).unwrap()),
        ..base.clone()
    };
    // The large steps before it stay, and with half as many jumps again those of the jumps that are the same.
    for (steps, shared) in [(3, 2), (1, 2), (5, course.steps.len())] {
        let changed = with(steps);
        assert_eq!(rig.kept.of(&changed), shared, "{steps}");
        let (_, bits, reused) = rig.run(&changed, true, None).unwrap();
        let (_, wanted, _) = fresh.run(&changed, false, None).unwrap();
        assert_eq!(reused, shared);
        assert!(bits == wanted, "{steps}");
    }
    // Its end moved: its first jumps stay.
    let moved = RunSettings {
        plan: Plan::parse("LDL", &[0.25, 0.875]).unwrap(),
        ..base.clone()
    };
    let jumps = course
        .steps
        .iter()
        .filter(|step| step.span.is_distilled())
        .count();
    assert_eq!(rig.kept.of(&moved), 2 + jumps - 1);
    let (_, bits, _) = rig.run(&moved, true, None).unwrap();
    assert!(bits == fresh.run(&moved, false, None).unwrap().1);
}

#[test]
fn a_run_of_a_pair_without_a_distilled_model_is_refused() {
    let mut rig = Rig::new();
    let mut settings = RunSettings {
        plan: Plan::only(ModelRole::Distilled),
        ..rig.settings()
    };
    let said = |rig: &mut Rig, settings: &RunSettings| {
        rig.run(settings, false, None).unwrap_err().to_string()
    };
    settings.distilled_sigmas = None;
    assert!(said(&mut rig, &settings).contains("give --distilled-steps"));
    if let PairRef::Folders { distilled, .. } = &mut settings.pair {
        *distilled = None;
    }
    let why = said(&mut rig, &settings);
    assert!(why.contains("has no distilled model; use L and S"), "{why}");
}

#[test]
fn frames_told_while_decoding_are_those_of_the_clip() {
    let mut rig = Rig::new();
    let settings = rig.settings();
    for (preview_every, expected) in [(1, [1, 4]), (0, [0, 0])] {
        let request = RunRequest {
            preview_every,
            ..settings.clone().into()
        };
        let mut told = Vec::new();
        let run = rig.pipeline.run(&request, &Cancel::new(), &mut |progress| {
            if let Progress::Decoded { frames, .. } = progress {
                told.push(frames);
            }
        });
        let clip = &run.unwrap().clip;
        assert_eq!(clip.frames.len(), 5);
        assert!(told.iter().map(Vec::len).eq(expected));
        assert!(preview_every == 0 || told.concat() == clip.frames);
    }
}

#[test]
fn a_plan_seen_before_and_a_cancelled_one_are_gone_on_from() {
    let mut rig = Rig::new();
    let base = rig.settings();
    assert!(matches!(
        rig.run(&base, true, Some(3)),
        Err(RunError::Cancelled)
    ));
    assert_eq!(rig.kept.of(&base), 3);
    let (first, bits, steps) = rig.run(&base, true, None).unwrap();
    assert_eq!(steps, 3);
    let (again, same, steps) = rig.run(&base, true, None).unwrap();
    assert_eq!((steps, again.report.steps.len()), (STEPS, 0));
    assert!(bits == same && first.clip.frames == again.clip.frames);
    // Another prompt has nothing in common with it.
    let other = RunSettings {
        prompt: "a blue star".into(),
        ..base
    };
    assert_eq!(rig.kept.of(&other), 0);
    assert_eq!(rig.run(&other, true, None).unwrap().2, 0);
}

#[test]
fn a_paused_run_goes_on_to_the_same_bits_also_after_a_restart() {
    let (mut rig, mut fresh) = (Rig::new(), Rig::new());
    let base = rig.settings();
    let (whole, wanted, _) = fresh.run(&base, false, None).unwrap();
    rig.restart(&base.pair);

    // In steps: three, two more, and the rest.
    let (first, computed) = pause(&mut rig, &base, 3);
    assert_eq!((first.steps, computed, first.estimate.step), (3, 3, 2));
    assert_eq!(first.settings, base);
    let (second, computed) = pause(&mut rig, &base, 5);
    assert_eq!((second.steps, computed), (5, 2));
    let hold = second.hold.clone().unwrap();
    assert_eq!(first.hold.as_ref(), Some(&hold));

    // The program is killed here: nothing is closed or waited for before the next one looks.
    let killed = std::mem::replace(
        &mut rig.pipeline,
        PairPipeline::with_cache_in(EngineOptions::default(), None),
    );
    std::mem::forget(killed);
    rig.restart(&base.pair);
    let [left] = &rig.pipeline.paused_runs()[..] else {
        panic!("one run rests");
    };
    assert_eq!((left.steps, &left.settings), (5, &base));
    assert_eq!(left.hold.as_ref(), Some(&hold));
    assert_eq!(left.estimate.data, second.estimate.data);
    assert_eq!(left.estimate.step, 4);
    let shape = |run: &PausedRun| {
        let e = &run.estimate;
        (e.channels, e.frames, e.height, e.width)
    };
    assert_eq!(shape(left), shape(&second));
    left.let_go();
    assert!(!hold.exists() && rig.pipeline.paused_runs().is_empty());

    let (end, bits, reused) = rig.run(&base, true, None).unwrap();
    assert_eq!((reused, end.report.steps.len()), (5, STEPS - 5));
    assert!(bits == wanted && end.clip.frames == whole.clip.frames);

    // All of it is known by now: a pause shows the step that was asked for, and computes nothing.
    let (again, computed) = pause(&mut rig, &base, 2);
    assert_eq!((again.steps, computed, again.estimate.step), (2, 0, 1));
    // After the last step only the decode is left.
    let (last, _) = pause(&mut rig, &base, STEPS);
    assert_eq!(last.steps, STEPS);
    let (end, bits, reused) = rig.run(&base, true, None).unwrap();
    assert_eq!(reused, STEPS);
    assert!(bits == wanted && end.clip.frames == whole.clip.frames);
}

#[test]
fn a_paused_run_that_decides_on_its_plan_decides_the_same_after_a_restart() {
    // The bundled pair: of models with random weights no rule lets go.
    let of_demo = |rig: &mut Rig| RunSettings {
        width: 64,
        height: 64,
        frames: 5,
        steps: 16,
        ..rig.pipeline.describe(&PairRef::default()).unwrap().defaults
    };
    for rule in OnlineRule::ALL {
        let (mut rig, mut fresh) = (Rig::new(), Rig::new());
        let base = of_demo(&mut fresh);
        let (whole, wanted, _) = fresh.run_by(Some(rule), &base, false, None).unwrap();
        let models: Vec<ModelRole> = whole.report.steps.iter().map(|s| s.model).collect();
        let to_small = models.iter().position(|model| *model == ModelRole::Small);
        let to_small = to_small.expect("it changes models");

        // While the large model is at it, at the very step that decides, and in the small one's stage.
        let mut computed_before = 0;
        for rests in [2, to_small, to_small + 2] {
            rig.restart(&base.pair);
            let (paused, computed) = pause_by(&mut rig, Some(rule), &base, rests);
            assert_eq!((paused.steps, paused.online), (rests, Some(rule)));
            assert_eq!(
                computed,
                rests - computed_before,
                "nothing is computed twice"
            );
            computed_before = rests;
            rig.restart(&base.pair);
            let left = rig.pipeline.paused_runs();
            let left = left.iter().find(|left| left.steps == rests).unwrap();
            assert_eq!(
                (left.online, &left.settings),
                (Some(rule), &paused.settings)
            );
        }
        // Its settings have the plan as far as it was decided on; that is no part of the question.
        let left = rig.pipeline.paused_runs().pop().unwrap();
        let (end, bits, reused) = rig.run_by(left.online, &left.settings, true, None).unwrap();
        assert_eq!(reused, to_small + 2);
        assert_eq!(end.settings.plan, whole.settings.plan);
        assert!(bits == wanted && end.clip.frames == whole.clip.frames);
    }
}

#[test]
fn a_change_of_later_stages_goes_on_from_a_paused_run() {
    let (mut rig, mut fresh) = (Rig::new(), Rig::new());
    let base = RunSettings {
        plan: Plan::parse("LSL", &[0.25, 0.75]).unwrap(),
        ..rig.settings()
    };
    rig.restart(&base.pair);
    let (paused, _) = pause(&mut rig, &base, 4);
    let changed = RunSettings {
        plan: Plan::parse("LSL", &[0.25, 0.5]).unwrap(),
        ..base
    };
    assert_eq!(rig.kept.of(&changed), 4);
    let (_, bits, reused) = rig.run(&changed, true, None).unwrap();
    let (_, wanted, _) = fresh.run(&changed, false, None).unwrap();
    assert_eq!(reused, 4);
    assert!(bits == wanted);
    // It still rests.
    assert!(paused.hold.is_some_and(|hold| hold.exists()));
}
