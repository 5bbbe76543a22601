//! Steps of earlier runs on disk, so that a change of a plan is cheap after a restart too.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::SystemTime;

use candle_core::{Device, Tensor};
use crossbeam_channel::{Sender, bounded, unbounded};
use serde::{Deserialize, Serialize};

use super::paused::{PausedRun, hold_path, read_hold, write_hold};
use super::tensor_cache::{TensorCache, prune};
use crate::preview::LatentFrames;
use crate::project::{AtomicFile, RunSettings, write_bytes_atomic};
use crate::sampler::{OnlineRule, Origin, Trajectory};

/// Bytes of steps on disk besides those of paused runs, unless another limit is set; those that were used
/// least lately go first.
const MOST_BYTES: u64 = 8 << 30;

const STATES: &str = "states";
const VELOCITIES: &str = "velocities";

/// What a file of steps belongs to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Stored {
    /// What decides on the run beside its settings.
    pub(super) source: String,
    pub(super) settings: RunSettings,
    /// Steps that are there.
    pub(super) steps: usize,
    /// How each came by its velocity; nothing where all were computed.
    #[serde(default)]
    pub(super) origins: Vec<Origin>,
}

impl Stored {
    /// What belongs to a run's steps.
    pub(super) fn of(source: String, settings: &RunSettings, trajectory: &Trajectory) -> Self {
        Self {
            source,
            settings: settings.clone(),
            steps: trajectory.steps(),
            origins: trajectory.origins().to_vec(),
        }
    }

    /// The name of its files: a longer beginning of the same run takes the place of a shorter one.
    fn key(&self) -> String {
        let settings = serde_json::to_string(&self.settings).unwrap_or_default();
        TensorCache::key(&[&self.source, &settings])
    }
}

/// What is to be written.
struct Errand {
    stored: Stored,
    trajectory: Trajectory,
    /// Of a paused run, and who waits for it to be on disk.
    hold: Option<(Hold, Sender<bool>)>,
}

/// What is kept of a paused run beside its steps.
#[derive(Clone, Debug)]
pub(super) struct Hold {
    /// What the clip looked like after the last of them.
    pub(super) estimate: LatentFrames,
    /// The rule that decides on the rest of its plan.
    pub(super) online: Option<OnlineRule>,
}

/// The thread that writes, and the way to it.
type Writer = (Sender<Errand>, JoinHandle<()>);

/// A folder with two files a run: `.safetensors` with the numbers, `.json` with what they belong to. Writing
/// happens on a thread of its own; everything that goes wrong costs no more than computing again.
pub(super) struct StepStore {
    folder: Option<PathBuf>,
    known: Vec<Stored>,
    most_bytes: Arc<AtomicU64>,
    writer: Option<Writer>,
}

impl StepStore {
    /// Takes up what lies in `folder`; `None` keeps nothing.
    pub(super) fn open(folder: Option<PathBuf>) -> Self {
        let known = folder.as_deref().map_or_else(Vec::new, list);
        Self {
            folder,
            known,
            most_bytes: Arc::new(AtomicU64::new(MOST_BYTES)),
            writer: None,
        }
    }

    /// Keeps no more than so many bytes from the next run on; 0 keeps nothing any more.
    pub(super) fn set_limit(&mut self, bytes: u64) {
        self.most_bytes.store(bytes, Ordering::Relaxed);
    }

    /// Everything that is there.
    pub(super) fn known(&self) -> &[Stored] {
        &self.known
    }

    /// Has a run's steps written down.
    pub(super) fn write(&mut self, stored: Stored, trajectory: Trajectory) {
        self.ask(Errand {
            stored,
            trajectory,
            hold: None,
        });
    }

    /// Writes a paused run's steps down and waits for it: the device rests anyway, and whoever is told
    /// of the pause may pull the plug. Gives the file that keeps them there.
    pub(super) fn hold(
        &mut self,
        stored: Stored,
        trajectory: Trajectory,
        hold: Hold,
    ) -> Option<PathBuf> {
        let path = hold_path(&tensors_path(self.folder.as_deref()?, &stored.key()));
        let (sender, answer) = bounded(1);
        // By the same thread: what it has yet to write of this run is older.
        self.ask(Errand {
            stored,
            trajectory,
            hold: Some((hold, sender)),
        });
        answer.recv().ok()?.then_some(path)
    }

    /// Runs that rest since an earlier start, the oldest first.
    pub(super) fn paused(&self) -> Vec<PausedRun> {
        let Some(folder) = &self.folder else {
            return Vec::new();
        };
        let mut paused: Vec<_> = self
            .known
            .iter()
            .filter_map(|stored| {
                let hold = hold_path(&tensors_path(folder, &stored.key()));
                let since = fs::metadata(&hold).ok()?.modified().ok()?;
                let (estimate, online) = read_hold(&hold)?;
                let paused = PausedRun {
                    settings: stored.settings.clone(),
                    online,
                    // One that failed after it was gone on with has more by now.
                    steps: (estimate.step + 1).min(stored.steps),
                    estimate,
                    hold: Some(hold),
                };
                Some((since, paused))
            })
            .collect();
        paused.sort_by_key(|(since, _)| *since);
        paused.into_iter().map(|(_, paused)| paused).collect()
    }

