use std::sync::Arc;

use anyhow::Result;
use flowblend::analysis::{
    Divergence, Reader, Reading, detail_error, divergence, flicker, psnr, sharpness, ssim,
};
use flowblend::engine::LoadedPair;
use flowblend::media::Clip;
use flowblend::schedule::ModelRole;
use serde::Serialize;

use crate::options::{LLL, LSL, SSS, Setup};
use crate::prompts::{Asked, Prompt, Verdict};
use crate::runs::Runs;
use crate::sheet::Sheets;

/// What one clip shows and how like the large model's it is.
#[derive(Clone, Debug, Serialize)]
pub struct Figures {
    /// PSNR to LLL from the same noise, in dB; infinite (null in JSON) where the clips are the same.
    pub psnr: f64,
    /// SSIM to LLL.
    pub ssim: f64,
    /// How wrong fine detail is against LLL: 1 where all of it is missing.
    pub detail_error: f64,
    /// Distance from LLL in the reader's embedding, 0..=2.
    pub distance: Option<f64>,
    /// Mean gradient of luma.
    pub sharpness: f64,
    /// Changes of luma that are taken back.
    pub flicker: f64,
    /// What is right about it.
    pub verdict: Option<Verdict>,
}

impl Figures {
    /// 1 where all is right, 0 where something is not.
    pub fn all_right(&self) -> Option<f64> {
        let verdict = self.verdict.as_ref()?;
        Some(f64::from(u8::from(verdict.all_right())))
    }
}

/// All that is measured on one prompt.
#[derive(Clone, Debug, Serialize)]
pub struct Study {
    /// A clip of each of [`PLANS`](crate::options::PLANS).
    pub plans: Vec<Figures>,
    /// A clip of each cell of the grid; none where this prompt was not asked for it.
    pub grid: Vec<Figures>,
    /// The small model's velocity against the large one's at each step of LLL; none likewise.
    pub probe: Vec<Divergence>,
}

/// What prompts are studied with.
pub struct Studio<'a> {
    /// What is measured.
    pub setup: &'a Setup,
    /// The models, all loaded, all prompts encoded.
    pub pair: &'a LoadedPair,
    /// What reads the clips.
    pub reader: Option<&'a Reader>,
    /// The prompts.
    pub prompts: &'a [Prompt],
    /// Prompts that the grid is run on.
    pub grid: usize,
    /// Prompts that velocities are compared on.
    pub probe: usize,
    /// Where contact sheets go.
    pub sheets: Option<Sheets>,
}

impl Studio<'_> {
    /// The runs of one prompt, of which none is computed yet.
    pub fn runs(&self, index: usize) -> Result<Runs<'_>> {
        let prompt = &self.prompts[index];
        Runs::new(self.pair, &self.setup.settings, &prompt.prompt, prompt.seed)
    }

    /// Renders and measures all that is asked of one prompt.
    pub fn study(&self, index: usize) -> Result<Study> {
        let setup = self.setup;
        let mut runs = self.runs(index)?;
        let eye = Eye::new(
            self.reader,
            &self.prompts[index],
            runs.clip(&setup.plans[LLL])?,
        )?;
        let plans = setup
            .plans
            .iter()
            .map(|plan| eye.look(&*runs.clip(plan)?))
            .collect::<Result<_>>()?;
        if let Some(sheets) = &self.sheets
            && index < sheets.count
        {
            let rows = [LLL, LSL, SSS]
                .iter()
                .map(|plan| runs.clip(&setup.plans[*plan]))
                .collect::<Result<Vec<_>>>()?;
            sheets.write(index, &rows)?;
        }
        let cells = if index < self.grid {
            &setup.cells[..]
        } else {
            &[]
        };
        let grid = cells
            .iter()
            .map(|cell| eye.look(&*runs.clip(&cell.plan)?))
            .collect::<Result<_>>()?;
        let probe = if index < self.probe {
            self.compare_velocities(&mut runs)?
        } else {
            Vec::new()
        };
        Ok(Study { plans, grid, probe })
    }

    fn compare_velocities(&self, runs: &mut Runs<'_>) -> Result<Vec<Divergence>> {
        let way = runs.trajectory(&self.setup.plans[LLL])?.clone();
        (0..way.steps())
            .map(|step| {
                let small = runs.velocity(ModelRole::Small, way.state(step), step)?;
                Ok(divergence(&small, way.velocity(step))?)
            })
            .collect()
    }
}

/// Looks at the clips of one prompt, beside that of the large model alone.
pub struct Eye<'a> {
    reader: Option<(&'a Reader, Asked, Reading)>,
    reference: Arc<Clip>,
}

impl<'a> Eye<'a> {
    /// Reads the large model's clip once.
    pub fn new(reader: Option<&'a Reader>, prompt: &Prompt, reference: Arc<Clip>) -> Result<Self> {
        let reader = reader
            .map(|reader| -> Result<_> {
                let asked = Asked::new(prompt, reader.spec())?;
                Ok((reader, asked, reader.read(&reference)?))
            })
            .transpose()?;
        Ok(Self { reader, reference })
    }

    /// Measures a clip.
    pub fn look(&self, clip: &Clip) -> Result<Figures> {
        let read = self
            .reader
            .as_ref()
            .map(|(reader, asked, reference)| -> Result<_> {
                let reading = reader.read(clip)?;
                Ok((reading.distance(reference), asked.judge(&reading)))
            })
            .transpose()?;
        let (distance, verdict) = read.unzip();
        Ok(Figures {
            psnr: psnr(clip, &self.reference)?,
            ssim: ssim(clip, &self.reference)?,
            detail_error: detail_error(clip, &self.reference)?,
            distance,
            sharpness: sharpness(clip)?,
            flicker: flicker(clip)?,
            verdict,
        })
    }
}
