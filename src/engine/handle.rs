use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

use super::EngineSetup;
use super::event::{EngineEvent, EventKind, RunId};
use super::pipeline::{PipelineFactory, Progress, RunError, RunRequest};
use super::probe::ProbeRequest;
use super::sweep::SweepRequest;
use crate::preview::LatentFrames;
use crate::project::PairRef;
use crate::sampler::Cancel;

/// Called after every event, so that a sleeping window looks at it.
pub type Wake = Arc<dyn Fn() + Send + Sync>;

/// Runs waiting for the thread. More are refused: a queue of hundreds is a mistake.
const COMMANDS: usize = 64;
/// Events waiting for the window. The engine waits when it is full, so nothing is lost; a step
/// takes far longer than a frame of the window, so this is never seen to happen.
const EVENTS: usize = 256;

enum Command {
    Describe(PairRef),
    Run(RunId, Box<RunRequest>),
    Probe(RunId, Box<ProbeRequest>),
    Sweep(RunId, Box<SweepRequest>),
}

/// What overtakes the queue: the run being worked on, and the newest preview.
#[derive(Default)]
struct Shared {
    /// Ids up to this one were cancelled, running or waiting.
    cancelled_to: AtomicU64,
    running: Mutex<Option<(RunId, Cancel)>>,
    /// The run that is to rest, and after how many steps.
    pause: Mutex<Option<(RunId, usize)>>,
    preview: Mutex<Option<(RunId, LatentFrames)>>,
    /// The setup asked for since the last command began.
    setup: Mutex<Option<EngineSetup>>,
}

impl Shared {
    fn is_cancelled(&self, run: RunId) -> bool {
        run.0 <= self.cancelled_to.load(Ordering::SeqCst)
    }
}

/// The window's and the command line's end of the engine. Nothing here waits.
pub struct EngineHandle {
    commands: Option<Sender<Command>>,
    events: Receiver<EngineEvent>,
    shared: Arc<Shared>,
    next_run: u64,
    worker: Option<JoinHandle<()>>,
}

impl EngineHandle {
    /// Starts the thread. `factory` makes the pipeline there; `wake` is called after every event.
    pub fn spawn(factory: PipelineFactory, wake: Wake) -> std::io::Result<Self> {
        let (commands, command_queue) = bounded(COMMANDS);
        let (event_queue, events) = bounded(EVENTS);
        let shared = Arc::new(Shared::default());
        let worker = Worker {
            factory,
            commands: command_queue,
            events: event_queue,
            shared: Arc::clone(&shared),
            wake,
        };
        let worker = std::thread::Builder::new()
            .name("flowblend-engine".to_owned())
            .spawn(move || worker.work())?;
        Ok(Self {
            commands: Some(commands),
            events,
            shared,
            next_run: 1,
            worker: Some(worker),
        })
    }

    /// Asks for a pair's summary; it arrives as [`EventKind::Pair`].
    pub fn describe(&self, pair: PairRef) {
        // A full queue means runs are waiting; the summary is asked for again with the next edit.
        if let Some(commands) = &self.commands {
            let _ = commands.try_send(Command::Describe(pair));
        }
    }

    /// Sets the engine up anew: what begins after the run that is going goes by it. Overtakes the queue.
    pub fn configure(&self, setup: EngineSetup) {
        *lock(&self.shared.setup) = Some(setup);
    }

    /// Queues a run. `Err` is a sentence for the user.
    pub fn start(&mut self, request: impl Into<RunRequest>) -> Result<RunId, String> {
        let request = Box::new(request.into());
        self.queue(|run| Command::Run(run, request))
    }

    /// Queues a measurement of the pair's divergence; it ends with [`EventKind::Probed`] and is
    /// cancelled as runs are. `Err` is a sentence for the user.
    pub fn probe(&mut self, request: ProbeRequest) -> Result<RunId, String> {
        self.queue(|run| Command::Probe(run, Box::new(request)))
    }

