//! What a clip follows from beside its settings, by which the window knows it again.

use std::collections::HashSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use candle_core::DType;
use flowblend::engine::{EngineOptions, PairPipeline, Pipeline as _, RunRequest};
use flowblend::project::{PairRef, RunSettings};
use flowblend::sampler::Cancel;
use flowblend::schedule::Plan;

/// Every file under a folder.
fn files_in(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap().flatten() {
        match entry.path() {
            path if path.is_dir() => files.extend(files_in(&path)),
            path => files.push(path),
        }
    }
    files
}

fn copy_all(from: &Path, to: &Path) {
    for file in files_in(from) {
        let target = to.join(file.strip_prefix(from).unwrap());
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(file, target).unwrap();
    }
}

/// A pair of files that may be changed, which go with the folder.
fn own_pair() -> (tempfile::TempDir, PairRef) {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/wan_native");
    let folder = tempfile::tempdir().unwrap();
    copy_all(&fixture, folder.path());
    let pair = PairRef::Folders {
        large: folder.path().join("large"),
        small: folder.path().join("small.gguf"),
        distilled: None,
    };
    (folder, pair)
}

fn pipeline(dtype: Option<DType>) -> PairPipeline {
    let options = EngineOptions {
        dtype,
        ..EngineOptions::default()
    };
    PairPipeline::with_cache_in(options, None)
}

/// A short run of both models.
fn request(engine: &mut PairPipeline, pair: &PairRef) -> RunRequest {
    let summary = engine.describe(pair).unwrap();
    RunRequest::from(RunSettings {
        plan: Plan::parse("LS", &[0.5]).unwrap(),
        steps: 2,
        width: 32,
        height: 32,
        frames: 1,
        ..summary.defaults
    })
}

#[test]
fn a_clip_names_its_models_format_and_program() {
    let (folder, pair) = own_pair();
    let source = |dtype| pipeline(dtype).describe(&pair).unwrap().source;
    let mut engine = pipeline(None);
    let request = request(&mut engine, &pair);
    let run = engine.run(&request, &Cancel::new(), &mut |_| ()).unwrap();
    assert!(!run.report.source.is_empty());
    // It is the same in another start of the program.
    assert_eq!(run.report.source, source(None));

    // Another number format, and the weights of any model written anew.
    let mut known = HashSet::from([run.report.source, source(Some(DType::BF16))]);
    assert_eq!(known.len(), 2);
    for weights in [
        "large/diffusion_pytorch_model.safetensors",
        "large/models_t5_umt5-xxl-enc-bf16.pth",
        "large/Wan2.1_VAE.pth",
        "small.gguf",
    ] {
        let file = folder.path().join(weights);
        let then = SystemTime::now() - Duration::from_secs(99);
        let file = File::options().append(true).open(file).unwrap();
        file.set_modified(then).unwrap();
        // What was read before is not taken for what is there now.
        let now = engine.describe(&pair).unwrap().source;
        assert_eq!(now, source(None));
        assert!(known.insert(now), "{weights}");
    }
}

#[test]
#[allow(clippy::disallowed_methods, reason = "a test changes files on purpose")]
fn weights_that_were_replaced_are_loaded_anew() {
    let (folder, pair) = own_pair();
    let mut engine = pipeline(None);
    let request = request(&mut engine, &pair);
    let run = |engine: &mut PairPipeline| {
        let run = engine.run(&request, &Cancel::new(), &mut |_| ()).unwrap();
        (run.report.model_hashes, run.clip.frames[0].clone())
    };
    let before = run(&mut engine);
    assert_eq!(run(&mut engine), before);
    let file = folder
        .path()
        .join("large/diffusion_pytorch_model.safetensors");
    let mut weights = fs::read(&file).unwrap();
    let last = weights.len() - 4096;
    weights[last..].fill(0);
    fs::write(&file, weights).unwrap();
    let after = run(&mut engine);
    assert_ne!(after.0, before.0);
    assert_ne!(after.1, before.1);
    assert_eq!(run(&mut pipeline(None)), after);
}
