//! Small clips, and writing them.

#![allow(clippy::unwrap_used, reason = "a helper of a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

use flowblend::media::{Clip, EncodeOptions, Format, MediaError, encode};

pub fn flat_clip(width: usize, height: usize, fps: f64, colours: &[[u8; 3]]) -> Clip {
    Clip {
        width,
        height,
        fps,
        frames: colours
            .iter()
            .map(|c| c.iter().copied().cycle().take(width * height * 3).collect())
            .collect(),
    }
}

/// Frame `i` is a grey of its own, so that a lost, doubled or swapped frame is seen.
pub fn numbered_clip(width: usize, height: usize, fps: f64, count: usize) -> Clip {
    let greys: Vec<_> = (0..count)
        .map(|i| [(20 + i * 215 / count) as u8; 3])
        .collect();
    flat_clip(width, height, fps, &greys)
}

pub fn write(clip: &Clip, path: &Path) -> Result<(), MediaError> {
    write_with(clip, path, &EncodeOptions::default(), false)
}

pub fn write_with(
    clip: &Clip,
    path: &Path,
    options: &EncodeOptions,
    overwrite: bool,
) -> Result<(), MediaError> {
    encode(clip, path, options, overwrite, &mut |_, _| {}, &|| false)
}

pub fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Where a test puts its file of a format.
pub fn place(folder: &Path, format: Format) -> PathBuf {
    match format.ending() {
        Some(ending) => folder.join(format!("{}.{ending}", format.key())),
        None => folder.join(format.key()),
    }
}

/// Writes a clip as `format`, and says where.
pub fn write_as(clip: &Clip, folder: &Path, format: Format) -> PathBuf {
    let options = EncodeOptions {
        format: Some(format),
        ..EncodeOptions::default()
    };
    let path = place(folder, format);
    write_with(clip, &path, &options, true).unwrap_or_else(|e| panic!("{format:?}: {e}"));
    path
}
