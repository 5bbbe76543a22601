//! The headless program as a person meets it: the real binary, the bundled pair, real files.

#![allow(clippy::unwrap_used, clippy::expect_used)] // A test that cannot go on should panic.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use candle_core::{DType, Device, Tensor, safetensors};
use serde_json::Value;
use tempfile::TempDir;

const PROMPT: &str = "a red circle bouncing over a blue background";
/// Less than the pair's own size, for tests that only have to run.
const SMALL: [&str; 4] = ["--size", "64x64", "--frames", "5"];

fn flowblend(folder: &Path, arguments: &[&str]) -> Output {
    command(folder, arguments).output().unwrap()
}

fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_flowblend"));
    command
        .current_dir(folder)
        .args(arguments)
        .env("FLOWBLEND_MODELS", models())
        // Measured times must not leak between tests, or into the home of whoever runs them.
        .env("XDG_CACHE_HOME", folder.join("cache"));
    command
}

fn models() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("models")
}

/// The file that says how the bundled pair is best used.
fn pair_file() -> Value {
    serde_json::from_slice(&fs::read(models().join("demo/pair.json")).unwrap()).unwrap()
}

fn json(output: &Output) -> Value {
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_str(&text).unwrap_or_else(|why| panic!("{why}: {text}"))
}

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

