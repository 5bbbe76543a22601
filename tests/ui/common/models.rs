//! Pairs that are not there: one of every state, and a download that a test steers.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, unbounded};
use flowblend::app::ModelsSource;
use flowblend::engine::{PairMemory, PairReport, PairState};
use flowblend::hub::{HubError, PullJob, PullProgress, Pulled};

/// What the download says next; its end once the sender is gone.
pub type Steer = Sender<PullProgress>;

fn pair(name: &str, state: PairState, faults: &[&str]) -> PairReport {
    let place = |model: &str| Some(PathBuf::from(format!("/models/{name}/{model}")));
    PairReport {
        name: name.to_owned(),
        title: None,
        licence: Some("MIT".to_owned()),
        state,
        faults: faults.iter().map(|fault| (*fault).to_owned()).collect(),
        large: place("large"),
        small: place("small"),
        distilled: None,
        lacks_distilled: false,
        folder: Some(PathBuf::from("/models").join(name)),
        memory: Some(PairMemory {
            together: 139_000_000,
            swapped: 117_000_000,
            weights_only: false,
        }),
        download_bytes: None,
        repos: None,
        is_added: false,
    }
}

/// One pair of every state.
pub fn reports() -> Vec<PairReport> {
    let public = PairReport {
        title: Some("WAN 2.1 text-to-video, 14B with 1.3B".to_owned()),
        licence: Some("Apache-2.0".to_owned()),
        memory: Some(PairMemory {
            together: 63_400_000_000,
            swapped: 57_200_000_000,
            weights_only: true,
        }),
        folder: None,
        download_bytes: Some(86_061_165_004),
        repos: Some(vec![
            "Wan-AI/Wan2.1-T2V-14B-Diffusers".to_owned(),
            "Wan-AI/Wan2.1-T2V-1.3B-Diffusers".to_owned(),
        ]),
        ..pair(
            "wan2.1",
            PairState::Incomplete,
            &[
                "the large model is missing: /models/wan2.1/large does not exist",
                "the small model is missing: /models/wan2.1/small does not exist",
            ],
        )
    };
    let incompatible = "the models cannot be blended: the transformers' latent channels \
        (in_channels) differ, 16 in the large model and 48 in the small one; choose two models of \
        one family and version";
    vec![
        PairReport {
            title: Some("the bundled pair".to_owned()),
            ..pair("demo", PairState::Ready, &[])
        },
        pair("toy", PairState::Ready, &[]),
        public,
        pair("mixed", PairState::Incompatible, &[incompatible]),
    ]
}

/// These pairs, and what steers the download of any of them.
pub fn source() -> (ModelsSource, Steer) {
    let (steer, steps) = unbounded();
    let source = ModelsSource {
        survey: Arc::new(|_| reports()),
        add: Arc::new(|_| Err("nothing can be added".to_owned())),
        forget: Arc::new(|_| Err("nothing can be removed".to_owned())),
        put_back: Arc::new(|_| Err("nothing can be put back".to_owned())),
        pull: Arc::new(move |name, wake| {
            let (steps, pair) = (steps.clone(), name.to_owned());
            PullJob::spawn(name, wake, move |cancelled, progress| {
                follow(&pair, &steps, cancelled, progress)
            })
        }),
    };
    (source, steer)
}

fn follow(
    name: &str,
    steps: &Receiver<PullProgress>,
    cancelled: &dyn Fn() -> bool,
    progress: &mut dyn FnMut(&PullProgress),
) -> Result<Pulled, HubError> {
    loop {
        if cancelled() {
            return Err(HubError::Cancelled);
        }
        match steps.recv_timeout(Duration::from_millis(2)) {
            Ok(now) if now.done < now.total => progress(&now),
            Ok(_) => {
                return Ok(Pulled {
                    name: name.to_owned(),
                    folder: PathBuf::from("/models").join(name),
                    files: Vec::new(),
                });
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Err(HubError::Cancelled),
        }
    }
}
