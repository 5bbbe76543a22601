//! Writes clips, reads the files again with FFmpeg, and compares.

#![allow(clippy::unwrap_used, reason = "a helper of a test fails by panicking")]

mod media_support;

use std::fs;
use std::path::Path;

use ffmpeg_next::util::color;
use flowblend::media::{EncodeOptions, read_clip, read_comment};
use flowblend::project::{PairRef, Recipe, RunSettings};
use flowblend::schedule::{ModelRole, Plan, Solver};
use media_support::{flat_clip, numbered_clip, write, write_with};

const FLAT: [[u8; 3]; 8] = [
    [255, 0, 0],
    [0, 255, 0],
    [0, 0, 255],
    [255, 255, 255],
    [0, 0, 0],
    [128, 128, 128],
    [255, 200, 0],
    [20, 60, 140],
];

/// The largest difference of a channel, and the mean.
fn difference(a: &[u8], b: &[u8]) -> (u8, f64) {
    assert_eq!(a.len(), b.len());
    let each = || a.iter().zip(b).map(|(x, y)| x.abs_diff(*y));
    let sum: f64 = each().map(f64::from).sum();
    (each().max().unwrap_or(0), sum / a.len() as f64)
}

#[test]
fn every_frame_comes_back_in_every_format() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a.mp4", "a.webm", "a.mov", "a.gif", "frames"] {
        for (count, fps) in [(1, 16.0), (2, 12.0), (17, 16.0), (33, 23.976), (17, 12.0)] {
            let what = format!("{name}, {count} frames at {fps}");
            let clip = numbered_clip(64, 48, fps, count);
            let path = folder
                .path()
                .join(format!("of_{count}_{}_{name}", fps as u32));
            write(&clip, &path).unwrap_or_else(|e| panic!("{what}: {e}"));
            let (back, comment) = read_clip(&path).unwrap_or_else(|e| panic!("{what}: {e}"));
            assert_eq!(comment, None, "{what}");
            assert_eq!((back.width, back.height), (64, 48), "{what}");
            assert_eq!(back.frames.len(), count, "{what}");
            for (i, (a, b)) in clip.frames.iter().zip(&back.frames).enumerate() {
                let (worst, _) = difference(a, b);
                assert!(worst <= 3, "{what}: frame {i} differs by {worst}");
            }
            // GIF counts hundredths of a second; the others are exact to a thousandth.
            let wanted = if fps == 23.976 && name != "frames" {
                24_000.0 / 1001.0
            } else {
                fps
            };
            let tolerance = match name {
                "a.gif" => fps * fps / 200.0 / count as f64,
                _ => 1e-3,
            };
            assert!(
                (back.fps - wanted).abs() <= tolerance,
                "{what}: {}",
                back.fps
            );
        }
    }
}

#[test]
fn the_last_frame_lasts_as_long_as_the_others() {
    let folder = tempfile::tempdir().unwrap();
    for (fps, count) in [(12.0, 2), (16.0, 17), (23.976, 33), (16.0, 1)] {
        for name in ["a.mp4", "a.mov", "a.webm", "a.gif"] {
            let path = folder.path().join(format!("{fps}-{count}-{name}"));
            write(&numbered_clip(32, 32, fps, count), &path).unwrap();
            let input = ffmpeg_next::format::input(&path).unwrap();
            let secs = input.duration() as f64 / f64::from(ffmpeg_next::ffi::AV_TIME_BASE);
            let wanted = count as f64 / fps;
            // WebM and MP4's header count milliseconds, GIF hundredths.
            let tolerance = if name == "a.gif" { 0.006 } else { 0.0021 };
            assert!(
                (secs - wanted).abs() < tolerance,
                "{name} {fps}: {secs} for {wanted}"
            );
        }
    }
}

#[test]
fn flat_colours_survive() {
    let folder = tempfile::tempdir().unwrap();
    for (name, tolerance) in [
        ("a.mp4", 3),
        ("a.webm", 3),
        ("a.mov", 2),
        ("a.gif", 0),
        ("a", 0),
    ] {
        // One colour a clip: what is measured is the matrix, not the prediction between frames.
        for colour in FLAT {
            let clip = flat_clip(64, 64, 12.0, &[colour; 3]);
            let path = folder.path().join(format!("{colour:?}-{name}"));
            write(&clip, &path).unwrap();
            let (back, _) = read_clip(&path).unwrap();
            for frame in &back.frames {
                let (worst, _) = difference(&clip.frames[0], frame);
                let got = &frame[..3];
                assert!(worst <= tolerance, "{name}: {colour:?} became {got:?}");
            }
        }
    }
}

/// The bytes of the planes, against BT.709's own numbers: a wrong matrix on both ways would cancel
/// out in the test above.
#[test]
fn the_planes_hold_bt709_values() {
    let folder = tempfile::tempdir().unwrap();
    // Y, Cb, Cr of the 8-bit TV range, from the Kr and Kb of ITU-R BT.709.
    let cases = [
        ([255, 0, 0], [63, 102, 240]),
        ([0, 255, 0], [173, 42, 26]),
        ([0, 0, 255], [32, 240, 118]),
    ];
    for (rgb, yuv) in cases {
        let path = folder.path().join(format!("{rgb:?}.mp4"));
        write(&flat_clip(64, 64, 12.0, &[rgb]), &path).unwrap();
        let frame = first_frame(&path);
        for (plane, wanted) in yuv.into_iter().enumerate() {
            let got: u8 = frame.data(plane)[frame.stride(plane) * 8 + 8];
            assert!(
                got.abs_diff(wanted) <= 2,
                "{rgb:?}: plane {plane} is {got}, not {wanted}"
            );
        }
    }
}

