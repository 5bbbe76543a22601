//! SHA-256 of weights, for recipes. A model of 28 GB takes a minute, so it is computed while the run
//! goes on, and once for every state of the files.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, bounded};

use super::book;
use super::pipeline::RunError;
use crate::models::{Family, ModelError, hash_files};
use crate::sampler::Cancel;

/// How often a wait looks whether somebody wants to stop.
const LOOK: Duration = Duration::from_millis(50);

/// What is known, and what is being computed. Losing the file costs no more than time.
#[derive(Default)]
pub(super) struct WeightHashes {
    file: Option<PathBuf>,
    /// By the identity of the files.
    known: BTreeMap<String, String>,
    /// By model.
    pending: HashMap<PathBuf, Pending>,
}

struct Pending {
    identity: String,
    /// Empty where the hash was known.
    answer: Option<Receiver<Result<String, ModelError>>>,
}

impl WeightHashes {
    /// What is kept in `file`; `None` keeps nothing.
    pub(super) fn open(file: Option<PathBuf>) -> Self {
        let known = book::read(file.as_deref());
        Self {
            file,
            known,
            pending: HashMap::new(),
        }
    }

    /// Begins to compute the hash of a model's transformer with the files of this identity, unless it is known.
    pub(super) fn begin(&mut self, model: &Path, identity: &str) -> Result<(), RunError> {
        let under_way = self.pending.get(model);
        if under_way.is_some_and(|pending| pending.identity == identity) {
            return Ok(());
        }
        let answer = if self.known.contains_key(identity) {
            None
        } else {
            let files = Family::of(model).transformer_files(model)?;
            let (send, receive) = bounded(1);
            let work = move || {
                // Nobody is left to tell where the program is about to end.
                let _ = send.send(hash_files(&files));
            };
            let thread = std::thread::Builder::new().name("weight-hash".to_owned());
            if let Err(why) = thread.spawn(work) {
                return Err(RunError::Failed(format!(
                    "no thread could be started ({why}); close other programs and try again"
                )));
            }
            Some(receive)
        };
        let identity = identity.to_owned();
        let pending = Pending { identity, answer };
        self.pending.insert(model.to_owned(), pending);
        Ok(())
    }

    /// Waits for what [`begin`](Self::begin) began.
    pub(super) fn get(
        &mut self,
        model: &Path,
        identity: &str,
        cancel: &Cancel,
    ) -> Result<String, RunError> {
        self.begin(model, identity)?;
        let pending = self.pending.remove(model);
        let Some(Pending { identity, answer }) = pending else {
            return Err(RunError::Failed(
                "a hash was never begun; please report this".to_owned(),
            ));
        };
        if let Some(answer) = answer {
            let hash = loop {
                cancel.check()?;
                match answer.recv_timeout(LOOK) {
                    Ok(hash) => break hash?,
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => {
                        return Err(RunError::Failed(format!(
                            "the weights of {} could not be read to their end; check the disk",
                            model.display()
                        )));
                    }
                }
            };
            self.known.insert(identity.clone(), hash);
            self.save();
        }
        Ok(self.known.get(&identity).cloned().unwrap_or_default())
    }

    fn save(&self) {
        book::write(self.file.as_deref(), &self.known);
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "a test changes files on purpose")]
mod tests {
    use super::*;

    fn identity(weights: &PathBuf) -> String {
        crate::models::identity([weights]).unwrap()
    }

    #[test]
    fn hashes_are_computed_once_for_every_state_of_the_files() {
        let folder = tempfile::tempdir().unwrap();
        let book = folder.path().join("deep/hashes.json");
        let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/demo/small");
        let model = folder.path().join("small");
        std::fs::create_dir_all(model.join("transformer")).unwrap();
        for name in ["config.json", "diffusion_pytorch_model.safetensors"] {
            let from = demo.join("transformer").join(name);
            std::fs::copy(from, model.join("transformer").join(name)).unwrap();
        }
        let weights = model.join("transformer/diffusion_pytorch_model.safetensors");

        let mut hashes = WeightHashes::open(Some(book.clone()));
        let cancelled = Cancel::new();
        cancelled.cancel();
        hashes.begin(&model, &identity(&weights)).unwrap();
        assert!(matches!(
            hashes.get(&model, &identity(&weights), &cancelled),
            Err(RunError::Cancelled)
        ));
        let first = hashes
            .get(&model, &identity(&weights), &Cancel::new())
            .unwrap();
        assert_eq!(first, hash_files(std::slice::from_ref(&weights)).unwrap());
        // A second start takes it from the book, whatever is in the file now.
        let kept = std::fs::read_to_string(&book).unwrap();
        let other = "0".repeat(64);
        std::fs::write(&book, kept.replace(&first, &other)).unwrap();
        let mut hashes = WeightHashes::open(Some(book));
        assert_eq!(
            hashes
                .get(&model, &identity(&weights), &Cancel::new())
                .unwrap(),
            other
        );
        // A file that was written anew is hashed anew.
        let then = std::time::SystemTime::now() - Duration::from_secs(99);
        let file = std::fs::File::options()
            .append(true)
            .open(&weights)
            .unwrap();
        file.set_modified(then).unwrap();
        assert_eq!(
            hashes
                .get(&model, &identity(&weights), &Cancel::new())
                .unwrap(),
            first
        );
    }
}
