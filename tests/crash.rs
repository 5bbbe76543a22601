//! A fault of the program leaves a report. In a process of its own: what faults do is set for all of it.

#![allow(clippy::expect_used, reason = "a test that cannot go on should say so")]

use flowblend::project::{report_crashes_to, untold_crash};

#[test]
fn a_fault_leaves_a_report_that_is_told_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let reports = folder.path().join("crashes");
    assert_eq!(untold_crash(&reports), None);
    report_crashes_to(reports.clone());
    let thread = std::thread::Builder::new().name("worker-7".to_owned());
    let thread = thread
        .spawn(|| panic!("the boundary is in the wrong place"))
        .expect("a thread");
    assert!(thread.join().is_err());

    let report = untold_crash(&reports).expect("a report");
    let text = std::fs::read_to_string(report).expect("readable");
    for part in [
        "the boundary is in the wrong place",
        "worker-7",
        "crash.rs",
        env!("CARGO_PKG_VERSION"),
    ] {
        assert!(text.contains(part), "{part} is missing from\n{text}");
    }
    assert_eq!(untold_crash(&reports), None);
}
