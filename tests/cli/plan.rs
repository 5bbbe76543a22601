//! What `flowblend plan` tells of public pairs without any of their files.

use crate::program::flowblend;
use serde_json::Value;

/// The clips of FlowBlending's page: WAN's of 61 frames, LTX-Video's of 61 padded to 65.
const WAN: &str = "--pair wan2.1 --size 832x480 --frames 61";
const LTX: &str = "--pair ltx-video --size 608x352 --frames 65";

/// Every figure of the tables of FlowBlending's page (arXiv 2512.24724), in TFLOPs, and the options that give it.
/// Boundaries are published for WAN alone; LTX-Video's are any that give the published shares of the large model.
const PAPER: [(&str, &str, f64); 11] = [
    (WAN, "--plan LLL", 29950.0),
    (WAN, "--plan SSS", 3129.0),
    (WAN, "--plan LSS", 13858.0),
    (WAN, "--plan SLL --boundaries 0.2,0.8", 24586.0),
    (WAN, "--plan LSL", 19222.0),
    (LTX, "--solver dpm++2m --steps 20 --plan LLL", 1748.0),
    (LTX, "--solver dpm++2m --steps 20 --plan SSS", 257.0),
    (
        LTX,
        "--solver dpm++2m --steps 20 --plan LSL --boundaries 0.3,0.85",
        928.0,
    ),
    (LTX, "--plan LLL", 3496.0),
    (
        LTX,
        "--plan LDL --boundaries 0.3,0.8 --distilled-steps 8",
        1774.0,
    ),
    (LTX, "--plan D --distilled-steps 8", 51.0),
];

fn plan(folder: &std::path::Path, arguments: &str) -> Value {
    let arguments: Vec<&str> = arguments.split_whitespace().collect();
    let output = flowblend(folder, &[&["plan", "--json"], &arguments[..]].concat());
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn every_figure_of_the_papers_tables_comes_out() {
    let folder = tempfile::tempdir().unwrap();
    for (clip, run, published) in PAPER {
        let told = plan(folder.path(), &format!("{clip} {run}"));
        assert_eq!(told["on_disk"], false);
        let cost = &told["cost"];
        let counted = cost["paper_flops"].as_f64().unwrap() / 1e12;
        // A unit in the last place of 51 is more than a thousandth.
        let rounding = 0.5 / published;
        assert!(
            (counted / published - 1.0).abs() < f64::max(1e-3, rounding),
            "{run}: {counted} against {published}"
        );
        assert!(cost["full_flops"].as_f64() > cost["paper_flops"].as_f64());
        assert_eq!(cost["denoise_secs"], Value::Null);
        assert!(told["memory_bytes"].as_u64().unwrap() > 1 << 30);
    }
}

#[test]
fn what_is_not_on_disk_is_said_and_only_planned() {
    let folder = tempfile::tempdir().unwrap();
    let told = flowblend(folder.path(), &["plan", "--pair", "wan2.1"]);
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    for words in [
        "wan2.1 is not on disk",
        "models pull wan2.1",
        "one pass a step",
        "denoise: not measured",
    ] {
        assert!(told.contains(words), "{told}");
    }
    let run = flowblend(
        folder.path(),
        &["generate", "a dot", "--pair", "wan2.1", "--out", "a.mp4"],
    );
    assert_eq!(run.status.code(), Some(1));
    // The bundled pair is here, and says so.
    assert_eq!(plan(folder.path(), "--steps 4")["on_disk"], true);
}