fn listing(folder: &Path) -> Vec<PathBuf> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.file_name().is_some_and(|name| name != "cache"))
        .collect();
    names.sort();
    names
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
fn a_prompt_becomes_a_clip_and_says_how() {
    let folder = TempDir::new().unwrap();
    let run = |out: &str, plan: &str| {
        let latents = format!("{out}.safetensors");
        let arguments = [
            "generate",
            PROMPT,
            "--seed",
            "3",
            "--steps",
            "4",
            "--plan",
            plan,
            "--boundaries",
            "0.5,0.75",
            "--out",
            out,
            "--save-latents",
            &latents,
            "--json",
        ];
        json(&flowblend(
            folder.path(),
            &[&arguments[..], &SMALL].concat(),
        ))
    };
    let first = run("a.mp4", "LSL");
    let models: Vec<&str> = first["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| s["model"].as_str().unwrap())
        .collect();
    assert_eq!(models, ["large", "large", "small", "large"]);
    assert_eq!(first["seed"], 3);
    assert!(first["peak_memory_bytes"].as_u64().unwrap() > 1 << 20);
    assert!(first["flops"]["full"].as_f64().unwrap() > first["flops"]["paper"].as_f64().unwrap());
    assert_eq!(first["models"].as_object().unwrap().len(), 2);

    // The recipe in the file is the run's own settings.
    let (clip, comment) = flowblend::media::read_clip(&folder.path().join("a.mp4")).unwrap();
    assert_eq!((clip.width, clip.height, clip.frames.len()), (64, 64, 5));
    assert_eq!(first["frames"], 5);
    let recipe = flowblend::project::Recipe::from_json(&comment.unwrap()).unwrap();
    assert_eq!(
        serde_json::to_value(&recipe.settings).unwrap(),
        first["settings"]
    );

    // The same seed and plan give the same latents, another plan gives others.
    run("b.mp4", "LSL");
    run("c.mp4", "SSS");
    let latents = |out: &str| fs::read(folder.path().join(format!("{out}.safetensors"))).unwrap();
    assert_eq!(latents("a.mp4"), latents("b.mp4"));
    assert_ne!(latents("a.mp4"), latents("c.mp4"));
}

#[test]
fn a_trajectory_is_complete_and_consistent() {
    let folder = TempDir::new().unwrap();
    let generate = |more: &[&str]| {
        let arguments = ["generate", PROMPT, "--steps", "3"];
        flowblend(folder.path(), &[&arguments, &SMALL[..], more].concat())
    };
    let output = generate(&[
        "--seed",
        "5",
        "--out",
        "a.mp4",
        "--save-trajectory",
        "t",
        "--save-latents",
        "end.safetensors",
    ]);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let t = folder.path().join("t");
    let run: Value = serde_json::from_slice(&fs::read(t.join("run.json")).unwrap()).unwrap();
    let load = |file: &str, name: &str| {
        safetensors::load(t.join(file), &Device::Cpu).unwrap()[name]
            .flatten_all()
            .unwrap()
            .to_vec1::<f32>()
            .unwrap()
    };
    let mut x = load("initial.safetensors", "latents");
    for step in run["steps"].as_array().unwrap() {
        let file = step["file"].as_str().unwrap();
        let (v, after) = (load(file, "velocity"), load(file, "latents"));
        let dt = step["sigma_next"].as_f64().unwrap() - step["sigma"].as_f64().unwrap();
        for ((x, v), after) in x.iter().zip(&v).zip(&after) {
            assert!((f64::from(*x) + dt * f64::from(*v) - f64::from(*after)).abs() < 1e-4);
        }
        x = after;
    }
    let end = safetensors::load(folder.path().join("end.safetensors"), &Device::Cpu).unwrap();
    assert_eq!(
        end["latents"]
            .flatten_all()
            .unwrap()
            .to_vec1::<f32>()
            .unwrap(),
        x
    );

    // Started from the same noise by file instead of by seed, the run ends in the same place.
    fs::copy(
        t.join("initial.safetensors"),
        folder.path().join("noise.safetensors"),
    )
    .unwrap();
    let output = generate(&[
        "--out",
        "b.mp4",
        "--init-latents",
        "noise.safetensors",
        "--save-latents",
        "again.safetensors",
    ]);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(
        fs::read(folder.path().join("end.safetensors")).unwrap(),
        fs::read(folder.path().join("again.safetensors")).unwrap()
    );
}

#[test]
fn a_plan_costs_nothing_and_adds_up() {
    let folder = TempDir::new().unwrap();
    let plan = json(&flowblend(
        folder.path(),
        &[
            "plan",
            "--plan",
            "LSL",
            "--boundaries",
            "0.4,0.8",
            "--steps",
            "10",
            "--json",
        ],
    ));
    let steps = plan["steps"].as_array().unwrap();
    assert_eq!(steps.len(), 10);
    let sum: f64 = steps
        .iter()
        .map(|s| s["full_flops"].as_f64().unwrap())
        .sum();
    assert!((sum / plan["cost"]["full_flops"].as_f64().unwrap() - 1.0).abs() < 1e-9);
    assert!(plan["cost"]["full_flops"].as_f64() < plan["all_large"]["full_flops"].as_f64());
    assert_eq!(plan["cost"]["large_share"], 0.6);
    assert_eq!(
        plan["cost"]["denoise_secs"],
        Value::Null,
        "nothing was measured yet"
    );
    // After a run at the pair's own settings the prediction has its times.
    let run = flowblend(
        folder.path(),
        &[
            "generate", PROMPT, "--steps", "2", "--plan", "LS", "--out", "a.mp4",
        ],
    );
    assert!(run.status.success());
    let plan = json(&flowblend(folder.path(), &["plan", "--json"]));
    assert!(plan["cost"]["denoise_secs"].as_f64().unwrap() > 0.0);
    let own = pair_file();
    for key in ["width", "height", "frames", "fps", "steps", "shift", "cfg"] {
        assert_eq!(plan["settings"][key].as_f64(), own[key].as_f64(), "{key}");
    }
}

#[test]
fn presets_of_the_bundled_pair_speak_its_words_and_outlive_an_export() {
    let demo = models().join("demo");
    let defaults = flowblend::models::PairSpec::read(&demo).unwrap().defaults;
    let vocabulary: Vec<_> = defaults.vocabulary.into_iter().collect();
    assert!(!defaults.presets.is_empty() && !vocabulary.is_empty());
    for preset in &defaults.presets {
        let unknown = flowblend::ui::vocabulary::unknown_spans(&preset.prompt, &vocabulary);
        assert!(unknown.is_empty(), "{}: {unknown:?}", preset.name);
    }
    // The program that writes pair.json takes them from here.
    let kept: Value =
        serde_json::from_slice(&fs::read(demo.join("training/presets.json")).unwrap()).unwrap();
    assert_eq!(pair_file()["presets"], kept);
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

#[cfg(unix)]
#[test]
fn ctrl_c_stops_within_a_second_and_leaves_nothing() {
    use std::io::{BufRead as _, BufReader};
    use std::process::Stdio;

    let folder = TempDir::new().unwrap();
    let mut child = command(
        folder.path(),
        &["generate", PROMPT, "--steps", "500", "--out", "x.mp4"],
    )
    .stderr(Stdio::piped())
    .spawn()
    .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().starts_with("step 2/")));
    let pid = child.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-INT", &pid])
            .status()
            .unwrap()
            .success()
    );
    let asked = Instant::now();
    let status = child.wait().unwrap();
    assert_eq!(status.code(), Some(130));
    assert!(
        asked.elapsed() < Duration::from_secs(10),
        "{:?}",
        asked.elapsed()
    );
    assert!(listing(folder.path()).is_empty());
}

#[cfg(target_os = "linux")]
#[test]
fn without_a_display_the_window_says_so() {
    let folder = TempDir::new().unwrap();
    let output = command(folder.path(), &[])
        .env_remove("DISPLAY")
        .env_remove("WAYLAND_DISPLAY")
        .env_remove("WAYLAND_SOCKET")
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(
        error.contains("no display") && error.contains("flowblend generate"),
        "{error}"
    );
}
