//! Writes clips, reads the files again with FFmpeg, and compares.

use std::fs;
use std::path::Path;

use crate::media_support::{flat_clip, numbered_clip, place, write, write_as, write_with};
use ffmpeg_next::codec::Id;
use ffmpeg_next::util::color;
use flowblend::media::{Clip, EncodeOptions, Format, ScaleFilter, read_clip, read_comment};
use flowblend::project::{PairRef, Recipe, RunSettings};
use flowblend::schedule::{Guidance, History, ModelRole, Plan, Solver};

const VIDEO: [Format; 6] = [
    Format::H264,
    Format::H265,
    Format::Vp9,
    Format::Av1,
    Format::ProRes,
    Format::Ffv1,
];
/// Files with frames that last.
const MOVING: [Format; 7] = [
    Format::H264,
    Format::H265,
    Format::Vp9,
    Format::Av1,
    Format::ProRes,
    Format::Ffv1,
    Format::Gif,
];
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
    for format in Format::ALL {
        for (count, fps) in [(1, 16.0), (2, 12.0), (17, 16.0), (33, 23.976), (17, 12.0)] {
            let what = format!("{format:?}, {count} frames at {fps}");
            let clip = numbered_clip(80, 64, fps, count);
            let path = write_as(&clip, folder.path(), format);
            let (back, comment) = read_clip(&path).unwrap_or_else(|e| panic!("{what}: {e}"));
            assert_eq!(comment, None, "{what}");
            assert_eq!((back.width, back.height), (80, 64), "{what}");
            let count = if format == Format::Png { 1 } else { count };
            assert_eq!(back.frames.len(), count, "{what}");
            let most = if format.is_lossless() { 0 } else { 3 };
            for (i, (a, b)) in clip.frames.iter().zip(&back.frames).enumerate() {
                let (worst, _) = difference(a, b);
                assert!(worst <= most, "{what}: frame {i} differs by {worst}");
            }
            // GIF counts hundredths of a second; the others are exact to a thousandth.
            let wanted = match format {
                Format::Png => 1.0,
                Format::PngFolder => fps,
                _ if fps == 23.976 => 24_000.0 / 1001.0,
                _ => fps,
            };
            let tolerance = match format {
                Format::Gif => fps * fps / 200.0 / count as f64,
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
    for format in MOVING {
        for (fps, count) in [(12.0, 2), (16.0, 17), (23.976, 33), (16.0, 1)] {
            let path = write_as(&numbered_clip(64, 64, fps, count), folder.path(), format);
            let input = ffmpeg_next::format::input(&path).unwrap();
            let secs = input.duration() as f64 / f64::from(ffmpeg_next::ffi::AV_TIME_BASE);
            let wanted = count as f64 / fps;
            // WebM, Matroska and MP4's header count milliseconds, GIF hundredths.
            let tolerance = if format == Format::Gif { 0.006 } else { 0.0021 };
            assert!(
                (secs - wanted).abs() < tolerance,
                "{format:?} {fps}: {secs} for {wanted}"
            );
        }
    }
}

#[test]
fn the_codecs_are_the_ones_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let clip = numbered_clip(64, 64, 16.0, 3);
    for (format, codec, tag) in [
        (Format::H264, Id::H264, Some(b"avc1")),
        // The name that Apple's players open.
        (Format::H265, Id::HEVC, Some(b"hvc1")),
        (Format::Vp9, Id::VP9, None),
        (Format::Av1, Id::AV1, None),
        // 422 HQ, and not another of the family.
        (Format::ProRes, Id::PRORES, Some(b"apch")),
        (Format::Ffv1, Id::FFV1, None),
        (Format::Gif, Id::GIF, None),
    ] {
        let path = write_as(&clip, folder.path(), format);
        let input = ffmpeg_next::format::input(&path).unwrap();
        let parameters = input.streams().next().unwrap().parameters();
        assert_eq!(parameters.id(), codec, "{format:?}");
        if let Some(tag) = tag {
            // SAFETY: a plain field of parameters that live as long as the file is open.
            let found = unsafe { (*parameters.as_ptr()).codec_tag };
            assert_eq!(found.to_le_bytes(), *tag, "{format:?}");
        }
    }
}

#[test]
fn lossless_formats_keep_every_bit() {
    let folder = tempfile::tempdir().unwrap();
    let mut clip = numbered_clip(65, 67, 12.0, 4);
    for (t, frame) in clip.frames.iter_mut().enumerate() {
        for (i, byte) in frame.iter_mut().enumerate() {
            *byte = (i * 37 + i / 7 * 11 + t * 91) as u8;
        }
    }
    for format in Format::ALL.into_iter().filter(|f| f.is_lossless()) {
        let (back, _) = read_clip(&write_as(&clip, folder.path(), format)).unwrap();
        assert_eq!((back.width, back.height), (65, 67), "{format:?}");
        for (i, frame) in back.frames.iter().enumerate() {
            assert!(*frame == clip.frames[i], "{format:?}: frame {i} differs");
        }
    }
}

#[test]
fn flat_colours_survive() {
    let folder = tempfile::tempdir().unwrap();
    for format in Format::ALL {
        let tolerance = match format {
            Format::ProRes => 2,
            Format::Ffv1 | Format::Gif | Format::PngFolder | Format::Png => 0,
            _ => 3,
        };
        // One colour a clip: what is measured is the matrix, not the prediction between frames.
        for colour in FLAT {
            let clip = flat_clip(64, 64, 12.0, &[colour; 3]);
            let (back, _) = read_clip(&write_as(&clip, folder.path(), format)).unwrap();
            for frame in &back.frames {
                let (worst, _) = difference(&clip.frames[0], frame);
                let got = &frame[..3];
                assert!(worst <= tolerance, "{format:?}: {colour:?} became {got:?}");
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
fn the_files_say_what_their_colours_mean() {
    let folder = tempfile::tempdir().unwrap();
    for format in VIDEO {
        let path = write_as(&numbered_clip(80, 64, 16.0, 5), folder.path(), format);
        let frame = first_frame(&path);
        let (matrix, range) = match format {
            Format::Ffv1 => (color::Space::RGB, color::Range::JPEG),
            _ => (color::Space::BT709, color::Range::MPEG),
        };
        assert_eq!(frame.color_space(), matrix, "{format:?}");
        assert_eq!(frame.color_range(), range, "{format:?}");
        assert_eq!(
            frame.color_primaries(),
            color::Primaries::BT709,
            "{format:?}"
        );
        assert_eq!(
            frame.color_transfer_characteristic(),
            color::TransferCharacteristic::BT709,
            "{format:?}"
        );
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
    let mut clip = flat_clip(65, 67, 16.0, &[[40, 90, 200]; 3]);
    for frame in &mut clip.frames {
        for y in 0..67 {
            // A red right edge, several pixels wide so that halved chroma keeps it.
            for x in 59..65 {
                frame[(y * 65 + x) * 3..][..3].copy_from_slice(&[200, 30, 30]);
            }
        }
    }
    for format in Format::ALL {
        let size = match format {
            Format::Ffv1 | Format::Gif | Format::PngFolder | Format::Png => (65, 67),
            _ => (66, 68),
        };
        let (back, _) = read_clip(&write_as(&clip, folder.path(), format)).unwrap();
        assert_eq!((back.width, back.height), size, "{format:?}");
        let last = &back.frames[0][(back.height * back.width - 1) * 3..];
        assert!(
            difference(last, &[200, 30, 30]).0 <= 12,
            "{format:?}: corner {last:?}"
        );
    }
}

/// A clip with detail in space and time.
fn waves() -> Clip {
    let mut clip = flat_clip(128, 96, 24.0, &[[0, 0, 0]; 9]);
    for (t, frame) in clip.frames.iter_mut().enumerate() {
        for (i, pixel) in frame.chunks_mut(3).enumerate() {
            let (x, y) = ((i % 128) as f64, (i / 128) as f64);
            let wave = |phase: f64| {
                (127.5 + 100.0 * ((x + y) / 12.0 + t as f64 / 3.0 + phase).sin()) as u8
            };
            pixel.copy_from_slice(&[wave(0.0), wave(2.0), wave(4.0)]);
        }
    }
    clip
}

/// The mean difference of a clip and its file.
fn loss(clip: &Clip, path: &Path) -> f64 {
    let (back, _) = read_clip(path).unwrap();
    let of = |(a, b): (&Vec<u8>, &Vec<u8>)| difference(a, b).1;
    clip.frames.iter().zip(&back.frames).map(of).sum::<f64>() / back.frames.len() as f64
}

#[test]
fn detail_survives_within_a_few_levels() {
    let folder = tempfile::tempdir().unwrap();
    let clip = waves();
    for format in Format::ALL {
        let most = match format {
            Format::H264 | Format::H265 => 2.5,
            Format::Vp9 | Format::Av1 => 3.5,
            Format::ProRes => 1.5,
            Format::Gif => 3.0,
            Format::Ffv1 | Format::PngFolder | Format::Png => 0.0,
        };
        let found = loss(&clip, &write_as(&clip, folder.path(), format));
        assert!(found <= most, "{format:?}: mean difference {found}");
    }
}

#[test]
fn a_lower_quality_is_smaller_and_worse() {
    let folder = tempfile::tempdir().unwrap();
    let clip = waves();
    for format in Format::ALL {
        let Some(quality) = format.quality() else {
            continue;
        };
        let path = place(folder.path(), format);
        let [best, default, worst] = [quality.best, quality.default, quality.worst].map(|crf| {
            let options = EncodeOptions {
                format: Some(format),
                crf: Some(crf),
                ..EncodeOptions::default()
            };
            write_with(&clip, &path, &options, true).unwrap();
            (fs::metadata(&path).unwrap().len(), loss(&clip, &path))
        });
        assert!(best.0 > default.0 && default.0 > worst.0, "{format:?}");
        assert!(best.1 < default.1 && default.1 < worst.1, "{format:?}");
    }
}

#[test]
fn a_rate_of_its_own_keeps_every_frame() {
    let folder = tempfile::tempdir().unwrap();
    let clip = numbered_clip(80, 64, 16.0, 9);
    for format in MOVING.into_iter().chain([Format::PngFolder]) {
        let options = EncodeOptions {
            format: Some(format),
            fps: Some(25.0),
            ..EncodeOptions::default()
        };
        let path = place(folder.path(), format);
        write_with(&clip, &path, &options, false).unwrap();
        let (back, _) = read_clip(&path).unwrap();
        assert_eq!(back.frames.len(), 9, "{format:?}");
        assert!((back.fps - 25.0).abs() < 1e-3, "{format:?}: {}", back.fps);
        assert!(difference(&clip.frames[8], &back.frames[8]).0 <= 3);
    }
}

#[test]
fn a_scale_changes_the_size_of_every_format() {
    let folder = tempfile::tempdir().unwrap();
    let clip = waves();
    for format in Format::ALL {
        for (scale, filter) in [
            (2.0, ScaleFilter::Smooth),
            (2.0, ScaleFilter::Nearest),
            (0.7, ScaleFilter::Smooth),
        ] {
            let options = EncodeOptions {
                format: Some(format),
                scale: Some(scale),
                filter,
                ..EncodeOptions::default()
            };
            let path = place(folder.path(), format);
            write_with(&clip, &path, &options, true).unwrap();
            let (back, _) = read_clip(&path).unwrap();
            let size = options.written_size(format, clip.width, clip.height);
            assert_eq!((back.width, back.height), size, "{format:?}");
            // 90x67 at 0.7, where pairs of pixels let it.
            let wanted = match (scale < 1.0, format.written_side(67)) {
                (true, height) => (90, height),
                (false, _) => (256, 192),
            };
            assert_eq!(size, wanted, "{format:?}");
            if filter == ScaleFilter::Nearest && format.is_lossless() {
                let corner = |x: usize, y: usize| &back.frames[0][(y * 256 + x) * 3..][..3];
                assert_eq!(corner(0, 0), corner(1, 1), "{format:?}");
                assert_eq!(corner(2, 0), &clip.frames[0][3..6], "{format:?}");
            }
        }
    }
}

#[test]
fn a_gif_plays_as_often_as_asked() {
    let folder = tempfile::tempdir().unwrap();
    let clip = numbered_clip(64, 64, 10.0, 3);
    let path = folder.path().join("a.gif");
    // The Netscape block counts repeats: what comes after the first time.
    for (plays, repeats) in [(0, Some(0)), (1, None), (2, Some(1)), (5, Some(4))] {
        let options = EncodeOptions {
            plays,
            ..EncodeOptions::default()
        };
        write_with(&clip, &path, &options, true).unwrap();
        let bytes = fs::read(&path).unwrap();
        let block = b"NETSCAPE2.0\x03\x01";
        let found = bytes
            .windows(block.len())
            .position(|window| window == block)
            .map(|at| u16::from_le_bytes([bytes[at + block.len()], bytes[at + block.len() + 1]]));
        assert_eq!(found, repeats, "{plays} plays");
        assert_eq!(read_clip(&path).unwrap().0.frames.len(), 3);
    }
}

#[test]
fn a_picture_is_the_chosen_frame() {
    let folder = tempfile::tempdir().unwrap();
    let clip = numbered_clip(32, 24, 10.0, 7);
    for frame in [0, 3, 6] {
        let path = folder.path().join("a.png");
        let options = EncodeOptions {
            frame,
            ..EncodeOptions::default()
        };
        write_with(&clip, &path, &options, true).unwrap();
        let (back, _) = read_clip(&path).unwrap();
        assert!(back.frames == clip.frames[frame..=frame], "frame {frame}");
    }
}

#[test]
fn the_index_comes_before_the_data() {
    let folder = tempfile::tempdir().unwrap();
    for format in [Format::H264, Format::H265, Format::ProRes] {
        let path = write_as(&numbered_clip(64, 64, 16.0, 17), folder.path(), format);
        let bytes = fs::read(&path).unwrap();
        let boxes = top_boxes(&bytes);
        let at = |name: &str| boxes.iter().position(|b| b == name);
        assert!(
            at("moov").unwrap() < at("mdat").unwrap(),
            "{format:?}: {boxes:?}"
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
        history: History::default(),
        distilled_sigmas: None,
        cfg: 4.0,
        guidance: Guidance::default(),
        cache: None,
        width: 64,
        height: 64,
        frames: 17,
        fps: 16.0,
    };
    let recipe = Recipe::new(settings, vec![(ModelRole::Large, "00ff".repeat(16))]);
    for format in Format::ALL {
        let options = EncodeOptions {
            format: Some(format),
            comment: Some(recipe.to_json().unwrap()),
            ..EncodeOptions::default()
        };
        let path = place(folder.path(), format);
        write_with(&numbered_clip(64, 64, 16.0, 3), &path, &options, false).unwrap();
        for comment in [read_comment(&path).unwrap(), read_clip(&path).unwrap().1] {
            let text = comment.unwrap_or_else(|| panic!("{format:?} has no comment"));
            assert_eq!(Recipe::from_json(&text).unwrap(), recipe, "{format:?}");
        }
    }
}
