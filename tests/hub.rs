//! Downloads from a hub that breaks off, lies and refuses: nothing wrong ever gets a file's name.

#![allow(clippy::unwrap_used, clippy::expect_used)] // A test that cannot go on should panic.

mod hub_server;

use std::cell::Cell;
use std::fs;
use std::path::Path;
use std::time::Duration;

use flowblend::hub::{Checked, HubError, PullOptions, Pulled, SUMS_FILE, pull};
use flowblend::models::manifest::{Checkpoint, Manifest, ManifestFile, Parameters};
use hub_server::{Answer, Hub, Seen, sha256};
use tempfile::TempDir;

const LARGE: &str = "them/large";
const SMALL: &str = "them/small";
const WEIGHTS: &str = "transformer/weights.safetensors";

/// Bytes that differ everywhere, so that a shifted piece is noticed.
fn weights(length: usize) -> Vec<u8> {
    (0..length)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect()
}

fn file(path: &str) -> ManifestFile {
    ManifestFile::named(path.into())
}

fn manifest(large: Vec<ManifestFile>, small: Vec<ManifestFile>) -> Manifest {
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
            vae: 1,
            text_encoder: 1,
        },
        large: checkpoint(LARGE, large),
        small: checkpoint(SMALL, small),
    }
}

fn options(hub: &Hub) -> PullOptions {
    PullOptions {
        endpoint: Some(hub.endpoint.clone()),
        to: None,
        retry_wait: Duration::from_millis(1),
    }
}

fn pull_into(hub: &Hub, manifest: &Manifest, folder: &Path) -> Result<Pulled, HubError> {
    pull(manifest, folder, &options(hub), &|| false, &mut |_| {})
}

