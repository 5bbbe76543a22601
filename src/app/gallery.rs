use eframe::egui;
use egui::{ColorImage, TextureHandle, TextureOptions};

use crate::engine::{FinishedRun, RunId};
use crate::media::Clip;

/// A finished run of this session.
pub struct GalleryRun {
    /// Which run.
    pub id: RunId,
    /// What it was asked for, its clip and what was measured.
    pub run: FinishedRun,
    /// The clip's middle frame.
    pub thumbnail: Option<TextureHandle>,
}

/// The finished runs of this session, the newest first. In memory only.
#[derive(Default)]
pub struct Gallery {
    runs: Vec<GalleryRun>,
    shown: Option<RunId>,
}

impl Gallery {
    /// Adds a run and shows it.
    pub fn add(&mut self, ctx: &egui::Context, id: RunId, run: FinishedRun) {
        let thumbnail = middle_frame(&run.clip)
            .map(|image| ctx.load_texture(format!("run {id}"), image, TextureOptions::LINEAR));
        self.runs.insert(0, GalleryRun { id, run, thumbnail });
        self.shown = Some(id);
    }

    /// Every run, the newest first.
    pub fn runs(&self) -> &[GalleryRun] {
        &self.runs
    }

    /// The run whose clip is in the preview.
    pub fn shown(&self) -> Option<&GalleryRun> {
        self.runs.iter().find(|r| Some(r.id) == self.shown)
    }

    /// Puts a run's clip into the preview.
    pub fn show(&mut self, id: RunId) -> Option<&GalleryRun> {
        if self.runs.iter().any(|r| r.id == id) {
            self.shown = Some(id);
        }
        self.shown()
    }
}

fn middle_frame(clip: &Clip) -> Option<ColorImage> {
    let frame = clip.frames.get(clip.frames.len() / 2)?;
    (frame.len() == clip.width * clip.height * 3)
        .then(|| ColorImage::from_rgb([clip.width, clip.height], frame))
}
