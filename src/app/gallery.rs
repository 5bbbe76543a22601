use eframe::egui;
use std::sync::Arc;

use egui::{ColorImage, Context, TextureHandle, TextureOptions};

use crate::engine::{FinishedRun, RunId, RunReport};
use crate::library::{Kept, RunName, RunRecord, Thumbnail};
use crate::media::Clip;
use crate::project::RunSettings;

/// Bytes of clips that stay in memory besides the one on show; others are read again from disk.
const CLIP_BYTES: usize = 1 << 30;

/// A finished run, of this start of the program or an earlier one.
pub struct GalleryRun {
    /// Which run.
    pub id: RunId,
    /// What it was asked for, what was measured, when.
    pub record: RunRecord,
    /// Its name on disk, once it is safe there.
    pub name: Option<RunName>,
    /// The clip's middle frame.
    pub thumbnail: Option<TextureHandle>,
    clip: Option<Arc<Clip>>,
    /// The file with its latents while the clip is not on disk.
    unwritten: Option<std::path::PathBuf>,
    /// Its clip is being read.
    is_fetched: bool,
    /// When it was last looked at, as a count.
    looked_at: u64,
}

impl GalleryRun {
    /// What it was asked for.
    pub fn settings(&self) -> &RunSettings {
        &self.record.settings
    }

    /// What was measured.
    pub fn report(&self) -> &RunReport {
        &self.record.report
    }

    /// Its frames, while they are in memory.
    pub fn clip(&self) -> Option<&Arc<Clip>> {
        self.clip.as_ref()
    }

    /// All of it, as the engine gave it, while its frames are in memory.
    pub fn finished(&self) -> Option<FinishedRun> {
        Some(FinishedRun {
            settings: self.record.settings.clone(),
            clip: Arc::clone(self.clip.as_ref()?),
            report: self.record.report.clone(),
            unwritten: self.unwritten.clone(),
        })
    }

    /// Whether it answers to what was typed: words of the prompt, letters of the plan, the seed.
    pub fn answers_to(&self, typed: &str) -> bool {
        let settings = self.settings();
        let (prompt, plan) = (settings.prompt.to_lowercase(), settings.plan.letters());
        let seed = settings.seed.to_string();
        typed.to_lowercase().split_whitespace().all(|word| {
            prompt.contains(word) || plan.to_lowercase() == word || seed.starts_with(word)
        })
    }

    #[cfg(test)]
    pub(super) fn lose_last_frame(&mut self) {
        Arc::make_mut(self.clip.as_mut().unwrap()).frames.pop();
    }

    fn bytes(&self) -> usize {
        self.clip
            .as_ref()
            .map_or(0, |clip| clip.frames.iter().map(Vec::len).sum())
    }
}

/// What showing a run takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Showing {
    /// It is on show.
    Now,
    /// Its clip has to be read first.
    Fetch(RunName),
    /// There is no such run.
    Unknown,
}

/// The finished runs, the newest first.
#[derive(Default)]
pub struct Gallery {
    runs: Vec<GalleryRun>,
    shown: Option<RunId>,
    shown_before: Option<RunId>,
    /// To be shown as soon as its clip was read.
    wanted: Option<RunId>,
    /// Runs of earlier starts so far.
    earlier: u64,
    looks: u64,
}

impl Gallery {
    /// Adds a run of this start. With `shows` its clip goes into the preview; without it does so only
    /// where no other is shown.
    pub fn add(&mut self, ctx: &Context, id: RunId, run: FinishedRun, shows: bool) {
        let thumbnail = Thumbnail::of(&run.clip);
        let run = GalleryRun {
            id,
            record: RunRecord::new(run.settings, run.report),
            name: None,
            thumbnail: thumbnail.and_then(|small| texture(ctx, id, small)),
            clip: Some(run.clip),
            unwritten: run.unwritten,
            is_fetched: false,
            looked_at: 0,
        };
        self.insert(run, shows);
    }

    pub(super) fn insert(&mut self, run: GalleryRun, shows: bool) {
        let id = run.id;
        self.runs.insert(0, run);
        if shows || self.shown.is_none() {
            self.show(id);
        }
    }

    /// Adds a run of an earlier start, or one that came back, where its time puts it.
    pub fn add_kept(&mut self, ctx: &Context, kept: Kept) {
        if self
            .runs
            .iter()
            .any(|run| run.name.as_ref() == Some(&kept.name))
        {
            return;
        }
        // Far above every id that the engine will come to.
        let id = RunId(u64::MAX - self.earlier);
        self.earlier += 1;
        let at = self
            .runs
            .partition_point(|run| run.record.finished > kept.record.finished);
        self.runs.insert(
            at,
            GalleryRun {
                id,
                record: kept.record,
                name: Some(kept.name),
                thumbnail: kept.thumbnail.and_then(|small| texture(ctx, id, small)),
                clip: None,
                unwritten: None,
                is_fetched: false,
                looked_at: 0,
            },
        );
    }

    /// A run of this start is on disk now. Gives what is to be written down, where it was marked
    /// meanwhile.
    pub fn is_kept(&mut self, id: RunId, kept: Kept) -> Option<(RunName, RunRecord)> {
        let run = self.runs.iter_mut().find(|run| run.id == id)?;
        let is_starred = run.record.is_starred;
        run.record = RunRecord {
            is_starred,
            ..kept.record
        };
        run.name = Some(kept.name.clone());
        run.unwritten = None;
        is_starred.then(|| (kept.name, run.record.clone()))
    }