/// One file of 100,000 bytes that the hub answers for with `answer`.
fn one(answer: impl FnOnce(&mut Answer)) -> (Hub, Manifest, Vec<u8>) {
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
fn listing(folder: &Path) -> Vec<String> {
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
fn refused(hub: &Hub, manifest: &Manifest, left: &[&str], words: &[&str]) -> String {
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

fn gets(seen: &[Seen]) -> Vec<Option<usize>> {
    let gets = seen.iter().filter(|seen| seen.method == "GET");
    gets.map(|seen| seen.from).collect()
}

#[test]
fn a_pair_comes_whole_with_its_checksums_and_a_second_pull_asks_for_nothing() {
    let hub = Hub::start();
    let (config, shards) = (b"{}".to_vec(), [weights(300_000), weights(70_000)]);
    let index = br#"{"weight_map":{"a":"w-1.safetensors","b":"w-2.safetensors"}}"#.to_vec();
    let put = |repo, path, bytes: &Vec<u8>, is_small| {
        let bytes = bytes.clone();
        hub.put(
            repo,
            path,
            Answer {
                bytes,
                is_small,
                ..Answer::default()
            },
        );
    };
    put(LARGE, "vae/config.json", &config, true);
    put(LARGE, "transformer/w.index.json", &index, true);
    put(LARGE, "transformer/w-1.safetensors", &shards[0], false);
    put(LARGE, "transformer/w-2.safetensors", &shards[1], false);
    put(SMALL, "w.safetensors", &shards[1], false);
    let known = ManifestFile {
        size: Some(70_000),
        sha256: Some(sha256(&shards[1])),
        ..file("w.safetensors")
    };
    let manifest = manifest(
        vec![file("vae/config.json"), file("transformer/w.index.json")],
        vec![known],
    );
    let folder = TempDir::new().unwrap();
    let mut told = Vec::new();
    let pulled = pull(
        &manifest,
        folder.path(),
        &options(&hub),
        &|| false,
        &mut |now| told.push(now.clone()),
    )
    .unwrap();
    let checked: Vec<_> = pulled
        .files
        .iter()
        .map(|file| (file.path.as_str(), file.checked, file.is_new))
        .collect();
    assert_eq!(
        checked,
        [
            ("large/transformer/w.index.json", Checked::Size, true),
            ("large/vae/config.json", Checked::Size, true),
            ("large/transformer/w-1.safetensors", Checked::Hub, true),
            ("large/transformer/w-2.safetensors", Checked::Hub, true),
            ("small/w.safetensors", Checked::Manifest, true),
        ]
    );
    let read = |path: &str| fs::read(folder.path().join(path)).unwrap();
    assert_eq!(read("large/transformer/w-1.safetensors"), shards[0]);
    assert_eq!(read("small/w.safetensors"), shards[1]);
    let last = told.last().unwrap();
    assert_eq!((last.done, last.total), (440_002, 440_002));
    assert!(
        told.windows(2)
            .skip(1)
            .all(|pair| pair[0].done <= pair[1].done || pair[0].total != pair[1].total)
    );
    let sums = String::from_utf8(read(SUMS_FILE)).unwrap();
    assert_eq!(
        sums.lines().filter(|line| !line.starts_with('#')).count(),
        5
    );
    let line = format!("{}  small/w.safetensors", sha256(&shards[1]));
    assert!(sums.lines().any(|l| l == line), "{sums}");
    // What the manifest knows by heart is not asked for.
    let asked = |seen: &[Seen]| {
        seen.iter()
            .any(|s| s.method == "HEAD" && s.path.contains(SMALL))
    };
    assert!(!asked(&hub.seen()));

    let again = pull_into(&hub, &manifest, folder.path()).unwrap();
    assert_eq!(hub.seen(), []);
    assert!(again.files.iter().all(|file| !file.is_new));
    assert_eq!(again.files.len(), 5);

    // A file that was cut since then is not taken for whole.
    let cut = folder.path().join("large/transformer/w-1.safetensors");
    let file = fs::OpenOptions::new().write(true).open(&cut).unwrap();
    file.set_len(1_000).unwrap();
    let said = pull_into(&hub, &manifest, folder.path()).unwrap_err();
    assert!(
        said.to_string().contains("1000 bytes instead of 300000"),
        "{said}"
    );
}

#[test]
fn a_broken_connection_goes_on_at_the_byte_it_had() {
    let (hub, manifest, bytes) = one(|answer| answer.breaks = Some((30_000, 2)));
    let folder = TempDir::new().unwrap();
    pull_into(&hub, &manifest, folder.path()).unwrap();
    let [None, Some(first), Some(second)] = gets(&hub.seen())[..] else {
        panic!("three requests were needed");
    };
    assert_eq!((first, second), (30_000, 60_000));
    let there = fs::read(folder.path().join("large").join(WEIGHTS)).unwrap();
    assert_eq!(there, bytes);
}

#[test]
fn a_pull_that_was_given_up_goes_on_the_next_time() {
    let (hub, manifest, bytes) = one(|answer| answer.breaks = Some((30_000, 1)));
    // After the first piece every connection ends at once.
    let folder = TempDir::new().unwrap();
    let dead = Answer {
        bytes: bytes.clone(),
        breaks: Some((0, usize::MAX)),
        ..Answer::default()
    };
    let switched = Cell::new(false);
    let said = pull(
        &manifest,
        folder.path(),
        &options(&hub),
        &|| false,
        &mut |now| {
            if now.done > 0 && !switched.replace(true) {
                hub.put(LARGE, WEIGHTS, dead.clone());
            }
        },
    )
    .unwrap_err()
    .to_string();
    assert!(
        said.contains("of 100000") && said.contains("pull again"),
        "{said}"
    );
    let part = format!("large/{WEIGHTS}.part");
    assert_eq!(listing(folder.path()), [part.as_str()]);
    let had = fs::metadata(folder.path().join(&part)).unwrap().len() as usize;
    assert!(had > 0 && had <= 30_000);
    let asked = gets(&hub.seen());
    assert_eq!(asked.len(), 4, "the first and three more: {asked:?}");

    hub.put(
        LARGE,
        WEIGHTS,
        Answer {
            bytes: bytes.clone(),
            ..Answer::default()
        },
    );
    pull_into(&hub, &manifest, folder.path()).unwrap();
    assert_eq!(gets(&hub.seen()), [Some(had)]);
    let there = fs::read(folder.path().join("large").join(WEIGHTS)).unwrap();
    assert_eq!(there, bytes);
}

#[test]
fn a_hub_without_ranges_starts_over() {
    let (hub, manifest, bytes) = one(|answer| {
        answer.breaks = Some((30_000, 1));
        answer.ignores_range = true;
    });
    let folder = TempDir::new().unwrap();
    pull_into(&hub, &manifest, folder.path()).unwrap();
    assert_eq!(gets(&hub.seen()), [None, Some(30_000)]);
    let there = fs::read(folder.path().join("large").join(WEIGHTS)).unwrap();
    assert_eq!(there, bytes);
}

#[test]
fn a_cancel_keeps_what_came() {
    let (hub, manifest, bytes) = one(|answer| answer.stalls = None);
    let folder = TempDir::new().unwrap();
    let stop = Cell::new(false);
    let result = pull(
        &manifest,
        folder.path(),
        &options(&hub),
        &|| stop.get(),
        &mut |now| stop.set(now.done > 0),
    );
    assert!(matches!(result, Err(HubError::Cancelled)), "{result:?}");
    let part = folder.path().join(format!("large/{WEIGHTS}.part"));
    let had = fs::metadata(&part).unwrap().len() as usize;
    assert!(!folder.path().join("large").join(WEIGHTS).exists());
    hub.seen();
    pull_into(&hub, &manifest, folder.path()).unwrap();
    // All of it may have come in one read; then nothing is left to ask for.
    let asked = gets(&hub.seen());
    assert!(asked == [Some(had)] || (asked.is_empty() && had == bytes.len()));
    let there = fs::read(folder.path().join("large").join(WEIGHTS)).unwrap();
    assert_eq!(there, bytes);
}

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

fn file_with(folder: &Path, bytes: &[u8]) -> std::path::PathBuf {
    use std::io::Write as _;
    let path = folder.join("bytes");
    fs::File::create(&path).unwrap().write_all(bytes).unwrap();
    path
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
fn redirects_are_followed_and_only_the_hub_is_believed() {
    // A renamed repository: relative, and the new address states the file.
    let (hub, manifest, bytes) = one(|answer| {
        answer.redirect = Some("/new/name".into());
        answer.bytes.clear();
    });
    let there = Answer {
        bytes: bytes.clone(),
        ..Answer::default()
    };
    hub.put_at("/new/name", there.clone());
    let folder = TempDir::new().unwrap();
    let pulled = pull_into(&hub, &manifest, folder.path()).unwrap();
    assert_eq!(pulled.files[0].checked, Checked::Hub);

    // A store elsewhere: the hub states the file and sends on; what the store states counts nothing.
    let store = Hub::start();
    store.put_at(
        "/blob",
        Answer {
            linked_etag: Some("0".repeat(64)),
            linked_size: Some(7),
            breaks: Some((40_000, 1)),
            ..there
        },
    );
    let (hub, manifest, bytes) = one(|answer| {
        answer.redirect = Some(format!("{}/blob", store.endpoint));
    });
    let folder = TempDir::new().unwrap();
    let pulled = pull_into(&hub, &manifest, folder.path()).unwrap();
    assert_eq!(pulled.files[0].checked, Checked::Hub);
    assert_eq!(gets(&store.seen()), [None, Some(40_000)]);
    let there = fs::read(folder.path().join("large").join(WEIGHTS)).unwrap();
    assert_eq!(there, bytes);

    // In a circle, and to nowhere.
    let (hub, manifest, _) = one(|answer| {
        answer.redirect = Some(format!("/{LARGE}/resolve/main/{WEIGHTS}"));
        answer.bytes.clear();
    });
    refused(&hub, &manifest, &[], &["circle", "endpoint"]);
    let (hub, manifest, _) = one(|answer| answer.redirect = Some("http://127.0.0.1:1/x".into()));
    refused(&hub, &manifest, &[], &[WEIGHTS, "could not be downloaded"]);
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
        };
        let said = pull(&manifest, folder.path(), &options, &|| false, &mut |_| {})
            .unwrap_err()
            .to_string();
        assert!(said.contains(word), "{endpoint}: {said}");
    }
    assert!(listing(folder.path()).is_empty());
}

#[test]
fn files_that_are_there_are_kept_if_right_and_named_if_not() {
    let (hub, manifest, bytes) = one(|_| {});
    let folder = TempDir::new().unwrap();
    let target = folder.path().join("large").join(WEIGHTS);
    fs::create_dir_all(target.parent().unwrap()).unwrap();
    fs::copy(file_with(folder.path(), &bytes), &target).unwrap();
    let pulled = pull_into(&hub, &manifest, folder.path()).unwrap();
    assert!(!pulled.files[0].is_new);
    assert_eq!(pulled.files[0].checked, Checked::Hub);
    assert_eq!(gets(&hub.seen()), []);

    let mut spoilt = bytes.clone();
    spoilt[500] ^= 1;
    for (wrong, word) in [(&bytes[1..], "99999 bytes"), (&spoilt[..], "SHA-256")] {
        let folder = TempDir::new().unwrap();
        let target = folder.path().join("large").join(WEIGHTS);
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(file_with(folder.path(), wrong), &target).unwrap();
        let said = pull_into(&hub, &manifest, folder.path())
            .unwrap_err()
            .to_string();
        assert!(
            said.contains(word) && said.contains("move it away"),
            "{said}"
        );
        assert_eq!(fs::read(&target).unwrap(), wrong);
    }
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

#[test]
fn two_pulls_of_one_file_do_not_mix() {
    let (hub, manifest, _) = one(|_| {});
    let folder = TempDir::new().unwrap();
    let part = folder.path().join(format!("large/{WEIGHTS}.part"));
    fs::create_dir_all(part.parent().unwrap()).unwrap();
    let other = fs::File::create(&part).unwrap();
    other.lock().unwrap();
    let said = pull_into(&hub, &manifest, folder.path()).unwrap_err();
    assert!(matches!(said, HubError::Busy(_)), "{said}");
    drop(other);
    pull_into(&hub, &manifest, folder.path()).unwrap();
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
