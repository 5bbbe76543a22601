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

#[test]
fn a_clip_names_its_models_format_and_program() {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/wan_native");
    let folder = tempfile::tempdir().unwrap();
    copy_all(&fixture, folder.path());
    let pair = PairRef::Folders {
        large: folder.path().join("large"),
        small: folder.path().join("small.gguf"),
        distilled: None,
    };
    let pipeline = |dtype| {
        let options = EngineOptions {
            dtype,
            ..EngineOptions::default()
        };
        PairPipeline::with_cache_in(options, None)
    };
    let source = |dtype| pipeline(dtype).describe(&pair).unwrap().source;
    let mut engine = pipeline(None);
    let summary = engine.describe(&pair).unwrap();
    let settings = RunSettings {
        plan: Plan::parse("LS", &[0.5]).unwrap(),
        steps: 2,
        width: 32,
        height: 32,
        frames: 1,
        ..summary.defaults
    };
    let request = RunRequest::from(settings);
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
        assert!(known.insert(source(None)), "{weights}");
    }
}
