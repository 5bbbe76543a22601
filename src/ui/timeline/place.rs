//! Places of the schedule as people type them.

use super::AxisUnit;
use super::snap::{Snap, allowed_steps, at_step};
use crate::schedule::{Plan, SigmaGrid, TRAIN_TIMESTEPS};

/// The start of a step in the ruler's unit, with as many digits as it takes to find the step again.
pub fn write_place(unit: AxisUnit, grid: &SigmaGrid, step: usize) -> String {
    let written = |decimals: usize| {
        let sigma = grid.sigma(step);
        match unit {
            AxisUnit::Step => step.to_string(),
            AxisUnit::Percent => {
                let percent = step as f64 / grid.steps().max(1) as f64 * 100.0;
                format!("{percent:.decimals$} %")
            }
            AxisUnit::Sigma => format!("σ {sigma:.0$}", decimals + 2),
            AxisUnit::Timestep => format!("t {:.decimals$}", sigma * TRAIN_TIMESTEPS),
        }
    };
    let finds_it = |text: &String| {
        read_place(text, unit, grid).is_ok_and(|position| position.round() as usize == step)
    };
    // Six digits tell the levels of any grid apart.
    (0..6)
        .map(written)
        .find(finds_it)
        .unwrap_or_else(|| written(6))
}

/// Reads a place and gives its position in steps, or says in words what is wrong with it. A `%` behind
/// the number, or `σ`, `sigma` or `t` before it, mean what they say whatever the ruler counts in.
pub fn read_place(text: &str, unit: AxisUnit, grid: &SigmaGrid) -> Result<f64, String> {
    let text = text.trim();
    let (unit, digits) = split_unit(text, unit);
    let steps = grid.steps() as f64;
    let example = match unit {
        AxisUnit::Step => "a step such as 12",
        AxisUnit::Percent => "a percentage such as 40 %, or 0.4",
        AxisUnit::Sigma => "a noise level such as 0.875",
        AxisUnit::Timestep => "a timestep such as 875",
    };
    let value: f64 = digits
        .trim()
        .replace(',', ".")
        .parse()
        .ok()
        .filter(|value: &f64| value.is_finite())
        .ok_or_else(|| match text {
            "" => format!("Type {example}."),
            _ => format!("“{text}” is not a place; type {example}."),
        })?;
    let within = |high: f64, words: &str| {
        if (0.0..=high).contains(&value) {
            Ok(value)
        } else {
            Err(words.to_owned())
        }
    };
    match unit {
        AxisUnit::Step => within(steps, &format!("The run has steps 0 to {steps}.")),
        AxisUnit::Percent => {
            // Below 1 nobody means a percentage: recipes and the command line state fractions.
            let is_fraction = value < 1.0 && !text.ends_with('%');
            let percent = if is_fraction { value * 100.0 } else { value };
            if (0.0..=100.0).contains(&percent) {
                Ok(percent / 100.0 * steps)
            } else {
                Err("A place lies from 0 to 100 % of the steps.".to_owned())
            }
        }
        AxisUnit::Sigma => {
            let top = grid.sigma(0);
            within(top, &format!("σ falls from {top:.2} to 0 in this run."))
                .map(|sigma| grid.position_of_sigma(sigma))
        }
        AxisUnit::Timestep => {
            let top = grid.timestep(0);
            within(
                top,
                &format!("Timesteps fall from {top:.0} to 0 in this run."),
            )
            .map(|timestep| grid.position_of_sigma(timestep / TRAIN_TIMESTEPS))
        }
    }
}

/// Where boundary `index` goes when a place is typed for it: the nearest step, between its neighbours.
pub fn place_boundary(
    text: &str,
    unit: AxisUnit,
    grid: &SigmaGrid,
    plan: &Plan,
    index: usize,
    magnets: &[f64],
) -> Result<Snap, String> {
    let steps = grid.steps();
    let step = read_place(text, unit, grid)?.round() as usize;
    let (low, high) = allowed_steps(plan, index, steps).ok_or_else(|| {
        format!(
            "Boundary {} has no room to move; raise the run's steps.",
            index + 1
        )
    })?;
    if (low..=high).contains(&step) {
        return Ok(at_step(step, steps, magnets));
    }
    let words = |step| match unit {
        AxisUnit::Step => format!("step {step}"),
        _ => format!("step {step} ({})", write_place(unit, grid, step)),
    };
    Err(format!(
        "That is step {step}, but boundary {} can only lie from {} to {}: every stage keeps a step.",
        index + 1,
        words(low),
        words(high)
    ))
}

