use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, unbounded};

use super::write_bytes_atomic;

enum Errand {
    Replace(PathBuf, Vec<u8>),
    Append {
        path: PathBuf,
        line: String,
        most_bytes: u64,
    },
}

impl Errand {
    fn path(&self) -> &Path {
        match self {
            Self::Replace(path, _) | Self::Append { path, .. } => path,
        }
    }

    fn run(&self) -> io::Result<()> {
        if let Some(folder) = self.path().parent() {
            fs::create_dir_all(folder)?;
        }
        match self {
            Self::Replace(path, bytes) => {
                write_bytes_atomic(path, true, bytes).map_err(io::Error::other)
            }
            Self::Append {
                path,
                line,
                most_bytes,
            } => append(path, line, *most_bytes),
        }
    }
}

/// Writes small files on a thread of its own, in the order it is asked, for a window that must not wait.
/// Dropping it waits until everything is on disk.
pub struct Scribe {
    errands: Option<Sender<Errand>>,
    failures: Receiver<String>,
    thread: Option<JoinHandle<()>>,
}

impl Scribe {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system gives none.
    pub fn start() -> io::Result<Self> {
        let (errands, queue) = unbounded::<Errand>();
        let (told, failures) = unbounded();
        let thread = std::thread::Builder::new()
            .name("flowblend-scribe".to_owned())
            .spawn(move || {
                for errand in queue {
                    if let Err(why) = errand.run() {
                        let path = errand.path().display();
                        // Fails only when nobody listens any more.
                        let _ = told.send(format!(
                            "{path} could not be written ({why}); check the folder and its disk"
                        ));
                    }
                }
            })?;
        Ok(Self {
            errands: Some(errands),
            failures,
            thread: Some(thread),
        })
    }

    /// Puts a file in place of what is there. Never waits.
    pub fn replace(&self, path: PathBuf, bytes: Vec<u8>) {
        self.ask(Errand::Replace(path, bytes));
    }

    /// Adds a line to a file. One that reaches `most_bytes` is put aside first, in place of the one that was
    /// put aside before. Never waits.
    pub fn append(&self, path: PathBuf, line: String, most_bytes: u64) {
        self.ask(Errand::Append {
            path,
            line,
            most_bytes,
        });
    }

    /// What did not work, a sentence each.
    pub fn poll(&self) -> Option<String> {
        self.failures.try_recv().ok()
    }

    fn ask(&self, errand: Errand) {
        if let Some(errands) = &self.errands {
            // Fails only after a panic of the thread, and that is reported by itself.
            let _ = errands.send(errand);
        }
    }
}

impl Drop for Scribe {
    fn drop(&mut self) {
        self.errands = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The file that an overlong one becomes: `flowblend.log` becomes `flowblend.1.log`.
fn aside(path: &Path) -> PathBuf {
    let ending = path.extension().unwrap_or_default().to_string_lossy();
    path.with_extension(format!("1.{ending}"))
}

fn append(path: &Path, line: &str, most_bytes: u64) -> io::Result<()> {
    if fs::metadata(path).is_ok_and(|about| about.len() >= most_bytes) {
        fs::rename(path, aside(path))?;
    }
    let mut file = File::options().create(true).append(true).open(path)?;
    // In one piece, so that lines of two windows do not mix.
    file.write_all(format!("{line}\n").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_written_in_order_and_a_long_one_is_put_aside() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log").join("flowblend.log");
        let file = folder.path().join("settings.json");
        let scribe = Scribe::start().unwrap();
        for i in 0..5 {
            scribe.replace(file.clone(), format!("{i}").into_bytes());
            scribe.append(log.clone(), format!("line {i}"), 20);
        }
        drop(scribe);
        assert_eq!(fs::read_to_string(&file).unwrap(), "4");
        // Three lines of 7 bytes reach the limit.
        assert_eq!(
            fs::read_to_string(aside(&log)).unwrap(),
            "line 0\nline 1\nline 2\n"
        );
        assert_eq!(fs::read_to_string(&log).unwrap(), "line 3\nline 4\n");
    }

    #[test]
    fn what_cannot_be_written_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        write_bytes_atomic(&file, true, b"a file, not a folder").unwrap();
        let scribe = Scribe::start().unwrap();
        scribe.replace(file.join("settings.json"), Vec::new());
        let why = scribe.failures.recv().unwrap();
        assert!(
            why.contains("settings.json could not be written") && why.contains("check the folder"),
            "{why}"
        );
    }
}
