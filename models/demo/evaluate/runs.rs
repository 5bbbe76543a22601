use std::sync::Arc;

use anyhow::Result;
use candle_core::{Device, Tensor};
use flowblend::engine::{GuidedPair, LoadedPair};
use flowblend::media::Clip;
use flowblend::models::wan::latent_shape;
use flowblend::project::RunSettings;
use flowblend::sampler::{
    Cancel, ModelSet as _, OnlineRule, Origin, Trajectory, denoise, denoise_from, denoise_online,
    initial_noise,
};
use flowblend::schedule::{Course, ModelRole, Plan, SigmaGrid, StepPlan, shared_steps};

/// All runs of one prompt from one noise. Each goes on from the earlier run that did the same the longest,
/// and each end is decoded once.
pub struct Runs<'a> {
    pair: &'a LoadedPair,
    models: GuidedPair<'a>,
    settings: &'a RunSettings,
    grid: SigmaGrid,
    initial: Tensor,
    done: Vec<Run>,
}

struct Run {
    steps: Vec<StepPlan>,
    trajectory: Trajectory,
    clip: Option<Arc<Clip>>,
}

impl<'a> Runs<'a> {
    /// Nothing is computed yet. The pair's parts are loaded and the prompt's text is encoded.
    pub fn new(
        pair: &'a LoadedPair,
        settings: &'a RunSettings,
        prompt: &str,
        seed: u64,
    ) -> Result<Self> {
        let shape = latent_shape(settings.width, settings.height, settings.frames).into();
        Ok(Self {
            pair,
            models: pair.guide(&pair.resident(), prompt, &settings.negative)?,
            settings,
            grid: settings.grid(),
            initial: initial_noise(seed, shape, &Device::Cpu)?,
            done: Vec::new(),
        })
    }

    /// The way that a plan takes.
    pub fn trajectory(&mut self, plan: &Plan) -> Result<&Trajectory> {
        Ok(&self.run(plan)?.trajectory)
    }

    /// The clip that a plan gives.
    pub fn clip(&mut self, plan: &Plan) -> Result<Arc<Clip>> {
        let (pair, fps) = (self.pair, self.settings.fps);
        let run = self.run(plan)?;
        if let Some(clip) = &run.clip {
            return Ok(Arc::clone(clip));
        }
        let latents = run.trajectory.last();
        let clip = pair.decode(latents, fps, false, &Cancel::new(), &mut |_, _, _| {})?;
        Ok(Arc::clone(run.clip.insert(Arc::new(clip))))
    }

    /// The plan that a rule decides on in the course of a run, which is taken.
    pub fn online(&mut self, rule: OnlineRule) -> Result<Plan> {
        let mut trajectory = Trajectory::starting_at(self.initial.clone());
        let large = Plan::only(ModelRole::Large);
        let mut course = self.settings.with_plan(large).course();
        let (mut switch, cancel) = (rule.start(), Cancel::new());
        while trajectory.steps() < course.steps.len() {
            denoise_online(
                &mut trajectory,
                &mut course,
                &self.models,
                switch.as_mut(),
                &cancel,
                &mut |_, _| Ok(()),
            )?;
        }
        let models: Vec<ModelRole> = course.steps.iter().map(|step| step.model).collect();
        self.done.push(Run {
            steps: course.steps,
            trajectory,
            clip: None,
        });
        Ok(Plan::of_models(&models))
    }

    /// The clip of a run with settings of its own, and the steps that its cache spared.
    pub fn apart(&mut self, settings: &RunSettings) -> Result<(Arc<Clip>, usize)> {
        if *settings == self.settings.with_plan(settings.plan.clone()) {
            return Ok((self.clip(&settings.plan)?, 0));
        }
        let course = settings.course();
        let ended = self.denoise(&course, None)?;
        let spared = |origin: &&Origin| **origin == Origin::Skipped;
        let spared = ended.origins().iter().filter(spared).count();
        let (pair, fps) = (self.pair, settings.fps);
        let clip = pair.decode(ended.last(), fps, false, &Cancel::new(), &mut |_, _, _| {})?;
        Ok((Arc::new(clip), spared))
    }

    /// The guided velocity of a model at a state of a run, before step `step`.
    pub fn velocity(&self, role: ModelRole, state: &Tensor, step: usize) -> Result<Tensor> {
        let timestep = self.grid.timestep(step);
        let model = self.models.guided(role)?;
        let plan = &self.settings.with_plan(Plan::only(role)).step_plans()[step];
        Ok(model.velocity(state, timestep, plan, &Cancel::new())?)
    }

    fn run(&mut self, plan: &Plan) -> Result<&mut Run> {
        let settings = self.settings.with_plan(plan.clone());
        let steps = settings.step_plans();
        let nearest = self
            .done
            .iter()
            .map(|run| shared_steps(&run.steps, &steps))
            .enumerate()
            .max_by_key(|(_, shared)| *shared);
        let known = nearest.filter(|(_, shared)| *shared == steps.len());
        let index = match known {
            Some((index, _)) => index,
            None => {
                let trajectory = self.denoise(&settings.course(), nearest)?;
                self.done.push(Run {
                    steps,
                    trajectory,
                    clip: None,
                });
                self.done.len() - 1
            }
        };
        Ok(&mut self.done[index])
    }

    /// A run along `course`, on from the run and the number of steps that `nearest` names.
    fn denoise(&self, course: &Course, nearest: Option<(usize, usize)>) -> Result<Trajectory> {
        let (models, cancel) = (&self.models, &Cancel::new());
        Ok(match nearest {
            Some((index, shared)) => {
                let begun = self.done[index].trajectory.first_steps(shared);
                denoise_from(begun, course, models, cancel, &mut |_| Ok(()))?
            }
            None => denoise(&self.initial, course, models, cancel, &mut |_| Ok(()))?,
        })
    }
}
