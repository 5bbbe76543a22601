//! Steps that take up what the last computed one found, and the doubt whether they may.

use candle_core::Tensor;

use super::guidance::combine;
use super::{Cancel, Entered, Guided, Origin, Parts, SampleError, Trajectory};
use crate::schedule::{CacheMethod, CacheRule, Course, MOST_SKIPPED, StepPlan};

/// How far off what would be taken up may be of the true velocity, relative l2, before a cache counts as collapsed. Caches that
/// do well stay far below, one that was tuned for another model goes far beyond.
pub const COLLAPSED: f64 = 0.5;

/// The velocity of a step, and what it stands on.
pub(super) struct Taken {
    pub(super) velocity: Tensor,
    pub(super) origin: Origin,
    /// How far off what could have been taken up would have been, where that was looked at: relative l2.
    pub(super) off: Option<f64>,
}

impl Taken {
    fn computed(velocity: Tensor) -> Self {
        Self {
            velocity,
            origin: Origin::Computed,
            off: None,
        }
    }
}

/// Takes steps by evaluating the model or by what is remembered of the last time. What it remembers follows from the trajectory
/// and the model, so that a run that goes on from kept steps is the same to the last bit: it costs an evaluation then.
#[derive(Default)]
pub(super) struct Skipper {
    memory: Option<Memory>,
}

/// Of the last step that was computed.
struct Memory {
    step: usize,
    state: Tensor,
    velocity: Tensor,
    /// What the blocks added in each pass, or those after the first block; none where states and velocities are enough.
    passes: Vec<Added>,
    /// How the velocity changed with the state, where two computed steps tell.
    rate: Option<f64>,
    /// The modulation of the step that was told of last.
    modulation: Option<Tensor>,
    /// The change since the computed step, by the method's measure.
    change: f64,
}

/// What blocks added to the tokens in one pass.
struct Added {
    /// By the first block, where that decides.
    first: Option<Tensor>,
    /// By the others, or by all.
    rest: Tensor,
}

/// A step's way into the blocks, as far as it was gone for the decision.
struct Way<'a> {
    parts: &'a dyn Parts,
    entered: Entered,
    /// The tokens after the first block in each pass, where that decides.
    firsts: Option<Vec<Tensor>>,
}

/// A step that is to be taken.
#[derive(Clone, Copy)]
struct Step<'a> {
    i: usize,
    rule: CacheRule,
    plan: &'a StepPlan,
    course: &'a Course,
    model: &'a Guided<'a>,
    cancel: &'a Cancel,
}

impl Skipper {
    /// The velocity of step `i`, of the first evaluation where it takes two.
    pub(super) fn velocity(
        &mut self,
        i: usize,
        course: &Course,
        model: &Guided<'_>,
        trajectory: &Trajectory,
        cancel: &Cancel,
    ) -> Result<Taken, SampleError> {
        let plan = &course.steps[i];
        let Some(rule) = rule_near(course, i).filter(|_| !has_given_up(trajectory, course, i))
        else {
            self.memory = None;
            let (state, timestep) = (trajectory.state(i), course.grid.timestep(i));
            let velocity = model.velocity(state, timestep, plan, cancel)?;
            return Ok(Taken::computed(velocity));
        };
        let step = Step {
            i,
            rule,
            plan,
            course,
            model,
            cancel,
        };
        let goes_on = |memory: &Memory| step.goes_on_from(memory.step);
        if !self.memory.as_ref().is_some_and(goes_on) {
            self.memory = step.remembered(trajectory)?;
        }
        let way = step.enter(trajectory.state(i))?;
        let told = match &mut self.memory {
            Some(memory) => step.tell(memory, trajectory, way.as_ref())?,
            None => None,
        };
        let since = self.memory.as_ref().map_or(0, |memory| i - memory.step);
        let is_little = told.is_some_and(|change| change <= rule.threshold);
        if let Some(memory) = &self.memory
            && plan.cache.is_some()
            && is_little
            && since <= MOST_SKIPPED
        {
            return Ok(Taken {
                velocity: step.take_up(memory, trajectory.state(i), way.as_ref())?,
                origin: Origin::Skipped,
                off: None,
            });
        }
        let (velocity, passes) = step.compute(trajectory.state(i), way.as_ref())?;
        let mut taken = Taken::computed(velocity);
        // Where the rule thinks that nothing changes, or thought so of the step before, it is held against what is true.
        if let Some(memory) = self.memory.as_ref().filter(|_| is_little || since > 1) {
            let guess = step.take_up(memory, trajectory.state(i), way.as_ref())?;
            let off = length(&(guess - &taken.velocity)?)? / length(&taken.velocity)?;
            taken.off = Some(off);
            if off.is_nan() || off > COLLAPSED {
                taken.origin = Origin::GaveUp;
            }
        }
        let rate = match &self.memory {
            Some(memory) => rate(memory, trajectory.state(i), &taken.velocity)?,
            None => None,
        };
        self.memory = Some(Memory {
            step: i,
            state: trajectory.state(i).clone(),
            velocity: taken.velocity.clone(),
            passes,
            rate,
            modulation: way.map(|way| way.entered.modulation),
            change: 0.0,
        });
        Ok(taken)
    }
}

