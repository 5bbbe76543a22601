use std::collections::HashSet;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, unbounded};

use super::{RunName, RunRecord, Shelf, Thumbnail};
use crate::engine::{FinishedRun, RunId, Wake};
use crate::media::Clip;
use crate::project::write_bytes_atomic;

/// What the shelf's thread is asked for.
enum Errand {
    List,
    Keep(RunId, Box<FinishedRun>),
    Fetch(RunName),
    Rewrite(RunName, Box<RunRecord>),
    Delete(RunName),
    PutBack(RunName),
    Write(PathBuf, Vec<u8>),
}

/// A run that lies on the shelf.
#[derive(Clone, Debug)]
pub struct Kept {
    /// Its name there.
    pub name: RunName,
    /// What is remembered of it.
    pub record: RunRecord,
    /// Its small picture.
    pub thumbnail: Option<Thumbnail>,
}

/// What the shelf's thread tells.
#[derive(Debug)]
pub enum Told {
    /// A run of an earlier start; the newest come first.
    Listed(Box<Kept>),
    /// Those were all runs of earlier starts: so many.
    ListedAll(usize),
    /// A run of this start is safe now.
    Kept(RunId, Box<Kept>),
    /// A clip that was asked for.
    Fetched(RunName, Arc<Clip>),
    /// A deleted run is back.
    IsBack(Box<Kept>),
    /// Something did not work; a sentence.
    Failed(String),
}

/// Reads and writes the shelf on a thread of its own, for a window that must not wait. Dropping it waits
/// until everything that was asked for is on disk.
pub struct Keeper {
    errands: Option<Sender<Errand>>,
    told: Receiver<Told>,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    /// Starts the thread and lists what lies on the shelf. `wake` is called after everything it tells.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(shelf: Shelf, wake: Wake) -> io::Result<Self> {
        let (errands, queue) = unbounded();
        let (tell, told) = unbounded();
        let work = move || {
            let mut worker = Worker {
                shelf,
                deleted: HashSet::new(),
                tell,
                wake,
            };
            while let Ok(errand) = queue.recv() {
                worker.run(errand);
            }
            worker.shelf.empty_bin(worker.deleted);
        };
        let thread = std::thread::Builder::new()
            .name("flowblend-library".to_owned())
            .spawn(work)?;
        // The receiving end lives as long as the thread.
        let _ = errands.send(Errand::List);
        Ok(Self {
            errands: Some(errands),
            told,
            thread: Some(thread),
        })
    }

    /// The next thing it has to tell. Never waits.
    pub fn poll(&self) -> Option<Told> {
        self.told.try_recv().ok()
    }

    /// Writes a finished run down; [`Told::Kept`] says when it is safe.
    pub fn keep(&self, id: RunId, run: FinishedRun) {
        self.ask(Errand::Keep(id, Box::new(run)));
    }

    /// Reads a run's clip; arrives as [`Told::Fetched`].
    pub fn fetch(&self, name: RunName) {
        self.ask(Errand::Fetch(name));
    }

    /// Writes a run's record anew.
    pub fn rewrite(&self, name: RunName, record: RunRecord) {
        self.ask(Errand::Rewrite(name, Box::new(record)));
    }

    /// Takes a run off the shelf; for good only when the program ends.
    pub fn delete(&self, name: RunName) {
        self.ask(Errand::Delete(name));
    }

    /// Undoes [`delete`](Self::delete).
    pub fn put_back(&self, name: RunName) {
        self.ask(Errand::PutBack(name));
    }

    /// Writes a small file whole or not at all, in place of what is there.
    pub fn write(&self, file: PathBuf, bytes: Vec<u8>) {
        self.ask(Errand::Write(file, bytes));
    }

    fn ask(&self, errand: Errand) {
        if let Some(errands) = &self.errands {
            // Fails only after a panic of the thread, which was told as a failure.
            let _ = errands.send(errand);
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.errands = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Worker {
    shelf: Shelf,
    /// What this start of the program deleted.
    deleted: HashSet<RunName>,
    tell: Sender<Told>,
    wake: Wake,
}

impl Worker {
    fn run(&mut self, errand: Errand) {
        let outcome = match errand {
            Errand::List => {
                self.list();
                return;
            }
            Errand::Keep(id, run) => self.keep(id, *run),
            Errand::Fetch(name) => self
                .shelf
                .clip(&name)
                .map_err(|why| why.to_string())
                .map(|clip| Some(Told::Fetched(name, Arc::new(clip)))),
            Errand::Rewrite(name, record) => {
                let written = self.shelf.rewrite(&name, &record);
                written.map(|()| None).map_err(|why| why.to_string())
            }
            Errand::Delete(name) => match self.shelf.delete(&name) {
                Ok(()) => {
                    self.deleted.insert(name);
                    Ok(None)
                }
                Err(why) => Err(why.to_string()),
            },
            Errand::PutBack(name) => self.put_back(name),
            Errand::Write(file, bytes) => write_bytes_atomic(&file, true, &bytes)
                .map(|()| None)
                .map_err(|why| why.to_string()),
        };
        match outcome {
            Ok(None) => {}
            Ok(Some(told)) => self.tell(told),
            Err(why) => self.tell(Told::Failed(why)),
        }
    }

    fn list(&self) {
        self.shelf.sweep();
        let (runs, problems) = self.shelf.list();
        let count = runs.len();
        for (name, record) in runs.into_iter().rev() {
            let thumbnail = self.shelf.thumbnail(&name);
            self.tell(Told::Listed(Box::new(Kept {
                name,
                record,
                thumbnail,
            })));
        }
        self.tell(Told::ListedAll(count));
        for why in problems {
            self.tell(Told::Failed(why));
        }
    }

    fn keep(&self, id: RunId, run: FinishedRun) -> Result<Option<Told>, String> {
        let record = RunRecord::new(run.settings.clone(), run.report.clone());
        let name = self.shelf.keep(&record, &run.clip).map_err(|why| {
            format!(
                "the run with seed {} is not kept for the next start: {why}; export it to be safe",
                run.settings.seed
            )
        })?;
        run.clip_is_written();
        let thumbnail = Thumbnail::of(&run.clip);
        Ok(Some(Told::Kept(
            id,
            Box::new(Kept {
                name,
                record,
                thumbnail,
            }),
        )))
    }

    fn put_back(&mut self, name: RunName) -> Result<Option<Told>, String> {
        self.shelf.put_back(&name).map_err(|why| why.to_string())?;
        self.deleted.remove(&name);
        let record = self.shelf.record(&name).map_err(|why| why.to_string())?;
        let thumbnail = self.shelf.thumbnail(&name);
        Ok(Some(Told::IsBack(Box::new(Kept {
            name,
            record,
            thumbnail,
        }))))
    }

    fn tell(&self, told: Told) {
        // Fails only when the window is gone, and then nobody is left to tell.
        let _ = self.tell.send(told);
        (self.wake)();
    }
}
