//! `flowblend models` as a person meets it: what is listed and downloaded.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::hub_server::{Answer, Hub};
use crate::models_home::{command, demo, flowblend, json_of, listed, path, put, refused, text};
use serde_json::json;
use tempfile::TempDir;

#[test]
fn the_list_tells_state_places_memory_and_licence_of_every_pair() {
    let home = TempDir::new().unwrap();
    let here = home.path();
    put(&here.join("root/broken/pair.json"), &json!({"name": 3}));
    let demo = listed(here, "demo").unwrap();
    assert_eq!(
        (&demo["state"], &demo["licence"]),
        (&json!("ready"), &json!("MIT"))
    );
    let memory = &demo["memory"];
    assert!(memory["together"].as_u64() > memory["swapped"].as_u64());
    assert_eq!(memory["weights_only"], false);

    let broken = listed(here, "broken").unwrap();
    assert_eq!(broken["state"], "faulty");
    assert!(broken["faults"][0].as_str().unwrap().contains("pair.json"));

    for (name, repo) in [("wan2.1", "Wan-AI/"), ("ltx-video", "Lightricks/")] {
        let public = listed(here, name).unwrap();
        assert_eq!(public["state"], "incomplete");
        let large = here.join("data/flowblend/models").join(name).join("large");
        assert_eq!(public["large"], json!(large));
        let missing = public["faults"][0].as_str().unwrap();
        assert!(missing.contains(&path(&large)), "{missing}");
        assert!(public["repos"][0].as_str().unwrap().starts_with(repo));
        // What these weights take in half of f32.
        assert!(public["memory"]["together"].as_u64().unwrap() > 25_000_000_000);
        assert_eq!(public["memory"]["weights_only"], true);
    }
    let output = flowblend(here, &["models"]);
    let list = text(&output.stdout);
    for words in [
        "wan2.1: WAN 2.1",
        "not complete",
        "flowblend models pull wan2.1 (about 86.1 GB in all)",
        "at least",
        "Apache-2.0",
    ] {
        assert!(list.contains(words), "'{words}': {list}");
    }
    refused(
        here,
        &["generate", "a red circle", "--pair", "wan2.1"],
        1,
        &["not here yet", "flowblend models pull wan2.1"],
    );
}

#[test]
fn memory_follows_the_number_format() {
    let home = TempDir::new().unwrap();
    let together = |dtype: &[&str]| {
        let list = json_of(&flowblend(
            home.path(),
            &[&["models", "--json"], dtype].concat(),
        ));
        let pairs = list["pairs"].as_array().unwrap();
        let wan = pairs.iter().find(|pair| pair["name"] == "wan2.1").unwrap();
        wan["memory"]["together"].as_u64().unwrap()
    };
    let (f32, bf16) = (
        together(&["--dtype", "f32"]),
        together(&["--dtype", "bf16"]),
    );
    assert!(f32 > 50_000_000_000 && bf16 * 3 < f32 * 2);
    // By itself a processor takes half as well, where it is fast with integers.
    let usual = together(&[]);
    assert!(usual == f32 || usual * 3 < f32 * 2);
}

/// A hub with the bundled pair, its distilled model included, and a manifest of it under the root.
fn published(home: &Path) -> Hub {
    let hub = Hub::start();
    let files = |model: &str| {
        let mut files = Vec::new();
        let mut folders = vec![demo().join(model)];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let entry = entry.unwrap().path();
                if entry.is_dir() {
                    folders.push(entry);
                    continue;
                }
                let name = path(entry.strip_prefix(demo().join(model)).unwrap());
                let answer = Answer {
                    bytes: fs::read(&entry).unwrap(),
                    is_small: name.ends_with(".json"),
                    ..Answer::default()
                };
                hub.put(&format!("them/{model}"), &name, answer);
                files.push(json!({ "path": name }));
            }
        }
        json!({"repo": format!("them/{model}"), "revision": "main", "files": files})
    };
    let manifest = json!({
        "name": "theirs",
        "title": "a pair of theirs",
        "licence": "free",
        "estimated_bytes": 17_000_000,
        "parameters": {"large": 1, "small": 1, "distilled": 1, "vae": 1, "text_encoder": 1},
        "large": files("large"),
        "small": files("small"),
        "distilled": files("distilled"),
        "distilled_sigmas": [1.0, 0.5, 0.0],
    });
    put(&home.join("root/theirs.json"), &manifest);
    hub
}

