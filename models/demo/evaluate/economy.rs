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
    part: Part,
    settings: RunSettings,
}

/// What a way is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// LLL, which quality is held against.
    Reference,
    /// LSL, which speed is held against.
    Blended,
    /// LLL with 20 steps of DPM++.
    FewLll,
    /// LSL with as many, of which fewer are large than the pair's own boundaries say.
    FewLarge,
    /// One thing on top of LSL.
    Alone,
    /// A multistep solver that keeps its history at boundaries, or does not.
    History,
    /// Several things on top of LSL.
    Together,
}

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
    /// Lays out the ways and times each `runs` times, turn by turn, after once to load the models, to measure what caches want to
    /// know and to warm up.
    pub fn new(
        pipeline: &mut PairPipeline,
        setup: &Setup,
        runs: usize,
        only_together: bool,
        mut said: impl FnMut(usize),
    ) -> Result<Self> {
        let ways = ways(setup, only_together)?;
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

/// All ways, or those alone that the bars are about.
fn ways(setup: &Setup, only_together: bool) -> Result<Vec<Way>> {
    let own = &setup.settings;
    let (lll, lsl) = (
        own.with_plan(setup.plans[LLL].clone()),
        own.with_plan(setup.plans[LSL].clone()),
    );
    let sparse = own.with_plan(Plan::parse("LSL", &SPARSE)?);
    let ldl = own.with_plan(Plan::parse("LDL", own.plan.boundaries())?);
    let by = |settings: &RunSettings, solver, steps| RunSettings {
        solver,
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
    let mut ways = Vec::new();
    let mut add = |part, name: String, settings| {
        ways.push(Way {
            name,
            part,
            settings,
        });
    };
    let few = Solver::DpmPp2M;
    add(Part::Reference, "LLL".to_owned(), lll.clone());
    add(Part::Blended, "LSL".to_owned(), lsl.clone());
    let name = |plan: &str| format!("{plan}, {} of 20 steps", few.name());
    add(Part::FewLll, name("LLL"), by(&lll, few, 20));
    add(Part::FewLarge, name("LSL 0.30/0.95"), by(&sparse, few, 20));
    for solver in Solver::ALL
        .into_iter()
        .filter(|one| one.most_estimates() > 1)
    {
        for history in [History::Keep, History::Reset] {
            let settings = RunSettings {
                history,
                ..by(&lsl, solver, 20)
            };
            let name = format!("LSL, {} of 20 steps, history {history}", solver.name());
            add(Part::History, name, settings);
        }
    }
    add(Part::Alone, "LDL".to_owned(), ldl);
    for method in CacheMethod::ALL {
        let threshold = CacheRule::new(method).threshold;
        let name = format!("LSL, {} at {threshold}", method.words());
        add(Part::Alone, name, cached(&lsl, method));
    }
    let above = format!("guidance above {}", ABOVE[0]);
    add(Part::Alone, format!("LSL, {above}"), within(&lsl, ABOVE));
    for steps in [16, 14] {
        let all = within(&by(&lsl, few, steps), ABOVE);
        let name = format!("LSL, {} of {steps} steps, {above}", few.name());
        add(Part::Together, name.clone(), all.clone());
        let cache = CacheMethod::MagCache;
        let name = format!("{name}, {}", cache.words());
        add(Part::Together, name, cached(&all, cache));
    }
    ways.retain(|way| !(only_together && matches!(way.part, Part::Alone | Part::History)));
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
    #[serde(skip)]
    part: Part,
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
    let blended = economies
        .ways
        .iter()
        .position(|way| way.part == Part::Blended);
    let blended_secs = blended.map_or(f64::NAN, |i| economies.costs[i].denoise_secs);
    let of = |(i, way): (usize, &Way)| {
        let own: Vec<&Figures> = trials.iter().map(|trial| &trial.figures[i]).collect();
        let right =
            |figures: &&Figures| Some(f64::from(u8::from(figures.verdict.as_ref()?.all_right())));
        let rights: Option<Vec<f64>> = own.iter().map(right).collect();
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
            cost,
        }
    };
    economies.ways.iter().enumerate().map(of).collect()
}

/// The bars of accelerators.
pub fn bars(standings: &[Standing]) -> Vec<Bar> {
    let the = |part| standings.iter().find(move |standing| standing.part == part);
    let wanted = the(Part::Reference).and_then(|standing| standing.all_right);
    let is_good = |standing: &&Standing| match (standing.all_right, wanted) {
        (Some(own), Some(wanted)) => 100.0 * (wanted - own) <= MOST_BEHIND + 1e-9,
        _ => false,
    };
    let together = standings.iter().filter(|one| one.part == Part::Together);
    let best = together
        .filter(is_good)
        .max_by(|a, b| a.speed_up.total_cmp(&b.speed_up));
    let flops = |part| the(part).map_or(f64::NAN, |one| one.cost.paper_flops);
    let saved = flops(Part::FewLll) / flops(Part::FewLarge);
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
