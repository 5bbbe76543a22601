//! The headless program as a person meets it: the real binary, the bundled pair, real files.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use candle_core::{Device, safetensors};
use serde_json::Value;
use tempfile::TempDir;

use crate::program::{command, flowblend};

/// What is asked for.
pub const PROMPT: &str = "a red circle bouncing over a blue background";
/// Less than the pair's own size, for tests that only have to run.
pub const SMALL: [&str; 4] = ["--size", "64x64", "--frames", "5"];

/// The folder of models.
pub fn models() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("models")
}

/// What lies in a folder, but for what the program keeps there for itself.
pub fn listing(folder: &Path) -> Vec<PathBuf> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            !["cache", "config", "data"]
                .iter()
                .any(|own| path.ends_with(own))
        })
        .collect();
    names.sort();
    names
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
fn words_that_the_pair_was_never_taught_are_named() {
    let folder = TempDir::new().unwrap();
    let told = |prompt: &str, out: &str| {
        let arguments = ["generate", prompt, "--steps", "2", "--json", "--out", out];
        let output = flowblend(folder.path(), &[&arguments, &SMALL[..]].concat());
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{stderr}");
        serde_json::from_slice::<Value>(&output.stdout).unwrap();
        stderr
    };
    let stderr = told("a red elephant and an Elephant over a blue sky", "a.mp4");
    let warning = stderr.lines().find(|line| line.starts_with("warning: "));
    let warning = warning.unwrap_or_else(|| panic!("no warning in {stderr}"));
    assert!(
        warning.contains("does not know: elephant, sky;") && warning.contains("shapes: ball, "),
        "{warning}"
    );
    assert!(!told(PROMPT, "b.mp4").contains("warning"));
}

#[test]
fn presets_of_the_bundled_pair_speak_its_words_and_outlive_an_export() {
    let demo = models().join("demo");
    let defaults = flowblend::models::PairSpec::read(&demo).unwrap().defaults;
    let vocabulary: Vec<_> = defaults.vocabulary.into_iter().collect();
    assert!(!defaults.presets.is_empty() && !vocabulary.is_empty());
    for preset in &defaults.presets {
        let unknown = flowblend::project::unknown_words(&preset.prompt, &vocabulary);
        assert!(unknown.is_empty(), "{}: {unknown:?}", preset.name);
    }
    // The program that writes pair.json takes them from here.
    let kept: Value =
        serde_json::from_slice(&fs::read(demo.join("training/presets.json")).unwrap()).unwrap();
    assert_eq!(pair_file()["presets"], kept);
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