    /// A clip was read. Gives the run that is on show by that.
    pub fn fetched(&mut self, name: &RunName, clip: Arc<Clip>) -> Option<RunId> {
        let run = self
            .runs
            .iter_mut()
            .find(|run| run.name.as_ref() == Some(name))?;
        run.clip = Some(clip);
        run.is_fetched = false;
        let id = run.id;
        (self.wanted == Some(id) && self.show(id) == Showing::Now).then_some(id)
    }

    /// Every run, the newest first.
    pub fn runs(&self) -> &[GalleryRun] {
        &self.runs
    }

    /// A run.
    pub fn get(&self, id: RunId) -> Option<&GalleryRun> {
        self.runs.iter().find(|run| run.id == id)
    }

    /// The run whose clip is in the preview.
    pub fn shown(&self) -> Option<&GalleryRun> {
        self.shown.and_then(|id| self.get(id))
    }

    /// The run whose clip was in the preview before that.
    pub fn shown_before(&self) -> Option<&GalleryRun> {
        self.shown_before.and_then(|id| self.get(id))
    }

    /// The run that was chosen, also while its clip is still being read.
    pub fn chosen(&self) -> Option<RunId> {
        self.wanted.or(self.shown)
    }

    /// Puts a run's clip into the preview, where it is in memory.
    pub fn show(&mut self, id: RunId) -> Showing {
        let Some(run) = self.runs.iter_mut().find(|run| run.id == id) else {
            return Showing::Unknown;
        };
        self.looks += 1;
        run.looked_at = self.looks;
        match (&run.clip, &run.name) {
            (Some(_), _) => {
                if self.shown != Some(id) {
                    self.shown_before = self.shown.replace(id);
                }
                self.wanted = None;
                self.make_room();
                Showing::Now
            }
            (None, Some(name)) => {
                self.wanted = Some(id);
                Showing::Fetch(name.clone())
            }
            (None, None) => Showing::Unknown,
        }
    }

    /// The name of a run whose clip has to be read, once: it is on its way afterwards.
    pub(super) fn ask_for_clip(&mut self, id: RunId) -> Option<RunName> {
        let run = self.runs.iter_mut().find(|run| run.id == id)?;
        let is_asked = std::mem::replace(&mut run.is_fetched, true);
        (!is_asked && run.clip.is_none()).then(|| run.name.clone())?
    }

    /// Marks a run, or takes the mark away. Gives what is to be written down.
    pub fn star(&mut self, id: RunId) -> Option<(RunName, RunRecord)> {
        let run = self.runs.iter_mut().find(|run| run.id == id)?;
        run.record.is_starred = !run.record.is_starred;
        Some((run.name.clone()?, run.record.clone()))
    }

    /// Takes a run out that is on disk; says whether it was there. The next one takes its place in the preview.
    pub fn remove(&mut self, name: &RunName) -> bool {
        let is_meant = |run: &GalleryRun| run.name.as_ref() == Some(name);
        let Some(at) = self.runs.iter().position(is_meant) else {
            return false;
        };
        let id = self.runs.remove(at).id;
        if self.shown == Some(id) {
            self.shown = None;
        }
        if self.wanted == Some(id) {
            self.wanted = None;
        }
        true
    }

    /// Lets go of clips that can be read again, those first that nobody looked at for longest.
    fn make_room(&mut self) {
        loop {
            let held: usize = self.runs.iter().map(GalleryRun::bytes).sum();
            if held <= CLIP_BYTES {
                return;
            }
            let shown = self.shown;
            let oldest = self
                .runs
                .iter_mut()
                .filter(|run| run.clip.is_some() && run.name.is_some() && Some(run.id) != shown)
                .min_by_key(|run| run.looked_at);
            match oldest {
                Some(run) => run.clip = None,
                None => return,
            }
        }
    }
}

fn texture(ctx: &Context, id: RunId, small: Thumbnail) -> Option<TextureHandle> {
    let [width, height] = small.size;
    (small.rgb.len() == width * height * 3).then(|| {
        let image = ColorImage::from_rgb(small.size, &small.rgb);
        ctx.load_texture(format!("run {id}"), image, TextureOptions::LINEAR)
    })
}

/// A run of 12x12 pixels and 4 frames, all of one grey.
#[cfg(test)]
pub(super) fn test_run(id: u64, plan: &str, level: u8) -> GalleryRun {
    use crate::engine::RunReport;
    use crate::project::{PairRef, RunSettings};
    use crate::schedule::{Guidance, History, Plan, Solver};

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
        history: History::default(),
        distilled_sigmas: None,
        cfg: 4.0,
        guidance: Guidance::default(),
        cache: None,
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
        origins: Vec::new(),
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
        source: String::new(),
    };
    GalleryRun {
        id: RunId(id),
        record: RunRecord::new(settings, report),
        name: None,
        thumbnail: None,
        clip: Some(Arc::new(clip)),
        unwritten: None,
        is_fetched: false,
        looked_at: 0,
    }
}
