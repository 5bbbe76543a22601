//! What comes on top of blending, each alone and all together: the part of `evaluate-demo --economy`.

use anyhow::Result;
use flowblend::analysis::{Interval, bootstrap, mean, median};
use flowblend::engine::{PairPipeline, Pipeline as _, RunRequest};
use flowblend::project::RunSettings;
use flowblend::sampler::Cancel;
use flowblend::schedule::{CacheMethod, CacheRule, Guidance, History, Plan, Solver};
use serde::Serialize;

use crate::bars::Bar;
use crate::options::{LLL, LSL, Setup};
use crate::study::{Eye, Figures, Studio};
use crate::tables::{number, ranged};

/// A way to a clip.
#[derive(Clone, Debug)]
struct Way {
    name: String,
    settings: RunSettings,
}

/// Places in the list of ways.
const REFERENCE: usize = 0;
const BLENDED: usize = 1;
const FEW_LLL: usize = 2;
/// LSL with fewer large steps than the pair's own boundaries give it.
const FEW_LARGE: usize = 4;
/// The first of those that are all together; the rest are.
const TOGETHER: usize = 12;

/// How much faster than LSL the best of those has to be.
const LEAST_SPEED_UP: f64 = 2.0;
/// How many points below LLL its clips may be.
const MOST_BEHIND: f64 = 3.0;
/// By what factor LSL saves operations where both take 20 steps of DPM++.
const LEAST_SAVED: f64 = 1.8;

/// All ways, and what each took.
pub struct Economies {
    ways: Vec<Way>,
    costs: Vec<Cost>,
}

/// What a way takes, measured through the program's own pipeline.
#[derive(Clone, Debug, Serialize)]
struct Cost {
    denoise_secs: f64,
    paper_flops: f64,
    full_flops: f64,
    steps: usize,
}

/// The clip of each way at one prompt.
#[derive(Clone, Debug, Serialize)]
pub struct Trial {
    figures: Vec<Figures>,
    spared: Vec<usize>,
}

impl Economies {
    /// Lays out all ways and times each `runs` times, turn by turn, after once to load the models, to measure what caches want to
    /// know and to warm up.
    pub fn new(
        pipeline: &mut PairPipeline,
        setup: &Setup,
        runs: usize,
        mut said: impl FnMut(usize),
    ) -> Result<Self> {
        let ways = ways(setup)?;
        let mut secs = vec![Vec::with_capacity(runs); ways.len()];
        let mut costs = Vec::with_capacity(ways.len());
        for round in 0..=runs {
            said(round);
            for (way, secs) in ways.iter().zip(&mut secs) {
                let request = RunRequest::from(way.settings.clone());
                let report = pipeline.run(&request, &Cancel::new(), &mut |_| {})?.report;
                if round == 0 {
                    costs.push(Cost {
                        denoise_secs: 0.0,
                        paper_flops: report.paper_flops,
                        full_flops: report.full_flops,
                        steps: report.steps.len(),
                    });
                } else {
                    secs.push(report.denoise_secs);
                }
            }
        }
        for (cost, secs) in costs.iter_mut().zip(secs) {
            cost.denoise_secs = median(secs);
        }
        Ok(Self { ways, costs })
    }

    /// Renders and measures every way on one prompt.
    pub fn trial(&self, studio: &Studio<'_>, index: usize) -> Result<Trial> {
        let (mut runs, setup) = (studio.runs(index)?, studio.setup);
        let reference = runs.clip(&setup.plans[LLL])?;
        let eye = Eye::new(studio.reader, &studio.prompts[index], reference)?;
        let (mut figures, mut spared) = (Vec::new(), Vec::new());
        for way in &self.ways {
            let (clip, saved) = runs.apart(&way.settings)?;
            figures.push(eye.look(&clip)?);
            spared.push(saved);
        }
        Ok(Trial { figures, spared })
    }
}

fn ways(setup: &Setup) -> Result<Vec<Way>> {
    let own = &setup.settings;
    let (lll, lsl) = (
        own.with_plan(setup.plans[LLL].clone()),
        own.with_plan(setup.plans[LSL].clone()),
    );
    let few = |settings: &RunSettings, steps| RunSettings {
        solver: Solver::DpmPp2M,
        steps,
        ..settings.clone()
    };
    let cached = |settings: &RunSettings, method| RunSettings {
        cache: Some(CacheRule::new(method)),
        ..settings.clone()
    };
    let within = |settings: &RunSettings, interval| RunSettings {
        guidance: Guidance {
            interval: Some(interval),
            rescale: 0.0,
        },
        ..settings.clone()
    };
    let sparse = own.with_plan(Plan::parse("LSL", &SPARSE)?);
    let ldl = own.with_plan(Plan::parse("LDL", own.plan.boundaries())?);
    let fresh = RunSettings {
        history: History::Reset,
        ..few(&lsl, 20)
    };
    let way = |name: &str, settings| Way {
        name: name.to_owned(),
        settings,
    };
    let mut ways = vec![
        way("LLL", lll.clone()),
        way("LSL", lsl.clone()),
        way("LLL, DPM++ of 20 steps", few(&lll, 20)),
        way("LSL, DPM++ of 20 steps", few(&lsl, 20)),
        way("LSL 0.30/0.95, DPM++ of 20 steps", few(&sparse, 20)),
        way(
            "LSL, DPM++ of 20 steps, its history begun anew at boundaries",
            fresh,
        ),
        way("LDL", ldl),
    ];
    for method in CacheMethod::ALL {
        let rule = CacheRule::new(method);
        let name = format!("LSL, {} at {}", method.words(), rule.threshold);
        ways.push(way(&name, cached(&lsl, method)));
    }
    ways.push(way(
        "LSL, guidance above a noise level of 0.3",
        within(&lsl, ABOVE),
    ));
    debug_assert_eq!(ways.len(), TOGETHER);
    for steps in [16, 14] {
        let all = RunSettings {
            history: History::Reset,
            ..within(&few(&lsl, steps), ABOVE)
        };
        ways.push(way(
            &format!("LSL, DPM++ of {steps} steps, guidance above 0.3"),
            all.clone(),
        ));
        let name = format!("the same, {}", CacheMethod::MagCache.words());
        ways.push(way(&name, cached(&all, CacheMethod::MagCache)));
    }
    Ok(ways)
}

