//! A folder of PNGs: `frame_00001.png` and on, `clip.json` with the rate, `recipe.json` with the comment.

use std::fs;
use std::io::BufWriter;
use std::path::Path;

use image::ImageError;
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use super::encode::Watch;
use super::frames::Frames;
use super::picture::{encode_png, picture_error};
use super::{Clip, EncodeOptions, Format, MediaError};
use crate::project::{AtomicError, folder_of, sync_folder, write_bytes_atomic};

const CLIP_FILE: &str = "clip.json";
const RECIPE_FILE: &str = "recipe.json";

/// What pictures do not say about the clip they make.
#[derive(Serialize, Deserialize)]
struct ClipFile {
    fps: f64,
    frames: usize,
}

/// Writes a new folder under a temporary name, then renames it.
pub(super) fn write(
    frames: &Frames<'_>,
    target: &Path,
    options: &EncodeOptions,
    overwrite: bool,
    watch: &mut Watch<'_>,
) -> Result<(), MediaError> {
    let replaces = check_target(target, overwrite)?;
    let io = |e| MediaError::io(target, e);
    let folder = temp_folder(target)?;
    for index in 0..frames.len() {
        watch.check()?;
        write_frame(frames, index, &folder.path().join(frame_name(index)))
            .map_err(|e| picture_error(Format::PngFolder, target, index, e))?;
        watch.progress(index + 1, frames.len());
    }
    let about = ClipFile {
        fps: frames.fps,
        frames: frames.len(),
    };
    let about = serde_json::to_vec(&about).map_err(|e| io(e.into()))?;
    write_bytes_atomic(&folder.path().join(CLIP_FILE), true, &about)?;
    if let Some(comment) = &options.comment {
        write_bytes_atomic(&folder.path().join(RECIPE_FILE), true, comment.as_bytes())?;
    }
    watch.check()?;
    // Renaming cannot replace a full folder, so the old one steps aside and goes at the end.
    let old = match replaces {
        true => {
            let aside = temp_folder(target)?;
            fs::rename(target, aside.path().join("old")).map_err(io)?;
            Some(aside)
        }
        false => None,
    };
    if let Err(error) = fs::rename(folder.path(), target) {
        if let Some(aside) = &old {
            fs::rename(aside.path().join("old"), target).map_err(io)?;
        }
        return Err(io(error));
    }
    // The folder has its final name now; there is nothing left to clean up under the temporary one.
    let _ = folder.keep();
    sync_folder(target);
    Ok(())
}

/// A hidden folder beside `target` that vanishes when dropped.
fn temp_folder(target: &Path) -> Result<TempDir, MediaError> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".flowblend-");
    #[cfg(unix)]
    let permissions = <fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o777);
    // As for files in `AtomicFile`: what the umask leaves of it, not a temporary folder's 0700.
    #[cfg(unix)]
    builder.permissions(permissions);
    builder
        .tempdir_in(folder_of(target))
        .map_err(|e| MediaError::io(target, e))
}

/// Whether there is an earlier sequence to replace. A folder with anything else in it is never touched.
pub(super) fn check_target(target: &Path, overwrite: bool) -> Result<bool, MediaError> {
    if target.file_name().is_none() {
        return Err(AtomicError::NoName(target.to_owned()).into());
    }
    let Ok(meta) = fs::symlink_metadata(target) else {
        // Whether a folder can be made there is told by making one; it vanishes at once.
        return temp_folder(target).map(|_| false);
    };
    if !overwrite {
        return Err(AtomicError::Exists(target.to_owned()).into());
    }
    if !meta.is_dir() {
        return Err(AtomicError::NotAFolder(target.to_owned()).into());
    }
    for entry in fs::read_dir(target).map_err(|e| MediaError::io(target, e))? {
        let name = entry.map_err(|e| MediaError::io(target, e))?.file_name();
        let ours = name.to_str().is_some_and(|n| {
            n == CLIP_FILE || n == RECIPE_FILE || (n.starts_with("frame_") && n.ends_with(".png"))
        });
        if !ours {
            return Err(MediaError::ForeignFolder(target.to_owned()));
        }
    }
    Ok(true)
}

/// Reads a folder that [`write`] made.
pub(super) fn read(folder: &Path) -> Result<(Clip, Option<String>), MediaError> {
    let text = fs::read(folder.join(CLIP_FILE)).map_err(|_| {
        MediaError::decode(
            folder,
            "the folder has no clip.json, so it is no sequence of ours",
        )
    })?;
    let about: ClipFile =
        serde_json::from_slice(&text).map_err(|e| MediaError::decode(folder, e))?;
    let mut clip = Clip {
        width: 0,
        height: 0,
        fps: about.fps,
        frames: Vec::new(),
    };
    for index in 0..about.frames {
        let path = folder.join(frame_name(index));
        let picture = image::open(&path)
            .map_err(|e| MediaError::decode(&path, e))?
            .into_rgb8();
        let size = (picture.width() as usize, picture.height() as usize);
        if index == 0 {
            (clip.width, clip.height) = size;
        } else if size != (clip.width, clip.height) {
            return Err(MediaError::decode(
                &path,
                "it has another size than the first frame",
            ));
        }
        clip.frames.push(picture.into_raw());
    }
    Ok((clip, read_comment(folder)))
}

/// The comment of a folder, where it has one.
pub(super) fn read_comment(folder: &Path) -> Option<String> {
    fs::read_to_string(folder.join(RECIPE_FILE)).ok()
}

fn frame_name(index: usize) -> String {
    format!("frame_{:05}.png", index + 1)
}

fn write_frame(frames: &Frames<'_>, index: usize, path: &Path) -> Result<(), ImageError> {
    let file = fs::File::create(path)?;
    encode_png(frames, index, BufWriter::new(&file))?;
    Ok(file.sync_all()?)
}
