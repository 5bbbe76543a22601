//! A run in less memory than both models need gives the same clip as one in plenty.

use std::path::Path;

use flowblend::engine::{
    EngineOptions, FinishedRun, Fit, PairPipeline, PairSummary, Pipeline as _, RunError, RunRequest,
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
        distilled: None,
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
    let together = need.peak(&BOTH, Fit::ROOMY);
    let swapped = need.peak(&BOTH, Fit::TIGHT);
    assert!(swapped < together);

    let plenty = run(Some(together)).unwrap();
    let tight = run(Some(swapped)).unwrap();
    assert_eq!(plenty.clip.frames.len(), 9);
    assert!(plenty.clip.frames == tight.clip.frames);
    let models = |run: &FinishedRun| run.report.steps.iter().map(|s| s.model).collect::<Vec<_>>();
    assert_eq!(models(&plenty), models(&tight));

    assert!(!plenty.report.decoded_in_tiles && !tight.report.decoded_in_tiles);

    // Wide enough for two tiles, and just not enough for one.
    let (mut pipeline, wide) = (pipeline(None).0, |summary: &PairSummary| RunSettings {
        width: 320,
        height: 16,
        frames: 5,
        steps: 2,
        ..settings(summary)
    });
    let whole = pipeline.run(&wide(&summary).into(), &Cancel::new(), &mut |_| ());
    let need = summary.rules.memory(wide(&summary).size());
    let (mut pipeline, short) = self::pipeline(Some(need.peak(&BOTH, Fit::ROOMY) - 1));
    let plan = short.memory_plan(&wide(&short));
    assert!(plan.fit.is_some_and(|fit| fit.in_tiles), "{plan:?}");
    let tiled = pipeline.run(&wide(&short).into(), &Cancel::new(), &mut |_| ());
    let (whole, tiled) = (whole.unwrap(), tiled.unwrap());
    assert!(!whole.report.decoded_in_tiles && tiled.report.decoded_in_tiles);
    assert_eq!(tiled.clip.frames.len(), 5);
    // The columns that lie in one tile and far from its edge are the same, or nearly so.
    let near = |run: &FinishedRun| run.clip.frames[4][..3 * 64].to_vec();
    let apart = near(&whole)
        .iter()
        .zip(near(&tiled))
        .map(|(a, b)| a.abs_diff(b))
        .max();
    assert!(apart.is_some_and(|levels| levels < 40), "{apart:?}");

    let refused = run(Some(swapped - 1)).unwrap_err().to_string();
    assert!(refused.contains("needs about"), "{refused}");

    // The decode may fail, the program be ended: the latents stay until the clip is written.
    let request = RunRequest {
        keep_latents: true,
        ..settings(&summary).into()
    };
    let run = |request: &RunRequest| {
        let (mut pipeline, _) = self::pipeline(None);
        pipeline.run(request, &Cancel::new(), &mut |_| ()).unwrap()
    };
    let first = run(&request);
    assert_eq!(first.report.steps.len(), 8);
    let again = run(&request);
    assert!(again.report.steps.is_empty() && again.clip.frames == first.clip.frames);
    let other = run(&RunRequest {
        settings: RunSettings {
            seed: 77,
            ..request.settings.clone()
        },
        ..request.clone()
    });
    assert_eq!(other.report.steps.len(), 8);
    again.clip_is_written();
    assert_eq!(run(&request).report.steps.len(), 8);

    // The second run found its embeddings on disk.
    let kept = std::fs::read_dir(cache.path().join("flowblend/embeddings")).unwrap();
    assert_eq!(kept.count(), 2);
}
