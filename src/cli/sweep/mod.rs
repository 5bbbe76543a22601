mod file;
mod plot;
mod table;

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Instant;

use clap::{ArgGroup, Args};

use super::CliError;
use super::option_values::BoundaryAt;
use super::options::{DenoiseOptions, GlobalOptions, LimitOptions};
use super::progress::ProgressLine;
use super::session::{Session, warn_of_unknown_words};
use crate::analysis::Wish;
use crate::engine::{
    EventKind, PairSummary, Quality, SweepRequest, SweepRow, SweepSummary, SweptRun,
};
use crate::plot::{PlotError, PlotFormat};
use crate::project::RunSettings;
use crate::schedule::Plan;
use file::SweepFile;
use table::Outcome;

/// Options of `flowblend sweep`.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("which plans").required(true).args(["plans", "grid"])))]
pub(super) struct SweepOptions {
    /// What the clips show; each plan is tried with each prompt [default: the pair's own].
    prompts: Vec<String>,
    /// The plans, each with its boundaries, such as LSL@0.4/0.8,LS@0.4,SSS; without boundaries the pair's own
    /// count. The large model alone is always rendered, as what all are held against.
    #[arg(long, value_name = "PLAN,PLAN", value_delimiter = ',', conflicts_with_all = ["plan", "boundaries"])]
    plans: Vec<PlanAt>,
    /// Instead: every LSL, LS and SL with boundaries at multiples of one Nth of the steps, and SSS.
    #[arg(long, value_name = "N", num_args = 0..=1, require_equals = true, default_missing_value = "5",
        value_parser = clap::value_parser!(u8).range(2..=50), conflicts_with_all = ["plan", "boundaries"])]
    grid: Option<u8>,
    /// Seeds for each prompt, counted up from the first, which is the pair's own unless --seed is given.
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    seeds: u16,
    /// Keep every row in this table, .csv or .json. Where it exists, rows that are in it are not rendered
    /// again.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Begin the table anew, and replace an existing plot. A sweep that goes on replaces its plot anyway.
    #[arg(long)]
    overwrite: bool,
    /// Draw the plans between seconds and SSIM into this file, which ends in .png or .svg.
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
    /// What the best plan, which is named at the end, has to keep.
    #[command(flatten)]
    limit: LimitOptions,
    #[command(flatten)]
    denoise: DenoiseOptions,
}

/// A plan as it is typed: letters, and where its boundaries lie.
#[derive(Clone, Debug, PartialEq)]
struct PlanAt {
    letters: String,
    boundaries: Option<Vec<BoundaryAt>>,
}

impl FromStr for PlanAt {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (letters, boundaries) = match text.split_once('@') {
            None => (text, None),
            Some((letters, places)) => {
                let places: Result<_, _> = places.split('/').map(BoundaryAt::from_str).collect();
                (letters, Some(places?))
            }
        };
        Plan::count_stages(letters).map_err(|why| why.to_string())?;
        Ok(Self {
            letters: letters.to_owned(),
            boundaries,
        })
    }
}

impl SweepOptions {
    fn request(&self, pair: &PairSummary) -> Result<SweepRequest, CliError> {
        let plans = match self.grid {
            Some(parts) => {
                Plan::lattice(parts.into()).map_err(|why| CliError::Usage(why.to_string()))?
            }
            None => {
                let plan = |at: &PlanAt| {
                    self.denoise
                        .plan_of(pair, &at.letters, at.boundaries.as_deref())
                };
                self.plans.iter().map(plan).collect::<Result<_, _>>()?
            }
        };
        let own = [pair.defaults.prompt.clone()];
        let prompts = match &self.prompts[..] {
            [] => &own[..],
            given => given,
        };
        let mut settings = self.denoise.settings(pair, &prompts[0])?;
        if self.denoise.seed_is_random() {
            // By chance the same command could never go on where it stopped.
            settings.seed = pair.defaults.seed;
        }
        let seeds = (0..u64::from(self.seeds)).map(|i| settings.seed.wrapping_add(i));
        let runs = seeds.flat_map(|seed| prompts.iter().map(move |prompt| (prompt, seed)));
        Ok(SweepRequest {
            wish: None,
            runs: runs
                .map(|(prompt, seed)| SweptRun {
                    prompt: prompt.clone(),
                    seed,
                    plans: plans.clone(),
                })
                .collect(),
            settings,
        })
    }
}