    /// Queues a sweep over plans; it tells [`EventKind::SweepRow`]s, ends with [`EventKind::Swept`] and is
    /// cancelled as runs are. `Err` is a sentence for the user.
    pub fn sweep(&mut self, request: SweepRequest) -> Result<RunId, String> {
        self.queue(|run| Command::Sweep(run, Box::new(request)))
    }

    fn queue(&mut self, command: impl FnOnce(RunId) -> Command) -> Result<RunId, String> {
        let run = RunId(self.next_run);
        let command = command(run);
        match self.commands.as_ref().map(|c| c.try_send(command)) {
            Some(Ok(())) => {
                self.next_run += 1;
                Ok(run)
            }
            Some(Err(TrySendError::Full(_))) => Err(format!(
                "{COMMANDS} runs are waiting already; cancel some or wait for one to finish"
            )),
            Some(Err(TrySendError::Disconnected(_))) | None => {
                Err("the engine has stopped; restart flowblend".to_owned())
            }
        }
    }

    /// Cancels the running run and every waiting one. Overtakes the queue.
    pub fn cancel_all(&self) {
        self.shared
            .cancelled_to
            .store(self.next_run - 1, Ordering::SeqCst);
        if let Some((_, cancel)) = &*lock(&self.shared.running) {
            cancel.cancel();
        }
    }

    /// Asks a run to rest once `steps` steps are taken, or after the one it is at where that is later; 0
    /// is as soon as it can. Overtakes the queue. [`EventKind::Paused`] answers; a run that decodes
    /// already goes on to its end.
    pub fn pause(&self, run: RunId, steps: usize) {
        *lock(&self.shared.pause) = Some((run, steps));
        if let Some((_, cancel)) = lock(&self.shared.running)
            .as_ref()
            .filter(|(running, _)| *running == run)
        {
            cancel.pause_after(steps);
        }
    }

    /// The next event, if one is there.
    pub fn poll(&self) -> Option<EngineEvent> {
        self.events.try_recv().ok()
    }

    /// Waits for the next event; `None` once the engine is gone. For the command line, never for the
    /// window.
    pub fn wait(&self) -> Option<EngineEvent> {
        self.events.recv().ok()
    }

    /// Takes the newest preview; older ones were overwritten.
    pub fn take_preview(&self) -> Option<(RunId, LatentFrames)> {
        lock(&self.shared.preview).take()
    }

    /// A way to cancel from another thread, such as the Ctrl+C handler.
    pub fn canceller(&self) -> impl Fn() + Send + Sync + 'static {
        let shared = Arc::clone(&self.shared);
        move || {
            shared.cancelled_to.store(u64::MAX, Ordering::SeqCst);
            if let Some((_, cancel)) = &*lock(&shared.running) {
                cancel.cancel();
            }
        }
    }
}

impl Drop for EngineHandle {
    fn drop(&mut self) {
        self.cancel_all();
        self.commands = None;
        // The worker ends by itself at its next look; a window that closes does not wait for it.
        drop(self.worker.take());
    }
}

struct Worker {
    factory: PipelineFactory,
    commands: Receiver<Command>,
    events: Sender<EngineEvent>,
    shared: Arc<Shared>,
    wake: Wake,
}

impl Worker {
    fn work(self) {
        let mut pipeline = (self.factory)();
        let mut setup = None;
        for paused in pipeline.paused_runs() {
            self.send(RunId(0), EventKind::LeftPaused(Box::new(paused)));
        }
        while let Ok(command) = self.commands.recv() {
            if let Some(newer) = lock(&self.shared.setup).take() {
                setup = Some(newer);
                pipeline.configure(newer);
            }
            let run = match &command {
                Command::Describe(_) => RunId(0),
                Command::Run(run, _) | Command::Probe(run, _) | Command::Sweep(run, _) => *run,
            };
            let outcome = catch_unwind(AssertUnwindSafe(|| self.obey(&mut *pipeline, command)));
            *lock(&self.shared.running) = None;
            if let Err(panic) = outcome {
                // Whatever the pipeline held is in doubt; start over with a fresh one.
                pipeline = (self.factory)();
                if let Some(setup) = setup {
                    pipeline.configure(setup);
                }
                self.send(
                    run,
                    EventKind::Failed(format!(
                        "the engine hit an internal error ({}); it was restarted, and you can try again",
                        panic_message(&*panic)
                    )),
                );
            }
        }
    }

