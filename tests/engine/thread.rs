//! The engine's thread, driven by a fake pipeline.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};
use flowblend::engine::{
    EngineEvent, EngineHandle, EventKind, FinishedRun, PairSummary, Phase, Pipeline, Progress,
    RunError, RunId, RunReport, RunRequest, StepReport,
};
use flowblend::media::Clip;
use flowblend::preview::LatentFrames;
use flowblend::project::{PairRef, RunSettings};
use flowblend::sampler::{Cancel, Origin};
use flowblend::schedule::{Guidance, History, Plan, Solver};

fn settings(prompt: &str) -> RunSettings {
    RunSettings {
        pair: PairRef::default(),
        prompt: prompt.to_owned(),
        negative: String::new(),
        seed: 1,
        plan: Plan::parse("LSL", &[0.4, 0.8]).unwrap(),
        steps: 5,
        shift: 1.0,
        solver: Solver::Euler,
        history: History::default(),
        distilled_sigmas: None,
        cfg: 4.0,
        guidance: Guidance::default(),
        cache: None,
        width: 16,
        height: 16,
        frames: 5,
        fps: 8.0,
    }
}

/// Steps as fast as it is let; each step waits for a token, so that tests decide when.
struct Fake {
    tokens: Receiver<()>,
}

impl Pipeline for Fake {
    fn describe(&mut self, pair: &PairRef) -> Result<PairSummary, String> {
        Err(format!("no pair {pair:?} here"))
    }

