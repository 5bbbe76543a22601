//! A sweep's table on disk: one row for each plan, prompt and seed.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::CliError;
use crate::analysis::Similarity;
use crate::engine::{PairSummary, SweepRow, SweepTimes, Work};
use crate::project::{AtomicFile, PairRef, RunSettings, write_bytes_atomic};
use crate::schedule::{DistilledGrid, ModelRole};

/// How the table is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layout {
    Csv,
    Json,
}

/// A table that is written anew with every row, so that it is whole at every moment.
pub(super) struct SweepFile {
    path: PathBuf,
    layout: Layout,
    /// What was in the table at the start. Rows of other settings stay.
    earlier: Vec<Record>,
}

#[derive(Serialize, Deserialize)]
struct JsonTable {
    rows: Vec<Record>,
}

impl SweepFile {
    /// Reads the table where there is one already, and refuses what cannot be written.
    pub(super) fn open(path: &Path, overwrite: bool) -> Result<Self, CliError> {
        let ending = path.extension().and_then(|ending| ending.to_str());
        let layout = match ending {
            Some(ending) if ending.eq_ignore_ascii_case("csv") => Layout::Csv,
            Some(ending) if ending.eq_ignore_ascii_case("json") => Layout::Json,
            _ => {
                return Err(CliError::Usage(format!(
                    "{} is no name for a table; let it end in .csv or .json",
                    path.display()
                )));
            }
        };
        AtomicFile::create(path, true).map_err(|why| CliError::Failed(why.to_string()))?;
        let earlier = match path.exists() && !overwrite {
            true => read(path, layout).map_err(|why| {
                CliError::Failed(format!(
                    "{} is no table of a sweep ({why}); choose another name or pass --overwrite",
                    path.display()
                ))
            })?,
            false => Vec::new(),
        };
        Ok(Self {
            path: path.to_owned(),
            layout,
            earlier,
        })
    }

    /// Whether it holds rows already.
    pub(super) fn goes_on(&self) -> bool {
        !self.earlier.is_empty()
    }

    /// What the table has of a run on this device.
    pub(super) fn find(&self, settings: RunSettings, pair: &PairSummary) -> Option<SweepRow> {
        let wanted = Record::of_run(&settings, pair);
        let known = self
            .earlier
            .iter()
            .find(|record| record.is_same_run(&wanted));
        known.map(|record| record.row(settings))
    }

    /// Writes the table with these rows, and with those of other sweeps that were in it. The seconds of all
    /// rows are predicted from the same times.
    pub(super) fn write(&self, rows: &[SweepRow], pair: &PairSummary) -> Result<(), CliError> {
        let times = SweepTimes::of(rows, pair);
        let record = |row: &SweepRow| Record::of(row, times.as_ref(), pair);
        let mut records: Vec<_> = rows.iter().map(record).collect();
        let is_other = |record: &&Record| !records.iter().any(|own| own.is_same_run(record));
        let others: Vec<_> = self.earlier.iter().filter(is_other).cloned().collect();
        records.splice(..0, others);
        let failed = |why: String| {
            CliError::Failed(format!("{} cannot be written: {why}", self.path.display()))
        };
        let bytes = match self.layout {
            Layout::Json => serde_json::to_vec_pretty(&JsonTable { rows: records })
                .map_err(|why| failed(why.to_string()))?,
            Layout::Csv => to_csv(&records).map_err(|why| failed(why.to_string()))?,
        };
        write_bytes_atomic(&self.path, true, &bytes)
            .map_err(|why| CliError::Failed(why.to_string()))
    }
}

fn to_csv(records: &[Record]) -> Result<Vec<u8>, csv::Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for record in records {
        writer.serialize(record)?;
    }
    writer.into_inner().map_err(|why| why.into_error().into())
}

fn read(path: &Path, layout: Layout) -> Result<Vec<Record>, String> {
    let bytes = std::fs::read(path).map_err(|why| why.to_string())?;
    match layout {
        Layout::Json => serde_json::from_slice(&bytes)
            .map(|table: JsonTable| table.rows)
            .map_err(|why| why.to_string()),
        Layout::Csv => csv::Reader::from_reader(&bytes[..])
            .deserialize()
            .collect::<Result<_, _>>()
            .map_err(|why| why.to_string()),
    }
}