    fn obey(&self, pipeline: &mut dyn super::Pipeline, command: Command) {
        match command {
            Command::Describe(pair) => match pipeline.describe(&pair) {
                Ok(summary) => {
                    self.send(RunId(0), EventKind::Pair(Arc::new(summary)));
                    if let Some(kept) = pipeline.kept_steps() {
                        self.send(RunId(0), EventKind::StepsKept(kept));
                    }
                }
                Err(why) => self.send(RunId(0), EventKind::PairFailed(pair, why)),
            },
            Command::Run(run, request) => self.work_on(run, |cancel, progress| {
                if let Some(steps) = request.pause_after {
                    cancel.pause_after(steps);
                }
                let finished = pipeline.run(&request, cancel, progress)?;
                Ok(EventKind::Finished(Box::new(finished)))
            }),
            Command::Probe(run, request) => self.work_on(run, |cancel, progress| {
                let probe = pipeline.probe(&request, cancel, progress)?;
                Ok(EventKind::Probed(Box::new(probe)))
            }),
            Command::Sweep(run, request) => self.work_on(run, |cancel, progress| {
                pipeline.sweep(&request, cancel, progress)?;
                Ok(EventKind::Swept)
            }),
        }
    }

    fn work_on(
        &self,
        run: RunId,
        work: impl FnOnce(&Cancel, &mut dyn FnMut(Progress)) -> Result<EventKind, RunError>,
    ) {
        let cancel = Cancel::new();
        *lock(&self.shared.running) = Some((run, cancel.clone()));
        // Looked at after the flag is out, so that a wish between the two is never lost.
        let pause = lock(&self.shared.pause).filter(|(wanted, _)| *wanted == run);
        if let Some((_, steps)) = pause {
            cancel.pause_after(steps);
        }
        let result = if self.shared.is_cancelled(run) {
            Err(RunError::Cancelled)
        } else {
            work(&cancel, &mut |progress| self.tell(run, progress))
        };
        self.send(
            run,
            match result {
                Ok(ended) => ended,
                Err(RunError::Cancelled) => EventKind::Cancelled,
                Err(RunError::Paused(paused)) => EventKind::Paused(paused),
                Err(RunError::Failed(why)) => EventKind::Failed(why),
            },
        );
    }

    fn tell(&self, run: RunId, progress: Progress) {
        match progress {
            Progress::Preview(frames) => {
                *lock(&self.shared.preview) = Some((run, frames));
                (self.wake)();
            }
            Progress::Phase(phase) => self.send(run, EventKind::Phase(phase)),
            Progress::Step(step) => self.send(run, EventKind::Step(step)),
            Progress::Loaded { done, total } => self.send(run, EventKind::Loaded { done, total }),
            Progress::Decoded {
                done,
                total,
                frames,
            } => self.send(
                run,
                EventKind::Decoded {
                    done,
                    total,
                    frames,
                },
            ),
            Progress::Divergence(found) => self.send(run, EventKind::Divergence(found)),
            Progress::SweepRow(row) => self.send(run, EventKind::SweepRow(row)),
            Progress::StepsReused(steps) => self.send(run, EventKind::StepsReused(steps)),
            Progress::StepsKept(kept) => self.send(RunId(0), EventKind::StepsKept(kept)),
            Progress::Pair(summary) => self.send(RunId(0), EventKind::Pair(summary)),
        }
    }

    fn send(&self, run: RunId, kind: EventKind) {
        // Fails only when the window is gone, and then nobody is left to tell.
        let _ = self.events.send(EngineEvent { run, kind });
        (self.wake)();
    }
}

/// Our mutexes guard plain values that are replaced whole, so a poisoned one is still sound.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn panic_message(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}
