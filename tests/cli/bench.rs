//! `flowblend bench --model` and `--parts`: what they refuse, and small parts. A published transformer at its full size is nothing to build in
//! a test; `engine/pass_bench.rs` runs small ones.

use crate::program::flowblend;

/// What is said of wrong usage.
fn refused(arguments: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let output = flowblend(folder.path(), &[&["bench", "--model"], arguments].concat());
    assert_eq!(output.status.code(), Some(2));
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn an_unknown_model_gets_the_names() {
    let said = refused(&["wan-9b"]);
    for name in ["wan-1.3b", "wan-14b", "ltx-2b", "ltx-13b"] {
        assert!(said.contains(name), "{said}");
    }
}

#[test]
fn a_size_the_family_cannot_do_gets_the_nearest() {
    let said = refused(&["wan-1.3b", "--size", "830x480", "--device", "cpu"]);
    assert!(said.contains("the nearest size is 832x480"), "{said}");
    let said = refused(&["ltx-2b", "--frames", "120", "--device", "cpu"]);
    assert!(said.contains("121"), "{said}");
}

#[test]
fn a_pair_or_a_plan_has_no_place() {
    for other in [
        ["--pair", "demo"],
        ["--plan", "LSL"],
        ["--steps", "4"],
        ["--plans", "3"],
    ] {
        let said = refused(&["wan-1.3b", other[0], other[1]]);
        assert!(said.contains(other[0]), "{said}");
    }
}

#[test]
fn the_parts_of_a_model_are_measured_and_written() {
    let folder = tempfile::tempdir().unwrap();
    let model = format!("{}/models/demo/large", env!("CARGO_MANIFEST_DIR"));
    let options = ["--size", "32x32", "--frames", "5", "--runs", "1", "--json"];
    let parts = [
        "bench",
        "--parts",
        &model,
        "--device",
        "cpu",
        "--tensors",
        "t.safetensors",
    ];
    let arguments = [&parts[..], &options[..]].concat();
    let output = flowblend(folder.path(), &arguments);
    assert!(output.status.success(), "{output:?}");
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(found["parts"][0]["part"], "transformer");
    assert!(found["parts"][0]["flops_a_second"].as_f64().unwrap() > 0.0);
    assert_eq!(found["parts"][1]["secs"]["count"], 1);
    let file = folder.path().join("t.safetensors");
    let tensors = candle_core::safetensors::load(file, &candle_core::Device::Cpu).unwrap();
    assert_eq!(tensors["video"].dims(), [1, 3, 5, 32, 32]);
    // What is there is replaced only for whoever asks for it, and nothing is left beside it.
    let output = flowblend(folder.path(), &arguments);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("already exists; pass --overwrite"), "{said}");
    let output = flowblend(folder.path(), &[&arguments[..], &["--overwrite"]].concat());
    assert!(output.status.success(), "{output:?}");
    let names = std::fs::read_dir(folder.path()).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert!(names.into_iter().all(|name| !name.starts_with('.')));
}

#[test]
fn parts_of_nothing_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let output = flowblend(folder.path(), &["bench", "--parts", "nowhere"]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("nowhere"), "{said}");
    let output = flowblend(folder.path(), &["bench", "--tensors", "t"]);
    assert_eq!(output.status.code(), Some(2));
}
