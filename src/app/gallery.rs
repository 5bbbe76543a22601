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
    shown_before: Option<RunId>,
}

impl Gallery {
    /// Adds a run. With `shows` its clip goes into the preview; without it does so only where no other
    /// is shown.
    pub fn add(&mut self, ctx: &egui::Context, id: RunId, run: FinishedRun, shows: bool) {
        let thumbnail = middle_frame(&run.clip)
            .map(|image| ctx.load_texture(format!("run {id}"), image, TextureOptions::LINEAR));
        self.insert(GalleryRun { id, run, thumbnail }, shows);
    }

    pub(super) fn insert(&mut self, run: GalleryRun, shows: bool) {
        let id = run.id;
        self.runs.insert(0, run);
        if shows || self.shown.is_none() {
            self.show(id);
        }
    }

    /// A run by its id.
    pub fn get(&self, id: RunId) -> Option<&GalleryRun> {
        self.runs.iter().find(|r| r.id == id)
    }

    /// Every run, the newest first.
    pub fn runs(&self) -> &[GalleryRun] {
        &self.runs
    }

    /// The run whose clip is in the preview.
    pub fn shown(&self) -> Option<&GalleryRun> {
        self.get(self.shown?)
    }

    /// The run whose clip was in the preview before that.
    pub fn shown_before(&self) -> Option<&GalleryRun> {
        self.get(self.shown_before?)
    }

    /// Puts a run's clip into the preview.
    pub fn show(&mut self, id: RunId) -> Option<&GalleryRun> {
        if self.get(id).is_some() && self.shown != Some(id) {
            self.shown_before = self.shown.replace(id);
        }
        self.shown()
    }
}

fn middle_frame(clip: &Clip) -> Option<ColorImage> {
    let frame = clip.frames.get(clip.frames.len() / 2)?;
    (frame.len() == clip.width * clip.height * 3)
        .then(|| ColorImage::from_rgb([clip.width, clip.height], frame))
}

/// A run of 12x12 pixels and 4 frames, all of one grey.
#[cfg(test)]
pub(super) fn test_run(id: u64, plan: &str, level: u8) -> GalleryRun {
    use crate::engine::RunReport;
    use crate::project::{PairRef, RunSettings};
    use crate::schedule::{Plan, Solver};

    let boundaries: &[f64] = if plan.len() == 3 { &[0.4, 0.8] } else { &[] };
    let settings = RunSettings {
        pair: PairRef::default(),
        prompt: "a red circle".to_owned(),
        negative: String::new(),
        seed: 1,
        plan: Plan::parse(plan, boundaries).unwrap(),
        steps: 10,
        shift: 3.0,
        solver: Solver::Euler,
        cfg: 4.0,
        width: 12,
        height: 12,
        frames: 4,
        fps: 12.0,
    };
    let clip = Clip {
        width: 12,
        height: 12,
        fps: 12.0,
        frames: vec![vec![level; 12 * 12 * 3]; 4],
    };
    let report = RunReport {
        steps: Vec::new(),
        reused_steps: 0,
        load_secs: 0.0,
        encode_secs: 0.0,
        denoise_secs: 1.0,
        decode_secs: 0.0,
        decoded_in_tiles: false,
        paper_flops: 0.0,
        full_flops: 0.0,
        device: String::new(),
        model_hashes: Vec::new(),
        files: Vec::new(),
    };
    GalleryRun {
        id: RunId(id),
        run: FinishedRun {
            settings,
            clip: std::sync::Arc::new(clip),
            report,
            unwritten: None,
        },
        thumbnail: None,
    }
}
