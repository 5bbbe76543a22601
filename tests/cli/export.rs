//! `flowblend export`, and the options of files that `generate` shares with it: the real binary.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::program::flowblend;
use flowblend::media::{
    Beside, Clip, EncodeOptions, Format, FrameSource as _, Label, encode, read_clip,
};
use flowblend::project::write_bytes_atomic;
use tempfile::TempDir;

const RECIPE: &str = "{\"flowblend\":{\"a\":\"recipe\"}}";

fn done(folder: &Path, arguments: &[&str]) -> String {
    let output = flowblend(folder, arguments);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

/// A folder with `clip.mkv`: 7 lossless frames of 64x64 at 12 a second, with a recipe.
fn folder_with_clip() -> (TempDir, Clip) {
    let folder = TempDir::new().unwrap();
    let frame = |t: usize| (0..64 * 64 * 3).map(|i| (i / 9 + t * 30) as u8).collect();
    let clip = Clip {
        width: 64,
        height: 64,
        fps: 12.0,
        frames: (0..7).map(frame).collect(),
    };
    let options = EncodeOptions {
        comment: Some(RECIPE.to_owned()),
        ..EncodeOptions::default()
    };
    let path = folder.path().join("clip.mkv");
    encode(&clip, &path, &options, false, &mut |_, _| {}, &|| false).unwrap();
    (folder, clip)
}

fn names(folder: &Path) -> Vec<PathBuf> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| !path.ends_with("cache"))
        .collect();
    names.sort();
    names
}

#[test]
fn a_clip_becomes_every_format_and_keeps_its_recipe() {
    let (folder, clip) = folder_with_clip();
    let folder = folder.path();
    for format in Format::ALL {
        let out = match format.ending() {
            Some(ending) => format!("{}.{ending}", format.key()),
            None => format.key().to_owned(),
        };
        let arguments = [
            "export",
            "clip.mkv",
            "--format",
            format.key(),
            "--out",
            &out,
        ];
        assert_eq!(done(folder, &arguments).trim(), out);
        let (back, comment) = read_clip(&folder.join(&out)).unwrap();
        let frames = if format == Format::Png { 1 } else { 7 };
        assert_eq!(back.frames.len(), frames, "{format:?}");
        assert_eq!((back.width, back.height), (64, 64), "{format:?}");
        assert_eq!(comment.as_deref(), Some(RECIPE), "{format:?}");
        if format.is_lossless() {
            assert!(back.frames[0] == clip.frames[0], "{format:?}");
        }
    }
}

#[test]
fn size_rate_frame_and_recipe_are_options() {
    let (folder, clip) = folder_with_clip();
    let folder = folder.path();
    let base = ["export", "clip.mkv"];
    let with = |more: &[&str]| done(folder, &[&base[..], more].concat());

    // Without --out the file lies beside the clip and has its name.
    let said = with(&[
        "--format",
        "gif",
        "--scale",
        "2",
        "--play-fps",
        "25",
        "--json",
    ]);
    let said: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(said["files"][0], "clip.gif");
    assert_eq!(said["format"], "gif");
    let (back, _) = read_clip(&folder.join("clip.gif")).unwrap();
    assert_eq!((back.width, back.height), (128, 128));
    assert!((back.fps - 25.0).abs() < 1e-3);

    with(&["--still", "3", "--scale", "2", "--nearest", "--no-recipe"]);
    let (still, comment) = read_clip(&folder.join("clip.png")).unwrap();
    assert_eq!(comment, None);
    assert_eq!((still.width, still.height), (128, 128));
    assert_eq!(still.frames[0][..3], clip.frames[2][..3]);
    assert_eq!(still.frames[0][3..6], clip.frames[2][..3]);
}