/// The rule by which step `i` or one of the next two may be skipped, for which this one is to be remembered. One more than the
/// next: what the cache is worth is to be known before it is first used.
fn rule_near(course: &Course, i: usize) -> Option<CacheRule> {
    let near = &course.steps[i..course.steps.len().min(i + 3)];
    near.iter().find_map(|step| step.cache)
}

/// Whether the model of step `i` is one of which nothing is taken up any more.
fn has_given_up(trajectory: &Trajectory, course: &Course, i: usize) -> bool {
    let steps = course.steps.iter().zip(trajectory.origins());
    steps
        .take(i)
        .any(|(step, origin)| *origin == Origin::GaveUp && step.model == course.steps[i].model)
}

impl<'a> Step<'a> {
    /// Whether what step `earlier` found could serve: no other model and no other guidance between.
    fn goes_on_from(&self, earlier: usize) -> bool {
        let alike = |step: &StepPlan| {
            step.model == self.plan.model
                && step.cfg == self.plan.cfg
                && !step.span.is_distilled()
                && step.evaluations == 1
        };
        earlier < self.i && self.course.steps[earlier..=self.i].iter().all(alike)
    }

    /// The same at an earlier step.
    fn at(self, i: usize) -> Self {
        Self {
            i,
            plan: &self.course.steps[i],
            ..self
        }
    }

    /// What a run that never stopped would remember here, if anything.
    fn remembered(&self, trajectory: &Trajectory) -> Result<Option<Memory>, SampleError> {
        let is_computed = |i: &usize| trajectory.origin(*i) != Origin::Skipped;
        let mut computed = (0..self.i)
            .rev()
            .take_while(|i| self.goes_on_from(*i) && rule_near(self.course, *i).is_some())
            .filter(is_computed);
        let Some(last) = computed.next() else {
            return Ok(None);
        };
        let (state, velocity) = (trajectory.state(last), trajectory.velocity(last));
        let then = self.at(last);
        let way = then.enter(state)?;
        // Of states and velocities alone all is at hand.
        let passes = match &way {
            Some(_) => then.compute(state, way.as_ref())?.1,
            None => Vec::new(),
        };
        let mut memory = Memory {
            step: last,
            state: state.clone(),
            velocity: velocity.clone(),
            passes,
            rate: None,
            modulation: way.map(|way| way.entered.modulation),
            change: 0.0,
        };
        if let Some(before) = computed.next() {
            let before = Memory {
                step: before,
                state: trajectory.state(before).clone(),
                velocity: trajectory.velocity(before).clone(),
                passes: Vec::new(),
                rate: None,
                modulation: None,
                change: 0.0,
            };
            memory.rate = rate(&before, state, velocity)?;
        }
        for i in last + 1..self.i {
            let step = self.at(i);
            let way = match self.rule.method {
                CacheMethod::TeaCache => step.enter(trajectory.state(i))?,
                _ => None,
            };
            step.tell(&mut memory, trajectory, way.as_ref())?;
        }
        Ok(Some(memory))
    }

