//! `flowblend sweep` on the bundled pair, held against clips that `generate` wrote.

#![allow(clippy::disallowed_methods)] // Files of a test may lie anywhere.

use std::path::Path;
use std::process::Command;

use crate::program::{command, flowblend};
use flowblend::analysis::{psnr, ssim};
use flowblend::media::{Clip, read_clip};
use serde_json::Value;

const PROMPT: &str = "a red circle bouncing over a blue background";
const RUN: [&str; 6] = ["--size", "64x64", "--frames", "5", "--steps", "6"];
const PLANS: &str = "SSS,LS@0.5,LSL@0.5/0.84,LSL@0.34/0.67";

fn run(folder: &Path, arguments: &[&str]) -> (String, String) {
    let output = flowblend(folder, &[arguments, &RUN].concat());
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{arguments:?}: {error}");
    (String::from_utf8(output.stdout).unwrap(), error)
}

fn sweep(folder: &Path, more: &[&str]) -> Value {
    let (out, _) = run(folder, &[&["sweep", PROMPT, "--json"], more].concat());
    serde_json::from_str(&out).unwrap()
}

/// The clip of a plan in one go from the noise, without loss.
fn generated(folder: &Path, letters: &str, boundaries: &[&str], seed: &str) -> Clip {
    let name = format!("{letters}.mkv");
    let arguments = ["generate", PROMPT, "--plan", letters, "--out", &name];
    run(
        folder,
        &[&arguments, boundaries, &["--seed", seed]].concat(),
    );
    read_clip(&folder.join(name)).unwrap().0
}

fn plan<'a>(found: &'a Value, spec: &str) -> &'a Value {
    let mut plans = found["plans"].as_array().unwrap().iter();
    plans.find(|plan| plan["plan"] == spec).expect(spec)
}

fn specs(found: &Value) -> Vec<&str> {
    let plans = found["plans"].as_array().unwrap().iter();
    plans.map(|plan| plan["plan"].as_str().unwrap()).collect()
}

#[test]
fn rows_are_what_whole_runs_would_give_and_shared_steps_are_taken_once() {
    let folder = tempfile::tempdir().unwrap();
    let found = sweep(folder.path(), &["--plans", PLANS, "--seed", "3"]);
    // LLLLLL, LLSSSS -> LLSSLL, LLLSSS -> LLLSSL, SSSSSS
    assert_eq!(found["computed_steps"], 6 + (2 + 2) + (2 + 1 + 1) + 6);
    assert_eq!(found["steps"], 5 * 6);
    assert_eq!(specs(&found).len(), 5);

    // What was measured is foretold from now on.
    let (plan_of, _) = run(folder.path(), &["plan", "--plan", "LLL", "--json"]);
    let plan_of: Value = serde_json::from_str(&plan_of).unwrap();
    let foretold = plan_of["cost"]["denoise_secs"].as_f64().unwrap();

    let reference = generated(folder.path(), "LLL", &[], "3");
    let blended = generated(folder.path(), "LSL", &["--boundaries", "0.5,0.84"], "3");
    let row = plan(&found, "LSL@0.5/0.84");
    let near = |name: &str, wanted: f64| {
        let value = row[name].as_f64().unwrap();
        assert!(
            (value - wanted).abs() < 1e-9,
            "{name}: {value}, not {wanted}"
        );
    };
    near("psnr_db", psnr(&reference, &blended).unwrap());
    near("ssim", ssim(&reference, &blended).unwrap());
    assert_eq!(plan(&found, "LLL")["ssim"], 1.0);
    assert!(plan(&found, "LLL")["psnr_db"].is_null());

    // All seconds stand on the same three times.
    let times = &found["seconds_predicted_from"];
    let secs = |model: &str| times[model]["secs"].as_f64().unwrap();
    let predicted = 4.0 * secs("large_step") + 2.0 * secs("small_step");
    near(
        "predicted_secs",
        predicted + times["decode_secs"].as_f64().unwrap(),
    );
    assert_eq!(times["large_step"]["measured_steps"], 6 + 2 + 1);
    assert_eq!(times["small_step"]["measured_steps"], 2 + 2 + 1 + 6);

    assert!((foretold - 6.0 * secs("large_step")).abs() < 1e-9);

    // A person's own runs on disk are not touched.
    let kept = folder.path().join("cache/flowblend/steps");
    assert!(!kept.exists() || kept.read_dir().unwrap().next().is_none());
}