#[test]
fn what_does_not_fit_is_refused_and_nothing_is_written() {
    let (folder, _) = folder_with_clip();
    let folder = folder.path();
    write_bytes_atomic(&folder.join("there.mp4"), false, b"mine").unwrap();
    let before = names(folder);
    let small = ["--size", "64x64", "--frames", "5", "--steps", "1"];
    for (arguments, code, words) in [
        ("export clip.mkv", 2, "--out <FILE>"),
        ("export clip.mkv --format avi", 2, "use one of h264"),
        ("export clip.mkv --format av1 --crf 64", 2, "takes 1 to 63"),
        ("export clip.mkv --format ffv1 --crf 4", 2, "has no --crf"),
        ("export clip.mkv --out a.mp4 --loop 2", 2, "is for GIFs"),
        ("export clip.mkv --format gif --still 2", 2, "gives a PNG"),
        ("export clip.mkv --still 8", 1, "no frame 8"),
        ("export clip.mkv --out there.mp4", 1, "already exists"),
        (
            "export clip.mkv --out a.webm --format h265",
            1,
            "end the name in .mp4",
        ),
        (
            "export clip.mkv --out a.gif --play-fps 60",
            1,
            "at most 50 frames",
        ),
        ("export clip.mkv --out a.mp4 --scale 0", 1, "0x0 is no size"),
        ("export none.mkv --format gif", 1, "does not exist"),
        (
            "generate dot --out a.webm --format h265",
            1,
            "end the name in .mp4",
        ),
        (
            "generate dot --out a.mp4 --format h265 --scale 0.1",
            1,
            "at least 64 pixels",
        ),
        ("generate dot --out a.mp4 --scale 8000", 1, "is no size"),
    ] {
        let mut words_of: Vec<_> = arguments.split(' ').collect();
        if words_of[0] == "generate" {
            words_of.extend(small);
        }
        let output = flowblend(folder, &words_of);
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments}: {error}");
        assert!(error.contains(words), "{arguments}: {error}");
        assert_eq!(names(folder), before, "{arguments}");
    }
}

#[test]
fn a_run_is_written_as_the_format_asked_for() {
    let folder = TempDir::new().unwrap();
    let arguments = [
        "generate",
        "a red circle",
        "--seed",
        "3",
        "--steps",
        "1",
        "--plan",
        "S",
        "--size",
        "64x64",
        "--frames",
        "5",
        "--format",
        "ffv1",
        "--scale",
        "0.5",
    ];
    let out = done(folder.path(), &arguments);
    let path = folder.path().join(out.trim());
    assert_eq!(path.extension().unwrap(), "mkv");
    let (clip, comment) = read_clip(&path).unwrap();
    assert_eq!((clip.width, clip.height, clip.frames.len()), (32, 32, 5));
    assert!(comment.is_some_and(|text| text.contains("a red circle")));
}

#[test]
fn two_clips_go_into_one_beside_each_other() {
    let (folder, clip) = folder_with_clip();
    let folder = folder.path();
    // Half as high, shorter and twice as fast.
    let other = Clip {
        width: 64,
        height: 32,
        fps: 24.0,
        frames: (0..4).map(|t| vec![40 + 20 * t; 64 * 32 * 3]).collect(),
    };
    let path = folder.join("my other.mkv");
    encode(
        &other,
        &path,
        &EncodeOptions::default(),
        false,
        &mut |_, _| {},
        &|| false,
    )
    .unwrap();
    let both = ["export", "clip.mkv", "--beside", "my other.mkv"];
    let with = |more: &[&str]| done(folder, &[&both[..], more].concat());

    let said = with(&["--out", "both.mkv", "--json"]);
    let said: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(said["clip_frames"], 7);
    let label = |title: &str| Label {
        title: title.to_owned(),
        note: String::new(),
    };
    let clips = || [Arc::new(clip.clone()), Arc::new(other.clone())];
    let assert_is = |name: &str, labels: [&str; 2]| {
        let (back, comment) = read_clip(&folder.join(name)).unwrap();
        let wanted = Beside::new(clips(), &labels.map(label)).unwrap();
        assert_eq!(back.shape(), wanted.shape());
        for (i, frame) in back.frames.iter().enumerate() {
            assert!(*frame == *wanted.frame(i), "frame {i} of {name}");
        }
        assert_eq!(comment.as_deref(), Some(RECIPE));
    };
    // Without settings in a recipe a clip is called after its file.
    assert_is("both.mkv", ["clip", "my other"]);
    with(&[
        "--labels",
        "of the large model",
        "of both models",
        "--out",
        "named.mkv",
    ]);
    assert_is("named.mkv", ["of the large model", "of both models"]);

    let alone = flowblend(
        folder,
        &["export", "clip.mkv", "--labels", "a", "b", "--out", "x.mp4"],
    );
    assert_eq!(alone.status.code(), Some(2));
    let gone = flowblend(
        folder,
        &[
            "export", "clip.mkv", "--beside", "gone.mkv", "--out", "x.mp4",
        ],
    );
    assert_eq!(gone.status.code(), Some(1));
    let error = String::from_utf8_lossy(&gone.stderr);
    assert!(error.contains("gone.mkv does not exist"), "{error}");
}
