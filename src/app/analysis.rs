//! What sweeps over plans found, and what the next one shall try.

use std::sync::Arc;

use super::{App, DocCommand, Notice};
use crate::analysis::Wish;
use crate::engine::{PairSummary, Quality, SweepRequest, SweepRow, SweepSummary, SweptRun};
use crate::project::RunSettings;
use crate::schedule::{ModelRole, Plan, plan_cost};
use crate::ui::timeline::NAMED_PLANS;

/// Rows that are remembered; the oldest go first. Each is a few hundred bytes.
const MOST_ROWS: usize = 8192;

/// The plans that a sweep tries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PlanSet {
    /// Those that have a name, with the boundaries on the timeline.
    #[default]
    Named,
    /// LSL, LS and SL with boundaries at every fifth of the steps.
    Fifths,
    /// The same at every tenth.
    Tenths,
}

impl PlanSet {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Named, Self::Fifths, Self::Tenths];

    /// The plans, that of the timeline among them, all with the run's guidance.
    fn plans(self, plan: &Plan, own: &[f64]) -> Vec<Plan> {
        let own_plan = Plan::parse("LSL", own).ok();
        let mut plans = match self {
            Self::Named => {
                let named = NAMED_PLANS.iter();
                let known = named.filter(|n| n.models().all(|role| role != ModelRole::Distilled));
                known.filter_map(|named| named.from(plan, own)).collect()
            }
            Self::Fifths => Plan::lattice(5).unwrap_or_default(),
            Self::Tenths => Plan::lattice(10).unwrap_or_default(),
        };
        plans.extend(own_plan);
        plans.push(plan.with_run_cfg());
        plans
    }
}

/// The limit under which the best plan is looked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Limit {
    /// None: where the front bends.
    #[default]
    Knee,
    /// At least so much SSIM to the reference.
    Ssim,
    /// At most so many seconds.
    Secs,
}

/// What is asked for on the page.
#[derive(Clone, Debug, PartialEq)]
pub enum AnalysisRequest {
    /// Put the page away.
    Close,
    /// Try these plans.
    Plans(PlanSet),
    /// Try them with so many seeds, counted up from the document's.
    Seeds(u16),
    /// Show the plans by this measure.
    Quality(Quality),
    /// Look for the best plan under this limit.
    Limit(Limit),
    /// The least SSIM that is good enough.
    AtLeastSsim(f64),
    /// The most seconds that are short enough.
    AtMostSecs(f64),
    /// Render what is not known yet.
    Sweep,
    /// Put a plan on the timeline.
    Use(Plan),
}

/// The page's choices and all rows since the window opened.
#[derive(Debug)]
pub struct Analysis {
    /// Whether the page is on the screen.
    pub is_open: bool,
    set: PlanSet,
    seeds: u16,
    quality: Quality,
    limit: Limit,
    at_least_ssim: f64,
    at_most_secs: f64,
    rows: Vec<SweepRow>,
    /// Counts what changes the view: the choices and the rows.
    changes: u64,
    view: Option<Seen>,
}

/// A view of the chosen sweep, and what it was made from.
#[derive(Debug)]
struct Seen {
    settings: RunSettings,
    pair: Arc<PairSummary>,
    changes: u64,
    view: SweepView,
}

impl Default for Analysis {
    fn default() -> Self {
        Self {
            is_open: false,
            set: PlanSet::default(),
            seeds: 1,
            quality: Quality::default(),
            limit: Limit::default(),
            at_least_ssim: 0.95,
            at_most_secs: 10.0,
            rows: Vec::new(),
            changes: 0,
            view: None,
        }
    }
}

impl Analysis {
    /// The plans that are tried.
    pub fn set(&self) -> PlanSet {
        self.set
    }

    /// Seeds that they are tried with.
    pub fn seeds(&self) -> u16 {
        self.seeds
    }

    /// The measure that the plans are shown by.
    pub fn quality(&self) -> Quality {
        self.quality
    }

    /// The limit that the best plan keeps.
    pub fn limit(&self) -> Limit {
        self.limit
    }

    /// The least SSIM that is good enough.
    pub fn at_least_ssim(&self) -> f64 {
        self.at_least_ssim
    }

    /// The most seconds that are short enough.
    pub fn at_most_secs(&self) -> f64 {
        self.at_most_secs
    }

    /// What the best plan is asked for.
    pub fn wish(&self) -> Wish {
        match self.limit {
            Limit::Knee => Wish::Knee,
            Limit::Ssim => Wish::AtLeast(self.at_least_ssim),
            Limit::Secs => Wish::AtMostSecs(self.at_most_secs),
        }
    }

    /// What the page shows of the chosen sweep; `None` before the pair is known.
    pub fn view(&self) -> Option<&SweepView> {
        self.view.as_ref().map(|seen| &seen.view)
    }

