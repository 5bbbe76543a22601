//! `flowblend generate` on models of every layout that people have: each gives the latents of diffusers.

#![allow(
    clippy::disallowed_methods,
    reason = "tests lay out models of their own"
)]

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::program;
use crate::wan_fixtures::assert_close;
use candle_core::{DType, Device, Tensor, safetensors};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Relative error allowed to a whole run, as in the parity tests.
const RUN: f64 = 1e-3;
const PROMPT: &str = "a red circle bouncing over a blue background";
const LSL: [&str; 4] = ["--plan", "LSL", "--boundaries", "0.4,0.8"];

fn fixture(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(path)
}

fn tensors(path: &Path) -> HashMap<String, Tensor> {
    let stored = safetensors::load(path, &Device::Cpu).unwrap().into_iter();
    stored
        .map(|(name, tensor)| (name, tensor.to_dtype(DType::F32).unwrap()))
        .collect()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Lets prompts of the model at `model` be as long as the fixture's.
fn set_text_tokens(model: &Path, tokens: usize) {
    let folder = model.join("tokenizer");
    fs::create_dir_all(&folder).unwrap();
    let config = json!({ "model_max_length": tokens }).to_string();
    fs::write(folder.join("tokenizer_config.json"), config).unwrap();
}

/// Runs the program from the fixture's noise on these models in ten steps, and holds its latents against the fixture's
/// last. Gives the program's summary.
fn generate(home: &Path, models: [&Path; 2], run: &Path, more: &[&str]) -> Value {
    let want = tensors(run);
    let (initial, last) = (&want["initial"], &want["9.x"]);
    let noise = HashMap::from([("latents".to_owned(), initial.clone())]);
    safetensors::save(&noise, home.join("noise.safetensors")).unwrap();
    let [large, small] = models.map(|model| model.to_str().unwrap());
    let arguments = [
        &["generate", PROMPT, "--negative", "", "--steps", "10"][..],
        &["--large", large, "--small", small, "--device", "cpu"],
        &["--init-latents", "noise.safetensors"],
        &["--save-latents", "end.safetensors"],
        &["--out", "clip.mkv", "--overwrite", "--json"],
        more,
    ];
    let output = program::flowblend(home, &arguments.concat());
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{models:?}: {error}");
    let end = &tensors(&home.join("end.safetensors"))["latents"];
    assert_close(&format!("{models:?}"), end, last, RUN);
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn wan_from_folders_of_diffusers() {
    let home = TempDir::new().unwrap();
    let here = home.path();
    let large = here.join("large");
    copy(&fixture("wan/pair/large"), &large);
    set_text_tokens(&large, 48);
    let small = fixture("wan/pair/small");
    let size = ["--size", "32x32", "--frames", "17", "--shift", "3"];
    let more = [&LSL[..], &size, &["--cfg", "4"]].concat();
    generate(
        here,
        [&large, &small],
        &fixture("wan/run_lsl.safetensors"),
        &more,
    );
    // Finished files are anybody's who may read new files.
    #[cfg(unix)]
    {
        let mode = |name: &str| fs::metadata(here.join(name)).unwrap().permissions();
        fs::File::create(here.join("plain")).unwrap();
        assert_eq!(mode("end.safetensors"), mode("plain"));
        assert_eq!(mode("clip.mkv"), mode("plain"));
    }
}

/// Wan 2.2 A14B: the second expert's folder beside the first's, and a boundary given as a noise level.
#[test]
fn two_experts_of_one_folder_change_at_a_noise_level() {
    let home = TempDir::new().unwrap();
    let model = home.path().join("model");
    copy(&fixture("wan/pair/large"), &model);
    let second = model.join("transformer_2");
    copy(&fixture("wan/pair/small/transformer"), &second);
    set_text_tokens(&model, 48);
    let run = generate(
        home.path(),
        [&model, &second],
        &fixture("wan/run_experts.safetensors"),
        &[
            &["--size", "32x32", "--frames", "9", "--shift", "12"][..],
            &["--plan", "LS", "--boundaries", "sigma:0.875"],
            &["--cfg", "4,3"],
        ]
        .concat(),
    );
    let steps = run["steps"].as_array().unwrap();
    assert_eq!(steps.len(), 10);
    for step in steps {
        let is_first = step["sigma"].as_f64().unwrap() >= 0.875;
        let (model, cfg) = if is_first {
            ("large", 4.0)
        } else {
            ("small", 3.0)
        };
        assert_eq!(step["model"], model, "{step}");
        assert_eq!(step["cfg"], cfg, "{step}");
    }
}

/// The authors' own files, PyTorch checkpoints among them, with a quantised small model.
#[test]
fn wan_from_its_authors_files_and_gguf() {
    let home = TempDir::new().unwrap();
    let large = home.path().join("large");
    copy(&fixture("wan_native/large"), &large);
    set_text_tokens(&large, 32);
    let small = fixture("wan_native/small.gguf");
    let run = fixture("wan_native/run.safetensors");
    let size = ["--size", "48x32", "--frames", "9", "--shift", "3"];
    let more = [&LSL[..], &size, &["--cfg", "4"]].concat();
    generate(home.path(), [&large, &small], &run, &more);
    // The transformer's file by itself, with the other parts beside it.
    let file = large.join("diffusion_pytorch_model.safetensors");
    generate(home.path(), [&file, &small], &run, &more);
}

/// A part of a model of the LTX-Video fixture under its authors' names.
fn ltx_native(model: &str, part: &str) -> HashMap<String, Tensor> {
    let path = fixture(&format!(
        "ltx/pair/{model}/{part}/diffusion_pytorch_model.safetensors"
    ));
    let mut ours = safetensors::load(path, &Device::Cpu).unwrap();
    let names: Value =
        serde_json::from_slice(&fs::read(fixture("ltx/names.json")).unwrap()).unwrap();
    let mut native = HashMap::new();
    for (theirs, name) in names[part].as_object().unwrap() {
        // The table has the large model's blocks, of which the small one has fewer.
        if let Some(tensor) = ours.remove(name.as_str().unwrap()) {
            native.insert(theirs.clone(), tensor);
        }
    }
    assert!(ours.is_empty(), "{:?}", ours.keys());
    native
}

#[test]
fn ltx_video_from_folders_and_from_single_files() {
    let home = TempDir::new().unwrap();
    let here = home.path();
    let file = |model: &str, heads: usize, parts: &[&str]| {
        let folder = here.join(model);
        fs::create_dir(&folder).unwrap();
        let mut all = HashMap::new();
        for part in parts {
            all.extend(ltx_native(model, part));
        }
        let file = folder.join(format!("ltxv-{model}.safetensors"));
        safetensors::save(&all, &file).unwrap();
        // For the published sizes the number of heads is known.
        let config = json!({ "num_attention_heads": heads }).to_string();
        fs::write(folder.join("config.json"), config).unwrap();
        file
    };
    let files = [
        file("large", 4, &["transformer", "vae"]),
        file("small", 2, &["transformer"]),
    ];
    let folders = ["large", "small"].map(|model| fixture(&format!("ltx/pair/{model}")));
    for part in ["text_encoder", "tokenizer"] {
        copy(&folders[0].join(part), &here.join("large").join(part));
    }
    let run = fixture("ltx/run_lsl.safetensors");
    let size = ["--size", "64x64", "--frames", "17", "--seed", "1"];
    let more = [&LSL[..], &size].concat();
    for large in [&files[0], &folders[0]] {
        for small in [&files[1], &folders[1]] {
            let report = generate(here, [large, small], &run, &more);
            assert_eq!(report["settings"]["solver"], "euler-linspace");
        }
    }
}

/// The scheduler of 0.9.0 and 0.9.1 bends the noise levels by the clip's size and ends them at 0.1.
#[test]
fn a_scheduler_that_goes_by_the_clips_size_is_followed() {
    let home = TempDir::new().unwrap();
    let here = home.path();
    let large = here.join("large");
    copy(&fixture("ltx/pair/large"), &large);
    let published = json!({
        "_class_name": "FlowMatchEulerDiscreteScheduler",
        "use_dynamic_shifting": true, "base_shift": 0.95, "max_shift": 2.05,
        "base_image_seq_len": 1024, "max_image_seq_len": 4096, "shift_terminal": 0.1,
    });
    fs::write(
        large.join("scheduler/scheduler_config.json"),
        published.to_string(),
    )
    .unwrap();
    let small = fixture("ltx/pair/small");
    let models = [large.to_str().unwrap(), small.to_str().unwrap()];
    let plan = |more: &[&str]| -> Value {
        let arguments = ["plan", "--steps", "10", "--json", "--large", models[0]];
        let arguments = [&arguments[..], &["--small", models[1]], more].concat();
        let output = program::flowblend(here, &arguments);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{error}");
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let reference: Value =
        serde_json::from_slice(&fs::read(fixture("ltx/sigmas.json")).unwrap()).unwrap();
    // 192x160 pixels and 9 frames are 60 tokens, as a case of the reference has them.
    let told = plan(&["--size", "192x160", "--frames", "9"]);
    let cases = reference["linspace"].as_array().unwrap().iter();
    let want = cases
        .filter(|case| case["config"]["shift_terminal"] == 0.1)
        .filter(|case| case["config"]["time_shift_type"] == Value::Null)
        .find(|case| case["steps"] == 10 && case["tokens"] == 60)
        .unwrap();
    let numbers = |value: &Value| -> Vec<f64> {
        let values = value.as_array().unwrap().iter();
        values.map(|value| value.as_f64().unwrap()).collect()
    };
    let (ours, theirs) = (numbers(&told["sigmas"]), numbers(&want["sigmas"]));
    assert_eq!(ours.len(), theirs.len());
    for (ours, theirs) in ours.iter().zip(theirs) {
        assert!((ours - theirs).abs() < 1e-6, "{ours} against {theirs}");
    }
    assert_eq!(told["settings"]["solver"], "euler-stretched");
    // A larger clip has another shift, and a given one counts.
    let shift = |told: &Value| told["settings"]["shift"].as_f64().unwrap();
    assert!(shift(&plan(&[])) > shift(&told) + 1.0);
    assert_eq!(shift(&plan(&["--shift", "2"])), 2.0);
}