/// One row: first what tells runs apart, then what was measured, then what follows from it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Record {
    pair: String,
    device: String,
    prompt: String,
    negative: String,
    seed: u64,
    plan: String,
    steps: usize,
    shift: f64,
    solver: String,
    history: String,
    /// Noise levels of distilled stages, where the plan has such.
    #[serde(default)]
    distilled_sigmas: String,
    cfg: f64,
    width: usize,
    height: usize,
    frames: usize,
    fps: f64,
    /// Empty where the clip is the reference's to the last bit.
    psnr_db: Option<f64>,
    ssim: Option<f64>,
    sharpness: Option<f64>,
    flicker: Option<f64>,
    computed_large_steps: usize,
    computed_large_secs: f64,
    computed_small_steps: usize,
    computed_small_secs: f64,
    #[serde(default)]
    computed_distilled_steps: usize,
    #[serde(default)]
    computed_distilled_secs: f64,
    decode_secs: f64,
    large_steps: usize,
    paper_flops: f64,
    full_flops: f64,
    predicted_secs: Option<f64>,
}

/// The noise levels that a run's distilled stages step through; nothing where it has none.
fn distilled_sigmas(settings: &RunSettings) -> String {
    let sigmas = settings.distilled_sigmas.as_ref();
    let sigmas = sigmas.filter(|_| settings.plan.has(ModelRole::Distilled));
    let levels = sigmas.map_or(&[][..], DistilledGrid::sigmas);
    let levels: Vec<_> = levels.iter().map(f64::to_string).collect();
    levels.join(" ")
}

impl Record {
    fn of_run(settings: &RunSettings, pair: &PairSummary) -> Self {
        let cost = pair.cost(settings);
        Self {
            pair: match &settings.pair {
                PairRef::Named(name) => name.clone(),
                PairRef::Folders { large, small, .. } => {
                    format!("{} {}", large.display(), small.display())
                }
            },
            device: pair.device.clone(),
            prompt: settings.prompt.clone(),
            negative: settings.negative.clone(),
            seed: settings.seed,
            plan: settings.plan.spec(),
            steps: settings.steps,
            shift: settings.shift,
            solver: settings.solver.to_string(),
            history: settings.history.to_string(),
            distilled_sigmas: distilled_sigmas(settings),
            cfg: settings.cfg,
            width: settings.width,
            height: settings.height,
            frames: settings.frames,
            fps: settings.fps,
            large_steps: (cost.large_share * settings.steps_taken() as f64).round() as usize,
            paper_flops: cost.paper_flops,
            full_flops: cost.full_flops,
            ..Self::default()
        }
    }

    fn of(row: &SweepRow, times: Option<&SweepTimes>, pair: &PairSummary) -> Self {
        let SweepRow {
            settings,
            similarity,
            sharpness,
            flicker,
            work,
        } = row;
        Self {
            psnr_db: Some(similarity.psnr_db()).filter(|db| db.is_finite()),
            ssim: similarity.ssim,
            sharpness: *sharpness,
            flicker: *flicker,
            computed_large_steps: work.large_steps,
            computed_large_secs: work.large_secs,
            computed_small_steps: work.small_steps,
            computed_small_secs: work.small_secs,
            computed_distilled_steps: work.distilled_steps,
            computed_distilled_secs: work.distilled_secs,
            decode_secs: work.decode_secs,
            predicted_secs: times.and_then(|times| times.predict(settings)),
            ..Self::of_run(settings, pair)
        }
    }

    /// Whether both would render the same.
    fn is_same_run(&self, other: &Self) -> bool {
        let numbers = |r: &Self| (r.seed, r.steps, r.width, r.height, r.frames);
        let figures = |r: &Self| (r.shift, r.cfg, r.fps);
        numbers(self) == numbers(other)
            && figures(self) == figures(other)
            && self.texts() == other.texts()
    }

    fn texts(&self) -> [&str; 8] {
        [
            &self.pair,
            &self.device,
            &self.prompt,
            &self.negative,
            &self.plan,
            &self.solver,
            &self.history,
            &self.distilled_sigmas,
        ]
    }

    /// The row of a run that this is the record of.
    fn row(&self, settings: RunSettings) -> SweepRow {
        SweepRow {
            settings,
            similarity: Similarity::of_psnr(self.psnr_db.unwrap_or(f64::INFINITY), self.ssim),
            sharpness: self.sharpness,
            flicker: self.flicker,
            work: Work {
                large_steps: self.computed_large_steps,
                large_secs: self.computed_large_secs,
                small_steps: self.computed_small_steps,
                small_secs: self.computed_small_secs,
                distilled_steps: self.computed_distilled_steps,
                distilled_secs: self.computed_distilled_secs,
                decode_secs: self.decode_secs,
            },
        }
    }
}
