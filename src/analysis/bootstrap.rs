use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};

/// A figure over a sample, with the interval that holds it 95 times of 100.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Interval {
    /// The figure over the sample itself.
    pub value: f64,
    /// Lower end of the 95 % interval.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// Samples drawn; the ends of the interval then hold to about a hundredth of its width.
const DRAWS: usize = 2000;
/// One seed for all: two figures of one sample stand on the same draws.
const SEED: u64 = 0;

/// A figure over a sample of `count` items and its 95 % percentile bootstrap interval (Efron 1979): the
/// figure is taken again over samples drawn with replacement. `figure` is given the items' numbers, so
/// that several values of an item are drawn together; a difference of two values an item is then a paired
/// one. The draws come from a fixed seed. An empty sample gives NaN.
pub fn bootstrap(count: usize, figure: impl Fn(&[usize]) -> f64) -> Interval {
    let mut items: Vec<usize> = (0..count).collect();
    let value = figure(&items);
    if count == 0 {
        return Interval {
            value: f64::NAN,
            low: f64::NAN,
            high: f64::NAN,
        };
    }
    let mut rng = ChaCha12Rng::seed_from_u64(SEED);
    let mut drawn: Vec<f64> = (0..DRAWS)
        .map(|_| {
            for item in &mut items {
                // The remainder favours small numbers by count / 2^64.
                *item = (rng.next_u64() % count as u64) as usize;
            }
            figure(&items)
        })
        .collect();
    drawn.sort_by(f64::total_cmp);
    let at = |share: f64| drawn[((DRAWS - 1) as f64 * share).round() as usize];
    Interval {
        value,
        low: at(0.025),
        high: at(0.975),
    }
}

/// The mean of the values; NaN where there are none.
pub fn mean(values: impl IntoIterator<Item = f64>) -> f64 {
    let (mut sum, mut count) = (0.0, 0usize);
    for value in values {
        sum += value;
        count += 1;
    }
    sum / count as f64
}

/// The value in the middle, or between the two in the middle; NaN where there are none.
pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match (values.len(), values.len() % 2) {
        (0, _) => f64::NAN,
        (_, 1) => values[middle],
        // Two equal infinities have themselves in the middle, which their mean also is.
        _ => (values[middle - 1] + values[middle]) / 2.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn middle_values() {
        assert_eq!(median([3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median([4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(median([f64::INFINITY, f64::INFINITY]), f64::INFINITY);
        assert!(median([]).is_nan() && mean([]).is_nan());
        assert_eq!(mean([1.0, 2.0, 6.0]), 3.0);
    }

    #[test]
    fn a_share_has_the_interval_of_the_textbook() {
        // 160 of 200: 0.8 +- 1.96 sqrt(0.8 * 0.2 / 200) = 0.8 +- 0.0554.
        let hit = |i: &usize| f64::from(u8::from(!i.is_multiple_of(5)));
        let share = bootstrap(200, |items| mean(items.iter().map(hit)));
        assert!((share.value - 0.8).abs() < 1e-12);
        assert!((share.low - 0.7446).abs() < 0.011, "{share:?}");
        assert!((share.high - 0.8554).abs() < 0.011, "{share:?}");
        assert_eq!(share, bootstrap(200, |items| mean(items.iter().map(hit))));
    }

    #[test]
    fn a_paired_difference_is_surer_than_its_sides() {
        let one = |i: usize| (i * 37 % 100) as f64;
        let other = |i: usize| one(i) + (i % 2) as f64;
        let side = bootstrap(100, |items| mean(items.iter().map(|&i| one(i))));
        let difference = bootstrap(100, |items| mean(items.iter().map(|&i| other(i) - one(i))));
        assert!((difference.value - 0.5).abs() < 1e-12);
        assert!(difference.high - difference.low < (side.high - side.low) / 20.0);
    }

    #[test]
    fn nothing_gives_no_figure() {
        assert!(bootstrap(0, |items| items.len() as f64).value.is_nan());
    }
}
