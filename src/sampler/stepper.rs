use std::collections::VecDeque;

use candle_core::Tensor;

use super::{SampleError, Trajectory};
use crate::schedule::{Course, Mix, Span};

/// Goes from state to state as the solver says. What a multistep solver remembers is read off the trajectory, so that a
/// run that goes on from kept steps is the same to the last bit.
#[derive(Debug)]
pub struct Stepper<'a> {
    course: &'a Course,
    /// Estimates of the clean latents, the newest first.
    estimates: VecDeque<Tensor>,
    /// The state that the next one is reckoned from: where the run stands, corrected.
    base: Option<Tensor>,
    /// Order of the last step.
    order: usize,
}

impl<'a> Stepper<'a> {
    /// A solver that has seen the steps of `trajectory`.
    ///
    /// # Errors
    /// Those of tensors whose shapes differ or whose device runs out of memory.
    pub fn after(course: &'a Course, trajectory: &Trajectory) -> Result<Self, SampleError> {
        let mut stepper = Self {
            course,
            estimates: VecDeque::new(),
            base: None,
            order: 0,
        };
        if course.solver.is_multistep() {
            for i in 0..trajectory.steps() {
                stepper.look(i, trajectory.state(i), trajectory.velocity(i))?;
            }
        }
        Ok(stepper)
    }

    /// The state after step `i`, which found `velocity` at `x`.
    ///
    /// # Errors
    /// As for [`after`](Self::after).
    pub fn step(&mut self, i: usize, x: &Tensor, velocity: &Tensor) -> Result<Tensor, SampleError> {
        let grid = &self.course.grid;
        let span = self.course.steps[i].span;
        if !self.course.solver.is_multistep() || span.is_distilled() {
            self.forget();
            return Ok((x + (velocity * (grid.sigma(i + 1) - grid.sigma(i)))?)?);
        }
        self.look(i, x, velocity)?;
        let mix = self.course.solver.predictor(grid, i, self.order);
        self.mixed(&mix, self.base.as_ref().unwrap_or(x))
    }

    /// What came before counts no more.
    fn forget(&mut self) {
        self.estimates.clear();
        self.base = None;
        self.order = 0;
    }

    /// Takes in what step `i` found.
    fn look(&mut self, i: usize, x: &Tensor, velocity: &Tensor) -> Result<(), SampleError> {
        let (grid, solver) = (&self.course.grid, self.course.solver);
        let Span::Own(own) = self.course.steps[i].span else {
            // The mean velocity of a jump says nothing of its beginning.
            self.forget();
            return Ok(());
        };
        if self.course.begins_anew(i) {
            self.forget();
        }
        self.estimates
            .push_front((x - (velocity * grid.sigma(i))?)?);
        let base = match (&self.base, solver.corrector(grid, i, self.order)) {
            (Some(base), Some(mix)) => self.mixed(&mix, base)?,
            _ => x.clone(),
        };
        self.base = Some(base);
        // By its place in the solver's own grid: the same steps are the same whatever comes after them.
        self.order = solver.order(self.course.own_steps, own, self.estimates.len());
        // The next correction needs one more than the next step.
        self.estimates.truncate(solver.most_estimates());
        Ok(())
    }

    fn mixed(&self, mix: &Mix, base: &Tensor) -> Result<Tensor, SampleError> {
        let mut sum = (base * mix.state)?;
        for (estimate, share) in self.estimates.iter().zip(&mix.estimates) {
            sum = (sum + (estimate * *share)?)?;
        }
        Ok(sum)
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Tensor};
    use serde::Deserialize;

    use super::Stepper;
    use crate::sampler::{Origin, Trajectory};
    use crate::schedule::{Course, DistilledGrid, History, Plan, Solver};

    /// A run of one of diffusers' schedulers, made by tests/reference/solvers.py.
    #[derive(Deserialize)]
    struct Reference {
        solver: Solver,
        steps: usize,
        shift: f64,
        sigmas: Vec<f64>,
        timesteps: Vec<f64>,
        initial: Vec<f64>,
        velocities: Vec<Vec<f64>>,
        states: Vec<Vec<f64>>,
    }

    fn references() -> Vec<Reference> {
        serde_json::from_str(include_str!("../../tests/fixtures/solvers.json")).unwrap()
    }

    fn course(solver: Solver, steps: usize, shift: f64, history: History) -> Course {
        Course {
            grid: solver.grid(steps, shift),
            own_steps: steps,
            steps: Plan::parse("LSL", &[0.4, 0.8]).unwrap().steps(steps, 1.0),
            solver,
            history,
        }
    }

    fn tensor(values: &[f64]) -> Tensor {
        Tensor::new(values, &Device::Cpu).unwrap()
    }

    fn numbers(tensor: &Tensor) -> Vec<f64> {
        tensor.to_vec1().unwrap()
    }

