use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crossbeam_channel::{Receiver, Sender, unbounded};
use serde::{Deserialize, Serialize};

use super::{RunSettings, write_bytes_atomic};

/// Least time between two writes, unless another is set: a drag changes the settings at every frame.
pub(super) const PACE_SECS: f64 = 0.5;
/// Drafts that nobody wanted back for so long go.
const FORGOTTEN: Duration = Duration::from_hours(24 * 30);

/// Unsaved work.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Draft {
    /// The settings as they stood.
    pub settings: RunSettings,
    /// The project they belong to, if they were ever saved.
    pub file: Option<PathBuf>,
}

/// Unsaved work that a program which ended without a goodbye left behind.
#[derive(Clone, Debug, PartialEq)]
pub struct LeftDraft {
    /// The work.
    pub draft: Draft,
    /// Where it lies until somebody decides.
    path: PathBuf,
}

impl LeftDraft {
    /// It is taken over or not wanted: it need not be offered again.
    pub fn settle(&self) {
        let _ = fs::remove_file(&self.path);
        let _ = fs::remove_file(self.path.with_extension("lock"));
    }
}

/// What is to be on disk.
struct Wish {
    /// The work as it stands; `None` when all of it is saved.
    draft: Option<Draft>,
    /// What it was taken over from, which need not be offered once the work is written anew.
    taken_over: Option<LeftDraft>,
}

/// Writes unsaved work down as it changes, on a thread of its own. A program that ends well takes its
/// draft with it; a lock on a file beside the draft tells whether its program still lives.
pub struct Autosave {
    drafts: Option<Sender<Wish>>,
    thread: Option<JoinHandle<()>>,
    path: PathBuf,
    pace_ms: Arc<AtomicU64>,
    /// Held until the end.
    _lock: File,
}

impl Autosave {
    /// Begins, and gives the newest work that was left behind.
    ///
    /// # Errors
    /// When the folder cannot be written to or the system gives no thread.
    pub fn start(folder: &Path) -> io::Result<(Self, Option<LeftDraft>)> {
        fs::create_dir_all(folder)?;
        let left = left_behind(folder);
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let name = format!("{}-{}", std::process::id(), since.as_nanos());
        let path = folder.join(name).with_extension("json");
        let lock = File::create(path.with_extension("lock"))?;
        lock.lock()?;
        let (drafts, queue) = unbounded();
        let pace_ms = Arc::new(AtomicU64::new(milliseconds(PACE_SECS)));
        let thread = std::thread::Builder::new()
            .name("flowblend-autosave".to_owned())
            .spawn({
                let (path, pace_ms) = (path.clone(), Arc::clone(&pace_ms));
                move || write_all(&queue, &path, &pace_ms)
            })?;
        Ok((
            Self {
                drafts: Some(drafts),
                thread: Some(thread),
                path,
                pace_ms,
                _lock: lock,
            },
            left,
        ))
    }

    /// Leaves at least so many seconds between two writes from the next one on.
    pub fn set_pace(&self, secs: f64) {
        self.pace_ms.store(milliseconds(secs), Ordering::Relaxed);
    }

    /// Takes the work as it stands; `None` when all of it is saved. Never waits.
    pub fn keep(&self, draft: Option<Draft>) {
        self.ask(Wish {
            draft,
            taken_over: None,
        });
    }

    /// Takes over what was left behind. It goes only when this program has written it down itself: at any
    /// moment one of the two is there.
    pub fn take_over(&self, left: LeftDraft) {
        self.ask(Wish {
            draft: Some(left.draft.clone()),
            taken_over: Some(left),
        });
    }

    fn ask(&self, wish: Wish) {
        if let Some(drafts) = &self.drafts {
            // Fails only when the thread is gone; the next start misses a draft then.
            let _ = drafts.send(wish);
        }
    }
}

impl Drop for Autosave {
    fn drop(&mut self) {
        self.drafts = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        // The program goes down with a fault: the next start shall find the work.
        if std::thread::panicking() {
            return;
        }
        let _ = fs::remove_file(&self.path);
        let _ = fs::remove_file(self.path.with_extension("lock"));
    }
}

fn milliseconds(secs: f64) -> u64 {
    (secs * 1e3) as u64
}

/// Writes the newest draft at most once in `pace_ms`.
fn write_all(queue: &Receiver<Wish>, path: &Path, pace_ms: &AtomicU64) {
    let mut next = queue.recv().ok();
    let mut taken_over = Vec::new();
    while let Some(wish) = next.take() {
        taken_over.extend(wish.taken_over);
        let is_safe = match wish.draft.map(|draft| serde_json::to_vec_pretty(&draft)) {
            // A disk that takes no draft takes no project either, and that one is told.
            Some(Ok(json)) => write_bytes_atomic(path, true, &json).is_ok(),
            Some(Err(_)) | None => {
                let _ = fs::remove_file(path);
                true
            }
        };
        if is_safe {
            taken_over.drain(..).for_each(|left| left.settle());
        }
        let rested = Instant::now() + Duration::from_millis(pace_ms.load(Ordering::Relaxed));
        while let Ok(newer) = queue.recv_deadline(rested) {
            let older = next.replace(newer);
            taken_over.extend(older.and_then(|older| older.taken_over));
        }
        next = next.or_else(|| queue.recv().ok());
    }
}