#[test]
fn a_pulled_pair_is_ready_and_the_next_pull_does_nothing() {
    let home = TempDir::new().unwrap();
    let here = home.path();
    let hub = published(here);
    let pull = ["models", "pull", "theirs", "--endpoint", &hub.endpoint];
    let output = flowblend(here, &[&pull[..], &["--to", "disk/theirs"]].concat());
    let (out, error) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{error}");
    let folder = here.join("disk/theirs");
    assert_eq!(out.trim(), path(&folder.canonicalize().unwrap()));
    assert!(
        error.contains("by the hub's 5") && error.contains("SHA256SUMS"),
        "{error}"
    );
    let weights = "large/transformer/diffusion_pytorch_model.safetensors";
    assert_eq!(
        fs::read(folder.join(weights)).unwrap(),
        fs::read(demo().join(weights)).unwrap()
    );
    let report = listed(here, "theirs").unwrap();
    assert_eq!(
        (&report["state"], &report["licence"]),
        (&json!("ready"), &json!("free"))
    );
    let plan = [
        "plan", "--pair", "theirs", "--size", "64x64", "--frames", "5", "--json",
    ];
    json_of(&flowblend(here, &plan));
    // Its distilled model came along, with what it was taught.
    assert_eq!(report["lacks_distilled"], false);
    let taught = json_of(&flowblend(here, &[&plan[..], &["--plan", "D"]].concat()));
    assert_eq!(taught["sigmas"], json!([1.0, 0.5, 0.0]));
    // The folder is remembered, and nothing is asked for.
    hub.seen();
    let again = json_of(&flowblend(here, &["models", "pull", "theirs", "--json"]));
    assert!(
        again["files"]
            .as_array()
            .unwrap()
            .iter()
            .all(|file| file["is_new"] == false)
    );
    assert_eq!(again["folder"], json!(folder.canonicalize().unwrap()));
    assert_eq!(hub.seen(), []);
}

#[test]
fn a_pair_works_without_its_distilled_model_which_may_come_later() {
    let home = TempDir::new().unwrap();
    let here = home.path();
    let hub = published(here);
    let pull = ["models", "pull", "theirs", "--endpoint", &hub.endpoint];
    let without = [&pull[..], &["--without-distilled"]].concat();
    assert!(flowblend(here, &without).status.success());
    let place = here.join("data/flowblend/models/theirs/distilled");
    assert!(!place.exists());
    let report = listed(here, "theirs").unwrap();
    assert_eq!(
        (&report["state"], &report["lacks_distilled"]),
        (&json!("ready"), &json!(true))
    );
    assert_eq!(report["distilled"], json!(place));
    let list = text(&flowblend(here, &["models"]).stdout);
    let row = format!("{}, the files of them/distilled", path(&place));
    assert!(
        list.contains(&row) && list.contains("only stages of the letter D"),
        "{list}"
    );
    let plan = [
        "plan", "--pair", "theirs", "--plan", "D", "--size", "64x64", "--frames", "5",
    ];
    refused(here, &plan, 1, &["has no distilled model"]);

    hub.seen();
    assert!(flowblend(here, &pull).status.success());
    let seen = hub.seen();
    assert!(
        seen.iter().all(|seen| seen.path.contains("them/distilled")),
        "{seen:?}"
    );
    assert_eq!(listed(here, "theirs").unwrap()["lacks_distilled"], false);
    assert!(flowblend(here, &plan).status.success());
}

#[test]
fn a_pull_that_fails_says_why_and_the_endpoint_may_come_from_the_environment() {
    let home = TempDir::new().unwrap();
    let here = home.path();
    let hub = published(here);
    refused(
        here,
        &["models", "pull", "nobody"],
        1,
        &["nobody", "theirs", "wan2.1"],
    );
    hub.put(
        "them/large",
        "vae/config.json",
        Answer {
            status: Some(401),
            ..Answer::default()
        },
    );
    let output = command(here, &["models", "pull", "theirs"])
        .env("HF_ENDPOINT", format!("{}/", hub.endpoint))
        .output()
        .unwrap();
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        error.contains("vae/config.json to everybody (status 401)"),
        "{error}"
    );
    assert_eq!(listed(here, "theirs").unwrap()["state"], "incomplete");
}

#[cfg(unix)]
#[test]
fn ctrl_c_stops_a_silent_download_and_the_next_one_goes_on() {
    use std::io::{BufRead as _, BufReader};
    use std::process::Stdio;

    let home = TempDir::new().unwrap();
    let here = home.path();
    let hub = published(here);
    let weights = "transformer/diffusion_pytorch_model.safetensors";
    let bytes = fs::read(demo().join("small").join(weights)).unwrap();
    let answer = |stalls| Answer {
        bytes: bytes.clone(),
        stalls,
        ..Answer::default()
    };
    hub.put("them/small", weights, answer(Some(1_000_000)));
    let pull = ["models", "pull", "theirs", "--endpoint", &hub.endpoint];
    let mut child = command(here, &pull).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let small = format!("small/{weights}");
    assert!(lines.any(|line| line.unwrap().ends_with(&small)));
    let part = here.join(format!("data/flowblend/models/theirs/{small}.part"));
    // Its first line is told before its first byte comes.
    let patience = Instant::now() + Duration::from_secs(60);
    while fs::metadata(&part).map_or(0, |about| about.len()) < 1_000_000 {
        assert!(Instant::now() < patience, "the first half never came");
        std::thread::yield_now();
    }
    let pid = child.id().to_string();
    let killed = Command::new("kill").args(["-INT", &pid]).status().unwrap();
    assert!(killed.success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let last = lines.last().unwrap().unwrap();
    assert!(last.contains("goes on from there"), "{last}");

    hub.put("them/small", weights, answer(None));
    hub.seen();
    assert!(flowblend(here, &pull).status.success());
    let seen = hub.seen();
    let asked = seen
        .iter()
        .find(|s| s.method == "GET" && s.path.contains("small"));
    assert_eq!(asked.unwrap().from, Some(1_000_000));
    assert_eq!(listed(here, "theirs").unwrap()["state"], "ready");
}
