use candle_core::Tensor;

use super::denoise::take_steps;
use super::skip::Skipper;
use super::{Cancel, ModelSet, Origin, SampleError, StepView, Trajectory};
use crate::schedule::{Course, ModelRole, SigmaGrid, StepPlan};

/// Decides in the course of a run which model takes each next step.
pub trait Switch {
    /// The model of the step after `taken`, which went from its own noise level to the next one of `grid`.
    /// Hears of every step of the run, in order.
    fn next(&mut self, taken: &StepView<'_>, grid: &SigmaGrid) -> Result<ModelRole, SampleError>;
}

/// The rules that there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OnlineRule {
    /// Our own.
    Bend,
    /// That of SRDiffusion.
    SrDiffusion,
}

impl OnlineRule {
    /// Every rule, in the order menus show them.
    pub const ALL: [Self; 2] = [Self::Bend, Self::SrDiffusion];

    /// Its name in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bend => "bend",
            Self::SrDiffusion => "srdiffusion",
        }
    }

    /// What people call it.
    pub fn words(self) -> &'static str {
        match self {
            Self::Bend => "by the bend of the way",
            Self::SrDiffusion => "by SRDiffusion's rule",
        }
    }

    /// The rule at the beginning of a run, which the large model takes.
    pub fn start(self) -> Box<dyn Switch> {
        match self {
            Self::Bend => Box::new(Bend::default()),
            Self::SrDiffusion => Box::new(SrDiffusion::default()),
        }
    }
}

/// Hears of each step, and of the plan as it stands after it.
pub type OnDecided<'a> = dyn FnMut(StepView<'_>, &[StepPlan]) -> Result<(), SampleError> + 'a;

/// As [`denoise_until`], with a plan that `switch` decides on as it goes: the steps of `course` say what the first step
/// that is not taken does and come back as the plan so far, its last model until the end. Ends after the
/// last step, when a pause was asked for, or where another model is to go on, which may have to be loaded.
pub fn denoise_online(
    trajectory: &mut Trajectory,
    course: &mut Course,
    models: &dyn ModelSet,
    switch: &mut dyn Switch,
    cancel: &Cancel,
    on_step: &mut OnDecided<'_>,
) -> Result<(), SampleError> {
    let mut skipper = Skipper::default();
    while let Some(current) = course.steps.get(trajectory.steps()).copied() {
        let at = trajectory.steps();
        let mut next = current.model;
        let now = course.clone();
        let on_step = &mut |view: StepView<'_>| {
            next = decide(&view, course, switch)?;
            on_step(view, &course.steps)
        };
        take_steps(
            &mut skipper,
            at + 1,
            trajectory,
            &now,
            models,
            cancel,
            on_step,
        )?;
        if trajectory.steps() == at || next != current.model {
            break;
        }
    }
    Ok(())
}

/// Has `switch` hear of the steps of `known` from the first that it has not heard of, as if they were just taken,
/// so that [`denoise_online`] goes on bit for bit as the run that took them did. `known` took them by the plan in
/// `course` as it stands; comes back with the number of leading steps that hold, those up to the first after which
/// another model goes on.
pub fn decide_again(
    known: &Trajectory,
    heard: usize,
    course: &mut Course,
    switch: &mut dyn Switch,
) -> Result<usize, SampleError> {
    for step in heard..known.steps() {
        let plan = course.steps[step];
        let view = StepView {
            step,
            plan,
            sigma: course.grid.sigma(step),
            before: known.state(step),
            velocity: known.velocity(step),
            origin: known.origin(step),
            off: None,
            after: known.state(step + 1),
        };
        if decide(&view, course, switch)? != plan.model {
            return Ok(step + 1);
        }
    }
    Ok(known.steps())
}

/// Asks `switch` for the model of the step after `taken` and gives it all steps that are left.
fn decide(
    taken: &StepView<'_>,
    course: &mut Course,
    switch: &mut dyn Switch,
) -> Result<ModelRole, SampleError> {
    let next = switch.next(taken, &course.grid)?;
    let cache = course.steps.iter().find_map(|step| step.cache);
    let stage = taken.plan.stage + usize::from(next != taken.plan.model);
    for step in &mut course.steps[taken.step + 1..] {
        (step.model, step.stage) = (next, stage);
    }
    if let Some(cache) = cache {
        cache.mark(&mut course.steps, course.own_steps);
    }
    Ok(next)
}

