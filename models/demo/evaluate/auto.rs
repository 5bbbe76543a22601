//! Plans that are found by themselves, against the best there are: the part of `evaluate-demo --auto`.

use std::time::Instant;

use anyhow::{Result, anyhow};
use flowblend::analysis::{Interval, Trade, Wish, best, bootstrap, mean};
use flowblend::engine::{PairPipeline, Pipeline as _, ProbeRequest};
use flowblend::sampler::{Cancel, OnlineRule};
use flowblend::schedule::{ModelRole, Plan};
use serde::Serialize;

use crate::bars::Bar;
use crate::options::{LLL, LSL, Setup};
use crate::speed::Speed;
use crate::study::{Eye, Figures, Studio};
use crate::tables::{number, ranged};

/// The boundaries that FlowBlending publishes for WAN 2.1.
const PAPER: [f64; 2] = [0.4, 0.8];
/// What share of the exhaustive best's speed-up is asked of (a) and of (c), at the same SSIM.
const BARS: [(usize, f64); 2] = [(VALLEY, 0.95), (ONLINE, 0.9)];

/// Where a plan comes from.
#[derive(Clone, Debug)]
enum Source {
    Plan(Plan),
    Online(OnlineRule),
    /// The best of a sweep on the prompt itself.
    Sweep(Wish),
}

/// A way to a plan.
#[derive(Clone, Debug)]
pub struct Method {
    name: String,
    source: Source,
}

/// The place of (a) in the list of methods.
const VALLEY: usize = 0;
/// The place of (c).
const ONLINE: usize = 1;

/// The place of LLL.
const REFERENCE: usize = 9;
/// Parts of the steps at whose ends the sweep of (b) tries boundaries, as `generate` does.
const PARTS: usize = 5;
/// The likeness to LLL that (b) is asked for.
const LEAST_SSIM: f64 = 0.95;

/// What is held against each other.
pub struct Contest {
    methods: Vec<Method>,
    /// The plans of the exhaustive search.
    lattice: Vec<Plan>,
    /// The plans that (b) tries.
    tried: Vec<Plan>,
    /// Seconds that finding (a) took, once for all prompts.
    probe_secs: f64,
}

impl Contest {
    /// Finds the boundaries of (a) along the pair's own prompt and lays out the rest.
    pub fn new(pipeline: &mut PairPipeline, setup: &Setup, speed: &Speed) -> Result<Self> {
        let started = Instant::now();
        let request = ProbeRequest::for_boundaries(setup.settings.clone());
        let probe = pipeline.probe(&request, &Cancel::new(), &mut |_| {})?;
        let probe_secs = started.elapsed().as_secs_f64();
        let found = probe.boundaries_for(&setup.settings).ok_or_else(|| {
            anyhow!("the divergence of this pair has no valley; there is no auto (a)")
        })?;
        let (steps, grid) = (setup.settings.steps, setup.settings.grid());
        let valley = Plan::blend(found, &grid);
        let large = large_steps(setup, &valley);
        let share = large as f64 / steps as f64;
        let method = |name: &str, source| Method {
            name: name.to_owned(),
            source,
        };
        let within = Wish::AtMostSecs(speed.predicted_secs(&setup.settings, &valley));
        let methods = vec![
            method("auto (a), valley of the divergence", Source::Plan(valley)),
            method(
                "auto (c), bend of the way",
                Source::Online(OnlineRule::Bend),
            ),
            method(
                &format!("auto (b), sweep, SSIM at least {LEAST_SSIM}"),
                Source::Sweep(Wish::AtLeast(LEAST_SSIM)),
            ),
            method("auto (b), sweep, in the time of (a)", Source::Sweep(within)),
            method(
                "SRDiffusion's rule",
                Source::Online(OnlineRule::SrDiffusion),
            ),
            method(
                "the paper's 40/80",
                Source::Plan(Plan::parse("LSL", &PAPER)?),
            ),
            method("the pair's own", Source::Plan(setup.plans[LSL].clone())),
            method(
                "SRDiffusion's order (LS), as many large steps as (a)",
                Source::Plan(Plan::parse("LS", &[share])?),
            ),
            method(
                "T-Stitch's order (SL), as many",
                Source::Plan(Plan::parse("SL", &[1.0 - share])?),
            ),
            method("LLL", Source::Plan(setup.plans[LLL].clone())),
        ];
        // What Plan::blend saves at the end, the search saves as well.
        let lattice = setup
            .cells
            .iter()
            .map(|cell| Plan::blend([cell.early, 1.0 - cell.late], &grid));
        let mut tried = Plan::lattice(PARTS)?;
        tried.push(setup.plans[LLL].clone());
        Ok(Self {
            tried,
            methods,
            lattice: lattice.collect(),
            probe_secs,
        })
    }
}

