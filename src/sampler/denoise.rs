use candle_core::{DType, Tensor};

use super::skip::Skipper;
use super::{Cancel, Guided, Origin, SampleError, Stepper, Trajectory};
use crate::schedule::{Course, ModelRole, StepPlan};

/// Gives the model of a step, loading or swapping it if need be.
pub trait ModelSet {
    /// The model for `role` with its text.
    fn guided(&self, role: ModelRole) -> Result<Guided<'_>, SampleError>;
}

/// A step that has just been taken.
pub struct StepView<'a> {
    /// The step, from 0.
    pub step: usize,
    /// What the plan said of it.
    pub plan: StepPlan,
    /// Noise level before the step.
    pub sigma: f64,
    /// The state before the step, `(1, C, T, H, W)`.
    pub before: &'a Tensor,
    /// The guided velocity.
    pub velocity: &'a Tensor,
    /// How the step came by it.
    pub origin: Origin,
    /// How far off the velocity is that would have been taken up from an earlier step, where that was looked at: relative l2.
    pub off: Option<f64>,
    /// The state after the step.
    pub after: &'a Tensor,
}

impl StepView<'_> {
    /// The estimate of the clean latents this step stood on: `x0 = x - sigma * v`.
    pub fn x0(&self) -> Result<Tensor, SampleError> {
        Ok((self.before - (self.velocity * self.sigma)?)?)
    }
}