/// `flowblend sweep`: many plans, each held against the large model alone.
pub(super) fn sweep(options: &SweepOptions, global: &GlobalOptions) -> Result<(), CliError> {
    options.denoise.check()?;
    options.denoise.check_boundaries_given()?;
    if options.denoise.cfgs() > 1 {
        return Err(CliError::Usage(
            "a sweep's plans have different stages, so it takes one --cfg for all".to_owned(),
        ));
    }
    let mut file = match &options.out {
        Some(out) => Some(SweepFile::open(out, options.overwrite)?),
        None => None,
    };
    // The same command once more must not stumble over what it drew itself.
    let replaces_plot = options.overwrite || file.as_ref().is_some_and(SweepFile::goes_on);
    if let Some(plot) = &options.plot {
        PlotFormat::check_target(plot, replaces_plot).map_err(failed)?;
    }
    let mut session = Session::start(global)?;
    let pair = session.describe(options.denoise.pair())?;
    let wanted = options.request(&pair)?;
    warn_of_unknown_words(&pair, &options.prompts);
    let renders = wanted.runs.iter().flat_map(|run| wanted.renders(run));
    let known = |settings| file.as_ref()?.find(settings, &pair);
    let mut rows: Vec<SweepRow> = renders.filter_map(known).collect();
    let left = wanted.without(&rows);
    let (known, clips) = (rows.len(), wanted.clips());
    if known > 0 {
        eprintln!("{known} of {clips} clips are in the table already");
    }
    let started = Instant::now();
    if !left.runs.is_empty() {
        render(
            &mut session,
            left,
            &mut rows,
            clips,
            |rows| match &mut file {
                Some(file) => file.write(rows, &pair),
                None => Ok(()),
            },
        )
        .map_err(|why| match why {
            CliError::Interrupted if file.is_some() => CliError::Paused("measured"),
            why => why,
        })?;
    }
    let outcome = Outcome {
        rows: &rows,
        request: &wanted,
        pair: &pair,
        wish: options.limit.wish(),
        known,
        secs: started.elapsed().as_secs_f64(),
        file: options.out.as_deref(),
        plot: options.plot.as_deref(),
    };
    if let Some(plot) = &options.plot {
        let figure = plot::figure(&outcome.summary()?, wanted.runs.len());
        let drawn = figure.write(plot, replaces_plot);
        drawn.map_err(failed)?;
    }
    match global.json {
        true => println!("{}", outcome.to_json()?),
        false => outcome.print()?,
    }
    Ok(())
}

/// Parts of the steps at whose ends [`best_plan`] tries boundaries.
const PARTS: usize = 5;

/// The best of a lattice of plans for one run, and how many were tried.
pub(super) fn best_plan(
    session: &mut Session,
    pair: &PairSummary,
    settings: &RunSettings,
    wish: Wish,
) -> Result<(Plan, usize), CliError> {
    let request = SweepRequest {
        wish: Some(wish),
        settings: settings.clone(),
        runs: vec![SweptRun {
            prompt: settings.prompt.clone(),
            seed: settings.seed,
            plans: Plan::lattice(PARTS).map_err(|why| CliError::Usage(why.to_string()))?,
        }],
    };
    let (mut rows, clips) = (Vec::new(), request.clips());
    render(session, request, &mut rows, clips, |_| Ok(()))?;
    let summary = SweepSummary::of(&rows, pair);
    let best = summary.as_ref().and_then(|summary| {
        let best = summary.best(Quality::Ssim, wish)?;
        Some(summary.plans[best].plan.clone())
    });
    let best = best.ok_or_else(|| {
        CliError::Failed(format!(
            "none of {clips} plans is as asked; loosen the limit, or see them all with flowblend sweep --grid"
        ))
    })?;
    Ok((best, clips))
}

fn failed(why: PlotError) -> CliError {
    CliError::Failed(why.to_string())
}

/// Has the rest rendered. `keep` gets all rows whenever there is one more.
fn render(
    session: &mut Session,
    request: SweepRequest,
    rows: &mut Vec<SweepRow>,
    clips: usize,
    mut keep: impl FnMut(&[SweepRow]) -> Result<(), CliError>,
) -> Result<(), CliError> {
    let progress = ProgressLine::new(request.steps_to_compute().len());
    let run = session.engine.sweep(request).map_err(CliError::Failed)?;
    let result = loop {
        match session.event_of(run)? {
            EventKind::Phase(phase) => progress.phase_on_bar(phase),
            EventKind::Loaded { done, total } => progress.loaded(done, total),
            EventKind::Step(_) => progress.one_more(),
            EventKind::SweepRow(row) => {
                // A reference that is in the table is rendered again to hold the rest against; the row stays.
                if !rows.iter().any(|known| known.settings == row.settings) {
                    rows.push(*row);
                    keep(rows)?;
                }
                if let Some(row) = rows.last() {
                    progress.swept(row, rows.len(), clips);
                }
            }
            EventKind::Swept => break Ok(()),
            EventKind::Cancelled => break Err(CliError::Interrupted),
            EventKind::Failed(why) => break Err(CliError::Failed(why)),
            _ => {}
        }
    };
    progress.finish();
    result
}