fn large_steps(setup: &Setup, plan: &Plan) -> usize {
    let steps = plan.steps(setup.settings.steps, setup.settings.cfg);
    steps
        .iter()
        .filter(|step| step.model == ModelRole::Large)
        .count()
}

/// A clip and the plan it came by.
#[derive(Clone, Debug, Serialize)]
pub struct Shot {
    plan: String,
    large_steps: usize,
    figures: Figures,
    #[serde(skip)]
    secs: f64,
}

/// All that is measured on one prompt.
#[derive(Clone, Debug, Serialize)]
pub struct Trial {
    methods: Vec<Shot>,
    lattice: Vec<Shot>,
}

impl Contest {
    /// Renders and measures every plan on one prompt.
    pub fn trial(&self, studio: &Studio<'_>, speed: &Speed, index: usize) -> Result<Trial> {
        let (mut runs, setup) = (studio.runs(index)?, studio.setup);
        let reference = runs.clip(&setup.plans[LLL])?;
        let eye = Eye::new(studio.reader, &studio.prompts[index], reference)?;
        let trade = |plan: &Plan| -> Result<Trade> {
            Ok(Trade {
                secs: speed.predicted_secs(&setup.settings, plan),
                quality: eye.look(&*runs.clip(plan)?)?.ssim,
            })
        };
        let trades: Vec<Trade> = self.tried.iter().map(trade).collect::<Result<_>>()?;
        let mut shot = |source: &Source| -> Result<Shot> {
            let plan = match source {
                Source::Plan(plan) => plan.clone(),
                Source::Online(rule) => runs.online(*rule)?,
                Source::Sweep(wish) => best(&trades, *wish)
                    .map(|index| self.tried[index].clone())
                    .ok_or_else(|| anyhow!("no plan of the sweep of (b) is as asked"))?,
            };
            Ok(Shot {
                plan: plan.words(),
                large_steps: large_steps(setup, &plan),
                figures: eye.look(&*runs.clip(&plan)?)?,
                secs: speed.predicted_secs(&setup.settings, &plan),
            })
        };
        let methods = self.methods.iter().map(|method| shot(&method.source));
        let methods = methods.collect::<Result<_>>()?;
        let lattice = self
            .lattice
            .iter()
            .map(|plan| shot(&Source::Plan(plan.clone())));
        Ok(Trial {
            methods,
            lattice: lattice.collect::<Result<_>>()?,
        })
    }
}

/// A method over all prompts.
#[derive(Clone, Debug, Serialize)]
pub struct Standing {
    name: String,
    plan: String,
    large_steps: f64,
    secs: f64,
    speed_up: f64,
    psnr: f64,
    ssim: Interval,
    detail_error: Interval,
    /// Flicker against that of LLL: 0.1 is a tenth more.
    flicker_change: f64,
    all_right: Option<f64>,
    /// The speed-up over that of the fastest mix of lattice plans with the same SSIM.
    of_best_by_ssim: Interval,
    /// The same by PSNR.
    of_best_by_psnr: Interval,
}

