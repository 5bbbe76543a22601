//! Caches, guidance in an interval and its rescale from the command line, on the bundled pair.

use crate::program;

use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

const RUN: [&str; 10] = [
    "--steps", "20", "--size", "64x64", "--frames", "5", "--seed", "3", "--plan", "LSL",
];

fn json_of(folder: &Path, arguments: &[&str]) -> (Value, String) {
    let arguments = [arguments, &["--json"]].concat();
    let output = program::command(folder, &arguments).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{arguments:?}: {error}");
    (serde_json::from_slice(&output.stdout).unwrap(), error)
}

fn generated(folder: &Path, name: &str, more: &[&str]) -> (Value, String) {
    let out = folder.join(name);
    let out = ["--out", out.to_str().unwrap()];
    let prompt = ["generate", "a red circle bouncing over a blue background"];
    json_of(folder, &[&prompt[..], &RUN, &out, more].concat())
}

fn count(steps: &Value, key: &str, value: &Value) -> usize {
    let steps = steps.as_array().unwrap().iter();
    steps.filter(|step| step[key] == *value).count()
}

#[test]
fn a_cache_spares_steps_says_so_and_the_plan_foretells_them() {
    let folder = TempDir::new().unwrap();
    let plain = generated(folder.path(), "plain.mp4", &[]).0;
    assert_eq!(count(&plain["steps"], "origin", &json!("computed")), 20);
    let mut spared = Vec::new();
    for cache in [
        "teacache:0.15",
        "magcache:0.12",
        "easycache:0.1",
        "first-block:0.15",
    ] {
        let name = format!("{}.mp4", cache.replace(':', "-"));
        let (run, said) = generated(folder.path(), &name, &["--cache", cache]);
        let skipped = count(&run["steps"], "origin", &json!("skipped"));
        assert!(skipped > 1, "{cache}: {said}");
        assert!(
            said.contains(&format!("spared {skipped} of 20 steps")),
            "{cache}: {said}"
        );
        // No operation of theirs is counted.
        let flops = |run: &Value| run["flops"]["full"].as_f64().unwrap();
        assert!(flops(&run) < flops(&plain), "{cache}");
        assert!(folder.path().join(&name).is_file());
        spared.push(skipped);
    }
    // MagCache goes by what was measured beforehand, so that what is foretold is what came.
    let plan = |cache| {
        let arguments = [&["plan"], &RUN[..], &["--cache", cache]].concat();
        json_of(folder.path(), &arguments).0
    };
    let foretold = plan("magcache:0.12");
    assert_eq!(count(&foretold["steps"], "spared", &json!(true)), spared[1]);
    assert_eq!(count(&plan("off")["steps"], "spared", &json!(true)), 0);
    let full = |plan: &Value| plan["cost"]["full_flops"].as_f64().unwrap();
    assert!(full(&foretold) < full(&plan("off")));
    assert_eq!(foretold["all_large"], plan("off")["all_large"]);
}

#[test]
fn guidance_counts_in_its_interval_and_is_scaled_back() {
    let folder = TempDir::new().unwrap();
    let plan = |more: &[&str]| json_of(folder.path(), &[&["plan"], &RUN[..], more].concat()).0;
    let within = plan(&["--cfg", "4", "--cfg-interval", "0.3,0.8"]);
    for step in within["steps"].as_array().unwrap() {
        let sigma = step["sigma"].as_f64().unwrap();
        let cfg = if (0.3..=0.8).contains(&sigma) {
            4.0
        } else {
            1.0
        };
        assert_eq!(step["cfg"], json!(cfg), "{sigma}");
    }
    let full = |plan: &Value| plan["cost"]["full_flops"].as_f64().unwrap();
    assert!(full(&within) < full(&plan(&["--cfg", "4"])));
    let rescaled = generated(
        folder.path(),
        "rescaled.mp4",
        &["--cfg", "8", "--cfg-rescale", "0.7"],
    )
    .0;
    assert_eq!(rescaled["settings"]["guidance"], json!({ "rescale": 0.7 }));
}

#[test]
fn what_makes_no_sense_is_refused_in_a_sentence() {
    let folder = TempDir::new().unwrap();
    for (options, said) in [
        (
            &["--cache", "tea"][..],
            "there is no cache 'tea'; write off, teacache",
        ),
        (&["--cache", "easycache:0"], "cannot have the threshold 0"),
        (
            &["--cache", "easycache:much"],
            "cannot have the threshold much",
        ),
        (
            &["--cache", "easycache", "--solver", "heun"],
            "which no cache can spare",
        ),
        (&["--cfg-interval", "0.8,0.3"], "the lower one first"),
        (&["--cfg-interval", "0.8"], "write two noise levels"),
        (&["--cfg-rescale", "2"], "give a number from 0 to 1"),
    ] {
        let output = program::command(folder.path(), &[&["plan"], options].concat())
            .output()
            .unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{options:?}: {error}");
        assert!(error.contains(said), "{options:?}: {error}");
    }
}
