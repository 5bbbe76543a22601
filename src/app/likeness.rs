use std::collections::HashMap;
use std::sync::Arc;

use crossbeam_channel::{Receiver, TryRecvError, unbounded};

use super::GalleryRun;
use crate::analysis::{Similarity, frame_similarity};
use crate::engine::{RunId, Wake};
use crate::media::Clip;

/// How alike two clips are, frame by frame, as far as it was measured.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Likeness {
    /// The frames measured, from the first on.
    pub frames: Vec<Similarity>,
    /// Frames there are.
    pub total: usize,
    /// Why there will be no more, as a sentence.
    pub failure: Option<String>,
}

impl Likeness {
    /// Whether every frame was measured.
    pub fn is_complete(&self) -> bool {
        self.frames.len() == self.total
    }
}

/// The smaller id first: likeness has no direction.
type Pair = (RunId, RunId);

/// The likeness of the pairs that were compared. A thread measures, one pair at a time; the window only
/// takes what is there.
#[derive(Default)]
pub struct Likenesses {
    known: HashMap<Pair, Likeness>,
    job: Option<(Pair, Receiver<Similarity>)>,
}

impl Likenesses {
    /// What is known of two runs.
    pub fn of(&self, one: RunId, other: RunId) -> Option<&Likeness> {
        self.known.get(&pair(one, other))
    }

    /// Has two runs of one size and length measured, unless they are already. A pair that was not
    /// finished gives way, and is begun anew when it is wanted again.
    pub fn want(&mut self, one: &GalleryRun, other: &GalleryRun, wake: &Wake) {
        let pair = pair(one.id, other.id);
        if self.known.contains_key(&pair) {
            return;
        }
        if let Some((unfinished, _)) = self.job.take() {
            self.known.remove(&unfinished);
        }
        let Some((first, second)) = one.clip().zip(other.clip()) else {
            return;
        };
        let mut likeness = Likeness {
            total: first.frames.len(),
            ..Likeness::default()
        };
        match measure(first, second, wake) {
            Ok(frames) => self.job = Some((pair, frames)),
            Err(why) => {
                likeness.failure = Some(format!(
                    "The clips could not be measured ({why}); close other programs and compare again."
                ));
            }
        }
        self.known.insert(pair, likeness);
    }

    /// Takes what was measured since.
    pub fn poll(&mut self) {
        let Some((pair, frames)) = &self.job else {
            return;
        };
        let Some(likeness) = self.known.get_mut(pair) else {
            self.job = None;
            return;
        };
        let is_over = loop {
            match frames.try_recv() {
                Ok(frame) => likeness.frames.push(frame),
                Err(TryRecvError::Empty) => break false,
                Err(TryRecvError::Disconnected) => break true,
            }
        };
        if is_over {
            if !likeness.is_complete() {
                let why = "The clips could not be measured; render one of them again.";
                likeness.failure = Some(why.to_owned());
            }
            self.job = None;
        }
    }
}

fn pair(one: RunId, other: RunId) -> Pair {
    (one.min(other), one.max(other))
}

/// Starts the thread; each frame comes as soon as it is measured. The thread ends with the receiver.
fn measure(
    one: &Arc<Clip>,
    other: &Arc<Clip>,
    wake: &Wake,
) -> std::io::Result<Receiver<Similarity>> {
    let (sender, receiver) = unbounded();
    let (one, other, wake) = (Arc::clone(one), Arc::clone(other), Arc::clone(wake));
    std::thread::Builder::new()
        .name("flowblend-likeness".to_owned())
        .spawn(move || {
            // Clips that differ in size never get here; were they to, nothing is measured of them.
            for frame in frame_similarity(&one, &other).into_iter().flatten() {
                if sender.send(frame).is_err() {
                    return;
                }
                wake();
            }
            drop(sender);
            wake();
        })?;
    Ok(receiver)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::gallery::test_run;
    use std::time::{Duration, Instant};

    fn wait(likenesses: &mut Likenesses) {
        let patience = Instant::now() + Duration::from_secs(20);
        while likenesses.job.is_some() {
            assert!(Instant::now() < patience, "the measuring never ended");
            likenesses.poll();
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_pair_is_measured_once_whichever_side_it_is_seen_from() {
        let (one, other) = (test_run(3, "LSL", 10), test_run(1, "LLL", 13));
        let wake: Wake = Arc::new(|| {});
        let mut likenesses = Likenesses::default();
        likenesses.want(&one, &other, &wake);
        wait(&mut likenesses);
        let found = likenesses.of(one.id, other.id).cloned().unwrap();
        assert!(found.is_complete() && found.failure.is_none());
        assert!(found.frames.iter().all(|frame| frame.mean_square == 9.0));
        likenesses.want(&other, &one, &wake);
        assert!(likenesses.job.is_none());
        assert_eq!(likenesses.of(other.id, one.id), Some(&found));
    }

    #[test]
    fn the_newest_wish_comes_first_and_the_old_one_is_begun_anew() {
        let runs = [
            test_run(1, "LLL", 0),
            test_run(2, "LSL", 1),
            test_run(3, "SSS", 2),
        ];
        let wake: Wake = Arc::new(|| {});
        let mut likenesses = Likenesses::default();
        likenesses.want(&runs[0], &runs[1], &wake);
        likenesses.want(&runs[0], &runs[2], &wake);
        assert!(likenesses.of(RunId(1), RunId(2)).is_none());
        wait(&mut likenesses);
        likenesses.want(&runs[0], &runs[1], &wake);
        wait(&mut likenesses);
        for other in [RunId(2), RunId(3)] {
            assert!(likenesses.of(RunId(1), other).unwrap().is_complete());
        }
    }

    #[test]
    fn clips_that_cannot_be_measured_end_in_a_sentence() {
        let (one, mut other) = (test_run(1, "LLL", 0), test_run(2, "LSL", 0));
        other.lose_last_frame();
        let mut likenesses = Likenesses::default();
        likenesses.want(&one, &other, &(Arc::new(|| {}) as Wake));
        wait(&mut likenesses);
        let found = likenesses.of(RunId(1), RunId(2)).unwrap();
        assert!(found.failure.is_some() && found.frames.is_empty());
    }
}
