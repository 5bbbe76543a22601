//! A sweep: for every prompt and seed the reference, then each plan.

use super::{PairPipeline, Ready, with_both_models};
use crate::analysis::{Similarity, flicker, frame_similarity, sharpness};
use crate::engine::job::{Job, Rendered};
use crate::engine::pipeline::{Progress, RunError, RunRequest};
use crate::engine::sweep::{SweepRequest, SweepRow};
use crate::media::Clip;
use crate::project::RunSettings;
use crate::sampler::Cancel;
use crate::schedule::Plan;

impl PairPipeline {
    /// Renders and measures; every row is told as soon as it is there.
    pub(super) fn render_sweep(
        &mut self,
        request: &SweepRequest,
        cancel: &Cancel,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(), RunError> {
        // The memory has to do for both models, whichever plan comes first.
        let ready = self.prepare(&with_both_models(&request.settings)?)?;
        let stages = request.runs.iter().flat_map(|run| &run.plans);
        for stage in stages.flat_map(Plan::stages) {
            // A model that is not there is better known now than after an hour.
            self.keepers()?.loaded.model_path(stage.model)?;
        }
        for run in &request.runs {
            let outcome = self.sweep_run(&ready, request.renders(run), cancel, progress);
            progress(Progress::StepsKept(self.steps.told()));
            outcome?;
        }
        Ok(())
    }

    /// The plans of one prompt and seed, the reference first.
    fn sweep_run(
        &mut self,
        ready: &Ready,
        renders: Vec<RunSettings>,
        cancel: &Cancel,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(), RunError> {
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
            earlier = Some(rendered);
        }
        Ok(())
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
