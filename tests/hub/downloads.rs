//! Downloads from a hub that breaks off and sends on: what comes is whole, and goes on where it stopped.

use std::cell::Cell;
use std::fs;

use crate::hub_server::pulls::{
    LARGE, SMALL, WEIGHTS, file, file_with, gets, listing, manifest, one, options, pull_into,
    refused, weights,
};
use crate::hub_server::{Answer, Hub, Seen, sha256};
use flowblend::hub::{Checked, HubError, SUMS_FILE, pull};
use flowblend::models::manifest::ManifestFile;
use tempfile::TempDir;

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