    /// Looks at the document and its pair, once for each change of them, of the choices or of the rows.
    fn look(&mut self, settings: &RunSettings, pair: Option<&Arc<PairSummary>>) {
        let Some(pair) = pair else {
            self.view = None;
            return;
        };
        let is_same = |seen: &Seen| {
            seen.changes == self.changes
                && seen.settings == *settings
                && Arc::ptr_eq(&seen.pair, pair)
        };
        if !self.view.as_ref().is_some_and(is_same) {
            self.view = Some(Seen {
                view: SweepView::new(self, settings, pair),
                settings: settings.clone(),
                pair: Arc::clone(pair),
                changes: self.changes,
            });
        }
    }

    /// The chosen plans and seeds for a document.
    fn request(&self, settings: &RunSettings, own: &[f64]) -> SweepRequest {
        let plans = self.set.plans(&settings.plan, own);
        let run = |i: u16| SweptRun {
            prompt: settings.prompt.clone(),
            seed: settings.seed.wrapping_add(u64::from(i)),
            plans: plans.clone(),
        };
        SweepRequest {
            wish: None,
            settings: settings.clone(),
            runs: (0..self.seeds).map(run).collect(),
        }
    }

    /// What is known of a sweep.
    fn found(&self, request: &SweepRequest) -> Vec<SweepRow> {
        let renders = request.runs.iter().flat_map(|run| request.renders(run));
        let known = |settings: RunSettings| {
            let mut rows = self.rows.iter();
            rows.find(|row| row.settings == settings).cloned()
        };
        renders.filter_map(known).collect()
    }

    pub(super) fn add(&mut self, row: SweepRow) {
        self.rows.retain(|known| known.settings != row.settings);
        self.rows.push(row);
        self.changes += 1;
        if self.rows.len() > MOST_ROWS {
            self.rows.remove(0);
        }
    }
}

/// What the page shows of the chosen sweep.
#[derive(Debug)]
pub struct SweepView {
    /// What is not known yet.
    left: SweepRequest,
    /// Clips in all.
    pub clips: usize,
    /// Clips that are left to render.
    pub clips_left: usize,
    /// Steps that are left to compute for them.
    pub steps_left: usize,
    /// What is known.
    pub summary: Option<SweepSummary>,
    /// Predicted seconds of what is left, denoising and decoding.
    pub secs_left: Option<f64>,
}

impl SweepView {
    /// Of the chosen sweep over a document's plans.
    fn new(analysis: &Analysis, settings: &RunSettings, pair: &PairSummary) -> Self {
        let request = analysis.request(settings, pair.defaults.plan.boundaries());
        let found = analysis.found(&request);
        let left = request.without(&found);
        let (steps, clips_left) = (left.steps_to_compute(), left.clips());
        let cost = plan_cost(&steps, |role| pair.model_cost(role, settings.size()));
        let secs = cost.denoise_secs.zip(pair.decode_secs(settings));
        Self {
            clips: request.clips(),
            clips_left,
            steps_left: steps.len(),
            summary: SweepSummary::of(&found, pair),
            secs_left: secs.map(|(denoise, decode)| denoise + decode * clips_left as f64),
            left,
        }
    }
}

impl App {
    pub(super) fn obey_analysis(&mut self, request: AnalysisRequest, now_secs: f64) {
        let page = &mut self.analysis;
        match request {
            AnalysisRequest::Close => page.is_open = false,
            AnalysisRequest::Plans(set) => {
                page.set = set;
                page.changes += 1;
            }
            AnalysisRequest::Seeds(seeds) => {
                page.seeds = seeds.max(1);
                page.changes += 1;
            }
            AnalysisRequest::Quality(quality) => page.quality = quality,
            AnalysisRequest::Limit(limit) => page.limit = limit,
            AnalysisRequest::AtLeastSsim(ssim) => page.at_least_ssim = ssim,
            AnalysisRequest::AtMostSecs(secs) => page.at_most_secs = secs,
            AnalysisRequest::Sweep => self.sweep(),
            AnalysisRequest::Use(plan) => {
                self.document.end_burst();
                self.document.apply(DocCommand::Plan(plan), now_secs);
                self.document.end_burst();
            }
        }
    }

    /// Has the page show what is known now, where it is open.
    pub(super) fn refresh_analysis(&mut self) {
        if self.analysis.is_open {
            // Settings that cannot be run have no costs.
            let pair = self
                .pair
                .as_ref()
                .filter(|_| self.forecast.problem.is_none());
            self.analysis.look(self.document.settings(), pair);
        }
    }

    /// Renders what is not known yet of the chosen sweep.
    fn sweep(&mut self) {
        if let Some(why) = self.scene().measure_blocked() {
            self.notice = Some(Notice::error(&why));
            return;
        }
        self.refresh_analysis();
        let left = self.analysis.view().map(|view| view.left.clone());
        let Some(left) = left.filter(|left| !left.runs.is_empty()) else {
            return;
        };
        let (clips, settings) = (left.clips(), self.document.settings().clone());
        self.document.end_burst();
        match self.engine.sweep(left) {
            Ok(id) => {
                self.notice = None;
                self.session.sweep_started(id, settings, clips);
            }
            Err(why) => self.notice = Some(Notice::error(&why)),
        }
    }
}
