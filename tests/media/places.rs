//! What stops an export, and what is left afterwards: nothing but whole files.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::media_support::{names, numbered_clip, place, write, write_as, write_with};
use flowblend::media::{
    Clip, EncodeOptions, ExportJob, ExportStatus, Format, MediaError, check_target, encode,
    read_clip,
};

#[test]
fn an_existing_name_is_refused_unless_told() {
    let folder = tempfile::tempdir().unwrap();
    let clip = numbered_clip(32, 32, 16.0, 2);
    for name in ["a.mp4", "a.gif", "frames"] {
        let path = folder.path().join(name);
        write(&clip, &path).unwrap();
        let said = write(&clip, &path).unwrap_err().to_string();
        assert!(
            said.contains("pass --overwrite or choose another name"),
            "{name}: {said}"
        );
        write_with(&clip, &path, &EncodeOptions::default(), true).unwrap();
        assert_eq!(read_clip(&path).unwrap().0.frames.len(), 2, "{name}");
    }
    assert_eq!(names(folder.path()), ["a.gif", "a.mp4", "frames"]);
}

#[cfg(unix)]
#[test]
fn what_is_finished_has_the_mode_of_any_new_file() {
    let folder = tempfile::tempdir().unwrap();
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions();
    let (file, inner) = (folder.path().join("plain"), folder.path().join("inner"));
    fs::File::create(&file).unwrap();
    fs::create_dir(&inner).unwrap();
    let clip = numbered_clip(64, 64, 16.0, 2);
    for format in Format::ALL {
        let path = write_as(&clip, &inner, format);
        let plain = if path.is_dir() { &inner } else { &file };
        assert_eq!(mode(&path), mode(plain), "{format:?}");
    }
}

#[test]
fn a_folder_of_somebodys_files_is_never_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let mine = folder.path().join("mine");
    fs::create_dir(&mine).unwrap();
    fs::File::create(mine.join("thesis.txt")).unwrap();
    let clip = numbered_clip(32, 32, 16.0, 2);
    let result = write_with(&clip, &mine, &EncodeOptions::default(), true);
    assert!(matches!(result, Err(MediaError::ForeignFolder(_))));
    assert_eq!(names(&mine), ["thesis.txt"]);
}

#[test]
fn a_cancel_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let clip = numbered_clip(64, 64, 16.0, 33);
    for format in Format::ALL {
        let looks = AtomicUsize::new(0);
        // A picture asks twice.
        let patience = if format == Format::Png { 1 } else { 5 };
        let cancelled = || looks.fetch_add(1, Ordering::Relaxed) >= patience;
        let path = place(folder.path(), format);
        let options = EncodeOptions {
            format: Some(format),
            ..EncodeOptions::default()
        };
        let result = encode(&clip, &path, &options, false, &mut |_, _| {}, &cancelled);
        assert!(
            matches!(result, Err(MediaError::Cancelled)),
            "{format:?}: {result:?}"
        );
        assert!(
            names(folder.path()).is_empty(),
            "{format:?}: {:?}",
            names(folder.path())
        );
    }
}

#[test]
fn places_that_cannot_be_written_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let clip = numbered_clip(32, 32, 16.0, 2);
    // A file where a folder should be stops everybody, the system's administrator included.
    fs::File::create(folder.path().join("file")).unwrap();
    for name in ["a.mp4", "a.gif", "frames"] {
        for (parent, sentence) in [
            ("none", "does not exist; create it"),
            ("file", "is not a folder"),
        ] {
            let path = folder.path().join(parent).join(name);
            let late = write(&clip, &path).unwrap_err().to_string();
            assert!(late.contains(sentence), "{path:?}: {late}");
            let early = check_target(&path, None, false).unwrap_err().to_string();
            assert_eq!(early, late, "{path:?}");
        }
        check_target(&folder.path().join(name), None, false).unwrap();
    }
    assert_eq!(names(folder.path()), ["file"]);
}

#[test]
fn a_name_of_another_format_is_refused_before_and_after() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.webm");
    let options = EncodeOptions {
        format: Some(Format::H265),
        ..EncodeOptions::default()
    };
    let clip = numbered_clip(32, 32, 16.0, 2);
    let late = write_with(&clip, &path, &options, false).unwrap_err();
    assert!(late.to_string().contains("end the name in .mp4"), "{late}");
    let early = check_target(&path, options.format, false).unwrap_err();
    assert_eq!(early.to_string(), late.to_string());
    assert!(names(folder.path()).is_empty());
}

/// Eighty terabytes are more than the disk of any machine that runs this has free.
#[test]
fn a_disk_that_is_too_small_is_refused_before_the_first_frame() {
    let folder = tempfile::tempdir().unwrap();
    let clip = numbered_clip(2, 2, 16.0, 100_000);
    for format in [Format::Ffv1, Format::PngFolder] {
        let options = EncodeOptions {
            format: Some(format),
            scale: Some(8192.0),
            ..EncodeOptions::default()
        };
        let path = place(folder.path(), format);
        let mut progress = |_, _| panic!("{format:?}: a frame was written");
        let said = encode(&clip, &path, &options, false, &mut progress, &|| false)
            .unwrap_err()
            .to_string();
        assert!(
            said.contains("may come to up to 8") && said.contains("free some space"),
            "{said}"
        );
    }
    assert!(names(folder.path()).is_empty());
}

