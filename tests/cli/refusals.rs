//! What `flowblend generate` refuses: one sentence with cause and next step, and nothing written.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use candle_core::{DType, Device, Tensor, safetensors};
use serde_json::Value;
use tempfile::TempDir;

use crate::generate::{PROMPT, SMALL, listing, models};
use crate::program::flowblend;

/// One sentence on stderr with every one of `words`, the exit code, and nothing written.
fn refused(folder: &Path, arguments: &[&str], code: i32, words: &[&str]) {
    let before = listing(folder);
    let output = flowblend(folder, arguments);
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {error}");
    let last = error.lines().last().unwrap_or_default();
    for word in words {
        assert!(
            last.contains(word),
            "{arguments:?} must mention '{word}': {error}"
        );
    }
    assert!(!error.contains("panicked"), "{error}");
    assert_eq!(
        listing(folder),
        before,
        "{arguments:?} left something behind"
    );
}

/// A copy of the bundled pair that a test may break.
fn broken_pair(folder: &Path) -> (PathBuf, PathBuf) {
    let copy = folder.join("pair");
    if copy.exists() {
        fs::remove_dir_all(&copy).unwrap();
    }
    copy_folder(&models().join("demo").join("large"), &copy.join("large"));
    copy_folder(&models().join("demo").join("small"), &copy.join("small"));
    (copy.join("large"), copy.join("small"))
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy_folder(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}

fn generate_with(large: &Path, small: &Path) -> Vec<String> {
    let (large, small) = (large.display().to_string(), small.display().to_string());
    let arguments = [
        "generate", PROMPT, "--large", &large, "--small", &small, "--steps", "2", "--out", "x.mp4",
    ];
    [&arguments[..], &SMALL]
        .concat()
        .into_iter()
        .map(str::to_owned)
        .collect()
}

fn refused_pair(folder: &Path, large: &Path, small: &Path, words: &[&str]) {
    let arguments = generate_with(large, small);
    refused(
        folder,
        &arguments.iter().map(String::as_str).collect::<Vec<_>>(),
        1,
        words,
    );
}

#[test]
fn bad_options_are_refused_in_a_sentence() {
    let folder = TempDir::new().unwrap();
    let here = folder.path();
    let generate = |more: &[&'static str]| [&["generate", PROMPT, "--out", "x.mp4"], more].concat();
    refused(
        here,
        &generate(&["--boundaries", "0.8,0.4"]),
        2,
        &["0.8", "0.4", "did you mean"],
    );
    refused(
        here,
        &generate(&["--boundaries", "0.5"]),
        2,
        &["needs 2 boundaries"],
    );
    refused(
        here,
        &generate(&["--boundaries", "-0.1,0.5"]),
        2,
        &["-0.1", "0 to 1"],
    );
    refused(here, &generate(&["--plan", "LQL"]), 2, &["'Q'"]);
    refused(
        here,
        &["generat"],
        2,
        &["generat", "neither a command nor a file"],
    );
    refused(here, &["clip.mp4", "models"], 2, &["goes with no command"]);
    refused(
        here,
        &generate(&["--distilled-steps", "0"]),
        2,
        &["0 steps"],
    );
    refused(here, &generate(&["--steps", "0"]), 2, &["0 steps"]);
    refused(
        here,
        &generate(&["--size", "60x64"]),
        2,
        &["60x64", "64x64"],
    );
    refused(here, &generate(&["--size", "0x64"]), 2, &["0x64"]);
    refused(
        here,
        &generate(&["--size", "16384x16384"]),
        1,
        &["memory", "16384x16384"],
    );
    refused(here, &generate(&["--frames", "16"]), 2, &["16", "17"]);
    refused(
        here,
        &generate(&["--cfg", "1,2"]),
        2,
        &["2 guidance scales"],
    );
    refused(here, &generate(&["--cfg", "nan"]), 2, &["CFG"]);
    refused(here, &generate(&["--shift", "0"]), 2, &["shift"]);
    refused(here, &generate(&["--fps", "0"]), 2, &["frames a second"]);
    refused(
        here,
        &generate(&["--pair", "nobody"]),
        1,
        &["nobody", "demo"],
    );
    #[cfg(not(feature = "cuda"))]
    refused(here, &generate(&["--device", "cuda"]), 1, &["--device cpu"]);
}

#[test]
fn bad_targets_are_refused_before_anything_is_computed() {
    let folder = TempDir::new().unwrap();
    let here = folder.path();
    let to = |out: &'static str| ["generate", PROMPT, "--out", out];
    refused(
        here,
        &to("nowhere/x.mp4"),
        1,
        &["nowhere", "does not exist"],
    );
    refused(here, &to("/proc/x.mp4"), 1, &["/proc", "write"]);
    refused(here, &to("x.doc"), 1, &["doc", "mp4"]);
    fs::File::create(here.join("there.mp4")).unwrap();
    refused(
        here,
        &to("there.mp4"),
        1,
        &["there.mp4", "exists", "--overwrite"],
    );
    let start = Instant::now();
    refused(here, &to("there.mp4/x.mp4"), 1, &["there.mp4"]);
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[test]
fn bad_latents_are_refused() {
    let folder = TempDir::new().unwrap();
    let here = folder.path();
    let save = |name: &str, tensor: &str, values: Tensor| {
        safetensors::save(&[(tensor.to_owned(), values)].into(), here.join(name)).unwrap();
    };
    let shape = (1, 16, 5, 8, 8);
    save(
        "nan.safetensors",
        "latents",
        Tensor::full(f32::NAN, shape, &Device::Cpu).unwrap(),
    );
    save(
        "small.safetensors",
        "latents",
        Tensor::zeros((1, 16, 1, 8, 8), DType::F32, &Device::Cpu).unwrap(),
    );
    save(
        "other.safetensors",
        "noise",
        Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap(),
    );
    fs::copy(here.join("nan.safetensors"), here.join("cut.safetensors")).unwrap();
    fs::OpenOptions::new()
        .write(true)
        .open(here.join("cut.safetensors"))
        .unwrap()
        .set_len(100)
        .unwrap();
    let from = |file: &'static str| {
        [
            "generate",
            PROMPT,
            "--size",
            "64x64",
            "--frames",
            "17",
            "--out",
            "x.mp4",
            "--init-latents",
            file,
        ]
    };
    refused(
        here,
        &from("nan.safetensors"),
        1,
        &["nan.safetensors", "NaN"],
    );
    refused(
        here,
        &from("small.safetensors"),
        1,
        &["[1, 16, 1, 8, 8]", "[1, 16, 5, 8, 8]"],
    );
    refused(here, &from("other.safetensors"), 1, &["latents"]);
    refused(here, &from("cut.safetensors"), 1, &["cut.safetensors"]);
    refused(
        here,
        &from("absent.safetensors"),
        1,
        &["absent.safetensors"],
    );
}

#[test]
fn bad_models_are_refused_by_name() {
    let folder = TempDir::new().unwrap();
    let here = folder.path();
    let weights = "transformer/diffusion_pytorch_model.safetensors";

    let (large, small) = broken_pair(here);
    fs::remove_file(small.join(weights)).unwrap();
    refused_pair(here, &large, &small, &["small", "diffusion_pytorch_model"]);

    let (large, small) = broken_pair(here);
    let length = fs::metadata(large.join(weights)).unwrap().len();
    fs::OpenOptions::new()
        .write(true)
        .open(large.join(weights))
        .unwrap()
        .set_len(length / 2)
        .unwrap();
    refused_pair(here, &large, &small, &["large", "safetensors"]);

    let (large, small) = broken_pair(here);
    edit_json(&small.join("transformer/config.json"), |config| {
        config["ffn_dim"] = (config["ffn_dim"].as_u64().unwrap() + 8).into();
    });
    refused_pair(here, &large, &small, &["ffn.net.0.proj", "shape", "["]);

    let (large, small) = broken_pair(here);
    copy_folder(&large.join("vae"), &small.join("vae"));
    edit_json(&small.join("vae/config.json"), |config| {
        config["latents_std"][0] = 9.5.into()
    });
    refused_pair(here, &large, &small, &["latents_std", "9.5"]);

    let (large, small) = broken_pair(here);
    fs::File::create(large.join("tokenizer/tokenizer.json")).unwrap();
    refused_pair(here, &large, &small, &["tokenizer"]);

    let (large, small) = broken_pair(here);
    refused_pair(here, &large.join("no"), &small, &["no", "does not exist"]);
}

fn edit_json(file: &Path, edit: impl Fn(&mut Value)) {
    let mut value: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    edit(&mut value);
    serde_json::to_writer(fs::File::create(file).unwrap(), &value).unwrap();
}