/// Boundaries that leave the large model 7 steps of 20.
const SPARSE: [f64; 2] = [0.3, 0.95];
/// Where guidance counts in those that have less of it.
const ABOVE: [f64; 2] = [0.3, 1.0];

/// A way over all prompts.
#[derive(Clone, Debug, Serialize)]
pub struct Standing {
    name: String,
    cost: Cost,
    /// Times LSL's denoise.
    speed_up: f64,
    spared: f64,
    psnr: f64,
    ssim: Interval,
    all_right: Option<f64>,
}

/// All ways over all prompts.
pub fn standings(economies: &Economies, trials: &[Trial]) -> Vec<Standing> {
    let blended = economies.costs[BLENDED].denoise_secs;
    let of = |(i, way): (usize, &Way)| {
        let own: Vec<&Figures> = trials.iter().map(|trial| &trial.figures[i]).collect();
        let right =
            |figures: &&Figures| Some(f64::from(u8::from(figures.verdict.as_ref()?.all_right())));
        let rights: Option<Vec<f64>> = own.iter().map(right).collect();
        let cost = economies.costs[i].clone();
        Standing {
            name: way.name.clone(),
            speed_up: blended / cost.denoise_secs,
            spared: mean(trials.iter().map(|trial| trial.spared[i] as f64)),
            psnr: median(own.iter().map(|figures| figures.psnr)),
            ssim: bootstrap(own.len(), |items| {
                mean(items.iter().map(|item| own[*item].ssim))
            }),
            all_right: rights.map(mean),
            cost,
        }
    };
    economies.ways.iter().enumerate().map(of).collect()
}

/// The bars of accelerators.
pub fn bars(standings: &[Standing]) -> Vec<Bar> {
    let right = |standing: &Standing| standing.all_right;
    let wanted = right(&standings[REFERENCE]);
    let is_good = |standing: &&Standing| match (right(standing), wanted) {
        (Some(own), Some(wanted)) => 100.0 * (wanted - own) <= MOST_BEHIND + 1e-9,
        _ => false,
    };
    let good = standings[TOGETHER..].iter().filter(is_good);
    let best = good.max_by(|a, b| a.speed_up.total_cmp(&b.speed_up));
    let saved = standings[FEW_LLL].cost.paper_flops / standings[FEW_LARGE].cost.paper_flops;
    vec![
        Bar {
            demand: format!(
                "the best combination that is within {MOST_BEHIND} points of LLL is at least {LEAST_SPEED_UP} times as fast as LSL"
            ),
            figure: match best {
                Some(best) => format!("{:.2} times: {}", best.speed_up, best.name),
                None => "none is".to_owned(),
            },
            holds: wanted.map(|_| best.is_some_and(|best| best.speed_up >= LEAST_SPEED_UP)),
        },
        Bar {
            demand: format!(
                "with DPM++ of 20 steps LSL 0.30/0.95 takes at least {LEAST_SAVED} times fewer FLOPs than LLL, in the paper's convention"
            ),
            figure: format!("{saved:.2} times"),
            holds: Some(saved >= LEAST_SAVED),
        },
    ]
}

impl Standing {
    /// The names of the columns of [`row`](Self::row).
    pub const HEADER: [&'static str; 9] = [
        "way",
        "steps",
        "spared",
        "denoise, s",
        "as fast as LSL, times",
        "TFLOP, in full",
        "PSNR, dB (median)",
        "SSIM",
        "all right, %",
    ];

    /// A line of the table.
    pub fn row(&self) -> Vec<String> {
        vec![
            self.name.clone(),
            self.cost.steps.to_string(),
            number(self.spared, 1),
            number(self.cost.denoise_secs, 3),
            number(self.speed_up, 2),
            number(self.cost.full_flops / 1e12, 4),
            number(self.psnr, 1),
            ranged(self.ssim, 1.0, 3),
            self.all_right
                .map_or_else(|| "-".to_owned(), |share| number(100.0 * share, 1)),
        ]
    }
}
