//! `flowblend models add`, `remove` and `check`: what is let in, what is refused and why.

use std::fs;
use std::path::Path;

use crate::models_home::{demo, flowblend, json_of, listed, path, put, refused, text};
use serde_json::{Value, json};
use tempfile::TempDir;

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
        &["leave out the others", "--small"],
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
    refused(
        here,
        &alone,
        2,
        &["the model together with", "--distilled DIR"],
    );
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
    refused(
        here,
        &twice,
        2,
        &["leave out the others", "--small and --distilled"],
    );
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