/// All methods over all prompts, then the best that the exhaustive search found, the fastest first.
pub fn standings(
    contest: &Contest,
    setup: &Setup,
    speed: &Speed,
    trials: &[Trial],
) -> Vec<Standing> {
    let judge = Judge {
        contest,
        trials,
        full_secs: speed.predicted_secs(&setup.settings, &setup.plans[LLL]),
    };
    let methods = contest.methods.iter().enumerate().map(|(i, method)| {
        let plan = match &method.source {
            Source::Plan(plan) => plan.words(),
            Source::Online(_) => "as it goes".to_owned(),
            Source::Sweep(_) => "of each prompt its own".to_owned(),
        };
        let own: Vec<&Shot> = trials.iter().map(|trial| &trial.methods[i]).collect();
        judge.standing(method.name.clone(), plan, &own)
    });
    let best = judge.best_of_search().into_iter().map(|cell| {
        let own: Vec<&Shot> = trials.iter().map(|trial| &trial.lattice[cell]).collect();
        let plan = contest.lattice[cell].words();
        judge.standing("best of the exhaustive search".to_owned(), plan, &own)
    });
    methods.chain(best).collect()
}

/// What all standings are judged by.
struct Judge<'a> {
    contest: &'a Contest,
    trials: &'a [Trial],
    /// Seconds of LLL.
    full_secs: f64,
}

impl Judge<'_> {
    /// A lattice plan over some prompts: seconds and quality.
    fn point(&self, cell: usize, items: &[usize], quality: fn(&Figures) -> f64) -> (f64, f64) {
        let shots = || items.iter().map(|&i| &self.trials[i].lattice[cell]);
        (
            mean(shots().map(|shot| shot.secs)),
            mean(shots().map(|shot| quality(&shot.figures))),
        )
    }

    /// The plans of the search that no mix of others beats in SSIM, each once, the fastest first.
    fn best_of_search(&self) -> Vec<usize> {
        let all: Vec<usize> = (0..self.trials.len()).collect();
        let points: Vec<(f64, f64)> = (0..self.contest.lattice.len())
            .map(|cell| self.point(cell, &all, |figures| figures.ssim))
            .collect();
        let front = Front::of(points.len(), |cell| points[cell]);
        let places = front.0.iter();
        places
            .filter_map(|place| points.iter().position(|point| point == place))
            .collect()
    }

    /// What the clips `own`, one a prompt, are worth.
    fn standing(&self, name: String, plan: String, own: &[&Shot]) -> Standing {
        let (contest, trials) = (self.contest, self.trials);
        let still = mean(
            trials
                .iter()
                .map(|trial| trial.methods[REFERENCE].figures.flicker),
        );
        let over = |items: &[usize], value: &dyn Fn(&Shot) -> f64| {
            mean(items.iter().map(|&i| value(own[i])))
        };
        let all: Vec<usize> = (0..own.len()).collect();
        let of_best = |quality: fn(&Figures) -> f64| {
            bootstrap(own.len(), |items| {
                let front = Front::of(contest.lattice.len(), |cell| {
                    self.point(cell, items, quality)
                });
                let wanted = over(items, &|shot| quality(&shot.figures));
                front.secs_for(wanted) / over(items, &|shot| shot.secs)
            })
        };
        let rights: Option<Vec<f64>> = own.iter().map(|shot| shot.figures.all_right()).collect();
        let secs = over(&all, &|shot| shot.secs);
        Standing {
            name,
            plan,
            large_steps: over(&all, &|shot| shot.large_steps as f64),
            secs,
            speed_up: self.full_secs / secs,
            psnr: over(&all, &|shot| shot.figures.psnr),
            ssim: bootstrap(own.len(), |items| over(items, &|shot| shot.figures.ssim)),
            detail_error: bootstrap(own.len(), |items| {
                over(items, &|shot| shot.figures.detail_error)
            }),
            flicker_change: over(&all, &|shot| shot.figures.flicker) / still - 1.0,
            all_right: rights.map(mean),
            of_best_by_ssim: of_best(|figures| figures.ssim),
            of_best_by_psnr: of_best(|figures| figures.psnr),
        }
    }
}

/// The fastest mixes of plans, by quality: the upper hull of `(seconds, quality)`. Between two plans lie those
/// who take the one for some prompts and the other for the rest.
struct Front(Vec<(f64, f64)>);

