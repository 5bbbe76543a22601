use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Args;
use serde_json::json;

use super::CliError;
use super::options::GlobalOptions;
use crate::media::{
    self, Beside, EncodeOptions, Format, FrameSource, Label, MediaError, ScaleFilter,
};
use crate::project::{Recipe, recipe_beside};

/// How a clip is written: the same options wherever one is.
#[derive(Debug, Args)]
pub(super) struct FileOptions {
    /// What the clip is written as: h264, h265, vp9, av1, prores, ffv1, gif, png-folder or png
    /// [default: by the ending of --out].
    #[arg(long)]
    format: Option<Format>,
    /// Quality on the encoder's own scale of constant rate factors, the lower the better [default:
    /// the format's].
    #[arg(long, value_name = "N")]
    crf: Option<u8>,
    /// Frames a second that the file plays at; every frame is kept [default: the clip's own].
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    play_fps: Option<f64>,
    /// Size as a multiple of the clip's.
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    scale: Option<f64>,
    /// With --scale: sharp squares instead of blended pixels.
    #[arg(long, requires = "scale")]
    nearest: bool,
    /// How often a GIF plays; 0 is for ever [default: 0].
    #[arg(long = "loop", value_name = "N")]
    plays: Option<u16>,
    /// Write this frame as a PNG, counted from 1.
    #[arg(long, value_name = "N")]
    still: Option<NonZeroUsize>,
    /// Leave the recipe out of the file.
    #[arg(long)]
    no_recipe: bool,
    /// Replace an existing file.
    #[arg(long)]
    pub(super) overwrite: bool,
}

impl FileOptions {
    /// The format asked for by itself, not by the name of a file.
    pub(super) fn chosen(&self) -> Option<Format> {
        self.format.or(self.still.map(|_| Format::Png))
    }

    /// How a clip is written to `out`. Refuses options that the format does not have.
    pub(super) fn encode_options(&self, out: &Path) -> Result<EncodeOptions, CliError> {
        let usage = |why: String| Err(CliError::Usage(why));
        let format = Format::of(out, self.chosen()).map_err(failed)?;
        if let Some(crf) = self.crf {
            match format.quality() {
                None => return usage(format!("{} has no --crf; leave it out", format.name())),
                Some(scale) if crf < scale.best || crf > scale.worst => {
                    return usage(format!(
                        "--crf {crf} is out of range; {} takes {} to {}",
                        format.name(),
                        scale.best,
                        scale.worst
                    ));
                }
                Some(_) => {}
            }
        }
        if self.plays.is_some() && format != Format::Gif {
            return usage(format!("--loop is for GIFs, not for {}", format.name()));
        }
        if self.still.is_some() && format != Format::Png {
            return usage(format!("--still gives a PNG, not {}", format.name()));
        }
        Ok(EncodeOptions {
            format: Some(format),
            crf: self.crf,
            fps: self.play_fps,
            scale: self.scale,
            filter: match self.nearest {
                true => ScaleFilter::Nearest,
                false => ScaleFilter::Smooth,
            },
            plays: self.plays.unwrap_or_default(),
            frame: self.still.map_or(0, |frame| frame.get() - 1),
            comment: None,
        })
    }

    /// What goes along in the file.
    pub(super) fn comment(&self, recipe: Option<String>) -> Option<String> {
        recipe.filter(|_| !self.no_recipe)
    }
}

/// Options of `flowblend export`.
#[derive(Debug, Args)]
pub(super) struct ExportOptions {
    /// A video, a GIF, a PNG, or a folder of PNGs that flowblend wrote.
    clip: PathBuf,
    /// The file; its ending chooses the format where --format does not [default: the clip's name with
    /// the ending of --format].
    #[arg(long, value_name = "FILE", required_unless_present_any = ["format", "still"])]
    out: Option<PathBuf>,
    /// Write this clip beside the other as one, each with a label under it. Small clips are enlarged by a
    /// whole number so that the labels can be read; a shorter clip holds its last frame.
    #[arg(long, value_name = "CLIP", requires = "out")]
    beside: Option<PathBuf>,
    /// What the two labels say [default: plan and seed of the recipe, else the file's name].
    #[arg(long, num_args = 2, value_names = ["LEFT", "RIGHT"], requires = "beside")]
    labels: Option<Vec<String>>,
    #[command(flatten)]
    file: FileOptions,
}

