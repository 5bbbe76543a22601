//! The rooms' one-way rules, as ARCHITECTURE.md states them, read off the sources.

#![allow(clippy::unwrap_used, clippy::expect_used)] // A test that cannot go on should panic.

use std::fs;
use std::path::{Path, PathBuf};

/// A room and the words its sources must not hold. Paths are matched as written in `use` lines and
/// in full paths, so a new dependency cannot slip in under another spelling of the same crate.
const NEVER: &[(&str, &[&str])] = &[
    (
        "schedule",
        &[
            "egui",
            "eframe",
            "candle",
            "ffmpeg",
            "std::thread",
            "std::fs",
            "crate::engine",
            "crate::models",
            "crate::sampler",
            "crate::media",
            "crate::project",
            "crate::analysis",
            "crate::plot",
            "crate::app",
            "crate::ui",
            "crate::preview",
            "crate::cli",
        ],
    ),
    (
        "sampler",
        &[
            "egui",
            "eframe",
            "ffmpeg",
            "std::fs",
            "std::thread",
            "crate::engine",
            "crate::models",
            "crate::media",
            "crate::project",
            "crate::analysis",
            "crate::plot",
            "crate::app",
            "crate::ui",
            "crate::preview",
            "crate::cli",
        ],
    ),
    (
        "models",
        &[
            "egui",
            "eframe",
            "ffmpeg",
            "std::thread",
            "crate::hub",
            "crate::engine",
            "crate::media",
            "crate::analysis",
            "crate::plot",
            "crate::app",
            "crate::ui",
            "crate::cli",
        ],
    ),
    (
        "preview",
        &[
            "candle",
            "ffmpeg",
            "crate::models",
            "crate::sampler",
            "crate::engine",
            "crate::analysis",
            "crate::plot",
            "crate::app",
            "crate::ui",
            "crate::cli",
        ],
    ),
    (
        "media",
        &[
            "candle",
            "egui",
            "eframe",
            "crate::models",
            "crate::sampler",
            "crate::engine",
            "crate::preview",
            "crate::analysis",
            "crate::plot",
            "crate::app",
            "crate::ui",
            "crate::cli",
        ],
    ),
    (
        "project",
        &[
            "egui",
            "eframe",
            "candle",
            "crate::engine",
            "crate::models",
            "crate::sampler",
            "crate::preview",
            "crate::analysis",
            "crate::library",
            "crate::plot",
            "crate::app",
            "crate::ui",
            "crate::cli",
        ],
    ),
    (
        "analysis",
        &[
            "egui",
            "eframe",
            "ffmpeg",
            "std::thread",
            "crate::engine",
            "crate::project",
            "crate::preview",
            "crate::plot",
            "crate::app",
            "crate::ui",
            "crate::cli",
        ],
    ),
    (
        "engine",
        &[
            "egui",
            "eframe",
            "crate::hub",
            "crate::library",
            "crate::plot",
            "crate::app",
            "crate::ui",
            "crate::cli",
        ],
    ),
    (
        "library",
        &[
            "egui",
            "eframe",
            "candle",
            "ffmpeg",
            "crate::models",
            "crate::sampler",
            "crate::preview",
            "crate::analysis",
            "crate::plot",
            "crate::app",
            "crate::ui",
            "crate::cli",
        ],
    ),
    (
        "hub",
        &[
            "egui",
            "eframe",
            "candle",
            "ffmpeg",
            "crate::engine",
            "crate::sampler",
            "crate::media",
            "crate::preview",
            "crate::analysis",
            "crate::plot",
            "crate::app",
            "crate::ui",
            "crate::cli",
        ],
    ),
    (
        "plot",
        &[
            "egui",
            "eframe",
            "candle",
            "ffmpeg",
            "std::thread",
            "crate::engine",
            "crate::models",
            "crate::sampler",
            "crate::schedule",
            "crate::media",
            "crate::library",
            "crate::hub",
            "crate::preview",
            "crate::analysis",
            "crate::app",
            "crate::ui",
            "crate::cli",
        ],
    ),
    (
        "ui",
        &[
            "candle",
            "ffmpeg",
            "std::fs",
            "crate::models",
            "crate::sampler",
            "crate::cli",
        ],
    ),
    (
        "app",
        &[
            "candle",
            "ffmpeg",
            "crate::models",
            "crate::sampler",
            "crate::cli",
        ],
    ),
    (
        "cli",
        &[
            "egui",
            "eframe",
            "crate::app",
            "crate::ui",
            "candle_nn",
            "ffmpeg",
        ],
    ),
];

