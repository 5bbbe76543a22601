use std::ops::Range;

/// The places on an axis that are named, at most `most` of them: multiples of 1, 2 or 5 times a power of
/// ten, and whole numbers alone where `is_whole`.
pub(super) fn ticks(range: &Range<f64>, most: usize, is_whole: bool) -> Vec<f64> {
    let step = step(range, most, is_whole);
    let first = (range.start / step).ceil() as i64;
    let last = (range.end / step).floor() as i64;
    (first..=last).map(|i| i as f64 * step).collect()
}

/// A tick in words, with as many digits as tell it from its neighbours.
pub(super) fn words(tick: f64, range: &Range<f64>, most: usize, is_whole: bool) -> String {
    let digits = -step(range, most, is_whole).log10().floor();
    format!("{tick:.*}", digits.clamp(0.0, 12.0) as usize)
}

fn step(range: &Range<f64>, most: usize, is_whole: bool) -> f64 {
    let rough = (range.end - range.start) / most.max(1) as f64;
    let power = 10f64.powf(rough.log10().floor());
    let nice = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power);
    // Rounding must not make 0.2 / 0.1 a step too short.
    let fits = nice.into_iter().find(|step| *step >= rough * (1.0 - 1e-9));
    let step = fits.unwrap_or(10.0 * power);
    if is_whole { step.max(1.0) } else { step }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(range: Range<f64>, most: usize, is_whole: bool) -> Vec<String> {
        let ticks = ticks(&range, most, is_whole);
        assert!(ticks.len() <= most + 1, "{ticks:?}");
        ticks
            .iter()
            .map(|tick| words(*tick, &range, most, is_whole))
            .collect()
    }

    #[test]
    fn ticks_are_round_numbers_with_the_digits_they_need() {
        assert_eq!(
            named(0.0..1.0, 5, false),
            ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]
        );
        assert_eq!(named(0.013..0.041, 3, false), ["0.02", "0.03", "0.04"]);
        assert_eq!(named(0.5..4.5, 20, true), ["1", "2", "3", "4"]);
        assert_eq!(named(0.5..50.5, 10, true)[..3], ["5", "10", "15"]);
        assert_eq!(
            named(-30.0..3000.0, 4, false),
            ["0", "1000", "2000", "3000"]
        );
    }
}
