//! What comes on top of blending, each alone and all together: the part of `evaluate-demo --economy`.

use anyhow::Result;
use flowblend::analysis::{Interval, bootstrap, mean, median};
use flowblend::engine::{PairPipeline, Pipeline as _, RunRequest};
use flowblend::sampler::Cancel;
use serde::Serialize;

use crate::bars::Bar;
use crate::options::LLL;
use crate::study::{Eye, Figures, Studio};
use crate::summary::behind;
use crate::tables::{maybe, number, percent, ranged};
use crate::ways::{Part, Way};

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
    /// Times each way `runs` times, turn by turn, after once to load the models, to measure what caches want to know and to
    /// warm up.
    pub fn new(
        pipeline: &mut PairPipeline,
        ways: Vec<Way>,
        runs: usize,
        mut said: impl FnMut(usize),
    ) -> Result<Self> {
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

/// A way over all prompts.
#[derive(Clone, Debug, Serialize)]
pub struct Standing {
    name: String,
    #[serde(skip)]
    part: Part,
    cost: Cost,
    /// Times LSL's denoise.
    speed_up: f64,
    spared: f64,
    psnr: f64,
    ssim: Interval,
    all_right: Option<f64>,
    /// That share of LLL less that of this way, prompt by prompt.
    behind: Option<Interval>,
}

/// All ways over all prompts.
pub fn standings(economies: &Economies, trials: &[Trial]) -> Vec<Standing> {
    let place = |part| economies.ways.iter().position(|way| way.part == part);
    let blended_secs = place(Part::Blended).map_or(f64::NAN, |i| economies.costs[i].denoise_secs);
    let figures_of =
        |i: usize| -> Vec<&Figures> { trials.iter().map(|trial| &trial.figures[i]).collect() };
    let reference = place(Part::Reference).map(figures_of);
    let of = |(i, way): (usize, &Way)| {
        let own = figures_of(i);
        let rights: Option<Vec<f64>> = own.iter().map(|figures| figures.all_right()).collect();
        let cost = economies.costs[i].clone();
        Standing {
            name: way.name.clone(),
            part: way.part,
            speed_up: blended_secs / cost.denoise_secs,
            spared: mean(trials.iter().map(|trial| trial.spared[i] as f64)),
            psnr: median(own.iter().map(|figures| figures.psnr)),
            ssim: bootstrap(own.len(), |items| {
                mean(items.iter().map(|item| own[*item].ssim))
            }),
            all_right: rights.map(mean),
            behind: reference.as_ref().and_then(|large| behind(large, &own)),
            cost,
        }
    };
    economies.ways.iter().enumerate().map(of).collect()
}

/// The bars of accelerators.
pub fn bars(standings: &[Standing]) -> Vec<Bar> {
    let the = |part| standings.iter().find(move |standing| standing.part == part);
    let is_read = standings.iter().any(|standing| standing.behind.is_some());
    let is_good = |standing: &&Standing| {
        let behind = standing.behind.map(|behind| 100.0 * behind.value);
        behind.is_some_and(|points| points <= MOST_BEHIND + 1e-9)
    };
    let together = standings.iter().filter(|one| one.part == Part::Together);
    let best = together
        .filter(is_good)
        .max_by(|a, b| a.speed_up.total_cmp(&b.speed_up));
    let fast = Bar {
        demand: format!(
            "the best combination that is within {MOST_BEHIND} points of LLL is at least {LEAST_SPEED_UP} times as fast as LSL"
        ),
        figure: match best {
            Some(best) => format!("{} times: {}", number(best.speed_up, 2), best.name),
            None => "none is".to_owned(),
        },
        holds: match best {
            Some(best) => (!best.speed_up.is_nan()).then_some(best.speed_up >= LEAST_SPEED_UP),
            None => is_read.then_some(false),
        },
    };
    let flops = |part| the(part).map(|one| one.cost.paper_flops);
    let few = flops(Part::FewLll).zip(flops(Part::FewLarge));
    let spares = few.map(|(lll, lsl)| Bar {
        demand: format!(
            "with DPM++ of 20 steps LSL 0.30/0.95 takes at least {LEAST_SAVED} times fewer FLOPs than LLL, in the paper's convention"
        ),
        figure: format!("{:.2} times", lll / lsl),
        holds: Some(lll / lsl >= LEAST_SAVED),
    });
    [fast].into_iter().chain(spares).collect()
}

impl Standing {
    /// The names of the columns of [`row`](Self::row).
    pub const HEADER: [&'static str; 10] = [
        "way",
        "steps",
        "spared",
        "denoise, s",
        "as fast as LSL, times",
        "TFLOP, in full",
        "PSNR, dB (median)",
        "SSIM",
        "all right, %",
        "points below LLL",
    ];

    /// A line of the table.
    pub fn row(&self) -> Vec<String> {
        let behind = self.behind.filter(|_| self.part != Part::Reference);
        vec![
            self.name.clone(),
            self.cost.steps.to_string(),
            number(self.spared, 1),
            number(self.cost.denoise_secs, 3),
            number(self.speed_up, 2),
            number(self.cost.full_flops / 1e12, 4),
            number(self.psnr, 1),
            ranged(self.ssim, 1.0, 3),
            maybe(self.all_right, |share| number(100.0 * share, 1)),
            maybe(behind, percent),
        ]
    }
}