#[test]
fn the_files_say_bt709() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a.mp4", "a.webm", "a.mov"] {
        let path = folder.path().join(name);
        write(&numbered_clip(64, 48, 16.0, 5), &path).unwrap();
        let frame = first_frame(&path);
        assert_eq!(frame.color_space(), color::Space::BT709, "{name}");
        assert_eq!(frame.color_primaries(), color::Primaries::BT709, "{name}");
        assert_eq!(
            frame.color_transfer_characteristic(),
            color::TransferCharacteristic::BT709,
            "{name}"
        );
        assert_eq!(frame.color_range(), color::Range::MPEG, "{name}");
    }
}

fn first_frame(path: &Path) -> ffmpeg_next::frame::Video {
    let mut input = ffmpeg_next::format::input(path).unwrap();
    let parameters = input.streams().next().unwrap().parameters();
    let context = ffmpeg_next::codec::Context::from_parameters(parameters).unwrap();
    let mut decoder = context.decoder().video().unwrap();
    let mut frame = ffmpeg_next::frame::Video::empty();
    for (_, packet) in input.packets() {
        decoder.send_packet(&packet).unwrap();
        if decoder.receive_frame(&mut frame).is_ok() {
            return frame;
        }
    }
    decoder.send_eof().unwrap();
    decoder.receive_frame(&mut frame).unwrap();
    frame
}

#[test]
fn odd_sizes_gain_one_repeated_pixel_in_video_and_none_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let mut clip = flat_clip(65, 33, 16.0, &[[40, 90, 200]; 3]);
    for frame in &mut clip.frames {
        for y in 0..33 {
            // A red right edge, several pixels wide so that halved chroma keeps it.
            for x in 59..65 {
                frame[(y * 65 + x) * 3..][..3].copy_from_slice(&[200, 30, 30]);
            }
        }
    }
    for (name, size) in [
        ("a.mp4", (66, 34)),
        ("a.webm", (66, 34)),
        ("a.mov", (66, 34)),
        ("a.gif", (65, 33)),
        ("a", (65, 33)),
    ] {
        let path = folder.path().join(name);
        write(&clip, &path).unwrap();
        let (back, _) = read_clip(&path).unwrap();
        assert_eq!((back.width, back.height), size, "{name}");
        let last = &back.frames[0][(back.height * back.width - 1) * 3..];
        assert!(
            difference(last, &[200, 30, 30]).0 <= 12,
            "{name}: corner {last:?}"
        );
    }
}

#[test]
fn detail_survives_within_a_few_levels() {
    let folder = tempfile::tempdir().unwrap();
    let mut clip = flat_clip(96, 64, 24.0, &[[0, 0, 0]; 9]);
    for (t, frame) in clip.frames.iter_mut().enumerate() {
        for (i, pixel) in frame.chunks_mut(3).enumerate() {
            let (x, y) = ((i % 96) as f64, (i / 96) as f64);
            let wave = |phase: f64| {
                (127.5 + 100.0 * ((x + y) / 12.0 + t as f64 / 3.0 + phase).sin()) as u8
            };
            pixel.copy_from_slice(&[wave(0.0), wave(2.0), wave(4.0)]);
        }
    }
    for (name, mean) in [
        ("a.mp4", 2.5),
        ("a.webm", 3.5),
        ("a.mov", 1.5),
        ("a.gif", 6.0),
    ] {
        let path = folder.path().join(name);
        write(&clip, &path).unwrap();
        let (back, _) = read_clip(&path).unwrap();
        for (a, b) in clip.frames.iter().zip(&back.frames) {
            let (_, found) = difference(a, b);
            assert!(found < mean, "{name}: mean difference {found}");
        }
    }
}

#[test]
fn the_index_comes_before_the_data() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a.mp4", "a.mov"] {
        let path = folder.path().join(name);
        write(&numbered_clip(64, 64, 16.0, 17), &path).unwrap();
        let bytes = fs::read(&path).unwrap();
        let boxes = top_boxes(&bytes);
        let at = |name: &str| boxes.iter().position(|b| b == name);
        assert!(
            at("moov").unwrap() < at("mdat").unwrap(),
            "{name}: {boxes:?}"
        );
    }
}

fn top_boxes(bytes: &[u8]) -> Vec<String> {
    let mut names = Vec::new();
    let mut at = 0;
    while at + 8 <= bytes.len() {
        let size = u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
        names.push(String::from_utf8_lossy(&bytes[at + 4..at + 8]).into_owned());
        assert!(size >= 8, "a box of {size} bytes");
        at += size;
    }
    names
}

#[test]
fn the_recipe_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let settings = RunSettings {
        pair: PairRef::default(),
        prompt: "a “red” circle; bouncing = yes \\ #1\nüber a blue background".to_owned(),
        negative: "x".repeat(700),
        seed: u64::MAX - 1,
        plan: Plan::parse("LSL", &[0.4, 0.8]).unwrap(),
        steps: 20,
        shift: 3.0,
        solver: Solver::Euler,
        cfg: 4.0,
        width: 64,
        height: 64,
        frames: 17,
        fps: 16.0,
    };
    let recipe = Recipe::new(settings, vec![(ModelRole::Large, "00ff".repeat(16))]);
    let options = EncodeOptions {
        comment: Some(recipe.to_json().unwrap()),
        ..EncodeOptions::default()
    };
    for name in ["a.mp4", "a.webm", "a.mov", "a.gif", "frames"] {
        let path = folder.path().join(name);
        write_with(&numbered_clip(32, 32, 16.0, 3), &path, &options, false).unwrap();
        for comment in [read_comment(&path).unwrap(), read_clip(&path).unwrap().1] {
            let text = comment.unwrap_or_else(|| panic!("{name} has no comment"));
            assert_eq!(Recipe::from_json(&text).unwrap(), recipe, "{name}");
        }
    }
}
