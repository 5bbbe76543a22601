//! The reader of `models/demo/evaluate` against the network it was trained as, in PyTorch.

use std::collections::HashMap;
use std::path::Path;

use candle_core::{Device, Tensor};
use flowblend::analysis::{Reader, Reading};
use flowblend::media::Clip;

/// Difference allowed to any logit and any value of the embedding. They are of the size of 1 to 30, and
/// f32 sums of a few thousand terms in another order differ by some 1e-6 of that; a pad, an axis or a
/// residual in the wrong place moves them by tenths, and changes no answer only if below a logit's margin.
const TOLERANCE: f32 = 1e-3;

fn fixture() -> HashMap<String, Tensor> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/reader.safetensors");
    assert!(
        path.exists(),
        "{} is missing; models/demo/training/train_reader.py writes it",
        path.display()
    );
    candle_core::safetensors::load(path, &Device::Cpu).unwrap()
}

fn clips(stored: &Tensor) -> Vec<Clip> {
    let (count, frames, height, width, _) = stored.dims5().unwrap();
    let frame = |i, t| -> Vec<u8> {
        let frame = stored.get(i).unwrap().get(t).unwrap();
        frame.flatten_all().unwrap().to_vec1().unwrap()
    };
    (0..count)
        .map(|i| Clip {
            width,
            height,
            fps: 12.0,
            frames: (0..frames).map(|t| frame(i, t)).collect(),
        })
        .collect()
}

#[test]
fn reads_as_in_pytorch() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/demo/evaluate");
    let reader = Reader::load(&folder).unwrap();
    let stored = fixture();
    let colours = |reading: &Reading, of: fn(&flowblend::analysis::ColourReading) -> Vec<f32>| {
        reading.colours.iter().flat_map(of).collect::<Vec<f32>>()
    };
    for (i, clip) in clips(&stored["clips"]).iter().enumerate() {
        let reading = reader.read(clip).unwrap();
        for (name, got) in [
            ("present", colours(&reading, |c| vec![c.present])),
            ("shape", colours(&reading, |c| c.shape.clone())),
            ("motion", colours(&reading, |c| c.motion.clone())),
            ("size", colours(&reading, |c| c.size.clone())),
            ("background", reading.background.clone()),
            ("pattern", reading.pattern.clone()),
            ("embedding", reading.embedding.clone()),
        ] {
            let want = stored[name].get(i).unwrap().flatten_all().unwrap();
            let want = want.to_vec1::<f32>().unwrap();
            assert_eq!(got.len(), want.len(), "{name} of clip {i}");
            let error = got
                .iter()
                .zip(&want)
                .map(|(a, b)| (a - b).abs())
                .fold(0.0, f32::max);
            println!("{name} of clip {i}: {error:.1e}");
            assert!(error < TOLERANCE, "{name} of clip {i} is {error} off");
        }
    }
}

#[test]
fn what_is_missing_or_misshapen_is_named() {
    let empty = tempfile::tempdir().unwrap();
    let why = Reader::load(empty.path()).unwrap_err().to_string();
    assert!(
        why.contains("reader.json") && why.contains("train_reader.py"),
        "{why}"
    );
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/demo/evaluate");
    std::fs::copy(source.join("reader.json"), empty.path().join("reader.json")).unwrap();
    let why = Reader::load(empty.path()).unwrap_err().to_string();
    assert!(why.contains("reader.safetensors"), "{why}");

    let weights = source.join("reader.safetensors");
    let mut tensors = candle_core::safetensors::load(weights, &Device::Cpu).unwrap();
    let file = empty.path().join("reader.safetensors");
    let whole = tensors.insert(
        "look.bias".to_owned(),
        Tensor::new(&[0f32, 1.0], &Device::Cpu).unwrap(),
    );
    candle_core::safetensors::save(&tensors, &file).unwrap();
    let why = Reader::load(empty.path()).unwrap_err().to_string();
    assert!(
        why.contains("`look.bias`") && why.contains("has shape [2]"),
        "{why}"
    );
    tensors.insert("look.bias".to_owned(), whole.unwrap());
    tensors.remove("hidden2.weight");
    candle_core::safetensors::save(&tensors, &file).unwrap();
    let why = Reader::load(empty.path()).unwrap_err().to_string();
    assert!(
        why.contains("`hidden2.weight`") && why.contains("is missing"),
        "{why}"
    );
}

#[test]
fn clips_of_another_size_are_refused() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/demo/evaluate");
    let reader = Reader::load(&folder).unwrap();
    let why = reader.check_size((64, 64, 17)).unwrap_err().to_string();
    assert!(why.contains("64x64x17"), "{why}");
}