/// The unit that is written beside the number, else `unit`; and the number.
fn split_unit(text: &str, unit: AxisUnit) -> (AxisUnit, &str) {
    if let Some(number) = text.strip_suffix('%') {
        return (AxisUnit::Percent, number);
    }
    let prefixes = [
        ("step", AxisUnit::Step),
        ("sigma", AxisUnit::Sigma),
        ("σ", AxisUnit::Sigma),
        ("t", AxisUnit::Timestep),
    ];
    prefixes
        .into_iter()
        .find_map(|(word, unit)| {
            let number = text.strip_prefix(word)?;
            Some((unit, number.trim_start_matches([':', '=', ' '])))
        })
        .unwrap_or((unit, text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn grid() -> SigmaGrid {
        SigmaGrid::flow_euler(30, 3.0)
    }

    fn read(text: &str, unit: AxisUnit) -> Result<f64, String> {
        read_place(text, unit, &grid())
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(
            unit in 0usize..4, steps in 1usize..200, shift in 0.5f64..10.0, pick in 0usize..200,
        ) {
            let (unit, step) = (AxisUnit::ALL[unit], pick % (steps + 1));
            let grid = SigmaGrid::flow_euler(steps, shift);
            let text = write_place(unit, &grid, step);
            let position = read_place(&text, unit, &grid).unwrap();
            prop_assert_eq!(position.round() as usize, step, "{}", text);
        }

        #[test]
        fn whatever_is_typed_is_a_place_or_a_sentence(text in ".{0,12}", unit in 0usize..4) {
            match read(&text, AxisUnit::ALL[unit]) {
                Ok(position) => prop_assert!((0.0..=30.0).contains(&position)),
                Err(why) => prop_assert!(why.ends_with('.')),
            }
        }
    }

    #[test]
    fn every_unit_is_read_in_its_own_words() {
        assert_eq!(read("12", AxisUnit::Step), Ok(12.0));
        assert_eq!(read(" 40 % ", AxisUnit::Step), Ok(12.0));
        assert_eq!(read("40", AxisUnit::Percent), Ok(12.0));
        assert_eq!(read("0,4", AxisUnit::Percent), Ok(12.0));
        assert_eq!(read("0.5 %", AxisUnit::Percent), Ok(0.15));
        assert_eq!(read("100", AxisUnit::Percent), Ok(30.0));
        let at = |step| grid().sigma(step);
        assert_eq!(read(&at(7).to_string(), AxisUnit::Sigma), Ok(7.0));
        for text in ["sigma:0.5", "σ 0.5", "sigma=0.5"] {
            assert_eq!(read(text, AxisUnit::Step), read("500", AxisUnit::Timestep));
        }
        assert_eq!(read("t 1000", AxisUnit::Step), Ok(0.0));
        assert_eq!(read("step 3", AxisUnit::Sigma), Ok(3.0));
    }

    #[test]
    fn what_cannot_be_is_said_in_words() {
        let why = |text: &str, unit| read(text, unit).unwrap_err();
        assert_eq!(
            why("", AxisUnit::Sigma),
            "Type a noise level such as 0.875."
        );
        assert!(why("soon", AxisUnit::Step).contains("“soon” is not a place"));
        assert_eq!(why("31", AxisUnit::Step), "The run has steps 0 to 30.");
        assert!(why("1.2", AxisUnit::Sigma).contains("from 1.00 to 0"));
        assert!(why("1200", AxisUnit::Timestep).contains("from 1000 to 0"));
        assert!(why("-1", AxisUnit::Percent).contains("0 to 100 %"));
        assert!(read("nan", AxisUnit::Step).is_err() && read("inf", AxisUnit::Sigma).is_err());
    }

    #[test]
    fn a_boundary_stays_between_its_neighbours() {
        let plan = Plan::parse("LSL", &[0.4, 0.8]).unwrap();
        let place = |text: &str| place_boundary(text, AxisUnit::Step, &grid(), &plan, 0, &[0.34]);
        assert_eq!(place("9").unwrap().fraction, 0.3);
        // The magnet's own fraction where it rounds to the same step.
        assert_eq!(place("10").unwrap().fraction, 0.34);
        let why = place("27").unwrap_err();
        assert!(why.contains("from step 1 to step 23"), "{why}");
    }
}