    fn run(
        &mut self,
        request: &RunRequest,
        cancel: &Cancel,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<FinishedRun, RunError> {
        assert_ne!(request.settings.prompt, "panic", "asked to");
        progress(Progress::Phase(Phase::Denoising));
        for (step, plan) in request.settings.step_plans().iter().enumerate() {
            while self.tokens.recv_timeout(Duration::from_millis(1)).is_err() {
                cancel.check().map_err(|_| RunError::Cancelled)?;
            }
            progress(Progress::Preview(LatentFrames {
                step,
                channels: 1,
                frames: 1,
                height: 1,
                width: 1,
                data: Arc::new([0.0]),
            }));
            progress(Progress::Step(StepReport {
                step,
                of: request.settings.steps,
                model: plan.model,
                sigma: 1.0,
                cfg: plan.cfg,
                origin: Origin::Computed,
                off: None,
                secs: 0.0,
                eta_secs: None,
            }));
        }
        Ok(FinishedRun {
            settings: request.settings.clone(),
            clip: Arc::new(Clip {
                width: 1,
                height: 1,
                fps: 8.0,
                frames: vec![vec![0; 3]],
            }),
            report: RunReport {
                steps: Vec::new(),
                reused_steps: 0,
                origins: Vec::new(),
                load_secs: 0.0,
                encode_secs: 0.0,
                denoise_secs: 0.0,
                decode_secs: 0.0,
                decoded_in_tiles: false,
                paper_flops: 0.0,
                full_flops: 0.0,
                device: "fake".to_owned(),
                model_hashes: Vec::new(),
                files: Vec::new(),
                source: String::new(),
            },
            unwritten: None,
        })
    }
}

struct Rig {
    engine: EngineHandle,
    tokens: Sender<()>,
    pipelines: Arc<AtomicUsize>,
    wakes: Arc<AtomicUsize>,
}

fn rig() -> Rig {
    let (tokens, taken) = bounded(100);
    let pipelines = Arc::new(AtomicUsize::new(0));
    let wakes = Arc::new(AtomicUsize::new(0));
    let (made, woken) = (Arc::clone(&pipelines), Arc::clone(&wakes));
    let engine = EngineHandle::spawn(
        Box::new(move || {
            made.fetch_add(1, Ordering::SeqCst);
            Box::new(Fake {
                tokens: taken.clone(),
            })
        }),
        Arc::new(move || {
            woken.fetch_add(1, Ordering::SeqCst);
        }),
    )
    .unwrap();
    Rig {
        engine,
        tokens,
        pipelines,
        wakes,
    }
}

fn last_of(engine: &EngineHandle, run: RunId) -> EngineEvent {
    loop {
        let event = engine.wait().expect("the engine is alive");
        let over = matches!(
            event.kind,
            EventKind::Finished(_) | EventKind::Cancelled | EventKind::Failed(_)
        );
        if event.run == run && over {
            return event;
        }
    }
}

#[test]
fn events_carry_their_run_and_come_in_order() {
    let mut rig = rig();
    for _ in 0..10 {
        rig.tokens.send(()).unwrap();
    }
    let first = rig.engine.start(settings("one")).unwrap();
    let second = rig.engine.start(settings("two")).unwrap();
    assert!(second > first);
    for run in [first, second] {
        let mut steps = Vec::new();
        loop {
            let event = rig.engine.wait().unwrap();
            assert_eq!(event.run, run);
            match event.kind {
                EventKind::Step(step) => steps.push(step.step),
                EventKind::Finished(finished) => {
                    assert_eq!(
                        finished.settings.prompt,
                        if run == first { "one" } else { "two" }
                    );
                    break;
                }
                EventKind::Phase(_) => {}
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(steps, [0, 1, 2, 3, 4]);
    }
    assert!(rig.wakes.load(Ordering::SeqCst) >= 14);
}

#[test]
fn the_newest_preview_wins() {
    let mut rig = rig();
    for _ in 0..5 {
        rig.tokens.send(()).unwrap();
    }
    let run = rig.engine.start(settings("one")).unwrap();
    last_of(&rig.engine, run);
    let (of, preview) = rig.engine.take_preview().unwrap();
    assert_eq!((of, preview.step), (run, 4));
    assert!(rig.engine.take_preview().is_none());
}

#[test]
fn cancel_overtakes_the_queue() {
    let mut rig = rig();
    rig.tokens.send(()).unwrap();
    let running = rig.engine.start(settings("one")).unwrap();
    let waiting = rig.engine.start(settings("two")).unwrap();
    while !matches!(rig.engine.wait().unwrap().kind, EventKind::Step(_)) {}
    let asked = Instant::now();
    rig.engine.cancel_all();
    assert!(matches!(
        last_of(&rig.engine, running).kind,
        EventKind::Cancelled
    ));
    assert!(matches!(
        last_of(&rig.engine, waiting).kind,
        EventKind::Cancelled
    ));
    assert!(
        asked.elapsed() < Duration::from_secs(5),
        "a cancel must not wait for steps"
    );
    // What is started later is not touched by it.
    for _ in 0..5 {
        rig.tokens.send(()).unwrap();
    }
    let later = rig.engine.start(settings("three")).unwrap();
    assert!(matches!(
        last_of(&rig.engine, later).kind,
        EventKind::Finished(_)
    ));
}

#[test]
fn a_panic_becomes_an_event_and_a_fresh_worker() {
    let mut rig = rig();
    let bad = rig.engine.start(settings("panic")).unwrap();
    let EventKind::Failed(why) = last_of(&rig.engine, bad).kind else {
        panic!("a panic must be told");
    };
    assert!(
        why.contains("internal error") && why.contains("try again"),
        "{why}"
    );
    assert_eq!(rig.pipelines.load(Ordering::SeqCst), 2);
    for _ in 0..5 {
        rig.tokens.send(()).unwrap();
    }
    let good = rig.engine.start(settings("fine")).unwrap();
    assert!(matches!(
        last_of(&rig.engine, good).kind,
        EventKind::Finished(_)
    ));
}

#[test]
fn an_unknown_pair_is_told_without_a_run() {
    let rig = rig();
    rig.engine.describe(PairRef::Named("nobody".to_owned()));
    let event = rig.engine.wait().unwrap();
    assert!(matches!(event.kind, EventKind::PairFailed(_, why) if why.contains("nobody")));
}

#[test]
fn dropping_the_handle_does_not_wait_for_the_run() {
    let mut rig = rig();
    rig.engine.start(settings("never ends by itself")).unwrap();
    let start = Instant::now();
    drop(rig);
    assert!(start.elapsed() < Duration::from_secs(2));
}