/// The rule of SRDiffusion (arXiv 2505.19151): large until the change of its velocity from one step to the
/// next stops falling, small from there to the end.
///
/// The change is `d = tanh(mean|v - v'| / mean|v'|)`, `v'` the step before; the switch comes where `d` has
/// fallen by less than 0.01, never before the sixth step.
#[derive(Debug, Default)]
pub struct SrDiffusion {
    last: Option<Tensor>,
    change: Option<f64>,
    is_over: bool,
}

/// How little the change has to fall: the default of the authors' program.
const SR_THRESHOLD: f64 = 0.01;
/// The first step, from 0, after which they switch.
const SR_FIRST: usize = 5;

impl Switch for SrDiffusion {
    fn next(&mut self, taken: &StepView<'_>, _: &SigmaGrid) -> Result<ModelRole, SampleError> {
        if self.is_over {
            return Ok(ModelRole::Small);
        }
        if taken.origin == Origin::Skipped {
            // What is taken up says nothing of the way.
            return Ok(ModelRole::Large);
        }
        let change = self.last.as_ref().map(|last| -> Result<f64, SampleError> {
            let moved = mean(&(taken.velocity - last)?.abs()?)?;
            Ok((moved / mean(&last.abs()?)?).tanh())
        });
        let change = change.transpose()?;
        let fell = self.change.zip(change).map(|(before, now)| before - now);
        self.is_over =
            taken.step >= SR_FIRST && fell.is_some_and(|fell| 0.0 < fell && fell < SR_THRESHOLD);
        self.last = Some(taken.velocity.clone());
        self.change = change;
        Ok(match self.is_over {
            true => ModelRole::Small,
            false => ModelRole::Large,
        })
    }
}

/// Our own rule: large where the way bends, small where it is nearly straight.
///
/// The bend of a step is `|v - v'| / (|v'| (sigma' - sigma))`, l2 norms, `v'` the velocity of the step before:
/// by what part of its length the velocity turns over a unit of noise level. It needs no evaluation more and,
/// unlike a change per step, does not depend on their number. Along the bundled pair's runs it falls and rises
/// with the divergence of the two models. The small model takes over where the bend falls below [`STRAIGHT`],
/// or below [`NEARLY_STRAIGHT`] and no further, as it does with much guidance. The large one comes back where
/// it has risen to [`BENT_AGAIN`] times its least, and has the rest but for a step that
/// [hardly moves](SigmaGrid::hardly_moves).
#[derive(Debug, Default)]
pub struct Bend {
    /// Of the last step that was computed: its velocity, its model and its noise level.
    last: Option<(Tensor, ModelRole, f64)>,
    bend: Option<f64>,
    stage: Stage,
}

/// The bend below which the small model takes over.
const STRAIGHT: f64 = 1.0;
/// The bend below which it does so once the bend no longer falls.
const NEARLY_STRAIGHT: f64 = 3.0;
/// The rise of the bend over its least at which the large model comes back.
const BENT_AGAIN: f64 = 2.2;

#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Stage {
    #[default]
    Early,
    Middle {
        least: f64,
    },
    Late,
}

impl Stage {
    /// The stage after a step of this bend, which came after one of the bend `before`.
    fn after(self, bend: f64, before: Option<f64>) -> Self {
        let rises = before.is_some_and(|before| bend > before);
        match self {
            Self::Early if bend < STRAIGHT || rises && bend < NEARLY_STRAIGHT => Self::Middle {
                least: f64::INFINITY,
            },
            Self::Middle { least } if bend > BENT_AGAIN * least => Self::Late,
            Self::Middle { least } => Self::Middle {
                least: least.min(bend),
            },
            stage => stage,
        }
    }
}