#[test]
fn a_picture_too_small_for_an_encoder_is_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let options = EncodeOptions {
        format: Some(Format::H265),
        scale: Some(0.25),
        ..EncodeOptions::default()
    };
    let path = place(folder.path(), Format::H265);
    let said = write_with(&numbered_clip(32, 32, 16.0, 2), &path, &options, false)
        .unwrap_err()
        .to_string();
    assert!(said.contains("at least 64 pixels a side"), "{said}");
    assert!(names(folder.path()).is_empty());
}

#[test]
fn bad_clips_are_refused_with_a_reason() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.mp4");
    let good = numbered_clip(32, 32, 16.0, 2);
    let say = |clip: &Clip| write(clip, &path).unwrap_err().to_string();
    assert!(
        say(&Clip {
            frames: vec![],
            ..good.clone()
        })
        .contains("no frames")
    );
    assert!(
        say(&Clip {
            fps: 0.0,
            ..good.clone()
        })
        .contains("frames a second")
    );
    assert!(
        say(&Clip {
            fps: f64::NAN,
            ..good.clone()
        })
        .contains("frames a second")
    );
    assert!(
        say(&Clip {
            width: 31,
            ..good.clone()
        })
        .contains("frame 0 has")
    );
    let fast = Clip { fps: 60.0, ..good };
    let said = write(&fast, &folder.path().join("a.gif"))
        .unwrap_err()
        .to_string();
    assert!(said.contains("at most 50 frames a second"), "{said}");
    assert!(names(folder.path()).is_empty());
}

#[test]
fn what_is_no_video_is_refused_with_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let missing = read_clip(&folder.path().join("none.mp4"))
        .unwrap_err()
        .to_string();
    assert!(missing.contains("does not exist"), "{missing}");
    let empty = folder.path().join("empty.mp4");
    fs::File::create(&empty).unwrap();
    let said = read_clip(&empty).unwrap_err().to_string();
    assert!(said.contains("could not be read as a video"), "{said}");
    let cut = folder.path().join("cut.mp4");
    write(&numbered_clip(64, 64, 16.0, 17), &cut).unwrap();
    fs::File::options()
        .write(true)
        .open(&cut)
        .unwrap()
        .set_len(400)
        .unwrap();
    assert!(read_clip(&cut).is_err());
    assert!(
        read_clip(folder.path())
            .unwrap_err()
            .to_string()
            .contains("clip.json")
    );
}

#[test]
fn names_with_colons_and_percents_are_plain_names() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["http:x.mp4", "a%03d.webm", "schön & klein.mov"] {
        let path = folder.path().join(name);
        write(&numbered_clip(32, 32, 16.0, 2), &path).unwrap();
        assert_eq!(read_clip(&path).unwrap().0.frames.len(), 2, "{name}");
    }
}

#[test]
fn progress_reaches_the_total_and_never_falls() {
    let folder = tempfile::tempdir().unwrap();
    for format in Format::ALL {
        let mut seen = Vec::new();
        let mut progress = |done, total| seen.push((done, total));
        let clip = numbered_clip(64, 64, 16.0, 9);
        let options = EncodeOptions {
            format: Some(format),
            ..EncodeOptions::default()
        };
        encode(
            &clip,
            &place(folder.path(), format),
            &options,
            false,
            &mut progress,
            &|| false,
        )
        .unwrap();
        let total = if format == Format::Png { 1 } else { 9 };
        let expected: Vec<_> = (1..=total).map(|i| (i, total)).collect();
        assert_eq!(seen, expected, "{format:?}");
    }
}

#[test]
fn the_same_clip_gives_the_same_file() {
    let folder = tempfile::tempdir().unwrap();
    let clip = numbered_clip(64, 64, 16.0, 17);
    for format in Format::ALL {
        // Matroska names its file by chance, and a folder has no bytes of its own.
        if matches!(format.ending(), Some("webm" | "mkv") | None) {
            continue;
        }
        let path = write_as(&clip, folder.path(), format);
        let first = fs::read(&path).unwrap();
        write_as(&clip, folder.path(), format);
        assert!(first == fs::read(&path).unwrap(), "{format:?} differs");
    }
}

#[test]
fn a_job_finishes_fails_and_is_cancelled() {
    let folder = tempfile::tempdir().unwrap();
    let clip = Arc::new(numbered_clip(64, 64, 16.0, 33));
    let path = folder.path().join("a.mp4");
    let wakes = Arc::new(AtomicUsize::new(0));
    let start = |overwrite| {
        let wakes = Arc::clone(&wakes);
        let wake = Arc::new(move || {
            wakes.fetch_add(1, Ordering::Relaxed);
        });
        let options = EncodeOptions::default();
        ExportJob::start(clip.clone(), path.clone(), options, overwrite, wake).unwrap()
    };
    let job = start(false);
    assert_eq!(job.path(), path);
    assert_eq!(job.join(), ExportStatus::Finished);
    assert_eq!(wakes.load(Ordering::Relaxed), 34);
    assert_eq!(read_clip(&path).unwrap().0.frames.len(), 33);
    match start(false).join() {
        ExportStatus::Failed(said) => assert!(said.contains("already exists"), "{said}"),
        other => panic!("{other:?}"),
    }
    let job = start(true);
    job.cancel();
    assert!(matches!(
        job.join(),
        ExportStatus::Cancelled | ExportStatus::Finished
    ));
    drop(start(true));
    assert_eq!(names(folder.path()), ["a.mp4"]);
}