impl ExportOptions {
    /// The clip, or two of them beside each other, and its recipe.
    fn source(&self) -> Result<(Box<dyn FrameSource>, Option<String>), CliError> {
        let (clip, recipe) = media::read_clip(&self.clip).map_err(failed)?;
        let Some(beside) = &self.beside else {
            return Ok((Box::new(clip), recipe));
        };
        let (other, other_recipe) = media::read_clip(beside).map_err(failed)?;
        let labels = match self.labels.as_deref() {
            Some([left, right]) => [left, right].map(|title| Label {
                title: title.clone(),
                note: String::new(),
            }),
            _ => [
                label(&self.clip, recipe.as_deref()),
                label(beside, other_recipe.as_deref()),
            ],
        };
        let both = Beside::new([Arc::new(clip), Arc::new(other)], &labels).map_err(failed)?;
        let recipe = recipe.and_then(|first| recipe_beside(&first, other_recipe.as_deref()));
        Ok((Box::new(both), recipe))
    }
}

/// What stands under a clip: its plan and seed where its recipe tells them, else its name.
fn label(path: &Path, recipe: Option<&str>) -> Label {
    match recipe.map(Recipe::from_json) {
        Some(Ok(recipe)) => Label::of_run(&recipe.settings, None),
        _ => Label {
            title: path
                .file_stem()
                .unwrap_or(path.as_os_str())
                .to_string_lossy()
                .into_owned(),
            note: String::new(),
        },
    }
}

pub(super) fn export(options: &ExportOptions, global: &GlobalOptions) -> Result<(), CliError> {
    let file = &options.file;
    let out = match (&options.out, file.chosen()) {
        (Some(out), _) => out.clone(),
        (None, format) => options
            .clip
            .with_extension(format.and_then(Format::ending).unwrap_or_default()),
    };
    let mut encode_options = file.encode_options(&out)?;
    media::check_target(&out, encode_options.format, file.overwrite).map_err(failed)?;
    // Until here nothing was written, so that Ctrl+C may end the program at once.
    let (source, recipe) = options.source()?;
    encode_options.comment = file.comment(recipe);
    let interrupted = handle_interrupt()?;
    let is_interrupted = || interrupted.load(Ordering::SeqCst);
    let mut progress = |_, _| {};
    media::encode(
        source.as_ref(),
        &out,
        &encode_options,
        file.overwrite,
        &mut progress,
        &is_interrupted,
    )
    .map_err(|why| match why {
        MediaError::Cancelled => CliError::Interrupted,
        why => failed(why),
    })?;
    if global.json {
        let format = encode_options.format.map(Format::key);
        let frames = source.shape().frames;
        println!(
            "{}",
            json!({ "files": [out], "format": format, "clip_frames": frames })
        );
    } else {
        println!("{}", out.display());
    }
    Ok(())
}

fn handle_interrupt() -> Result<Arc<AtomicBool>, CliError> {
    let interrupted = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&interrupted);
    ctrlc::set_handler(move || {
        if flag.swap(true, Ordering::SeqCst) {
            // Asked twice. The file has a temporary name, so nothing half-written stays under its own.
            std::process::exit(130);
        }
    })
    .map_err(|why| CliError::Failed(format!("Ctrl+C cannot be handled: {why}")))?;
    Ok(interrupted)
}

fn failed(why: MediaError) -> CliError {
    CliError::Failed(why.to_string())
}
