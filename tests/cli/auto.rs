//! What the program foretells and decides by itself, on the bundled pair.

use std::path::Path;

use crate::program::flowblend;
use serde_json::Value;

/// Less than the pair's own size: these tests only have to run.
const SMALL: [&str; 4] = ["--size", "64x64", "--frames", "5"];

fn json(folder: &Path, arguments: &[&str]) -> Value {
    let output = flowblend(folder, &[arguments, &SMALL, &["--json"]].concat());
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn random_plans_are_foretold_and_measured_and_the_times_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let asked = ["bench", "--plans", "3", "--steps", "4", "--runs", "2"];
    let found = json(folder.path(), &asked);
    let plans = found["plans"].as_array().unwrap();
    assert_eq!(plans.len(), 3);
    for plan in plans {
        for secs in ["predicted_secs", "measured_secs"] {
            assert!(plan[secs].as_f64().unwrap() > 0.0, "{plan}");
        }
    }
    assert!(found["near"].as_u64().unwrap() <= 3);
    // The next start knows them, also at another number of steps.
    let plan = json(folder.path(), &["plan", "--steps", "8"]);
    for secs in ["decode_secs", "text_secs"] {
        assert!(plan[secs].as_f64().unwrap() > 0.0, "{secs}: {plan}");
    }
    assert!(plan["cost"]["denoise_secs"].as_f64().unwrap() > 0.0);
}

#[test]
fn boundaries_are_found_once_and_then_remembered_and_rescaled() {
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| {
        let output = flowblend(folder.path(), &[arguments, &["--seed", "3"]].concat());
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), output.stdout, error)
    };
    let auto = ["--boundaries", "auto", "--steps", "10", "--json"];
    // A plan measures nothing.
    let (code, _, why) = run(&[&["plan"], &auto[..]].concat());
    assert_eq!(code, Some(1));
    assert!(why.contains("generate --boundaries auto"), "{why}");
    let prompt = "a red circle bouncing over a blue background";
    let generate = [&["generate", prompt, "--out", "a.mp4"], &auto[..]].concat();
    let (code, found, told) = run(&generate);
    assert_eq!(code, Some(0), "{told}");
    assert!(
        told.contains("measured along 8 steps of both models"),
        "{told}"
    );
    let found: Value = serde_json::from_slice(&found).unwrap();
    assert!(found["auto"]["measured_secs"].as_f64().unwrap() > 0.0);
    assert_eq!(found["auto"]["boundaries"], found["boundaries"]);
    // The next one knows.
    let (code, known, told) = run(&[&["plan"], &auto[..]].concat());
    assert_eq!(code, Some(0), "{told}");
    assert!(
        told.contains("remembered, at no cost") && !told.contains("warning"),
        "{told}"
    );
    let known: Value = serde_json::from_slice(&known).unwrap();
    assert_eq!(known["boundaries"], found["boundaries"]);
    // Other steps and another shift take them over and say so.
    let other = [
        "plan",
        "--boundaries",
        "auto",
        "--steps",
        "20",
        "--shift",
        "3",
    ];
    let (code, _, told) = run(&other);
    assert_eq!(code, Some(0), "{told}");
    assert!(
        told.contains("warning: boundaries found at 10 steps, shift 1"),
        "{told}"
    );
    // The stages are found too, so they cannot be given.
    let (code, _, why) = run(&["plan", "--boundaries", "auto", "--plan", "LS"]);
    assert_eq!(code, Some(2), "{why}");
}

#[test]
fn a_run_that_decides_on_its_plan_is_rendered_again_by_that_plan() {
    let folder = tempfile::tempdir().unwrap();
    let prompt = "a red circle bouncing over a blue background";
    let latents = |name: &str| std::fs::read(folder.path().join(name)).unwrap();
    for rule in ["auto:online", "auto:srdiffusion"] {
        let common = [
            "generate",
            prompt,
            "--steps",
            "12",
            "--seed",
            "3",
            "--overwrite",
        ];
        let online = [
            "--boundaries",
            rule,
            "--out",
            "a.mp4",
            "--save-latents",
            "online",
        ];
        let found = json(folder.path(), &[&common[..], &online].concat());
        let boundaries: Vec<String> = found["boundaries"]
            .as_array()
            .unwrap()
            .iter()
            .map(ToString::to_string)
            .collect();
        let models: Vec<&str> = found["steps"]
            .as_array()
            .unwrap()
            .iter()
            .map(|step| step["model"].as_str().unwrap())
            .collect();
        assert!(
            models.contains(&"large") && models.contains(&"small"),
            "{models:?}"
        );
        let (plan, boundaries) = (found["plan"].as_str().unwrap(), boundaries.join(","));
        let fixed = [
            "--plan",
            plan,
            "--boundaries",
            &boundaries,
            "--out",
            "b.mp4",
            "--save-latents",
            "fixed",
        ];
        json(folder.path(), &[&common[..], &fixed].concat());
        assert!(
            latents("online") == latents("fixed"),
            "{rule}: {plan} {boundaries}"
        );
    }
}
