//! `flowblend models` as a person meets it: what is listed, added and downloaded.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use crate::hub_server::{Answer, Hub};
use serde_json::{Value, json};
use tempfile::TempDir;

fn demo() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("models/demo")
}

/// A person with a home of their own, and a root of models in it.
fn command(home: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_flowblend"));
    command
        .current_dir(home)
        .args(arguments)
        .env("FLOWBLEND_MODELS", home.join("root"))
        .env("XDG_CACHE_HOME", home.join("cache"))
        .env("XDG_CONFIG_HOME", home.join("config"))
        .env("XDG_DATA_HOME", home.join("data"))
        .env_remove("HF_ENDPOINT");
    command
}

fn flowblend(home: &Path, arguments: &[&str]) -> Output {
    command(home, arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn json_of(output: &Output) -> Value {
    assert!(output.status.success(), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The last line on stderr of a command that fails.
fn refused(home: &Path, arguments: &[&str], code: i32, words: &[&str]) {
    let output = flowblend(home, arguments);
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {error}");
    let last = error.lines().last().unwrap_or_default();
    for word in words {
        assert!(last.contains(word), "{arguments:?}: '{word}': {error}");
    }
}

/// The pair of that name in the list.
fn listed(home: &Path, name: &str) -> Option<Value> {
    let list = json_of(&flowblend(home, &["models", "list", "--json"]));
    let pairs = list["pairs"].as_array().unwrap();
    pairs.iter().find(|pair| pair["name"] == name).cloned()
}

fn put(path: &Path, value: &Value) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    serde_json::to_writer(fs::File::create(path).unwrap(), value).unwrap();
}

fn path(path: &Path) -> String {
    path.display().to_string()
}

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
        // What these weights take in f32.
        assert!(public["memory"]["together"].as_u64().unwrap() > 50_000_000_000);
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
fn a_pair_that_is_added_is_checked_first_and_found_by_name() {
    let home = TempDir::new().unwrap();
    let here = home.path();
    let (large, small) = (path(&demo().join("large")), path(&demo().join("small")));
    let named = [
        "models", "add", &large, "--small", &small, "--name", "mine", "--json",
    ];
    assert_eq!(json_of(&flowblend(here, &named))["name"], "mine");
    assert_eq!(listed(here, "mine").unwrap()["state"], "ready");
    let plan = json_of(&flowblend(
        here,
        &["plan", "--pair", "mine", "--steps", "4", "--json"],
    ));
    assert_eq!(plan["settings"]["pair"]["named"], "mine");
    // A folder with a pair.json brings its name along.
    let folder = here.join("somewhere/toy");
    let pair = json!({"name": "toy", "large": large, "small": small, "steps": 7});
    put(&folder.join("pair.json"), &pair);
    assert!(
        flowblend(here, &["models", "add", "somewhere/toy"])
            .status
            .success()
    );
    let plan = json_of(&flowblend(here, &["plan", "--pair", "toy", "--json"]));
    assert_eq!(plan["settings"]["steps"], 7);
    // Nothing was copied.
    assert_eq!(listed(here, "toy").unwrap()["large"], json!(large));
    assert!(!here.join("data").exists());
    // Out of the list again, and the files stay.
    let remove = ["models", "remove", "mine", "--json"];
    assert_eq!(json_of(&flowblend(here, &remove))["name"], "mine");
    assert!(listed(here, "mine").is_none() && listed(here, "toy").is_some());
    assert!(Path::new(&large).is_dir());
    refused(here, &remove[..3], 1, &["`mine`", "added were toy"]);
    refused(
        here,
        &["models", "remove", "demo"],
        1,
        &["`demo`", "not added"],
    );
}

#[test]
fn memory_follows_the_number_format() {
    let home = TempDir::new().unwrap();
    let together = |dtype: &str| {
        let list = json_of(&flowblend(
            home.path(),
            &["models", "--dtype", dtype, "--json"],
        ));
        let pairs = list["pairs"].as_array().unwrap();
        let wan = pairs.iter().find(|pair| pair["name"] == "wan2.1").unwrap();
        wan["memory"]["together"].as_u64().unwrap()
    };
    assert!(together("bf16") * 3 < together("f32") * 2);
}

#[test]
fn what_is_no_pair_is_not_added() {
    let home = TempDir::new().unwrap();
    let here = home.path();
    let (large, small) = (path(&demo().join("large")), path(&demo().join("small")));
    let add = |more: &[&str], code, words: &[&str]| {
        refused(here, &[&["models", "add"], more].concat(), code, words);
    };
    add(&["nowhere"], 1, &["nowhere", "check the path"]);
    add(&[&large], 2, &["needs two", "--small"]);
    add(
        &[&path(&demo()), "--small", &small],
        2,
        &["leave out --small"],
    );
    add(
        &[&large, "--small", &small, "--name", "demo"],
        1,
        &["`demo`", "--name"],
    );
    add(&[&large, "--small", &small, "--name", "a/b"], 2, &["a/b"]);
    // The small model has no VAE, so it cannot be the large one.
    add(
        &[&small, "--small", &large, "--name", "x"],
        1,
        &["not whole", "named above"],
    );
    let empty = here.join("empty");
    fs::create_dir(&empty).unwrap();
    let output = flowblend(here, &["models", "add", &large, "--small", &path(&empty)]);
    let error = text(&output.stderr);
    assert!(error.contains("small model, transformer"), "{error}");
    assert!(!here.join("config").exists());
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

#[test]
fn a_check_names_the_first_ten_faults_and_counts_the_rest() {
    let home = TempDir::new().unwrap();
    let here = home.path();
    let model = here.join("model/transformer");
    fs::create_dir_all(&model).unwrap();
    let source = demo().join("small/transformer");
    let weights = "diffusion_pytorch_model.safetensors";
    fs::copy(source.join(weights), model.join(weights)).unwrap();
    let mut config: Value =
        serde_json::from_slice(&fs::read(source.join("config.json")).unwrap()).unwrap();
    put(&model.join("config.json"), &config);
    let check = ["models", "check", "model/transformer"];
    let said = |arguments: &[&str]| text(&flowblend(here, arguments).stdout);
    let whole = said(&check);
    let line = whole.lines().next().unwrap();
    assert!(line.starts_with("transformer   complete, "), "{whole}");

    // A block more than there are weights for.
    let layers = config["num_layers"].as_u64().unwrap();
    config["num_layers"] = json!(layers + 1);
    put(&model.join("config.json"), &config);
    let told: Value = serde_json::from_str(&said(&[&check[..], &["--json"]].concat())).unwrap();
    let part = &told["parts"][0];
    let count = part["fault_count"].as_u64().unwrap();
    assert!(count > 10 && part["complete"] == false, "{part}");
    assert_eq!(part["faults"].as_array().unwrap().len(), 10);
    let output = said(&check);
    assert!(output.contains(&format!("{count} faults in ")), "{output}");
    let missing = format!("has no tensor `blocks.{layers}.");
    assert_eq!(output.matches(&missing).count(), 10, "{output}");
    let rest = format!("  and {} more\n", count - 10);
    assert!(output.contains(&rest), "{output}");
    refused(
        here,
        &check,
        1,
        &["model/transformer", "look above at transformer"],
    );
}

#[test]
fn a_distilled_model_is_added_with_what_it_was_taught() {
    let home = TempDir::new().unwrap();
    let here = home.path();
    let model = |name: &str| path(&demo().join(name));
    let (large, small, distilled) = (model("large"), model("small"), model("distilled"));
    let pair = ["models", "add", &large, "--small", &small, "--name", "mine"];
    let with = |more: &[&'static str]| [&pair[..], &["--distilled", &distilled], more].concat();
    refused(
        here,
        &with(&[]),
        2,
        &["--distilled-steps", "--distilled-sigmas"],
    );
    let alone = [&pair[..], &["--distilled-steps", "4"]].concat();
    refused(here, &alone, 2, &["--distilled DIR together"]);
    refused(
        here,
        &with(&["--distilled-sigmas", "1,0.5"]),
        2,
        &["from 1 to 0"],
    );
    let folder = path(&demo());
    let twice = [
        "models",
        "add",
        &folder,
        "--small",
        &small,
        "--distilled",
        &distilled,
    ];
    let twice = [&twice[..], &["--distilled-steps", "4"]].concat();
    refused(here, &twice, 2, &["leave out --small and --distilled"]);
    // What cannot be blended is not added, whichever model it is.
    let ltx = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/ltx/pair/small");
    let ltx = path(&ltx);
    let other = [&pair[..], &["--distilled", &ltx, "--distilled-steps", "4"]].concat();
    refused(
        here,
        &other,
        1,
        &["not added", "distilled model", "LTX-Video"],
    );
    let gone = [
        &pair[..],
        &["--distilled", "nowhere", "--distilled-steps", "4"],
    ]
    .concat();
    refused(here, &gone, 1, &["nowhere", "check the path"]);
    assert!(!here.join("config").exists());

    let taught = with(&["--distilled-sigmas", "1,0.9375,0.833,0.625,0"]);
    assert!(flowblend(here, &taught).status.success());
    let listed = listed(here, "mine").unwrap();
    assert_eq!(listed["state"], "ready");
    assert_eq!(listed["distilled"], json!(distilled));
    let plan = |more: &[&str]| {
        let plan = ["plan", "--pair", "mine", "--steps", "10", "--json"];
        json_of(&flowblend(here, &[&plan[..], more].concat()))
    };
    let run = plan(&["--plan", "D"]);
    assert_eq!(run["sigmas"], json!([1.0, 0.9375, 0.833, 0.625, 0.0]));
    assert!(
        run["steps"]
            .as_array()
            .unwrap()
            .iter()
            .all(|step| step["cfg"] == 1.0)
    );
    // A run may ask for other steps, in either way.
    let run = plan(&["--plan", "D", "--distilled-sigmas", "1,0.25,0"]);
    assert_eq!(run["sigmas"], json!([1.0, 0.25, 0.0]));
}

#[test]
fn a_pairs_folder_is_checked_as_a_whole() {
    let home = TempDir::new().unwrap();
    let here = home.path();
    let folder = path(&demo());
    let output = flowblend(here, &["models", "check", &folder]);
    let said = text(&output.stdout);
    assert!(output.status.success(), "{said}");
    for words in [
        "the large model",
        "the small model",
        "the distilled model",
        "can be blended",
    ] {
        assert!(said.contains(words), "{said}");
    }
    // Of the two others only the transformer is needed.
    assert_eq!(said.matches(" complete").count(), 4 + 1 + 1, "{said}");

    let pair = |large: &Path, small: &Path| {
        let pair = json!({"name": "p", "large": large, "small": small});
        put(&here.join("p/pair.json"), &pair);
    };
    let check = ["models", "check", "p"];
    let ltx = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/ltx/pair/small");
    pair(&demo().join("large"), &ltx);
    refused(
        here,
        &check,
        1,
        &["cannot be blended", "WAN 2.1", "LTX-Video"],
    );
    pair(&demo().join("large"), &here.join("nowhere"));
    refused(here, &check, 1, &["look above at its small model"]);
    let told = flowblend(here, &[&check[..], &["--json"]].concat()).stdout;
    let told: Value = serde_json::from_slice(&told).unwrap();
    assert_eq!(
        (&told["complete"], &told["compatible"]),
        (&json!(false), &Value::Null)
    );
    assert_eq!(told["models"]["large"].as_array().unwrap().len(), 4);
    assert_eq!(told["models"]["small"][0]["complete"], false);
}