/// The newest draft whose program is gone. Forgotten ones are swept away.
fn left_behind(folder: &Path) -> Option<LeftDraft> {
    let mut drafts: Vec<(SystemTime, LeftDraft)> = Vec::new();
    for entry in fs::read_dir(folder).ok()?.flatten() {
        let path = entry.path();
        if path.extension().is_none_or(|ending| ending != "json") || is_alive(&path) {
            continue;
        }
        let written = entry.metadata().and_then(|meta| meta.modified());
        let written = written.unwrap_or(UNIX_EPOCH);
        let draft = fs::read(&path)
            .ok()
            .and_then(|json| serde_json::from_slice(&json).ok());
        let age = SystemTime::now().duration_since(written);
        match draft {
            Some(draft) if age.is_ok_and(|age| age < FORGOTTEN) => {
                drafts.push((written, LeftDraft { draft, path }));
            }
            _ => {
                let _ = fs::remove_file(&path);
            }
        }
    }
    let newest = drafts.into_iter().max_by_key(|(written, _)| *written);
    newest.map(|(_, draft)| draft)
}

/// Whether the program that writes this draft still runs.
fn is_alive(draft: &Path) -> bool {
    File::open(draft.with_extension("lock")).is_ok_and(|lock| lock.try_lock().is_err())
}

#[cfg(test)]
#[allow(
    clippy::disallowed_methods,
    reason = "tests write and wait as they like"
)]
mod tests {
    use super::*;
    use crate::project::PairRef;
    use crate::schedule::{Guidance, History, Plan, Solver};

    fn draft(seed: u64) -> Draft {
        Draft {
            settings: RunSettings {
                pair: PairRef::default(),
                prompt: "a dot".to_owned(),
                negative: String::new(),
                seed,
                plan: Plan::parse("L", &[]).unwrap(),
                steps: 10,
                shift: 3.0,
                solver: Solver::Euler,
                history: History::default(),
                distilled_sigmas: None,
                cfg: 5.0,
                guidance: Guidance::default(),
                cache: None,
                width: 16,
                height: 16,
                frames: 1,
                fps: 8.0,
            },
            file: None,
        }
    }

    fn until(done: impl Fn() -> bool) {
        let patience = std::time::Instant::now() + Duration::from_secs(20);
        while !done() {
            assert!(std::time::Instant::now() < patience);
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Ends as a kill does: nothing is cleaned up, the lock goes with the process.
    fn kill(mut autosave: Autosave) {
        autosave.drafts = None;
        autosave.thread.take().unwrap().join().unwrap();
        autosave._lock.unlock().unwrap();
        std::mem::forget(autosave);
    }

    #[test]
    fn a_killed_programs_draft_is_offered_until_settled() {
        let folder = tempfile::tempdir().unwrap();
        let (autosave, left) = Autosave::start(folder.path()).unwrap();
        assert!(left.is_none());
        for seed in 1..=40 {
            autosave.keep(Some(draft(seed)));
        }
        // It runs: its draft is nobody else's.
        let path = autosave.path.clone();
        until(|| path.exists());
        assert!(Autosave::start(folder.path()).unwrap().1.is_none());
        kill(autosave);

        let (_other, left) = Autosave::start(folder.path()).unwrap();
        let left = left.unwrap();
        assert_eq!(left.draft, draft(40));
        let again = Autosave::start(folder.path()).unwrap().1;
        assert_eq!(again.as_ref(), Some(&left));
        let (third, _) = Autosave::start(folder.path()).unwrap();
        third.take_over(left.clone());
        // What was taken over is the new program's own by now, and nobody else's.
        until(|| !left.path.exists());
        let own = third.path.clone();
        let kept: Draft = serde_json::from_slice(&fs::read(&own).unwrap()).unwrap();
        assert_eq!(kept, draft(40));
        assert!(Autosave::start(folder.path()).unwrap().1.is_none());
        kill(third);
        let left = Autosave::start(folder.path()).unwrap().1.unwrap();
        assert_eq!(left.draft, draft(40));
        left.settle();
        assert!(Autosave::start(folder.path()).unwrap().1.is_none());
    }

    #[test]
    fn a_good_end_and_saved_work_leave_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let (autosave, _) = Autosave::start(folder.path()).unwrap();
        autosave.keep(Some(draft(1)));
        let path = autosave.path.clone();
        until(|| path.exists());
        autosave.keep(None);
        until(|| !path.exists());
        autosave.keep(Some(draft(2)));
        drop(autosave);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