    #[test]
    fn every_solver_takes_the_steps_of_diffusers() {
        for run in references() {
            let what = format!("{} with {} steps", run.solver, run.steps);
            let course = course(run.solver, run.steps, run.shift, History::Keep);
            // Diffusers names the levels and timesteps of Heun's evaluations, of which each step but the last has two.
            let evaluations = |i| run.solver.evaluations(run.steps, i);
            let firsts = (0..run.steps).map(|i| (0..i).map(evaluations).sum::<usize>());
            let mut trajectory = Trajectory::starting_at(tensor(&run.initial));
            for (i, first) in firsts.enumerate() {
                assert!(
                    (course.grid.sigma(i) - run.sigmas[first]).abs() < 1e-6,
                    "{what}"
                );
                // Where they are whole numbers they are the same; Heun's are rounded to f32.
                assert!(
                    (course.grid.timestep(i) - run.timesteps[first]).abs() < 1e-3,
                    "{what}"
                );
                let x = trajectory.last().clone();
                let mut stepper = Stepper::after(&course, &trajectory).unwrap();
                let mut velocity = tensor(&run.velocities[first]);
                if evaluations(i) == 2 {
                    let there = tensor(&run.velocities[first + 1]);
                    velocity = ((velocity + there).unwrap() * 0.5).unwrap();
                }
                let after = stepper.step(i, &x, &velocity).unwrap();
                let want = &run.states[first + evaluations(i) - 1];
                for (ours, theirs) in numbers(&after).iter().zip(want) {
                    assert!(
                        (ours - theirs).abs() < 1e-5,
                        "{what}, step {i}: {ours}, {theirs}"
                    );
                }
                trajectory.push(velocity, after, Origin::Computed);
            }
        }
    }

    /// A run LDL on diffusers' Euler scheduler, made by tests/reference/distilled.py.
    #[derive(Deserialize)]
    struct Distilled {
        steps: usize,
        shift: f64,
        boundaries: Vec<f64>,
        taught: DistilledGrid,
        sigmas: Vec<f64>,
        timesteps: Vec<f64>,
        initial: Vec<f64>,
        velocities: Vec<Vec<f64>>,
        states: Vec<Vec<f64>>,
    }

    #[test]
    fn distilled_stages_take_the_steps_of_diffusers_on_the_same_levels() {
        let runs: Vec<Distilled> =
            serde_json::from_str(include_str!("../../tests/fixtures/distilled.json")).unwrap();
        for run in runs {
            let plan = Plan::parse("LDL", &run.boundaries).unwrap();
            let own = Solver::Euler.grid(run.steps, run.shift);
            let (grid, steps) = plan.along(&own, 1.0, Some(&run.taught));
            assert_eq!(grid.steps(), run.velocities.len());
            for (i, sigma) in run.sigmas.iter().enumerate() {
                assert!((grid.sigma(i) - sigma).abs() < 1e-6, "sigma {i}");
            }
            for (i, timestep) in run.timesteps.iter().enumerate() {
                assert!((grid.timestep(i) - timestep).abs() < 1e-3, "timestep {i}");
            }
            let course = Course {
                own_steps: run.steps,
                ..Course::euler(grid, steps)
            };
            let mut trajectory = Trajectory::starting_at(tensor(&run.initial));
            let mut stepper = Stepper::after(&course, &trajectory).unwrap();
            for (i, (velocity, want)) in run.velocities.iter().zip(&run.states).enumerate() {
                let (x, velocity) = (trajectory.last().clone(), tensor(velocity));
                let after = stepper.step(i, &x, &velocity).unwrap();
                for (ours, theirs) in numbers(&after).iter().zip(want) {
                    assert!((ours - theirs).abs() < 1e-5, "step {i}: {ours}, {theirs}");
                }
                trajectory.push(velocity, after, Origin::Computed);
            }
        }
    }

    #[test]
    fn a_solver_that_goes_on_is_one_that_never_stopped() {
        for run in references() {
            for history in [History::Keep, History::Reset] {
                let course = course(run.solver, run.steps, run.shift, history);
                let mut trajectory = Trajectory::starting_at(tensor(&run.initial));
                let mut steady = Stepper::after(&course, &trajectory).unwrap();
                for i in 0..run.steps {
                    let (x, velocity) = (trajectory.last().clone(), tensor(&run.velocities[i]));
                    let after = steady.step(i, &x, &velocity).unwrap();
                    let mut fresh = Stepper::after(&course, &trajectory).unwrap();
                    let again = fresh.step(i, &x, &velocity).unwrap();
                    assert_eq!(numbers(&after), numbers(&again), "{} at {i}", run.solver);
                    trajectory.push(velocity, after, Origin::Computed);
                }
            }
        }
    }

    #[test]
    fn a_reset_forgets_the_other_model() {
        let run = references()
            .into_iter()
            .find(|run| run.solver == Solver::UniPc2)
            .unwrap();
        let course = course(run.solver, run.steps, run.shift, History::Reset);
        let change = (1..run.steps).find(|i| course.begins_anew(*i)).unwrap();
        let mut trajectory = Trajectory::starting_at(tensor(&run.initial));
        let mut stepper = Stepper::after(&course, &trajectory).unwrap();
        for i in 0..=change {
            let (x, velocity) = (trajectory.last().clone(), tensor(&run.velocities[i]));
            let after = stepper.step(i, &x, &velocity).unwrap();
            trajectory.push(velocity, after, Origin::Computed);
        }
        // A step of first order is a straight one.
        let grid = &course.grid;
        let straight = (trajectory.state(change)
            + (trajectory.velocity(change) * (grid.sigma(change + 1) - grid.sigma(change)))
                .unwrap())
        .unwrap();
        for (a, b) in numbers(&straight).iter().zip(numbers(trajectory.last())) {
            assert!((a - b).abs() < 1e-12);
        }
    }
}