    /// Goes as far into the network as the decision needs; `None` where it needs nothing of it.
    fn enter(&self, state: &Tensor) -> Result<Option<Way<'a>>, SampleError> {
        let parts = self.model.model.parts();
        let Some(parts) = parts.filter(|_| self.rule.method.looks_into_the_network()) else {
            return Ok(None);
        };
        let entered = parts.enter(state, self.course.grid.timestep(self.i))?;
        let firsts = match self.rule.method {
            CacheMethod::FirstBlock => {
                Some(self.model.passes(self.plan, state, |_, context| {
                    parts.blocks(&entered, &entered.tokens, 0..1, context, self.cancel)
                })?)
            }
            _ => None,
        };
        Ok(Some(Way {
            parts,
            entered,
            firsts,
        }))
    }

    /// The change since the remembered step, by the rule's measure; `None` where it cannot be told.
    fn tell(
        &self,
        memory: &mut Memory,
        trajectory: &Trajectory,
        way: Option<&Way<'_>>,
    ) -> Result<Option<f64>, SampleError> {
        let grid = &self.course.grid;
        let change = match self.rule.method {
            CacheMethod::TeaCache => {
                let (Some(way), Some(profile)) = (way, self.model.profile) else {
                    return Ok(None);
                };
                let modulation = &way.entered.modulation;
                let Some(before) = memory.modulation.replace(modulation.clone()) else {
                    return Ok(None);
                };
                memory.change + profile.change_by_time(distance(modulation, &before)?)
            }
            CacheMethod::MagCache => {
                let Some(profile) = self.model.profile else {
                    return Ok(None);
                };
                let [then, now] = [memory.step, self.i].map(|i| profile.magnitude(grid.sigma(i)));
                memory.change + (1.0 - now / then).abs()
            }
            CacheMethod::EasyCache => {
                let Some(rate) = memory.rate else {
                    return Ok(None);
                };
                let moved = mean_of(&(trajectory.state(self.i) - trajectory.state(self.i - 1))?)?;
                memory.change + rate * moved / mean_of(&memory.velocity)?
            }
            CacheMethod::FirstBlock => {
                let first = way.and_then(|way| Some((way.firsts.as_ref()?.first()?, way)));
                let before = memory.passes.first().and_then(|added| added.first.as_ref());
                let (Some((first, way)), Some(before)) = (first, before) else {
                    return Ok(None);
                };
                distance(&(first - &way.entered.tokens)?, before)?
            }
        };
        memory.change = change;
        Ok(Some(change))
    }

    /// The velocity that what is remembered gives here.
    fn take_up(
        &self,
        memory: &Memory,
        state: &Tensor,
        way: Option<&Way<'_>>,
    ) -> Result<Tensor, SampleError> {
        let Some(way) = way else {
            return Ok((state + (&memory.velocity - &memory.state)?)?);
        };
        let velocities = self.model.passes(self.plan, state, |pass, _| {
            let tokens = (way.before_the_rest(pass) + &memory.passes[pass].rest)?;
            way.parts.leave(&way.entered, &tokens)
        })?;
        combine(velocities, self.plan)
    }

    /// The true velocity, and what the blocks add in each pass.
    fn compute(
        &self,
        state: &Tensor,
        way: Option<&Way<'_>>,
    ) -> Result<(Tensor, Vec<Added>), SampleError> {
        let Some(way) = way else {
            let timestep = self.course.grid.timestep(self.i);
            let velocity = self
                .model
                .velocity(state, timestep, self.plan, self.cancel)?;
            return Ok((velocity, Vec::new()));
        };
        let begun = usize::from(way.firsts.is_some());
        let made = self.model.passes(self.plan, state, |pass, context| {
            let before = way.before_the_rest(pass);
            let blocks = begun..way.parts.block_count();
            let after = way
                .parts
                .blocks(&way.entered, before, blocks, context, self.cancel)?;
            let added = Added {
                first: match way.firsts {
                    Some(_) => Some((before - &way.entered.tokens)?),
                    None => None,
                },
                rest: (&after - before)?,
            };
            Ok((way.parts.leave(&way.entered, &after)?, added))
        })?;
        let (velocities, added) = made.into_iter().unzip();
        Ok((combine(velocities, self.plan)?, added))
    }
}

impl Way<'_> {
    /// The tokens that the blocks which may be left out would go on from.
    fn before_the_rest(&self, pass: usize) -> &Tensor {
        match &self.firsts {
            Some(firsts) => &firsts[pass],
            None => &self.entered.tokens,
        }
    }
}

/// By how much of the state's change the velocity changed since the remembered step; `None` where nothing moved.
fn rate(memory: &Memory, state: &Tensor, velocity: &Tensor) -> Result<Option<f64>, SampleError> {
    let changed = mean_of(&(velocity - &memory.velocity)?)?;
    let rate = changed / mean_of(&(state - &memory.state)?)?;
    Ok(rate.is_finite().then_some(rate))
}

/// Mean absolute difference over the mean of the earlier one's absolute values.
pub(super) fn distance(now: &Tensor, before: &Tensor) -> Result<f64, SampleError> {
    Ok(mean_of(&(now - before)?)? / mean_of(before)?)
}

/// The mean of the absolute values.
pub(super) fn mean_of(tensor: &Tensor) -> Result<f64, SampleError> {
    let mean = tensor
        .abs()?
        .to_dtype(candle_core::DType::F32)?
        .mean_all()?;
    Ok(f64::from(mean.to_scalar::<f32>()?))
}

fn length(tensor: &Tensor) -> Result<f64, SampleError> {
    let sum = tensor.sqr()?.sum_all()?.to_scalar::<f32>()?;
    Ok(f64::from(sum).sqrt())
}
