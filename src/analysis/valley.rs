/// The valley of a curve: the point that lies lowest under the lower of its two rims, which are the peak
/// before it and the end of the curve. The smallest value of all would not do: at pure noise both models
/// say nearly the same, whatever they do later, and a curve may start below its valley.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Valley {
    /// Its lowest point, counted from 0.
    pub at: usize,
    /// The curve's first value over that at the valley.
    pub first: f64,
    /// The largest value before the valley over that at it.
    pub before: f64,
    /// The curve's last value over that at the valley.
    pub after: f64,
}

impl Valley {
    /// Of a curve that has one value at least; all is not a number where it has none.
    pub fn of(curve: &[f64]) -> Self {
        let (Some(first), Some(end)) = (curve.first(), curve.last()) else {
            let nan = f64::NAN;
            return Self {
                at: 0,
                first: nan,
                before: nan,
                after: nan,
            };
        };
        let mut peak = *first;
        let mut deepest = Self {
            at: 0,
            first: 1.0,
            before: 1.0,
            after: end / first,
        };
        for (at, value) in curve.iter().enumerate().skip(1) {
            let valley = Self {
                at,
                first: first / value,
                before: peak / value,
                after: end / value,
            };
            if valley.depth() > deepest.depth() {
                deepest = valley;
            }
            peak = peak.max(*value);
        }
        deepest
    }

    /// The lower rim over the lowest point: 1 or less where there is no valley.
    pub fn depth(&self) -> f64 {
        self.before.min(self.after)
    }

    /// The places, counted in points of `curve` and between them, where it last falls to `before` times
    /// its lowest point and first rises to `after` times that; `None` where it does not.
    pub fn edges(&self, curve: &[f64], before: f64, after: f64) -> Option<[f64; 2]> {
        let lowest = *curve.get(self.at)?;
        // From one point to the next one, at which the curve is above the rim.
        let crossing = |from: usize, to: usize, rim: f64| {
            let part = (rim - curve[from]) / (curve[to] - curve[from]);
            from as f64 + part * (to as f64 - from as f64)
        };
        let left = (0..self.at).rev().find(|&i| curve[i] > before * lowest)?;
        let right = (self.at + 1..curve.len()).find(|&i| curve[i] > after * lowest)?;
        Some([
            crossing(left + 1, left, before * lowest),
            crossing(right - 1, right, after * lowest),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_valley_lies_between_its_rims() {
        let valley = Valley::of(&[0.8, 3.0, 2.0, 1.0, 1.2, 2.5]);
        let found = (valley.at, valley.first, valley.before, valley.after);
        assert_eq!(found, (3, 0.8, 3.0, 2.5));
        // What only falls or only rises has none.
        assert_eq!(Valley::of(&[3.0, 2.0, 1.0]).depth(), 1.0);
        assert_eq!(Valley::of(&[1.0, 2.0, 3.0]).depth(), 1.0);
    }

    #[test]
    fn edges_are_where_the_curve_crosses_the_rims() {
        let edges = |curve: &[f64]| Valley::of(curve).edges(curve, 1.5, 2.0);
        assert_eq!(edges(&[0.9, 3.0, 2.0, 1.0, 1.5, 2.5]), Some([2.5, 4.5]));
        // Does not rise so far, has no valley, has no points.
        assert_eq!(edges(&[3.0, 1.0, 1.9]), None);
        assert_eq!(edges(&[3.0, 2.0, 1.0]), None);
        assert_eq!(edges(&[1.0, 2.0, 3.0]), None);
        assert_eq!(edges(&[1.0, 1.0]), None);
        assert_eq!(edges(&[]), None);
    }
}
