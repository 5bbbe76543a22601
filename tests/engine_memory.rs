//! A run in less memory than both models need gives the same clip as one in plenty.

#![allow(clippy::unwrap_used, clippy::expect_used)] // A test that cannot go on should panic.

use std::path::Path;

use flowblend::engine::{
    EngineOptions, FinishedRun, PairPipeline, PairSummary, Pipeline as _, Residency, RunError,
    RunRequest,
};
use flowblend::project::{PairRef, RunSettings};
use flowblend::sampler::Cancel;
use flowblend::schedule::ModelRole;

const BOTH: [ModelRole; 2] = [ModelRole::Large, ModelRole::Small];

fn pair() -> PairRef {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/wan_native");
    PairRef::Folders {
        large: path.join("large"),
        small: path.join("small.gguf"),
    }
}

fn pipeline(memory_bytes: Option<u64>) -> (PairPipeline, PairSummary) {
    let mut pipeline = PairPipeline::new(EngineOptions {
        memory_bytes,
        ..EngineOptions::default()
    });
    let summary = pipeline.describe(&pair()).unwrap();
    (pipeline, summary)
}

fn settings(summary: &PairSummary) -> RunSettings {
    RunSettings {
        prompt: "a red circle bouncing over a blue background".into(),
        width: 48,
        height: 32,
        frames: 9,
        steps: 8,
        ..summary.defaults.clone()
    }
}

fn run(memory_bytes: Option<u64>) -> Result<FinishedRun, RunError> {
    let (mut pipeline, summary) = pipeline(memory_bytes);
    let request = RunRequest::from(settings(&summary));
    pipeline.run(&request, &Cancel::new(), &mut |_| ())
}

#[test]
fn swapping_models_changes_nothing_in_the_clip() {
    let cache = tempfile::tempdir().unwrap();
    // SAFETY: this test is the only one of its program, and no other thread runs yet.
    unsafe { std::env::set_var("XDG_CACHE_HOME", cache.path()) };

    let (_, summary) = pipeline(None);
    let need = summary.rules.memory(settings(&summary).size());
    let together = need.peak(&BOTH, Residency::Together);
    let swapped = need.peak(&BOTH, Residency::Swapped);
    assert!(swapped < together);

    let plenty = run(Some(together)).unwrap();
    let tight = run(Some(swapped)).unwrap();
    assert_eq!(plenty.clip.frames.len(), 9);
    assert!(plenty.clip.frames == tight.clip.frames);
    let models = |run: &FinishedRun| run.report.steps.iter().map(|s| s.model).collect::<Vec<_>>();
    assert_eq!(models(&plenty), models(&tight));

    let refused = run(Some(swapped - 1)).unwrap_err().to_string();
    assert!(refused.contains("needs about"), "{refused}");

    // The second run found its embeddings on disk.
    let kept = std::fs::read_dir(cache.path().join("flowblend/embeddings")).unwrap();
    assert_eq!(kept.count(), 2);
}