#[test]
fn a_table_goes_on_where_it_stopped() {
    let folder = tempfile::tempdir().unwrap();
    for table in ["table.csv", "table.json"] {
        let out = ["--out", table];
        let rows = || {
            let bytes = std::fs::read(folder.path().join(table)).unwrap();
            match table.ends_with("csv") {
                true => csv::Reader::from_reader(&bytes[..]).records().count(),
                false => {
                    let json: Value = serde_json::from_slice(&bytes).unwrap();
                    json["rows"].as_array().unwrap().len()
                }
            }
        };
        let first = sweep(
            folder.path(),
            &[&["--plans", "LS@0.5,SSS"][..], &out].concat(),
        );
        assert_eq!((rows(), &first["clips_known"]), (3, &Value::from(0)));

        // One plan more, and a prompt with all that a table must quote.
        let odd = "a \"green\" star,\nmoving";
        let more = [
            "sweep",
            PROMPT,
            odd,
            "--json",
            "--plans",
            "LS@0.5,SSS,SL@0.5",
        ];
        let (second, told) = run(folder.path(), &[&more[..], &out].concat());
        let second: Value = serde_json::from_str(&second).unwrap();
        assert!(
            told.contains("3 of 8 clips are in the table already"),
            "{told}"
        );
        assert_eq!((rows(), second["clips_known"].as_u64()), (8, Some(3)));
        assert_eq!(second["plans"][0]["runs"], 2);

        // The same again computes nothing and finds the same; the rows of the other prompt stay.
        let third = sweep(
            folder.path(),
            &[&["--plans", "LS@0.5,SSS"][..], &out].concat(),
        );
        assert_eq!((rows(), third["computed_steps"].as_u64()), (8, Some(0)));
        for plan_of in ["LLL", "LS@0.5", "SSS"] {
            for measure in ["ssim", "sharpness", "flicker"] {
                let values = [&first, &third].map(|found| &plan(found, plan_of)[measure]);
                assert_eq!(values[0], values[1], "{plan_of} {measure}");
            }
        }

        let anew = ["--plans", "SSS", "--overwrite"];
        let last = sweep(folder.path(), &[&anew[..], &out].concat());
        assert_eq!((rows(), last["clips_known"].as_u64()), (2, Some(0)));
    }
}

#[cfg(unix)]
#[test]
fn ctrl_c_keeps_the_rows_that_are_there() {
    use std::io::{BufRead as _, BufReader};
    use std::process::Stdio;

    let folder = tempfile::tempdir().unwrap();
    let table = ["--plans", "LS@0.5,SSS", "--out", "table.csv", "--json"];
    let size = ["--size", "64x64", "--frames", "5", "--steps", "200"];
    let arguments = [&["sweep", PROMPT][..], &table, &size].concat();
    let mut child = command(folder.path(), &arguments)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().starts_with("clip 1/3 LLL")));
    let pid = child.id().to_string();
    let killed = Command::new("kill").args(["-INT", &pid]).status().unwrap();
    assert!(killed.success());
    let said: Vec<_> = lines.map(Result::unwrap).collect();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{said:?}");
    assert!(
        said.last().unwrap().contains("goes on from there"),
        "{said:?}"
    );

    let output = flowblend(folder.path(), &arguments);
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(found["clips_known"].as_u64().unwrap() >= 1);
    assert_eq!(specs(&found).len(), 3);
}

#[test]
fn the_best_plan_is_named_under_a_limit_or_at_the_knee() {
    let folder = tempfile::tempdir().unwrap();
    let out = ["--grid=3", "--out", "grid.csv"];
    let found = sweep(folder.path(), &out);
    // LSL, two LS and two SL, the small model and the reference.
    assert_eq!(specs(&found).len(), 7);
    let number = |spec: &str, of: &str| plan(&found, spec)[of].as_f64().unwrap();
    let best_with = |limit: &str, value: f64| {
        let value = value.to_string();
        let more = [&out[..], &[limit, &value]].concat();
        sweep(folder.path(), &more)["best"].clone()
    };
    assert_eq!(best_with("--at-least-ssim", 1.0), "LLL");
    assert_eq!(best_with("--at-most-secs", 0.0), Value::Null);
    let plans = found["plans"].as_array().unwrap().iter();
    let mut blended = plans.filter(|plan| plan["on_front"] == true && plan["plan"] != "LLL");
    let target = blended.next_back().unwrap()["plan"].as_str().unwrap();
    assert_eq!(best_with("--at-least-ssim", number(target, "ssim")), target);
    assert_eq!(
        best_with("--at-most-secs", number(target, "predicted_secs")),
        target
    );

    // For people: the same in words.
    let (text, _) = run(folder.path(), &[&["sweep", PROMPT][..], &out].concat());
    assert!(text.contains("seconds are predicted, from"), "{text}");
    assert!(text.contains("best, by the knee of the front:"), "{text}");
    assert!(text.contains("computed 0 of 0 steps"), "{text}");

    // Drawn: a dot for each plan, of which those on the front have their names in any case.
    let drawn = sweep(folder.path(), &[&out[..], &["--plot", "grid.svg"]].concat());
    assert_eq!(drawn["plot"], "grid.svg");
    let svg = std::fs::read_to_string(folder.path().join("grid.svg")).unwrap();
    assert_eq!(svg.matches("<circle ").count(), 7);
    assert!(svg.contains("SSIM to LLL") && svg.contains(target), "{svg}");
    // A sweep that goes on draws anew; another one leaves the file alone.
    sweep(folder.path(), &[&out[..], &["--plot", "grid.svg"]].concat());
    let other = flowblend(
        folder.path(),
        &["sweep", "--plans", "S", "--plot", "grid.svg"],
    );
    let why = String::from_utf8_lossy(&other.stderr);
    assert!(why.contains("grid.svg already exists"), "{why}");
}

