use std::ffi::OsString;

use clap::Args;

use super::CliError;
use super::clips::NamedClip;
use super::compare_report::{Measured, print, to_json};
use super::features::FeatureOptions;
use super::frechet::compare_sets;
use super::options::GlobalOptions;
use crate::analysis::{flicker, frame_similarity, mismatch, sharpness};

/// Options of `flowblend compare`.
#[derive(Debug, Args)]
pub(super) struct CompareOptions {
    /// What the others are held against: a video, a GIF, a PNG, a folder of PNGs that flowblend wrote, or
    /// the name of a run in the gallery or how it begins.
    reference: OsString,
    /// Clips of the reference's size and length; frames are compared one by one, whatever the rate.
    #[arg(required = true, value_name = "CLIP")]
    clips: Vec<OsString>,
    /// Scale clips of another size to the reference's first.
    #[arg(long)]
    resize: bool,
    /// Compare sets of clips instead, each a folder of clips or a text file that lists some: the squared Fréchet
    /// distance to the reference set, of what --dinov2 or --clip see in the frames or else of what the bundled
    /// pair's reader makes of its clips.
    #[arg(long, conflicts_with_all = ["resize", "prompt"])]
    frechet: bool,
    #[command(flatten)]
    features: FeatureOptions,
}

/// `flowblend compare`: how alike clips are to a reference, frame by frame.
pub(super) fn compare(options: &CompareOptions, global: &GlobalOptions) -> Result<(), CliError> {
    end_at_once_on_interrupt()?;
    if options.frechet {
        return compare_sets(
            &options.reference,
            &options.clips,
            &options.features,
            global,
        );
    }
    let networks = options.features.load(global)?;
    let reference = NamedClip::read(&options.reference)?;
    let (seen, features) = options.features.see(&networks, &reference, None)?;
    let mut measured = vec![Measured {
        seen,
        ..Measured::alone(&reference)
    }];
    for name in &options.clips {
        let clip = fitting(NamedClip::read(name)?, &reference, options.resize)?;
        let frames = frame_similarity(&reference.clip, &clip.clip).map_err(failed)?;
        measured.push(Measured {
            frames: frames.collect(),
            seen: options.features.see(&networks, &clip, Some(&features))?.0,
            ..Measured::alone(&clip)
        });
    }
    match global.json {
        true => println!("{}", to_json(&reference, &measured)),
        false => print(&measured),
    }
    Ok(())
}

/// The clip at the reference's size, or why the two cannot be compared.
fn fitting(
    mut clip: NamedClip,
    reference: &NamedClip,
    resize: bool,
) -> Result<NamedClip, CliError> {
    let to = &reference.clip;
    if resize && (clip.clip.width, clip.clip.height) != (to.width, to.height) {
        clip.clip = clip.clip.resized(to.width, to.height).map_err(failed)?;
    }
    let Some(what) = mismatch(&clip.clip, to, [&clip.name, &reference.name]) else {
        return Ok(clip);
    };
    let next = match clip.clip.frames.len() == to.frames.len() {
        true => "pass --resize to scale it to the reference's size",
        false => "render both with as many frames",
    };
    Err(CliError::Failed(format!(
        "{what}, so that their frames cannot be compared; {next}"
    )))
}

impl Measured {
    /// What a clip looks like by itself.
    fn alone(clip: &NamedClip) -> Self {
        Self {
            name: clip.name.clone(),
            frames: Vec::new(),
            flicker: flicker(&clip.clip).ok(),
            sharpness: sharpness(&clip.clip).ok(),
            seen: Vec::new(),
        }
    }
}

/// Nothing is written to the disk, so that Ctrl+C may end the program wherever it is.
fn end_at_once_on_interrupt() -> Result<(), CliError> {
    ctrlc::set_handler(|| {
        eprintln!("flowblend: {}", CliError::Interrupted);
        std::process::exit(130);
    })
    .map_err(|why| CliError::Failed(format!("Ctrl+C cannot be handled: {why}")))
}

fn failed(why: impl std::fmt::Display) -> CliError {
    CliError::Failed(why.to_string())
}
