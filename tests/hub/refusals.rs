//! Downloads from a hub that lies and refuses: nothing wrong ever gets a file's name.

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::hub_server::pulls::{
    LARGE, WEIGHTS, file, file_with, gets, listing, manifest, one, pull_into, refused, weights,
};
use crate::hub_server::{Answer, Hub, sha256};
use flowblend::hub::{PullOptions, SUMS_FILE, pull};
use tempfile::TempDir;

#[test]
fn wrong_bytes_are_removed_whoever_states_the_checksum() {
    let (hub, manifest, bytes) = one(|answer| answer.linked_etag = Some("0".repeat(64)));
    let found = sha256(&bytes);
    refused(
        &hub,
        &manifest,
        &[],
        &[WEIGHTS, &found, "the hub states 000", "pull again"],
    );
    // The manifest is believed and not the hub.
    let (hub, mut manifest, _) = one(|_| {});
    manifest.large.files[0].sha256 = Some("1".repeat(64));
    refused(&hub, &manifest, &[], &[WEIGHTS, "the manifest states 111"]);
    // A part that some other file began.
    let (hub, manifest, bytes) = one(|_| {});
    let folder = TempDir::new().unwrap();
    let target = folder.path().join("large").join(WEIGHTS);
    fs::create_dir_all(target.parent().unwrap()).unwrap();
    let part = target.with_extension("safetensors.part");
    fs::copy(file_with(folder.path(), &[7; 500]), &part).unwrap();
    let said = pull_into(&hub, &manifest, folder.path()).unwrap_err();
    assert!(said.to_string().contains("was removed"), "{said}");
    assert!(!part.exists() && !target.exists());
    pull_into(&hub, &manifest, folder.path()).unwrap();
    assert_eq!(fs::read(target).unwrap(), bytes);
}

#[test]
fn lies_about_the_length_are_found_out() {
    // The hub states more or fewer bytes than it sends.
    for lie in [100_001, 99_999] {
        let (hub, manifest, _) = one(|answer| answer.linked_size = Some(lie));
        let lie = lie.to_string();
        refused(&hub, &manifest, &[], &[WEIGHTS, &lie, "100000", "the hub"]);
    }
    // The manifest states another length than the hub.
    let (hub, mut manifest, _) = one(|_| {});
    manifest.large.files[0].size = Some(5);
    refused(
        &hub,
        &manifest,
        &[],
        &["5 bytes according to the manifest", "100000"],
    );
    // The answer's own length is too large: the bytes end early, every time.
    let (hub, manifest, _) = one(|answer| {
        answer.content_length = Some(150_000);
        answer.is_small = true;
    });
    let said = refused(&hub, &manifest, &[], &[WEIGHTS, "could not be downloaded"]);
    assert!(said.contains("pull again"), "{said}");
    // It is too small, and nothing else is known but the checksum.
    let (hub, mut manifest, _) = one(|answer| {
        answer.content_length = Some(50_000);
        answer.is_small = true;
    });
    manifest.large.files[0].sha256 = Some(sha256(&weights(100_000)));
    refused(&hub, &manifest, &[], &["SHA-256", "was removed"]);
}

#[test]
fn what_does_not_fit_on_the_disk_is_not_begun() {
    let (hub, manifest, _) = one(|answer| answer.linked_size = Some(1 << 60));
    refused(&hub, &manifest, &[], &["1152921504.6 GB", "free", "--to"]);
    assert_eq!(gets(&hub.seen()), []);
}

#[test]
fn refusals_are_sentences_and_only_passing_faults_are_tried_again() {
    for (status, word, requests) in [
        (401, "terms", 1),
        (403, "terms", 1),
        (404, "does not exist", 1),
        (418, "418", 1),
        (500, "500", 4),
        (503, "503", 4),
        (429, "429", 4),
    ] {
        let (hub, manifest, _) = one(|answer| answer.status = Some(status));
        refused(&hub, &manifest, &[], &[word]);
        assert_eq!(hub.seen().len(), requests, "{status}");
    }
    // The hub states the file, and then does not give it.
    let (hub, mut manifest, bytes) = one(|answer| answer.status = Some(404));
    manifest.large.files[0].size = Some(100_000);
    manifest.large.files[0].sha256 = Some(sha256(&bytes));
    refused(&hub, &manifest, &[], &["does not exist", "resolve/main"]);
}

#[test]
fn no_hub_at_all_is_a_sentence() {
    let folder = TempDir::new().unwrap();
    let manifest = manifest(vec![file(WEIGHTS)], Vec::new());
    for (endpoint, word) in [
        ("http://127.0.0.1:1", "check the network"),
        ("ftp://x", "ftp://x"),
        ("http://[", "endpoint"),
    ] {
        let options = PullOptions {
            endpoint: Some(endpoint.into()),
            to: None,
            retry_wait: Duration::from_millis(1),
            ..PullOptions::default()
        };
        let said = pull(&manifest, folder.path(), &options, &|| false, &mut |_| {})
            .unwrap_err()
            .to_string();
        assert!(said.contains(word), "{endpoint}: {said}");
    }
    assert!(listing(folder.path()).is_empty());
}

#[test]
fn a_list_of_shards_cannot_lead_out_of_the_folder() {
    let hub = Hub::start();
    let bytes = br#"{"weight_map":{"a":"../../../x"}}"#.to_vec();
    let answer = Answer {
        bytes,
        ..Answer::default()
    };
    hub.put(LARGE, "w.index.json", answer);
    let manifest = manifest(vec![file("w.index.json")], Vec::new());
    refused(
        &hub,
        &manifest,
        &[SUMS_FILE],
        &["../../../x", "no plain file name"],
    );
}

#[cfg(target_os = "linux")]
#[test]
fn a_folder_that_takes_no_files_is_named() {
    let (hub, manifest, _) = one(|_| {});
    let said = pull_into(&hub, &manifest, Path::new("/proc/models")).unwrap_err();
    let said = said.to_string();
    assert!(
        said.contains("/proc") && said.contains("may write"),
        "{said}"
    );
}
