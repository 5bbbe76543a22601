//! DINOv2 and CLIP against transformers on random weights, and what is said of folders that do not fit.
//! tests/reference/vision.py makes the fixtures.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use flowblend::models::vision::{ClipModel, Dinov2, Picture};
use flowblend::models::{Loading, ModelError};
use flowblend::project::write_bytes_atomic;
use tempfile::TempDir;

/// Difference allowed to any value; they are of the size of 1. Pixels agree to the last bit, and f32 sums of
/// up to a few hundred terms in another order differ by some 1e-6 after two blocks. A transposed matrix, a
/// kernel with another a, the wrong half of a gate or the wrong token move values by a tenth and more.
const TOLERANCE: f32 = 1e-5;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/vision")
}

fn expected() -> HashMap<String, Tensor> {
    candle_core::safetensors::load(fixtures().join("expected.safetensors"), &Device::Cpu).unwrap()
}

fn loading() -> Loading<'static> {
    Loading::to(&Device::Cpu, DType::F32)
}

/// Calls `f` with the two pictures of the fixture.
fn with_pictures<R>(f: impl Fn(&[Picture<'_>]) -> Result<R, ModelError>) -> Result<R, ModelError> {
    let stored = &expected()["pictures"];
    let (_, height, width, _) = stored.dims4().unwrap();
    let frames: Vec<Vec<u8>> = (0..2)
        .map(|i| {
            stored
                .get(i)
                .unwrap()
                .flatten_all()
                .unwrap()
                .to_vec1()
                .unwrap()
        })
        .collect();
    let pictures: Vec<_> = frames
        .iter()
        .map(|rgb| Picture { width, height, rgb })
        .collect();
    f(&pictures)
}

fn near(got: &Tensor, want: &Tensor, what: &str) {
    assert_eq!(got.dims(), want.dims(), "{what}");
    let apart = (got - want).unwrap().abs().unwrap();
    let most = apart.max_all().unwrap().to_scalar::<f32>().unwrap();
    assert!(most < TOLERANCE, "{what} is off by {most}");
}

#[test]
fn dinov2_sees_what_it_sees_in_transformers() {
    // Fewer patches than positions, so that these are interpolated; then feed-forward layers with gates.
    for name in ["dinov2", "dinov2_gated"] {
        let network = Dinov2::load(&fixtures().join(name), loading()).unwrap();
        let got = with_pictures(|pictures| network.features(pictures)).unwrap();
        near(&got, &expected()[name], name);
    }
}

#[test]
fn clip_sees_and_reads_as_in_transformers() {
    let folder = Copy::of("clip");
    let texts: Vec<String> =
        serde_json::from_slice(&fs::read(fixtures().join("texts.json")).unwrap()).unwrap();
    for end in ["325", "2"] {
        // The first configs give 2 as the end mark and mean the highest token, which is the end mark.
        folder.edit(
            "config.json",
            "\"eos_token_id\": 325",
            &format!("\"eos_token_id\": {end}"),
        );
        let network = ClipModel::load(folder.0.path(), loading()).unwrap();
        let got = with_pictures(|pictures| network.features(pictures)).unwrap();
        near(&got, &expected()["clip_images"], "CLIP's pictures");
        for (i, text) in texts.iter().enumerate() {
            let got = network.text_features(text).unwrap();
            near(&got, &expected()["clip_texts"].get(i).unwrap(), text);
        }
    }
}

/// A copy of a fixture's folder that a test may spoil.
struct Copy(TempDir);

impl Copy {
    fn of(name: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for entry in fs::read_dir(fixtures().join(name)).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
        }
        Self(folder)
    }

    fn at(&self, file: &str) -> PathBuf {
        self.0.path().join(file)
    }

    /// Replaces `from` by `to` in a text file, where it must occur.
    fn edit(&self, file: &str, from: &str, to: &str) {
        let old = fs::read_to_string(self.at(file)).unwrap();
        assert!(old.contains(from), "{file} has no {from}");
        self.put(file, old.replace(from, to).as_bytes());
    }

    fn put(&self, file: &str, bytes: &[u8]) {
        write_bytes_atomic(&self.at(file), true, bytes).unwrap();
    }

    /// Loading it must fail in one line with all of these words.
    fn refused(&self, words: &[&str]) {
        let folder = self.0.path();
        let config = fs::read_to_string(folder.join("config.json")).unwrap_or_default();
        let outcome = match config.contains("\"clip\"") {
            true => ClipModel::load(folder, loading()).map(drop),
            false => Dinov2::load(folder, loading()).map(drop),
        };
        let said = outcome.unwrap_err().to_string();
        assert!(!said.contains('\n'), "{said}");
        for word in words {
            assert!(said.contains(word), "'{word}' is not in: {said}");
        }
    }
}

#[test]
fn folders_that_do_not_fit_are_refused_in_a_sentence() {
    const WEIGHTS: &str = "model.safetensors";
    let cut = Copy::of("dinov2");
    let bytes = fs::read(cut.at(WEIGHTS)).unwrap();
    cut.put(WEIGHTS, &bytes[..bytes.len() - 100]);
    cut.refused(&[WEIGHTS, "not a whole safetensors file", "again"]);

    let lacking = Copy::of("clip");
    let mut tensors = candle_core::safetensors::load(lacking.at(WEIGHTS), &Device::Cpu).unwrap();
    tensors.remove("visual_projection.weight").unwrap();
    candle_core::safetensors::save(&tensors, lacking.at(WEIGHTS)).unwrap();
    lacking.refused(&[WEIGHTS, "no tensor `visual_projection.weight`", "[12, 24]"]);

    for (model, file, from, to, words) in [
        (
            "dinov2",
            "config.json",
            "\"image_size\": 28",
            "\"image_size\": 35",
            &[
                "`embeddings.position_embeddings`",
                "[1, 17, 24]",
                "[1, 26, 24]",
            ][..],
        ),
        (
            "dinov2",
            "config.json",
            "\"dinov2\"",
            "\"vit\"",
            &["config.json", "vit model"],
        ),
        (
            "dinov2",
            "config.json",
            "\"num_attention_heads\": 3",
            "\"num_attention_heads\": 7",
            &["24", "7 heads"],
        ),
        (
            "dinov2",
            "config.json",
            "\"patch_size\": 7",
            "\"patch_size\": 0",
            &["patches of 0"],
        ),
        (
            "dinov2",
            "config.json",
            "\"gelu\"",
            "\"relu\"",
            &["hidden_act is relu"],
        ),
        (
            "dinov2",
            "config.json",
            "\"use_swiglu_ffn\": false",
            "\"use_swiglu_ffn\": true",
            &["no tensor `encoder.layer.0.mlp.weights_in.weight`"],
        ),
        (
            "dinov2",
            "preprocessor_config.json",
            "\"height\": 21",
            "\"height\": 99",
            &["crop_size 99x21"],
        ),
        (
            "dinov2",
            "preprocessor_config.json",
            "\"resample\": 3",
            "\"resample\": 1",
            &["resample 1"],
        ),
        (
            "clip",
            "preprocessor_config.json",
            "\"height\": 28",
            "\"height\": 21",
            &["pictures of 28x28"],
        ),
        (
            "clip",
            "config.json",
            "\"max_position_embeddings\": 20",
            "\"max_position_embeddings\": 0",
            &["max_position_embeddings"],
        ),
    ] {
        let spoilt = Copy::of(model);
        spoilt.edit(file, from, to);
        spoilt.refused(words);
    }
    for file in ["config.json", "preprocessor_config.json", WEIGHTS] {
        let lacking = Copy::of("dinov2");
        fs::remove_file(lacking.at(file)).unwrap();
        lacking.refused(&[file, "does not exist"]);
    }
    let lacking = Copy::of("clip");
    fs::remove_file(lacking.at("tokenizer.json")).unwrap();
    lacking.refused(&["tokenizer.json", "does not exist"]);
}
