//! Pulls of a pair of theirs from such a hub.

use std::fs;
use std::path::Path;
use std::time::Duration;

use flowblend::hub::{HubError, PullOptions, Pulled, pull};
use flowblend::models::manifest::{Checkpoint, Manifest, ManifestFile, Parameters};
use tempfile::TempDir;

use super::{Answer, Hub, Seen};

pub const LARGE: &str = "them/large";
pub const SMALL: &str = "them/small";
pub const WEIGHTS: &str = "transformer/weights.safetensors";

/// Bytes that differ everywhere, so that a shifted piece is noticed.
pub fn weights(length: usize) -> Vec<u8> {
    (0..length)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect()
}

pub fn file(path: &str) -> ManifestFile {
    ManifestFile::named(path.into())
}

pub fn manifest(large: Vec<ManifestFile>, small: Vec<ManifestFile>) -> Manifest {
    let checkpoint = |repo: &str, files| Checkpoint {
        repo: repo.into(),
        revision: "main".into(),
        files,
    };
    Manifest {
        name: "theirs".into(),
        title: "a pair of theirs".into(),
        licence: "free".into(),
        estimated_bytes: 1,
        parameters: Parameters {
            large: 1,
            small: 1,
            distilled: 0,
            vae: 1,
            text_encoder: 1,
        },
        published: None,
        large: checkpoint(LARGE, large),
        small: checkpoint(SMALL, small),
        distilled: None,
        distilled_sigmas: None,
    }
}

pub fn options(hub: &Hub) -> PullOptions {
    PullOptions {
        endpoint: Some(hub.endpoint.clone()),
        retry_wait: Duration::from_millis(1),
        ..PullOptions::default()
    }
}

pub fn pull_into(hub: &Hub, manifest: &Manifest, folder: &Path) -> Result<Pulled, HubError> {
    pull(manifest, folder, &options(hub), &|| false, &mut |_| {})
}

/// One file of 100,000 bytes that the hub answers for with `answer`.
pub fn one(answer: impl FnOnce(&mut Answer)) -> (Hub, Manifest, Vec<u8>) {
    let hub = Hub::start();
    let bytes = weights(100_000);
    let mut given = Answer {
        bytes: bytes.clone(),
        ..Answer::default()
    };
    answer(&mut given);
    hub.put(LARGE, WEIGHTS, given);
    (hub, manifest(vec![file(WEIGHTS)], Vec::new()), bytes)
}

/// Every file below a folder, with `/` between the names.
pub fn listing(folder: &Path) -> Vec<String> {
    fn walk(folder: &Path, prefix: &str, into: &mut Vec<String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let name = format!("{prefix}{}", entry.file_name().into_string().unwrap());
            if entry.path().is_dir() {
                walk(&entry.path(), &format!("{name}/"), into);
            } else {
                into.push(name);
            }
        }
    }
    let mut names = Vec::new();
    walk(folder, "", &mut names);
    names.sort();
    names
}

/// The pull fails with one sentence that has all `words`, and leaves these files.
pub fn refused(hub: &Hub, manifest: &Manifest, left: &[&str], words: &[&str]) -> String {
    let folder = TempDir::new().unwrap();
    let said = pull_into(hub, manifest, folder.path())
        .unwrap_err()
        .to_string();
    for word in words {
        assert!(said.contains(word), "'{word}' is not in: {said}");
    }
    assert!(!said.contains('\n'), "{said}");
    assert_eq!(listing(folder.path()), left, "{said}");
    said
}

pub fn gets(seen: &[Seen]) -> Vec<Option<usize>> {
    let gets = seen.iter().filter(|seen| seen.method == "GET");
    gets.map(|seen| seen.from).collect()
}

pub fn file_with(folder: &Path, bytes: &[u8]) -> std::path::PathBuf {
    use std::io::Write as _;
    let path = folder.join("bytes");
    fs::File::create(&path).unwrap().write_all(bytes).unwrap();
    path
}