/// Takes the latents from noise to data along `course`, one model a step. A straight step is
/// `x += (sigma_next - sigma) * v`; what other solvers do is in [`Stepper`].
///
/// `initial` is `(1, C, T, H, W)`, f32, unit noise. `on_step` hears of each step; an error of its own
/// ends the run. Fails with [`SampleError::NonFinite`] at the first step whose result is not a number.
pub fn denoise(
    initial: &Tensor,
    course: &Course,
    models: &dyn ModelSet,
    cancel: &Cancel,
    on_step: &mut dyn FnMut(StepView<'_>) -> Result<(), SampleError>,
) -> Result<Trajectory, SampleError> {
    let begun = Trajectory::starting_at(initial.to_dtype(DType::F32)?);
    denoise_from(begun, course, models, cancel, on_step)
}

/// As [`denoise`], going on from where `begun` stands: its steps are kept and not taken again, and
/// `on_step` hears of the others only. `course` is that of the whole run.
///
/// The result is bit-identical to a run from the start, provided that `begun` came of the same noise,
/// grid, solver, models and texts, and that its plan did the same in all its steps; of another run,
/// [`shared_steps`](crate::schedule::shared_steps) counts how many of those there are and
/// [`Trajectory::first_steps`] takes them.
///
/// Where a pause was asked for, what comes back ends there.
pub fn denoise_from(
    begun: Trajectory,
    course: &Course,
    models: &dyn ModelSet,
    cancel: &Cancel,
    on_step: &mut dyn FnMut(StepView<'_>) -> Result<(), SampleError>,
) -> Result<Trajectory, SampleError> {
    let mut trajectory = begun;
    let end = course.steps.len();
    denoise_until(end, &mut trajectory, course, models, cancel, on_step)?;
    Ok(trajectory)
}

/// As [`denoise_from`], but takes no more than the first `end` of the steps, and takes them onto
/// `trajectory`: it can be gone on from, with other models in memory, and after an error or a pause it
/// holds the steps that were finished.
pub fn denoise_until(
    end: usize,
    trajectory: &mut Trajectory,
    course: &Course,
    models: &dyn ModelSet,
    cancel: &Cancel,
    on_step: &mut dyn FnMut(StepView<'_>) -> Result<(), SampleError>,
) -> Result<(), SampleError> {
    take_steps(
        &mut Skipper::default(),
        end,
        trajectory,
        course,
        models,
        cancel,
        on_step,
    )
}

/// As [`denoise_until`], with what `skipper` remembers.
pub(super) fn take_steps(
    skipper: &mut Skipper,
    end: usize,
    trajectory: &mut Trajectory,
    course: &Course,
    models: &dyn ModelSet,
    cancel: &Cancel,
    on_step: &mut dyn FnMut(StepView<'_>) -> Result<(), SampleError>,
) -> Result<(), SampleError> {
    let misfit = |what: &str, found: usize, expected: usize| SampleError::Shape {
        what: what.to_owned(),
        found: vec![found],
        expected: vec![expected],
    };
    let Course { grid, steps, .. } = course;
    if steps.len() != grid.steps() {
        return Err(misfit("the plan", steps.len(), grid.steps()));
    }
    if trajectory.steps() > steps.len() {
        let what = "the run to go on from";
        return Err(misfit(what, trajectory.steps(), steps.len()));
    }
    let mut stepper = Stepper::after(course, trajectory)?;
    for (i, plan) in steps.iter().enumerate().take(end).skip(trajectory.steps()) {
        cancel.check()?;
        if cancel.rests_after(i) {
            break;
        }
        let before = trajectory.last().clone();
        let sigma = grid.sigma(i);
        let model = models.guided(plan.model)?;
        let taken = skipper.velocity(i, course, &model, trajectory, cancel)?;
        let (mut velocity, origin) = (taken.velocity, taken.origin);
        for _ in 1..plan.evaluations {
            let ahead = stepper.step(i, &before, &velocity)?;
            let there = model.velocity(&ahead, grid.timestep(i + 1), plan, cancel)?;
            velocity = ((velocity + there)? * 0.5)?;
        }
        let after = stepper.step(i, &before, &velocity)?;
        if !is_finite(&after)? {
            return Err(SampleError::NonFinite {
                what: format!("the {} model's result at step {}", plan.model, i + 1),
                hint: "try --dtype f32 or a smaller CFG, and check the weights",
            });
        }
        on_step(StepView {
            step: i,
            plan: *plan,
            sigma,
            before: &before,
            velocity: &velocity,
            origin,
            off: taken.off,
            after: &after,
        })?;
        trajectory.push(velocity, after, origin);
    }
    Ok(())
}

/// Whether a tensor holds numbers only. One value crosses from the device.
pub(crate) fn is_finite(tensor: &Tensor) -> Result<bool, SampleError> {
    // A zero times anything finite is zero; NaN and infinity both leave NaN in the sum.
    Ok((tensor * 0.0)?.sum_all()?.to_scalar::<f32>()?.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sampler::{Context, VelocityModel, initial_noise};
    use crate::schedule::{DistilledGrid, History, Plan, SigmaGrid, Solver, Span, shared_steps};
    use candle_core::Device;

    const SHAPE: (usize, usize, usize, usize, usize) = (1, 4, 3, 2, 2);

    /// Points from wherever it is to `target`, as a perfect model of a one-clip data set would; the
    /// context shifts the target, so that guidance has something to do.
    struct Toward {
        target: f64,
    }

    impl VelocityModel for Toward {
        fn context(&self, embeddings: &Tensor) -> Result<Context, SampleError> {
            Ok(Context(vec![embeddings.clone()]))
        }

        fn velocity(
            &self,
            latents: &Tensor,
            timestep: f64,
            context: &Context,
            cancel: &Cancel,
        ) -> Result<Tensor, SampleError> {
            cancel.check()?;
            let target = self.target + f64::from(context.0[0].to_scalar::<f32>()?);
            Ok(((latents - target)? / (timestep / 1000.0))?)
        }
    }

    struct Pair {
        large: Toward,
        small: Toward,
        prompt: Context,
        negative: Context,
    }

    impl Pair {
        fn new(large: f64, small: f64) -> Self {
            let scalar = |v: f32| Context(vec![Tensor::new(v, &Device::Cpu).unwrap()]);
            Self {
                large: Toward { target: large },
                small: Toward { target: small },
                prompt: scalar(0.0),
                negative: scalar(-1.0),
            }
        }
    }

    impl ModelSet for Pair {
        fn guided(&self, role: ModelRole) -> Result<Guided<'_>, SampleError> {
            let model = match role {
                ModelRole::Large => &self.large,
                _ => &self.small,
            };
            Ok(Guided {
                model,
                prompt: &self.prompt,
                negative: &self.negative,
                profile: None,
            })
        }
    }

    fn run(pair: &Pair, letters: &str, cfg: f64) -> Result<Trajectory, SampleError> {
        let boundaries: &[f64] = if letters.len() == 3 { &[0.3, 0.7] } else { &[] };
        let steps = Plan::parse(letters, boundaries).unwrap().steps(10, cfg);
        let noise = initial_noise(1, SHAPE, &Device::Cpu)?;
        denoise(
            &noise,
            &Course::euler(SigmaGrid::flow_uniform(10, 3.0), steps),
            pair,
            &Cancel::new(),
            &mut |_| Ok(()),
        )
    }

    fn bits(t: &Tensor) -> Vec<u32> {
        let values = t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        values.into_iter().map(f32::to_bits).collect()
    }

    #[test]
    fn a_continued_run_is_bit_identical_to_one_from_the_start() {
        let pair = Pair::new(2.0, -3.0);
        let grid = SigmaGrid::flow_uniform(10, 3.0);
        let plan = |letters: &str, boundaries: &[f64]| {
            Plan::parse(letters, boundaries).unwrap().steps(10, 4.0)
        };
        let noise = initial_noise(1, SHAPE, &Device::Cpu).unwrap();
        let run = |steps: &[StepPlan], begun: Option<Trajectory>| {
            let mut heard = Vec::new();
            let begun = begun.unwrap_or_else(|| Trajectory::starting_at(noise.clone()));
            let end = denoise_from(
                begun,
                &Course::euler(grid.clone(), steps.to_vec()),
                &pair,
                &Cancel::new(),
                &mut |view| {
                    heard.push(view.step);
                    Ok(())
                },
            );
            (end.unwrap(), heard)
        };
        let first = plan("LSL", &[0.3, 0.7]);
        let (earlier, _) = run(&first, None);
        // A moved boundary, another number of stages, the very same plan, nothing in common.
        for (steps, shared) in [
            (plan("LSL", &[0.5, 0.7]), 3),
            (plan("LS", &[0.3]), 7),
            (first.clone(), 10),
            (plan("S", &[]), 0),
        ] {
            assert_eq!(shared_steps(&first, &steps), shared);
            let (whole, _) = run(&steps, None);
            let (continued, heard) = run(&steps, Some(earlier.first_steps(shared)));
            assert_eq!(heard, (shared..10).collect::<Vec<_>>());
            assert_eq!(continued.steps(), 10);
            for i in 0..10 {
                assert_eq!(bits(continued.velocity(i)), bits(whole.velocity(i)));
                assert_eq!(bits(continued.state(i + 1)), bits(whole.state(i + 1)));
            }
        }
    }

    #[test]
    fn a_beginning_longer_than_the_plan_is_refused() {
        let pair = Pair::new(1.0, 1.0);
        let begun = run(&pair, "L", 1.0).unwrap();
        let steps = Plan::parse("L", &[]).unwrap().steps(5, 1.0);
        let grid = SigmaGrid::flow_uniform(5, 3.0);
        let result = denoise_from(
            begun,
            &Course::euler(grid.clone(), steps.clone()),
            &pair,
            &Cancel::new(),
            &mut |_| Ok(()),
        );
        assert!(matches!(result, Err(SampleError::Shape { .. })));
    }

    #[test]
    fn a_distilled_stage_is_a_hand_rolled_loop_between_two_others() {
        let pair = Pair::new(2.0, -3.0);
        let noise = initial_noise(1, SHAPE, &Device::Cpu).unwrap();
        let jumps = DistilledGrid::even(4).unwrap();
        for solver in [Solver::Euler, Solver::Heun, Solver::UniPc2, Solver::DpmPp3M] {
            let own = solver.grid(10, 3.0);
            let plan = Plan::parse("LDL", &[0.3, 0.8]).unwrap();
            let (grid, mut steps) = plan.along(&own, 4.0, Some(&jumps));
            for step in &mut steps {
                if let Span::Own(at) = step.span {
                    step.evaluations = solver.evaluations(10, at);
                }
            }
            let course = Course {
                grid,
                steps,
                own_steps: 10,
                solver,
                history: History::Keep,
            };
            let heard = &mut |_: StepView<'_>| Ok(());
            let run = denoise(&noise, &course, &pair, &Cancel::new(), heard).unwrap();
            // Before it: as the large model alone.
            let alone = Course {
                grid: own.clone(),
                steps: Plan::only(ModelRole::Large).steps(10, 4.0),
                ..course.clone()
            };
            let alone = Course {
                steps: (alone.steps.iter().enumerate())
                    .map(|(i, step)| StepPlan {
                        evaluations: solver.evaluations(10, i),
                        ..*step
                    })
                    .collect(),
                ..alone
            };
            let heard = &mut |_: StepView<'_>| Ok(());
            let begun = Trajectory::starting_at(noise.clone());
            let whole = denoise_from(begun, &alone, &pair, &Cancel::new(), heard).unwrap();
            for i in 0..=3 {
                assert_eq!(bits(run.state(i)), bits(whole.state(i)), "{solver}");
            }
            // In it: straight jumps by one pass each, from where the stage begins to where it ends.
            let way = jumps.way(own.sigma(3), own.sigma(8));
            assert!(way.len() > 3);
            let mut x = run.state(3).clone();
            for (i, pair_of) in way.windows(2).enumerate() {
                let [from, to] = [pair_of[0], pair_of[1]];
                let guided = pair.guided(ModelRole::Distilled).unwrap();
                let velocity = guided
                    .model
                    .velocity(&x, from * 1000.0, guided.prompt, &Cancel::new())
                    .unwrap();
                x = (&x + (velocity * (to - from)).unwrap()).unwrap();
                assert_eq!(bits(run.state(3 + i + 1)), bits(&x), "{solver} {i}");
            }
            // After it: as a run that begins there, without any memory of what was before.
            let left = 3 + way.len() - 1;
            assert_eq!(run.steps(), left + 2);
            let guided = pair.guided(ModelRole::Large).unwrap();
            let velocity = guided
                .velocity(&x, own.timestep(8), &course.steps[left], &Cancel::new())
                .unwrap();
            let straight = (&x + (velocity * (own.sigma(9) - own.sigma(8))).unwrap()).unwrap();
            let close = (run.state(left + 1) - straight).unwrap().abs().unwrap();
            let far = close.max_all().unwrap().to_scalar::<f32>().unwrap();
            // A first step of the multistep solvers is a straight one; Heun's is not.
            assert!(far < 1e-5 || solver == Solver::Heun, "{solver}: {far}");
        }
    }

    fn mean(t: &Tensor) -> f64 {
        f64::from(t.mean_all().unwrap().to_scalar::<f32>().unwrap())
    }

    #[test]
    fn a_perfect_model_lands_on_its_data() {
        let end = run(&Pair::new(2.0, 2.0), "L", 1.0).unwrap();
        assert_eq!(end.steps(), 10);
        assert!((mean(end.last()) - 2.0).abs() < 1e-5);
        assert_eq!(end.last().dims5().unwrap(), SHAPE);
    }

    #[test]
    fn the_last_stages_model_has_the_last_word() {
        let end = run(&Pair::new(2.0, -3.0), "LSL", 1.0).unwrap();
        assert!((mean(end.last()) - 2.0).abs() < 1e-5);
        // Step 4 is the small model's: the estimate heads for its own target.
        let x0 = (end.state(4)
            - (end.velocity(4) * SigmaGrid::flow_uniform(10, 3.0).sigma(4)).unwrap())
        .unwrap();
        assert!((mean(&x0) + 3.0).abs() < 1e-4);
    }

    #[test]
    fn guidance_extrapolates_from_the_negative() {
        // The prompt's target is 2, the negative's 1: at scale 4 the guided target is 1 + 4 * (2 - 1).
        let end = run(&Pair::new(2.0, 2.0), "L", 4.0).unwrap();
        assert!((mean(end.last()) - 5.0).abs() < 1e-4);
    }

    #[test]
    fn numbers_that_are_none_end_the_run() {
        let error = run(&Pair::new(f64::NAN, 0.0), "SLL", 1.0).unwrap_err();
        assert!(
            error.to_string().contains("large model's result at step 4"),
            "{error}"
        );
        assert!(is_finite(&Tensor::new(&[1e38f32, 1e38, 1e38], &Device::Cpu).unwrap()).unwrap());
        assert!(!is_finite(&Tensor::new(&[0.0f32, f32::INFINITY], &Device::Cpu).unwrap()).unwrap());
    }

    #[test]
    fn a_raised_flag_ends_the_run_at_once() {
        let pair = Pair::new(1.0, 1.0);
        let steps = Plan::parse("L", &[]).unwrap().steps(10, 1.0);
        let noise = initial_noise(1, SHAPE, &Device::Cpu).unwrap();
        let cancel = Cancel::new();
        let mut seen = 0;
        let result = denoise(
            &noise,
            &Course::euler(SigmaGrid::flow_uniform(10, 1.0), steps),
            &pair,
            &cancel.clone(),
            &mut |view| {
                seen += 1;
                if view.step == 2 {
                    cancel.cancel();
                }
                Ok(())
            },
        );
        assert!(matches!(result, Err(SampleError::Cancelled)));
        assert_eq!(seen, 3);
    }

    #[test]
    fn a_paused_run_has_a_step_and_goes_on_to_the_same_bits() {
        let pair = Pair::new(2.0, -3.0);
        let steps = Plan::parse("LSL", &[0.3, 0.7]).unwrap().steps(10, 4.0);
        let grid = SigmaGrid::flow_uniform(10, 3.0);
        let noise = initial_noise(1, SHAPE, &Device::Cpu).unwrap();
        let whole = run(&pair, "LSL", 4.0).unwrap();
        // At once is after the first step; later ones count from the start.
        for (asked, taken) in [(0, 1), (1, 1), (4, 4), (10, 10), (99, 10)] {
            let cancel = Cancel::new();
            cancel.pause_after(asked);
            let begun = Trajectory::starting_at(noise.clone());
            let paused = denoise_from(
                begun,
                &Course::euler(grid.clone(), steps.clone()),
                &pair,
                &cancel,
                &mut |_| Ok(()),
            )
            .unwrap();
            assert_eq!(paused.steps(), taken);
            assert_eq!(cancel.rests_after(paused.steps()), asked <= 10);
            let go_on = Cancel::new();
            let end = denoise_from(
                paused,
                &Course::euler(grid.clone(), steps.clone()),
                &pair,
                &go_on,
                &mut |_| Ok(()),
            )
            .unwrap();
            for i in 0..10 {
                assert_eq!(bits(end.velocity(i)), bits(whole.velocity(i)));
                assert_eq!(bits(end.state(i + 1)), bits(whole.state(i + 1)));
            }
        }
    }

    #[test]
    fn what_was_finished_before_an_error_is_there() {
        // The large model fails at the fourth step.
        let pair = Pair::new(f64::NAN, 0.0);
        let steps = Plan::parse("SLL", &[0.3, 0.7]).unwrap().steps(10, 1.0);
        let grid = SigmaGrid::flow_uniform(10, 3.0);
        let noise = initial_noise(1, SHAPE, &Device::Cpu).unwrap();
        let mut trajectory = Trajectory::starting_at(noise);
        let cancel = Cancel::new();
        let mut heard = 0;
        let result = denoise_until(
            10,
            &mut trajectory,
            &Course::euler(grid, steps),
            &pair,
            &cancel,
            &mut |_| {
                heard += 1;
                Ok(())
            },
        );
        assert!(matches!(result, Err(SampleError::NonFinite { .. })));
        assert_eq!((heard, trajectory.steps()), (3, 3));
    }
}