fn sources(folder: &Path, into: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(folder).unwrap_or_else(|why| panic!("{}: {why}", folder.display()));
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|e| e == "rs") {
            into.push(path);
        }
    }
}

/// The code of a file: its tests may reach anywhere, and prose may name anything.
fn code_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .enumerate()
        .take_while(|(_, line)| !line.starts_with("#[cfg(test)]"))
        .map(|(i, line)| (i + 1, line.split("//").next().unwrap_or_default()))
}

#[test]
fn dependencies_run_one_way() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut faults = Vec::new();
    for (room, never) in NEVER {
        let mut files = Vec::new();
        sources(&src.join(room), &mut files);
        assert!(!files.is_empty(), "the room src/{room} has no sources");
        for file in files {
            let text = fs::read_to_string(&file).unwrap();
            for (number, line) in code_lines(&text) {
                for word in *never {
                    if line.contains(word) {
                        let file = file.strip_prefix(&src).unwrap().display();
                        faults.push(format!(
                            "src/{file}:{number}: {room} must not know {word}: {}",
                            line.trim()
                        ));
                    }
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_room_has_its_rule() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for entry in fs::read_dir(src).unwrap() {
        let entry = entry.unwrap();
        if entry.path().is_dir() {
            let name = entry.file_name().into_string().unwrap();
            assert!(
                NEVER.iter().any(|(room, _)| *room == name),
                "src/{name} has no rule in this test"
            );
        }
    }
}

#[test]
fn only_the_engine_and_jobs_start_threads() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&src, &mut files);
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        for (number, line) in code_lines(&text) {
            assert!(
                !line.contains("thread::spawn("),
                "{}:{number}: threads are named; use thread::Builder",
                file.display()
            );
        }
    }
}

/// `tests/fuzz` builds some of the weights' files without the rest of the program; what they import must be among them.
#[test]
fn the_fuzzed_files_need_only_one_another() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let target = fs::read_to_string(root.join("tests/fuzz/fuzz_targets/headers.rs")).unwrap();
    let built: Vec<&str> = target
        .lines()
        .filter_map(|line| line.strip_prefix("mod ")?.strip_suffix(';'))
        .collect();
    assert!(!built.is_empty(), "the fuzz target has no modules");
    let mut faults = Vec::new();
    for module in &built {
        let file = format!("src/models/weights/{module}.rs");
        let text = fs::read_to_string(root.join(&file)).unwrap();
        for (number, line) in code_lines(&text) {
            let from_parent = line.split("super::").skip(1).flat_map(imported);
            let mut foreign = from_parent.filter(|name| !built.contains(name));
            if line.contains("crate::") || foreign.next().is_some() {
                faults.push(format!(
                    "{file}:{number}: not in the fuzz target: {}",
                    line.trim()
                ));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// The modules that a path after `super::` begins with: `a::{b, c}` has one, `{a, b::c}` two.
fn imported(path: &str) -> impl Iterator<Item = &str> {
    let names = match path.strip_prefix('{') {
        Some(group) => group.split('}').next().unwrap_or(group).split(','),
        None => path.split("::").next().unwrap_or(path).split(','),
    };
    names.map(|name| name.trim().split("::").next().unwrap_or(name))
}
