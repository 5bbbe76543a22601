use flowblend::analysis::{Interval, Valley, bootstrap, mean, median};
use flowblend::engine::PairSummary;
use flowblend::project::RunSettings;
use flowblend::schedule::{Plan, PlanCost};
use serde::Serialize;

use crate::options::{Cell, LLL, PLANS, Setup};
use crate::prompts::Attribute;
use crate::speed::Speed;
use crate::study::{Figures, Study};

/// All figures over prompts, with their 95 % intervals.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// In the order of [`PLANS`].
    pub plans: Vec<PlanSummary>,
    /// In the order of the grid's cells.
    pub grid: Vec<CellSummary>,
    /// How far the models' velocities differ; `None` where that was left out.
    pub probe: Option<Probe>,
}

/// A plan over all prompts.
#[derive(Clone, Debug, Serialize)]
pub struct PlanSummary {
    /// Its letters.
    pub plan: &'static str,
    /// Share of clips with all attributes right.
    pub all_right: Option<Interval>,
    /// That share of LLL less that of this plan, prompt by prompt.
    pub behind: Option<Interval>,
    /// Shares by attribute, in the order of [`Attribute::ALL`].
    pub right: [Option<Interval>; 6],
    /// How like LLL its clips are.
    pub likeness: Likeness,
    /// Mean sharpness, in levels a pixel.
    pub sharpness: Interval,
    /// Its mean sharpness over that of LLL, less 1.
    pub sharpness_change: Interval,
    /// Mean flicker, in levels.
    pub flicker: Interval,
    /// Its mean flicker over that of LLL, less 1.
    pub flicker_change: Interval,
    /// FLOPs and the share of the large model's steps.
    pub cost: PlanCost,
    /// Seconds of its denoise, as measured.
    pub measured_secs: Option<f64>,
    /// Seconds of its denoise, as the steps' medians predict.
    pub predicted_secs: Option<f64>,
}

/// How like LLL the clips of a plan are.
#[derive(Clone, Debug, Serialize)]
pub struct Likeness {
    /// Median PSNR in dB.
    pub psnr: Interval,
    /// Mean SSIM.
    pub ssim: Interval,
    /// Mean distance in the reader's embedding.
    pub distance: Option<Interval>,
}

/// A point of the grid over its prompts.
#[derive(Clone, Debug, Serialize)]
pub struct CellSummary {
    /// Share of the steps that the large model takes first.
    pub early: f64,
    /// Share that it takes last.
    pub late: f64,
    /// Share of the large model's steps.
    pub large_share: f64,
    /// How like LLL its clips are.
    pub likeness: Likeness,
    /// Share of clips with all attributes right.
    pub all_right: Option<Interval>,
    /// How many times faster than LLL by the steps' medians.
    pub predicted_speed_up: Option<f64>,
}

/// The velocity of the small model against that of the large one along LLL.
#[derive(Clone, Debug, Serialize)]
pub struct Probe {
    /// `|small - large| / |large|`.
    pub relative_l2: Curve,
    /// `1 - cos(small, large)`.
    pub one_minus_cosine: Curve,
    /// Noise level before each step.
    pub sigmas: Vec<f64>,
}

/// A measure step by step, averaged over prompts.
#[derive(Clone, Debug, Serialize)]
pub struct Curve {
    /// The mean at each step.
    pub steps: Vec<Interval>,
    /// The step of the curve's valley, from 0: the one that lies lowest under both the peak before it and
    /// the last step.
    pub valley: usize,
    /// The mean at the first step over that at the valley.
    pub first: Interval,
    /// The largest mean before the valley over that at the valley.
    pub before: Interval,
    /// The mean at the last step over that at the valley.
    pub after: Interval,
}

impl Summary {
    /// Averages the studies of all prompts.
    pub fn new(
        setup: &Setup,
        pair: &PairSummary,
        studies: &[Study],
        speed: Option<&Speed>,
    ) -> Self {
        let plans =
            (0..PLANS.len()).map(|plan| PlanSummary::new(setup, pair, studies, speed, plan));
        let grid = setup.cells.iter().enumerate();
        Self {
            plans: plans.collect(),
            grid: grid
                .map(|(i, cell)| CellSummary::new(setup, pair, studies, speed, (i, cell)))
                .collect(),
            probe: Probe::new(setup, studies),
        }
    }
}