impl Switch for Bend {
    fn next(&mut self, taken: &StepView<'_>, grid: &SigmaGrid) -> Result<ModelRole, SampleError> {
        if taken.origin != Origin::Skipped {
            // Between two models the velocity jumps, which says nothing of the way.
            let bend = match &self.last {
                Some((last, model, sigma)) if *model == taken.plan.model => {
                    let moved = sigma - taken.sigma;
                    Some(length(&(taken.velocity - last)?)? / (length(last)? * moved))
                }
                _ => None,
            };
            if let Some(bend) = bend {
                self.stage = self.stage.after(bend, self.bend);
            }
            self.bend = bend;
            self.last = Some((taken.velocity.clone(), taken.plan.model, taken.sigma));
        }
        let next = taken.step + 1;
        let is_idle = next < grid.steps() && grid.hardly_moves(next);
        Ok(match self.stage {
            _ if is_idle => ModelRole::Small,
            Stage::Middle { .. } => ModelRole::Small,
            Stage::Early | Stage::Late => ModelRole::Large,
        })
    }
}

fn mean(tensor: &Tensor) -> Result<f64, SampleError> {
    Ok(f64::from(tensor.mean_all()?.to_scalar::<f32>()?))
}

fn length(tensor: &Tensor) -> Result<f64, SampleError> {
    Ok(mean(&tensor.sqr()?)?.sqrt())
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;
    use crate::sampler::{Context, Guided, VelocityModel, denoise};
    use crate::schedule::Plan;

    const STEPS: usize = 20;

    /// A velocity of length one that turns by `turn` radians away from where the noise level alone puts it:
    /// fast above 0.6 and below 0.3, slowly between.
    struct Turning {
        turn: f64,
    }

    fn angle(sigma: f64) -> f64 {
        let (high, middle, low) = (sigma.max(0.6), sigma.clamp(0.3, 0.6), sigma.min(0.3));
        4.0 * high + 0.5 * middle + 4.0 * low
    }

    impl VelocityModel for Turning {
        fn context(&self, _: &Tensor) -> Result<Context, SampleError> {
            Ok(Context(Vec::new()))
        }

        fn velocity(
            &self,
            latents: &Tensor,
            timestep: f64,
            _: &Context,
            _: &Cancel,
        ) -> Result<Tensor, SampleError> {
            let (sin, cos) = (angle(timestep / 1000.0) + self.turn).sin_cos();
            let velocity = Tensor::new(&[cos as f32, sin as f32], latents.device())?;
            Ok(velocity.reshape(latents.shape())?)
        }
    }

    struct Pair {
        large: Turning,
        small: Turning,
        text: Context,
    }

    impl ModelSet for Pair {
        fn guided(&self, role: ModelRole) -> Result<Guided<'_>, SampleError> {
            let model = match role {
                ModelRole::Large => &self.large,
                _ => &self.small,
            };
            Ok(Guided {
                model,
                prompt: &self.text,
                negative: &self.text,
                profile: None,
            })
        }
    }

    fn pair() -> Pair {
        Pair {
            large: Turning { turn: 0.0 },
            small: Turning { turn: 0.3 },
            text: Context(Vec::new()),
        }
    }

    fn noise() -> Tensor {
        Tensor::new(&[0.5f32, -0.5], &Device::Cpu)
            .and_then(|noise| noise.reshape((1, 2, 1, 1, 1)))
            .unwrap()
    }

    fn bits(tensor: &Tensor) -> Vec<u32> {
        let values = tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        values.into_iter().map(f32::to_bits).collect()
    }

    fn large_alone() -> Course {
        let steps = Plan::only(ModelRole::Large).steps(STEPS, 1.0);
        Course::euler(SigmaGrid::flow_uniform(STEPS, 1.0), steps)
    }

    #[test]
    fn the_small_model_has_the_straight_part_and_the_plan_that_came_out_gives_the_same_run() {
        let (pair, mut course) = (pair(), large_alone());
        let mut online = Trajectory::starting_at(noise());
        let mut switch = OnlineRule::Bend.start();
        let (mut stretches, mut heard) = (Vec::new(), Vec::new());
        while online.steps() < STEPS {
            denoise_online(
                &mut online,
                &mut course,
                &pair,
                switch.as_mut(),
                &Cancel::new(),
                &mut |view, _| {
                    heard.push(view.step);
                    Ok(())
                },
            )
            .unwrap();
            stretches.push(online.steps());
        }
        // Straight from the pair of steps 8 and 9 on, at 0.60 and 0.55; bent again from 14 and 15, at 0.30 and
        // 0.25. Neither jump from model to model is taken for a bend.
        assert_eq!(stretches, [10, 16, STEPS]);
        assert_eq!(heard, (0..STEPS).collect::<Vec<_>>());
        let models: Vec<ModelRole> = course.steps.iter().map(|step| step.model).collect();
        let plan = Plan::of_models(&models);
        assert_eq!(
            (plan.letters().as_str(), plan.boundaries()),
            ("LSL", &[0.5, 0.8][..])
        );
        let stages: Vec<usize> = plan
            .steps(STEPS, 1.0)
            .iter()
            .map(|step| step.stage)
            .collect();
        assert_eq!(
            course
                .steps
                .iter()
                .map(|step| step.stage)
                .collect::<Vec<_>>(),
            stages
        );
        let plain = denoise(
            &noise(),
            &Course::euler(course.grid, plan.steps(STEPS, 1.0)),
            &pair,
            &Cancel::new(),
            &mut |_| Ok(()),
        );
        assert_eq!(bits(plain.unwrap().last()), bits(online.last()));
    }

    /// Runs to the end, or to where `cancel` has it rest.
    fn run_on(
        online: &mut Trajectory,
        course: &mut Course,
        switch: &mut dyn Switch,
        cancel: &Cancel,
    ) {
        while online.steps() < STEPS && !cancel.rests_after(online.steps()) {
            denoise_online(online, course, &pair(), switch, cancel, &mut |_, _| Ok(())).unwrap();
        }
    }

    #[test]
    fn a_pause_ends_a_run_that_decides_as_it_goes_and_it_goes_on_as_if_there_had_been_none() {
        let (mut whole, mut decided) = (Trajectory::starting_at(noise()), large_alone());
        let mut switch = OnlineRule::Bend.start();
        run_on(&mut whole, &mut decided, switch.as_mut(), &Cancel::new());
        for pause in 1..STEPS {
            let cancel = Cancel::new();
            cancel.pause_after(pause);
            let (mut online, mut course) = (Trajectory::starting_at(noise()), large_alone());
            run_on(
                &mut online,
                &mut course,
                OnlineRule::Bend.start().as_mut(),
                &cancel,
            );
            assert_eq!(online.steps(), pause);
            // Another start of the program knows the steps alone.
            let (mut switch, mut course) = (OnlineRule::Bend.start(), large_alone());
            let mut heard = 0;
            while heard < pause {
                heard = decide_again(&online, heard, &mut course, switch.as_mut()).unwrap();
            }
            run_on(&mut online, &mut course, switch.as_mut(), &Cancel::new());
            assert_eq!(course.steps, decided.steps, "paused after {pause}");
            assert_eq!(
                bits(online.last()),
                bits(whole.last()),
                "paused after {pause}"
            );
        }
    }

    #[test]
    fn srdiffusion_switches_once_where_the_change_falls_by_little() {
        let grid = SigmaGrid::flow_uniform(STEPS, 1.0);
        let mut rule = SrDiffusion::default();
        let mut velocity = 1.0f32;
        // The change at step 3 falls by little, but that is too early; at step 6 it rises; at step 7 it falls by
        // 0.005; what comes after does not matter.
        let changes = [0.0f32, 0.5, 0.3, 0.295, 0.2, 0.1, 0.12, 0.115, 0.9, 0.1];
        let plan = Plan::only(ModelRole::Large).steps(STEPS, 1.0)[0];
        let next: Vec<ModelRole> = changes
            .iter()
            .enumerate()
            .map(|(step, change)| {
                velocity *= 1.0 + change;
                let state = noise();
                let velocity = (state.zeros_like().unwrap() + f64::from(velocity)).unwrap();
                let view = StepView {
                    step,
                    plan,
                    sigma: grid.sigma(step),
                    before: &state,
                    velocity: &velocity,
                    origin: Origin::Computed,
                    off: None,
                    after: &state,
                };
                rule.next(&view, &grid).unwrap()
            })
            .collect();
        let switched = next.iter().position(|model| *model == ModelRole::Small);
        assert_eq!(switched, Some(7));
        assert!(next[7..].iter().all(|model| *model == ModelRole::Small));
    }
}