    fn ask(&mut self, errand: Errand) {
        let most_bytes = Arc::clone(&self.most_bytes);
        let Some(folder) = self.folder.clone() else {
            return;
        };
        if self.writer.is_none() {
            let (sender, queue) = unbounded::<Errand>();
            let thread = std::thread::Builder::new()
                .name("flowblend-steps".to_owned())
                .spawn(move || {
                    for errand in queue {
                        errand.run(&folder, most_bytes.load(Ordering::Relaxed));
                    }
                });
            self.writer = thread.ok().map(|thread| (sender, thread));
        }
        let key = errand.stored.key();
        self.known.retain(|known| known.key() != key);
        // With no room on disk it will not be written, and nobody may be promised it.
        if self.most_bytes.load(Ordering::Relaxed) > 0 || errand.hold.is_some() {
            self.known.push(errand.stored.clone());
        }
        if let Some((sender, _)) = &self.writer {
            // Fails only after a panic of the thread; then nothing is written any more.
            let _ = sender.send(errand);
        }
    }

    /// The steps of a run that is there, on the CPU. One that cannot be read is forgotten.
    pub(super) fn read(&mut self, index: usize) -> Option<Trajectory> {
        let stored = self.known.get(index)?;
        let path = tensors_path(self.folder.as_deref()?, &stored.key());
        let mut origins = stored.origins.clone();
        origins.resize(stored.steps, Origin::Computed);
        let read = read(&path, origins);
        match read {
            // Its age tells how lately it was used.
            Some(_) => {
                if let Ok(file) = fs::File::options().append(true).open(&path) {
                    let _ = file.set_modified(SystemTime::now());
                }
            }
            None => {
                self.known.remove(index);
            }
        }
        read
    }
}

impl Errand {
    fn run(self, folder: &Path, most_bytes: u64) {
        // A paused run is no cache: it is kept where nothing else is.
        let is_wanted = most_bytes > 0 || self.hold.is_some();
        let is_written = is_wanted && write(folder, &self.stored, &self.trajectory).is_some();
        if let Some((Hold { estimate, online }, answer)) = self.hold {
            let path = hold_path(&tensors_path(folder, &self.stored.key()));
            let is_held = is_written && write_hold(&path, &estimate, online).is_some();
            let _ = answer.send(is_held);
        }
        if is_written || most_bytes == 0 {
            prune(folder, most_bytes);
        }
    }
}

impl Drop for StepStore {
    /// Waits until what was asked for is on disk.
    fn drop(&mut self) {
        if let Some((sender, thread)) = self.writer.take() {
            drop(sender);
            let _ = thread.join();
        }
    }
}

fn tensors_path(folder: &Path, key: &str) -> PathBuf {
    folder.join(format!("{key}.safetensors"))
}

fn list(folder: &Path) -> Vec<Stored> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "json"))
        .filter(|path| path.with_extension("safetensors").is_file())
        .filter_map(|path| serde_json::from_slice(&fs::read(path).ok()?).ok())
        .collect()
}

fn write(folder: &Path, stored: &Stored, trajectory: &Trajectory) -> Option<()> {
    fs::create_dir_all(folder).ok()?;
    let steps = trajectory.steps();
    let states: Vec<&Tensor> = (0..=steps).map(|i| trajectory.state(i)).collect();
    let velocities: Vec<&Tensor> = (0..steps).map(|i| trajectory.velocity(i)).collect();
    let tensors = HashMap::from([
        (STATES, Tensor::stack(&states, 0).ok()?),
        (VELOCITIES, Tensor::stack(&velocities, 0).ok()?),
    ]);
    let path = tensors_path(folder, &stored.key());
    let file = AtomicFile::create(&path, true).ok()?;
    candle_core::safetensors::save(&tensors, file.temp_path()).ok()?;
    file.commit().ok()?;
    // After the numbers: what is listed is there.
    let json = serde_json::to_vec(stored).ok()?;
    write_bytes_atomic(&path.with_extension("json"), true, &json).ok()
}

fn read(path: &Path, origins: Vec<Origin>) -> Option<Trajectory> {
    let mut tensors = candle_core::safetensors::load(path, &Device::Cpu).ok()?;
    let mut each = |name| -> Option<Vec<Tensor>> {
        let stack = tensors.remove(name)?;
        let count = stack.dim(0).ok()?;
        (0..count).map(|i| stack.get(i).ok()).collect()
    };
    Trajectory::from_parts(each(STATES)?, each(VELOCITIES)?, origins)
}