/// Two models, and none that is distilled.
const LARGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/models/demo/large");
const SMALL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/models/demo/small");

#[test]
fn a_sweep_refuses_what_cannot_be_done() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("other.csv"), "a,b\n1,2\n").unwrap();
    for (arguments, code, word) in [
        (&["sweep"][..], 2, "--plans"),
        (&["sweep", "--plans", "LXL"], 2, "LXL"),
        (&["sweep", "--plans", "LS@a"], 2, "not a number"),
        (&["sweep", "--plans", "LSL@0.4"], 2, "boundaries"),
        (
            &["sweep", "--plans", "D", "--large", LARGE, "--small", SMALL],
            1,
            "distilled",
        ),
        (&["sweep", "--plans", "S", "--grid"], 2, "--grid"),
        (&["sweep", "--plans", "S", "--plan", "L"], 2, "--plan"),
        (&["sweep", "--plans", "S", "--cfg", "1,2,3"], 2, "one --cfg"),
        (&["sweep", "--plans", "S", "--steps", "0"], 2, "steps"),
        (
            &["sweep", "--plans", "S", "--plot", "a.pdf"],
            1,
            ".png or .svg",
        ),
        (
            &["sweep", "--plans", "S", "--out", "table.txt"],
            2,
            ".csv or .json",
        ),
        (
            &["sweep", "--plans", "S", "--out", "other.csv"],
            1,
            "no table of a sweep",
        ),
        (
            &["sweep", "--plans", "S", "--out", "no/table.csv"],
            1,
            "does not exist",
        ),
        (
            &[
                "sweep",
                "--grid",
                "--at-least-ssim",
                "1",
                "--at-most-secs",
                "1",
            ],
            2,
            "--at-most-secs",
        ),
    ] {
        let output = flowblend(folder.path(), arguments);
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {error}");
        assert!(error.contains(word), "{arguments:?}: {error}");
    }
}

#[test]
fn a_clip_takes_the_best_plan_of_a_sweep_and_its_steps() {
    let folder = tempfile::tempdir().unwrap();
    let generate = ["generate", PROMPT, "--seed", "3", "--json", "--overwrite"];
    let latents = |name: &str| std::fs::read(folder.path().join(name)).unwrap();
    let swept = ["--boundaries", "auto:sweep", "--save-latents", "swept"];
    let mut plans = Vec::new();
    for ssim in ["0.9", "1"] {
        let limit = ["--out", "a.mp4", "--at-least-ssim", ssim];
        let (out, told) = run(folder.path(), &[&generate[..], &swept, &limit].concat());
        assert!(told.contains("by a sweep over plans"), "{told}");
        let found: Value = serde_json::from_str(&out).unwrap();
        assert_eq!(found["auto"]["found_by"], "sweep");
        assert!(found["steps"].as_array().unwrap().is_empty(), "{found}");

        let plan = found["plan"].as_str().unwrap().to_owned();
        let boundaries = found["boundaries"].as_array().unwrap().iter();
        let boundaries: Vec<_> = boundaries.map(ToString::to_string).collect();
        let boundaries = boundaries.join(",");
        let mut fixed = vec!["--plan", &plan, "--out", "b.mp4", "--save-latents", "fixed"];
        if !boundaries.is_empty() {
            fixed.extend(["--boundaries", &boundaries]);
        }
        run(folder.path(), &[&generate[..], &fixed].concat());
        assert!(latents("swept") == latents("fixed"), "{plan} {boundaries}");
        plans.push(plan);
    }
    assert_eq!(plans[1], "LLL");
    assert_ne!(plans[0], "LLL");
    // What was found for a wish serves other prompts and seeds; for another grid with a word of warning.
    for (shift, is_warned) in [(None, false), (Some(["--shift", "3"]), true)] {
        let limit = ["--out", "a.mp4", "--at-least-ssim", "0.9", "--seed", "4"];
        let generate = ["generate", "a green ring", "--json", "--overwrite"];
        let shift = shift.iter().flatten().copied().collect::<Vec<_>>();
        let (out, told) = run(
            folder.path(),
            &[&generate[..], &swept, &limit, &shift].concat(),
        );
        assert!(told.contains("remembered, at no cost"), "{told}");
        assert_eq!(told.contains("warning: "), is_warned, "{told}");
        let found: Value = serde_json::from_str(&out).unwrap();
        assert_eq!(found["plan"].as_str().unwrap(), plans[0]);
    }

    let short = [
        "--boundaries",
        "auto:sweep",
        "--at-most-secs",
        "0",
        "--out",
        "c.mp4",
    ];
    let plain = ["--at-most-secs", "9", "--out", "c.mp4"];
    for (more, code, word) in [
        (&short[..], 1, "none of 16 plans"),
        (&plain, 2, "auto:sweep"),
    ] {
        let arguments = [&["generate", PROMPT][..], more, &RUN].concat();
        let output = flowblend(folder.path(), &arguments);
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{error}");
        assert!(error.contains(word), "{error}");
    }
}