impl PlanSummary {
    fn new(
        setup: &Setup,
        pair: &PairSummary,
        studies: &[Study],
        speed: Option<&Speed>,
        plan: usize,
    ) -> Self {
        let own: Vec<&Figures> = studies.iter().map(|study| &study.plans[plan]).collect();
        let large: Vec<&Figures> = studies.iter().map(|study| &study.plans[LLL]).collect();
        let right = |attribute: usize| {
            known_mean(&own, |figures| {
                let right = figures.verdict.as_ref()?.right[attribute]?;
                Some(f64::from(u8::from(right)))
            })
        };
        let change = |value: fn(&Figures) -> f64| {
            bootstrap(own.len(), |items| {
                let over = |side: &[&Figures]| mean(items.iter().map(|&i| value(side[i])));
                over(&own) / over(&large) - 1.0
            })
        };
        let of_all = |value: fn(&Figures) -> f64| {
            bootstrap(own.len(), |items| {
                mean(items.iter().map(|&i| value(own[i])))
            })
        };
        Self {
            plan: PLANS[plan],
            all_right: known_mean(&own, Figures::all_right),
            behind: behind(&large, &own),
            right: std::array::from_fn(right),
            likeness: Likeness::new(&own),
            sharpness: of_all(|figures| figures.sharpness),
            sharpness_change: change(|figures| figures.sharpness),
            flicker: of_all(|figures| figures.flicker),
            flicker_change: change(|figures| figures.flicker),
            cost: cost(setup, pair, &setup.plans[plan]),
            measured_secs: speed.and_then(|speed| speed.denoise_secs(plan)),
            predicted_secs: speed
                .map(|speed| speed.predicted_secs(&setup.settings, &setup.plans[plan])),
        }
    }

    /// The share of clips with an attribute right.
    pub fn right(&self, attribute: Attribute) -> Option<Interval> {
        self.right[attribute as usize]
    }
}

impl CellSummary {
    fn new(
        setup: &Setup,
        pair: &PairSummary,
        studies: &[Study],
        speed: Option<&Speed>,
        (index, cell): (usize, &Cell),
    ) -> Self {
        let own: Vec<&Figures> = studies
            .iter()
            .filter_map(|study| study.grid.get(index))
            .collect();
        Self {
            early: cell.early,
            late: cell.late,
            large_share: cost(setup, pair, &cell.plan).large_share,
            likeness: Likeness::new(&own),
            all_right: known_mean(&own, Figures::all_right),
            predicted_speed_up: speed.map(|speed| speed.predicted_speed_up(setup, &cell.plan)),
        }
    }
}

impl Likeness {
    fn new(clips: &[&Figures]) -> Self {
        let middle = |items: &[usize]| median(items.iter().map(|&i| clips[i].psnr));
        Self {
            psnr: bootstrap(clips.len(), middle),
            ssim: bootstrap(clips.len(), |items| {
                mean(items.iter().map(|&i| clips[i].ssim))
            }),
            distance: known_mean(clips, |figures| figures.distance),
        }
    }
}

impl Probe {
    fn new(setup: &Setup, studies: &[Study]) -> Option<Self> {
        let probed: Vec<_> = studies
            .iter()
            .map(|study| &study.probe)
            .filter(|steps| !steps.is_empty())
            .collect();
        if probed.is_empty() {
            return None;
        }
        let curves = |value: fn(&flowblend::analysis::Divergence) -> f64| -> Vec<Vec<f64>> {
            let values = |steps: &&Vec<_>| steps.iter().map(value).collect();
            probed.iter().map(values).collect()
        };
        let grid = setup.settings.grid();
        Some(Self {
            relative_l2: Curve::new(&curves(|d| d.relative_l2)),
            one_minus_cosine: Curve::new(&curves(|d| d.one_minus_cosine)),
            sigmas: grid.sigmas()[..grid.steps()].to_vec(),
        })
    }
}

impl Curve {
    /// `curves` holds a value a step of each prompt.
    fn new(curves: &[Vec<f64>]) -> Self {
        let steps = curves.first().map_or(0, Vec::len);
        let at = |step: usize, items: &[usize]| mean(items.iter().map(|&i| curves[i][step]));
        let averaged = |items: &[usize]| -> Vec<f64> { (0..steps).map(|s| at(s, items)).collect() };
        let side = |side: fn(Valley) -> f64| {
            bootstrap(curves.len(), |items| side(Valley::of(&averaged(items))))
        };
        let every: Vec<usize> = (0..curves.len()).collect();
        Self {
            steps: (0..steps)
                .map(|step| bootstrap(curves.len(), |items| at(step, items)))
                .collect(),
            valley: Valley::of(&averaged(&every)).at,
            first: side(|valley| valley.first),
            before: side(|valley| valley.before),
            after: side(|valley| valley.after),
        }
    }
}

/// The share of clips with all right in `large` less that in `own`, prompt by prompt.
pub fn behind(large: &[&Figures], own: &[&Figures]) -> Option<Interval> {
    let pairs = large.iter().zip(own);
    let behind: Vec<f64> = pairs
        .map(|(large, own)| Some(large.all_right()? - own.all_right()?))
        .collect::<Option<_>>()?;
    Some(bootstrap(behind.len(), |items| {
        mean(items.iter().map(|&i| behind[i]))
    }))
}

/// The mean over the clips of which the value is known; `None` where it is of none.
fn known_mean(clips: &[&Figures], value: impl Fn(&Figures) -> Option<f64>) -> Option<Interval> {
    let known: Vec<f64> = clips.iter().filter_map(|figures| value(figures)).collect();
    (!known.is_empty())
        .then(|| bootstrap(known.len(), |items| mean(items.iter().map(|&i| known[i]))))
}

fn cost(setup: &Setup, pair: &PairSummary, plan: &Plan) -> PlanCost {
    pair.cost(&RunSettings {
        plan: plan.clone(),
        ..setup.settings.clone()
    })
}
