use crate::schedule::Plan;

/// Where a dragged boundary comes to rest.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Snap {
    /// The first step of the stage after the boundary.
    pub step: usize,
    /// The fraction to store; exactly the pair's own when a magnet caught it.
    pub fraction: f64,
    /// Whether the pair's default boundary caught it.
    pub on_magnet: bool,
}

/// The steps a boundary may rest on so that every stage beside it keeps at least one step; `None`
/// when the run has too few steps for that.
pub fn allowed_steps(plan: &Plan, index: usize, steps: usize) -> Option<(usize, usize)> {
    let before = match index {
        0 => 0,
        _ => plan.boundary_step(index - 1, steps),
    };
    let after = if index + 1 < plan.boundaries().len() {
        plan.boundary_step(index + 1, steps)
    } else {
        steps
    };
    (before + 2 <= after).then(|| (before + 1, after - 1))
}

/// Rests boundary `index` near `position` (in steps): on a step, between its neighbours, and on one
/// of the `magnets` (fractions) when that is within `reach_steps`.
pub fn snap(
    plan: &Plan,
    index: usize,
    steps: usize,
    position: f64,
    magnets: &[f64],
    reach_steps: f64,
) -> Option<Snap> {
    let (low, high) = allowed_steps(plan, index, steps)?;
    let caught = magnets
        .iter()
        .copied()
        .map(|fraction| (fraction, (fraction * steps as f64 - position).abs()))
        .filter(|(fraction, distance)| {
            let step = (fraction * steps as f64).round() as usize;
            *distance <= reach_steps && (low..=high).contains(&step)
        })
        .min_by(|a, b| a.1.total_cmp(&b.1));
    if let Some((fraction, _)) = caught {
        return Some(Snap {
            step: (fraction * steps as f64).round() as usize,
            fraction,
            on_magnet: true,
        });
    }
    let step = (position.max(0.0).round() as usize).clamp(low, high);
    Some(at_step(step, steps, magnets))
}

/// The resting place on a step, with the pair's own fraction where that rounds to the same step.
pub fn at_step(step: usize, steps: usize, magnets: &[f64]) -> Snap {
    let own = magnets
        .iter()
        .copied()
        .find(|fraction| (fraction * steps as f64).round() as usize == step);
    Snap {
        step,
        fraction: own.unwrap_or(step as f64 / steps.max(1) as f64),
        on_magnet: own.is_some(),
    }
}

/// Moves boundary `index` by whole steps; `None` when it cannot move that way.
pub fn nudge(plan: &Plan, index: usize, steps: usize, by: isize, magnets: &[f64]) -> Option<Snap> {
    let (low, high) = allowed_steps(plan, index, steps)?;
    let now = plan.boundary_step(index, steps);
    let step = now.saturating_add_signed(by).clamp(low, high);
    (step != now).then(|| at_step(step, steps, magnets))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn lsl() -> Plan {
        Plan::parse("LSL", &[0.4, 0.8]).unwrap()
    }

    #[test]
    fn rests_on_the_nearest_step() {
        let rest = snap(&lsl(), 0, 30, 9.3, &[], 0.0).unwrap();
        assert_eq!((rest.step, rest.on_magnet), (9, false));
        assert_eq!(rest.fraction, 0.3);
    }

    #[test]
    fn a_magnet_catches_and_keeps_its_own_fraction() {
        // 0.37 of 25 steps is 9.25: it rounds to step 9, but the fraction is kept.
        let plan = Plan::parse("LSL", &[0.5, 0.8]).unwrap();
        let rest = snap(&plan, 0, 25, 9.6, &[0.37, 0.8], 0.5).unwrap();
        assert_eq!((rest.step, rest.fraction, rest.on_magnet), (9, 0.37, true));
        let free = snap(&plan, 0, 25, 10.6, &[0.37, 0.8], 0.5).unwrap();
        assert_eq!((free.step, free.on_magnet), (11, false));
    }

    #[test]
    fn every_stage_keeps_a_step() {
        assert_eq!(snap(&lsl(), 0, 30, -4.0, &[], 1.0).unwrap().step, 1);
        assert_eq!(snap(&lsl(), 0, 30, 29.0, &[], 1.0).unwrap().step, 23);
        assert_eq!(snap(&lsl(), 1, 30, 99.0, &[], 1.0).unwrap().step, 29);
        assert_eq!(snap(&lsl(), 1, 30, 3.0, &[], 1.0).unwrap().step, 13);
        // A magnet beyond a neighbour does not pull through it.
        assert!(!snap(&lsl(), 1, 30, 13.2, &[0.4], 5.0).unwrap().on_magnet);
    }

    #[test]
    fn too_few_steps_move_nothing() {
        // Of 2 steps the boundaries fall on 1 and 2: the first cannot leave, the last has no room.
        assert_eq!(nudge(&lsl(), 0, 2, 1, &[]), None);
        assert_eq!(snap(&lsl(), 1, 2, 1.0, &[], 1.0), None);
    }

    #[test]
    fn nudges_stop_at_the_neighbour() {
        assert_eq!(nudge(&lsl(), 0, 30, 1, &[]).unwrap().step, 13);
        assert_eq!(nudge(&lsl(), 0, 30, -5, &[]).unwrap().step, 7);
        assert_eq!(nudge(&lsl(), 0, 30, 500, &[]).unwrap().step, 23);
        let at_end = lsl().with_boundary(1, 29.0 / 30.0);
        assert_eq!(nudge(&at_end, 1, 30, 1, &[]), None);
    }

    proptest! {
        #[test]
        fn always_between_the_neighbours(
            steps in 3usize..100, a in 0.0f64..1.0, b in 0.0f64..1.0, to in -10.0f64..120.0, reach in 0.0f64..4.0,
        ) {
            let plan = Plan::parse("LSL", &[a.min(b), a.max(b)]).unwrap();
            for index in 0..2 {
                if let Some(rest) = snap(&plan, index, steps, to, &[0.4, 0.8], reach) {
                    let (low, high) = allowed_steps(&plan, index, steps).unwrap();
                    prop_assert!((low..=high).contains(&rest.step));
                    prop_assert_eq!((rest.fraction * steps as f64).round() as usize, rest.step);
                }
            }
        }
    }
}
