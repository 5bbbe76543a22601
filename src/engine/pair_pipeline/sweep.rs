//! A sweep: for every prompt and seed the reference, then each plan.

use std::sync::Arc;

use super::{PairPipeline, Ready, timing_key};
use crate::analysis::{Similarity, flicker, frame_similarity, sharpness};
use crate::engine::boundary_book::{KnownPlan, RunKind};
use crate::engine::job::{Job, Rendered};
use crate::engine::pipeline::{Progress, RunError, RunRequest};
use crate::engine::sweep::{Quality, SweepRequest, SweepRow, SweepSummary, Work};
use crate::media::Clip;
use crate::project::RunSettings;
use crate::sampler::Cancel;
use crate::schedule::{ModelRole, Plan, StepPlan};

impl PairPipeline {
    /// Renders and measures; every row is told as soon as it is there.
    pub(super) fn render_sweep(
        &mut self,
        request: &SweepRequest,
        cancel: &Cancel,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(), RunError> {
        let settings = &request.settings;
        settings
            .check()
            .map_err(|why| RunError::Failed(why.to_string()))?;
        // A model that is not there is better known now than after an hour; and the memory has to do for all of them,
        // whichever plan comes first.
        let models = request.models();
        let ready = self.prepare(&RunSettings {
            plan: Plan::of_models(&models),
            steps: settings.steps.max(models.len()),
            ..settings.clone()
        })?;
        let mut rows = Vec::new();
        for run in &request.runs {
            let mut progress = |news| {
                if let Progress::SweepRow(row) = &news
                    && request.wish.is_some()
                {
                    rows.push((**row).clone());
                }
                progress(news);
            };
            let outcome = self.sweep_run(&ready, request.renders(run), cancel, &mut progress);
            progress(Progress::StepsKept(self.steps.told()));
            self.remember_work(&ready, &request.settings, &outcome?)?;
        }
        if let Some(wish) = request.wish
            && let Ok(pair) = self.summary(&ready.files, &request.settings.pair)
            && let Some(summary) = SweepSummary::of(&rows, &pair)
            && let Some(best) = summary.best(Quality::Ssim, wish)
        {
            let found = KnownPlan {
                plan: summary.plans[best].plan.clone(),
                runs: RunKind::of(&request.settings),
                wish,
            };
            self.plans.note(ready.files.blended(), found);
        }
        if let Ok(summary) = self.summary(&ready.files, &request.settings.pair) {
            progress(Progress::Pair(Arc::new(summary)));
        }
        Ok(())
    }

    /// Keeps what one run of the sweep measured for the next forecast.
    fn remember_work(
        &mut self,
        ready: &Ready,
        settings: &RunSettings,
        all: &[Work],
    ) -> Result<(), RunError> {
        let device = self.device().map_err(RunError::Failed)?;
        // Of the models that it tries, whatever the plan of the run that it was asked for.
        let steps = settings
            .with_plan(settings.plan.all(ModelRole::Large))
            .step_plans();
        let passes = steps.iter().map(StepPlan::passes).sum::<usize>() as f64 / steps.len() as f64;
        let size = settings.size();
        let times = |of: fn(&Work) -> (usize, f64)| {
            let (counts, secs): (Vec<_>, Vec<_>) = all.iter().map(of).unzip();
            secs.iter().sum::<f64>() / counts.iter().sum::<usize>() as f64
        };
        self.timings
            .correct(timing_key(&ready.files.spec, &device), |timings| {
                // Of no step there is no time, and what is no number is not taken in.
                let large = times(|work| work.of(ModelRole::Large));
                timings.large.add(size, large / passes);
                let small = times(|work| work.of(ModelRole::Small));
                timings.small.add(size, small / passes);
                // Guidance is folded into it.
                let distilled = times(|work| work.of(ModelRole::Distilled));
                timings.distilled.add(size, distilled);
                if !ready.fit.in_tiles {
                    timings
                        .decode
                        .add(size, times(|work| (1, work.decode_secs)));
                }
            });
        Ok(())
    }

    /// The plans of one prompt and seed, the reference first. Gives what was computed.
    fn sweep_run(
        &mut self,
        ready: &Ready,
        renders: Vec<RunSettings>,
        cancel: &Cancel,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Vec<Work>, RunError> {
        let mut work = Vec::with_capacity(renders.len());
        let mut reference: Option<Clip> = None;
        let mut earlier: Option<Rendered> = None;
        for settings in renders {
            let run = RunRequest {
                reuse_steps: true,
                preview_every: 0,
                ..settings.clone().into()
            };
            let job = Job::new(&run, &ready.summary, ready.fit, self.keepers()?, cancel);
            let rendered = job.render(earlier.as_ref(), progress)?;
            let reference = reference.get_or_insert_with(|| rendered.clip.clone());
            let row = measure(settings, reference, &rendered)?;
            progress(Progress::SweepRow(Box::new(row)));
            work.push(rendered.work);
            earlier = Some(rendered);
        }
        Ok(work)
    }
}

fn measure(
    settings: RunSettings,
    reference: &Clip,
    rendered: &Rendered,
) -> Result<SweepRow, RunError> {
    let frames: Vec<_> = frame_similarity(reference, &rendered.clip)?.collect();
    let similarity = Similarity::mean(&frames)
        .ok_or_else(|| RunError::Failed("a clip without frames cannot be measured".to_owned()))?;
    Ok(SweepRow {
        settings,
        similarity,
        // What is too small for a measure has none.
        sharpness: sharpness(&rendered.clip).ok(),
        flicker: flicker(&rendered.clip).ok(),
        work: rendered.work,
    })
}
