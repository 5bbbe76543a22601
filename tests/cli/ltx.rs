//! The headless program with pairs of LTX-Video: the real binary on small models.

use std::collections::HashMap;
use std::path::Path;
use std::process::{Command, Output};

use crate::ltx_fixtures::{assert_close, json, model, tensors};
use candle_core::{Device, Tensor, safetensors};
use serde_json::Value;
use tempfile::TempDir;

fn flowblend(folder: &Path, arguments: &[&str]) -> Output {
    let (large, small) = (model("large"), model("small"));
    Command::new(env!("CARGO_BIN_EXE_flowblend"))
        .current_dir(folder)
        .args(arguments)
        .args(["--large", large.to_str().unwrap()])
        .args(["--small", small.to_str().unwrap()])
        .args(["--device", "cpu", "--json"])
        .env("XDG_CACHE_HOME", folder.join("cache"))
        .output()
        .unwrap()
}

fn report(output: &Output) -> Value {
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The initial noise of the fixture's run, where `--init-latents` finds it.
fn put_noise(folder: &Path) {
    let noise = HashMap::from([("latents".to_owned(), tensors("run_lsl")["initial"].clone())]);
    candle_core::safetensors::save(&noise, folder.join("noise.safetensors")).unwrap();
}

#[test]
fn a_pair_gives_the_latents_of_diffusers() {
    let folder = TempDir::new().unwrap();
    put_noise(folder.path());
    let prompt = json("prompts.json")["prompts"][0].clone();
    let prompt = prompt.as_str().unwrap();
    let run = |out: &str, seed: &str| {
        let latents = format!("{out}.safetensors");
        let arguments = [
            "generate",
            prompt,
            "--negative",
            "",
            "--size",
            "64x64",
            "--frames",
            "17",
            "--steps",
            "10",
            "--plan",
            "LSL",
            "--boundaries",
            "0.4,0.8",
            "--seed",
            seed,
            "--init-latents",
            "noise.safetensors",
            "--save-latents",
            &latents,
            "--out",
            out,
        ];
        let report = report(&flowblend(folder.path(), &arguments));
        // What was not asked for is the family's.
        let settings = &report["settings"];
        assert_eq!(settings["solver"], "euler-linspace");
        assert_eq!(
            (&settings["cfg"], &settings["shift"]),
            (&3.0.into(), &1.0.into())
        );
        assert_eq!(settings["fps"], 25.0);
        let path = folder.path().join(latents);
        let latents = safetensors::load(path, &Device::Cpu).unwrap();
        latents["latents"].clone()
    };
    let want = &tensors("run_lsl")["9.x"];
    assert_close("latents of the program", &run("a.mp4", "1"), want, 1e-3);
    // The seed still names the noise that the decode mixes in.
    run("b.mp4", "1");
    run("c.mp4", "2");
    let frames = |name: &str| {
        let (clip, _) = flowblend::media::read_clip(&folder.path().join(name)).unwrap();
        assert_eq!((clip.width, clip.height, clip.frames.len()), (64, 64, 17));
        clip.frames
    };
    assert!(frames("a.mp4") == frames("b.mp4"));
    assert!(frames("a.mp4") != frames("c.mp4"));
}

#[test]
fn sizes_of_the_family_are_kept() {
    let folder = TempDir::new().unwrap();
    for (size, frames, said) in [
        ("60x64", "9", "the nearest size is 64x64"),
        ("64x64", "12", "the nearest is 9"),
    ] {
        let arguments = ["generate", "a dot", "--size", size, "--frames", frames];
        let output = flowblend(folder.path(), &arguments);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success());
        assert!(
            error.contains("LTX-Video cannot do") && error.contains(said),
            "{error}"
        );
    }
}

#[test]
fn a_plan_is_counted_in_the_familys_tokens() {
    let folder = TempDir::new().unwrap();
    let plan = report(&flowblend(folder.path(), &["plan", "--steps", "10"]));
    assert_eq!(plan["settings"]["width"], 768, "{plan}");
    assert!(plan.to_string().contains("euler-linspace"));
}

/// A file that holds the noise is not needed: the seed's is drawn.
#[test]
fn a_seed_is_enough() {
    let folder = TempDir::new().unwrap();
    let draw = |out: &str, seed: &str| -> Vec<f32> {
        let latents = format!("{out}.safetensors");
        let arguments = [
            "generate",
            "a dot",
            "--size",
            "32x32",
            "--frames",
            "1",
            "--steps",
            "2",
            "--seed",
            seed,
            "--save-latents",
            &latents,
            "--out",
            out,
        ];
        report(&flowblend(folder.path(), &arguments));
        let stored = safetensors::load(folder.path().join(latents), &Device::Cpu).unwrap();
        let latents: &Tensor = &stored["latents"];
        latents.flatten_all().unwrap().to_vec1().unwrap()
    };
    assert!(draw("a.gif", "5") == draw("b.gif", "5"));
    assert!(draw("c.gif", "5") != draw("d.gif", "6"));
}

#[test]
fn models_of_two_families_are_told_apart_by_name() {
    let wan = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/wan/pair/large");
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_flowblend"))
        .current_dir(folder.path())
        .args(["generate", "a dot", "--device", "cpu", "--large"])
        .arg(wan)
        .arg("--small")
        .arg(model("small"))
        .env("XDG_CACHE_HOME", folder.path().join("cache"))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains("WAN 2.1") && said.contains("LTX-Video"),
        "{said}"
    );
}
