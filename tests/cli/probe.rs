//! `flowblend probe` on the bundled pair, held against the velocities that runs write down.

use std::fs;
use std::path::Path;

use crate::program::flowblend;
use candle_core::{Device, safetensors};
use serde_json::Value;

const PROMPT: &str = "a red circle bouncing over a blue background";
const RUN: [&str; 8] = [
    "--size", "64x64", "--frames", "5", "--steps", "6", "--seed", "3",
];

fn probe(folder: &Path, more: &[&str]) -> (Value, String) {
    let arguments = [&["probe", PROMPT, "--json"][..], &RUN, more].concat();
    let output = flowblend(folder, &arguments);
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{error}");
    (serde_json::from_slice(&output.stdout).unwrap(), error)
}

/// The guided velocity that a run of one model alone took at its first step.
fn first_velocity(folder: &Path, plan: &str) -> Vec<f64> {
    let arguments = [
        "generate",
        PROMPT,
        "--plan",
        plan,
        "--save-trajectory",
        plan,
    ];
    let clip = format!("{plan}.mp4");
    let arguments = [&arguments[..], &["--out", &clip], &RUN].concat();
    let output = flowblend(folder, &arguments);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    let file = folder.join(plan).join("step_001.safetensors");
    let tensors = safetensors::load(file, &Device::Cpu).unwrap();
    let values = tensors["velocity"].flatten_all().unwrap();
    let values = values.to_vec1::<f32>().unwrap();
    values.into_iter().map(f64::from).collect()
}

#[test]
fn a_probe_finds_what_the_runs_velocities_say_and_remembers_it() {
    let folder = tempfile::tempdir().unwrap();
    let (found, told) = probe(folder.path(), &[]);
    let steps = found["steps"].as_array().unwrap();
    assert_eq!((steps.len(), found["runs"].as_u64()), (6, Some(1)));
    assert_eq!(found["settings"]["seed"], 3);
    assert!(told.contains("step 6/6 relative l2"), "{told}");
    assert!(found["suggested_boundaries"].is_null() || found["suggested_boundaries"].is_array());

    let (large, small) = (
        first_velocity(folder.path(), "L"),
        first_velocity(folder.path(), "S"),
    );
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let apart: Vec<f64> = large.iter().zip(&small).map(|(l, s)| s - l).collect();
    let relative_l2 = (dot(&apart, &apart) / dot(&large, &large)).sqrt();
    let cosine = dot(&large, &small) / (dot(&large, &large) * dot(&small, &small)).sqrt();
    let near = |name: &str, wanted: f64| {
        let value = steps[0][name].as_f64().unwrap();
        assert!(
            (value - wanted).abs() < 1e-5,
            "{name}: {value}, not {wanted}"
        );
    };
    near("relative_l2", relative_l2);
    near("one_minus_cosine", 1.0 - cosine);
    assert!(
        relative_l2 > 0.05,
        "the models hardly differ: {relative_l2}"
    );

    // The same again is read from disk: no step is told, and the figures are the same up to their f32.
    let (again, told) = probe(folder.path(), &[]);
    assert!(!told.contains("step"), "{told}");
    for (one, other) in steps.iter().zip(again["steps"].as_array().unwrap()) {
        let value = |step: &Value| step["relative_l2"].as_f64().unwrap();
        assert!((value(one) - value(other)).abs() < 1e-6);
    }

    // A second seed brings a spread, and the first one's figures take part in the mean.
    let (two, told) = probe(folder.path(), &["--seeds", "2"]);
    assert_eq!(two["runs"], 2);
    assert!(
        told.contains("run 1 of 2, step 6/6") || told.contains("run 2 of 2, step 6/6"),
        "{told}"
    );
    assert!(two["steps"][0]["relative_l2_spread"].as_f64().unwrap() > 0.0);
    assert_eq!(found["steps"][0]["relative_l2_spread"], 0.0);

    // A plot has a dot for each step and measure, and a band only where runs spread.
    let svg = |name: &str, more: &[&str]| {
        let (found, _) = probe(folder.path(), &[more, &["--plot", name]].concat());
        assert_eq!(found["plot"], name);
        fs::read_to_string(folder.path().join(name)).unwrap()
    };
    let count = |svg: &str, element: &str| svg.matches(&format!("<{element} ")).count();
    let (one, both) = (svg("one.svg", &[]), svg("both.svg", &["--seeds", "2"]));
    assert_eq!((count(&one, "circle"), count(&both, "circle")), (12, 12));
    assert_eq!((count(&one, "polygon"), count(&both, "polygon")), (0, 2));
    assert!(one.contains("seed 3") && both.contains("mean of 2 runs"));
    let suggested = found["suggested_boundaries"].is_array();
    assert_eq!(one.contains("suggested for the small model"), suggested);
    probe(folder.path(), &["--plot", "one.png"]);
    let png = image::open(folder.path().join("one.png"))
        .unwrap()
        .to_rgb8();
    assert!(png.width() > 1000 && png.pixels().any(|pixel| pixel.0 == [0x3D, 0x63, 0xDD]));

    let (mapped, _) = probe(folder.path(), &["--maps", "maps.safetensors"]);
    assert_eq!(mapped["maps"], "maps.safetensors");
    let maps = safetensors::load(folder.path().join("maps.safetensors"), &Device::Cpu).unwrap();
    let maps = &maps["maps"];
    assert_eq!(maps.dims()[0], 6, "a map a step");
    let most = maps.flatten_all().unwrap().max(0).unwrap();
    assert!(most.to_scalar::<f32>().unwrap() > 0.05);

    for file in [["--plot", "one.png"], ["--maps", "maps.safetensors"]] {
        let again = [&["probe", PROMPT][..], &file, &RUN].concat();
        let error = String::from_utf8(flowblend(folder.path(), &again).stderr).unwrap();
        assert!(
            error.contains(&format!("{} already exists", file[1])),
            "{error}"
        );
    }
}

#[test]
fn a_probe_refuses_what_no_run_could_be() {
    let folder = tempfile::tempdir().unwrap();
    for (arguments, code, word) in [
        (&["probe", "--steps", "0"][..], 2, "steps"),
        (&["probe", "--size", "50x50"], 2, "50"),
        (&["probe", "--seeds", "0"], 2, "seeds"),
        (&["probe", "--pair", "nobody"], 1, "nobody"),
        (
            &["probe", "--plot", "curve.jpg"],
            1,
            "end the name in .png or .svg",
        ),
        (&["probe", "--plot", "no/curve.svg"], 1, "does not exist"),
    ] {
        let output = flowblend(folder.path(), arguments);
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {error}");
        assert!(error.contains(word), "{arguments:?}: {error}");
    }
}
