use std::collections::VecDeque;

use candle_core::{D, DType, Tensor};

use super::guidance::combine;
use super::skip::distance;
use super::{Cancel, Guided, Origin, SampleError, Stepper, Trajectory};
use crate::schedule::{CacheProfile, Course, TimeChange};

/// Steps back to which each is held for TeaCache's polynomial: runs of fewer steps move as far in one.
const PAIRS_BACK: usize = 3;

/// What a step left of the network's inside.
struct Inside {
    modulation: Tensor,
    /// What the first block added to the tokens, and what all did, for the prompt.
    first: Tensor,
    all: Tensor,
}

/// Walks along `course`, which is one model's from its first step to its last, and measures what caches want to know of it.
/// `None` where the network cannot be taken apart.
///
/// `initial` is `(1, C, T, H, W)`, f32, unit noise.
pub fn measure_profile(
    initial: &Tensor,
    course: &Course,
    model: &Guided<'_>,
    cancel: &Cancel,
) -> Result<Option<CacheProfile>, SampleError> {
    let Some(parts) = model.model.parts() else {
        return Ok(None);
    };
    let mut trajectory = Trajectory::starting_at(initial.clone());
    let mut stepper = Stepper::after(course, &trajectory)?;
    let (mut pairs, mut insides) = (Vec::new(), VecDeque::<Inside>::new());
    let mut profile = CacheProfile {
        sigmas: Vec::new(),
        magnitudes: Vec::new(),
        velocity: Vec::new(),
        first_block: Vec::new(),
        by_time: Vec::new(),
        guidance: Vec::new(),
        coefficients: [0.0; 4],
        farthest: 0.0,
    };
    let mut distances = vec![0.0];
    for (i, plan) in course.steps.iter().enumerate() {
        cancel.check()?;
        let state = trajectory.last().clone();
        let entered = parts.enter(&state, course.grid.timestep(i))?;
        let made = model.passes(plan, &state, |_, context| {
            let blocks =
                |tokens: &Tensor, blocks| parts.blocks(&entered, tokens, blocks, context, cancel);
            let first = blocks(&entered.tokens, 0..1)?;
            let last = blocks(&first, 1..parts.block_count())?;
            let velocity = parts.leave(&entered, &last)?;
            let added = |tokens: Tensor| tokens - &entered.tokens;
            Ok((velocity, added(first)?, added(last)?))
        })?;
        let mut inside = None;
        let mut velocities = Vec::with_capacity(made.len());
        for (velocity, first, all) in made {
            velocities.push(velocity);
            // The prompt's is the first.
            inside.get_or_insert((first, all));
        }
        if let [prompt, negative] = &velocities[..] {
            profile.guidance.push(distance(negative, prompt)?);
        }
        let velocity = combine(velocities, plan)?;
        let Some((first, all)) = inside else { break };
        let inside = Inside {
            modulation: entered.modulation,
            first,
            all,
        };

        for (back, earlier) in insides.iter().enumerate() {
            let pair = TimeChange {
                distance: distance(&inside.modulation, &earlier.modulation)?,
                change: distance(&inside.all, &earlier.all)?,
            };
            if back == 0 {
                distances.push(pair.distance);
                profile
                    .first_block
                    .push(distance(&inside.first, &earlier.first)?);
                profile
                    .velocity
                    .push(distance(&velocity, trajectory.velocity(i - 1))?);
            }
            pairs.push(pair);
        }
        if i == 0 {
            profile.first_block.push(0.0);
            profile.velocity.push(0.0);
        }
        profile.sigmas.push(course.grid.sigma(i));
        profile.magnitudes.push(mean_length(&inside.all)?);
        insides.push_front(inside);
        insides.truncate(PAIRS_BACK);

        let after = stepper.step(i, &state, &velocity)?;
        trajectory.push(velocity, after, Origin::Computed);
    }
    (profile.coefficients, profile.farthest) = CacheProfile::fit(&pairs);
    profile.by_time = distances
        .iter()
        .map(|distance| profile.change_by_time(*distance))
        .collect();
    Ok(Some(profile))
}

/// The geometric mean of the lengths of all tokens, `(1, tokens, dim)`.
fn mean_length(tokens: &Tensor) -> Result<f64, SampleError> {
    let squares = tokens.to_dtype(DType::F32)?.sqr()?.sum(D::Minus1)?;
    // A token of no length would leave no number.
    let lengths = squares.maximum(f32::MIN_POSITIVE)?.sqrt()?;
    Ok(f64::from(lengths.log()?.mean_all()?.to_scalar::<f32>()?).exp())
}
