//! `flowblend bench --model`: what it refuses. A published transformer at its full size is nothing to build in
//! a test; `engine/pass_bench.rs` runs small ones.

#![allow(clippy::unwrap_used, clippy::expect_used)] // A test that cannot go on should panic.

#[path = "common/program.rs"]
mod program;

use program::flowblend;

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