impl Front {
    fn of(count: usize, point: impl Fn(usize) -> (f64, f64)) -> Self {
        let mut points: Vec<(f64, f64)> = (0..count).map(point).collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0).then(b.1.total_cmp(&a.1)));
        let mut hull: Vec<(f64, f64)> = Vec::new();
        for point in points {
            if hull.last().is_some_and(|last| point.1 <= last.1) {
                continue;
            }
            while let [.., a, b] = hull[..]
                && (b.1 - a.1) * (point.0 - a.0) <= (point.1 - a.1) * (b.0 - a.0)
            {
                hull.pop();
            }
            hull.push(point);
        }
        Self(hull)
    }

    /// Seconds that so much quality takes; not a number beyond what the lattice reaches.
    fn secs_for(&self, quality: f64) -> f64 {
        match self.0.first() {
            Some(first) if quality <= first.1 => return first.0,
            _ => {}
        }
        let around = self.0.windows(2).find(|pair| quality <= pair[1].1);
        around.map_or(f64::NAN, |pair| {
            let part = (quality - pair[0].1) / (pair[1].1 - pair[0].1);
            pair[0].0 + part * (pair[1].0 - pair[0].0)
        })
    }
}

/// The bars of automatic boundaries.
pub fn bars(standings: &[Standing]) -> Vec<Bar> {
    BARS.map(|(index, least)| {
        let Standing {
            name,
            of_best_by_ssim,
            ..
        } = &standings[index];
        let found = of_best_by_ssim.value;
        Bar {
            demand: format!(
                "{name}: at least {:.0} % of the speed-up of the exhaustive best at the same SSIM",
                least * 100.0
            ),
            figure: format!("{:.1} %", found * 100.0),
            holds: found.is_finite().then_some(found >= least),
        }
    })
    .into()
}

/// What finding (a) took, for the report.
pub fn cost(contest: &Contest) -> String {
    format!(
        "Finding the boundaries of (a) took {:.2} s, once for all prompts; those of (c) cost no evaluation more, and (b) \
         renders {} plans for every prompt, from the steps that they share. The \
         exhaustive search knows {} plans: large first, small, large again, and small at the last step, which hardly \
         moves.",
        contest.probe_secs,
        contest.tried.len(),
        contest.lattice.len()
    )
}

impl Standing {
    /// The heads of the table.
    pub const HEADER: [&str; 11] = [
        "plan",
        "large steps",
        "denoise, s",
        "speed-up",
        "PSNR, dB",
        "SSIM",
        "detail error",
        "flicker to LLL, %",
        "all right, %",
        "of the best's speed-up at the same SSIM, %",
        "at the same PSNR, %",
    ];

    /// A line of the table.
    pub fn row(&self) -> Vec<String> {
        vec![
            format!("{}: {}", self.name, self.plan),
            number(self.large_steps, 1),
            number(self.secs, 3),
            number(self.speed_up, 2),
            number(self.psnr, 1),
            ranged(self.ssim, 1.0, 3),
            ranged(self.detail_error, 1.0, 3),
            number(100.0 * self.flicker_change, 1),
            self.all_right
                .map_or_else(|| "-".to_owned(), |share| number(100.0 * share, 1)),
            ranged(self.of_best_by_ssim, 100.0, 1),
            ranged(self.of_best_by_psnr, 100.0, 1),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_front_mixes_the_best_plans_only() {
        let points = [(1.0, 0.5), (2.0, 0.6), (3.0, 0.9), (4.0, 0.8), (5.0, 1.0)];
        let front = Front::of(points.len(), |i| points[i]);
        // The second lies under the line from the first to the third, the fourth is beaten by the third.
        assert_eq!(front.0, [(1.0, 0.5), (3.0, 0.9), (5.0, 1.0)]);
        assert!((front.secs_for(0.7) - 2.0).abs() < 1e-9);
        assert_eq!(front.secs_for(0.2), 1.0);
        assert!(front.secs_for(1.1).is_nan());
    }
}
