//! Where to put the boundaries, from what a sweep over plans measured.

use serde::{Deserialize, Serialize};

/// What a plan costs and what its clip is worth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trade {
    /// Seconds of the run.
    pub secs: f64,
    /// Likeness to the LLL reference; the larger the better, whatever the measure.
    pub quality: f64,
}

impl Trade {
    /// At least as good in both, and better in one.
    fn beats(&self, other: &Self) -> bool {
        self.secs <= other.secs && self.quality >= other.quality && self != other
    }
}

/// What is asked of the best plan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub enum Wish {
    /// The point of the Pareto front beyond which more seconds buy less and less.
    #[default]
    Knee,
    /// The fastest with at least this quality.
    AtLeast(f64),
    /// The one of most quality within these seconds.
    AtMostSecs(f64),
}

/// The points that no other one beats, by index, from the fastest on: the Pareto front. Of points that are
/// equal in both the first counts; one whose numbers are none is never on it.
pub fn pareto_front(points: &[Trade]) -> Vec<usize> {
    let is_number = |point: &Trade| !point.secs.is_nan() && !point.quality.is_nan();
    let mut front: Vec<usize> = (0..points.len())
        .filter(|i| {
            let point = &points[*i];
            is_number(point)
                && !points.iter().any(|other| other.beats(point))
                && !points[..*i].contains(point)
        })
        .collect();
    front.sort_by(|a, b| points[*a].secs.total_cmp(&points[*b].secs));
    front
}

/// The index of the best point, if one is as wished.
pub fn best(points: &[Trade], wish: Wish) -> Option<usize> {
    // What is best under a limit is on the front, which is sorted both ways.
    let front = pareto_front(points);
    match wish {
        Wish::AtLeast(quality) => front.into_iter().find(|i| points[*i].quality >= quality),
        Wish::AtMostSecs(secs) => front.into_iter().rfind(|i| points[*i].secs <= secs),
        Wish::Knee => {
            let curve: Vec<_> = front
                .iter()
                .map(|i| (points[*i].secs, points[*i].quality))
                .collect();
            knee(&curve).map(|at| front[at])
        }
    }
}

/// The index of the point at which a curve that rises ever more slowly bends most: the farthest above the
/// straight line between its ends, both axes scaled to 0..=1 (Satopaa et al. 2011, "Finding a 'kneedle' in a
/// haystack", without smoothing). Points come with rising x; those that are not finite are passed over.
/// `None` where no point lies above that line.
pub fn knee(curve: &[(f64, f64)]) -> Option<usize> {
    let is_finite = |(_, (x, y)): &(usize, &(f64, f64))| x.is_finite() && y.is_finite();
    let points: Vec<_> = curve.iter().enumerate().filter(is_finite).collect();
    let (first, last) = (points.first()?.1, points.last()?.1);
    let (width, height) = (last.0 - first.0, last.1 - first.1);
    let above = |point: &(f64, f64)| (point.1 - first.1) / height - (point.0 - first.0) / width;
    if width <= 0.0 || height <= 0.0 {
        return None;
    }
    // Less is the rounding of a straight line.
    const ABOVE: f64 = 1e-9;
    let mut found = None;
    let mut most = ABOVE;
    for (index, point) in points {
        if above(point) > most {
            (found, most) = (Some(index), above(point));
        }
    }
    found
}

/// FlowBlending's early boundary, from a sweep over it with the rest of the plan as it is: `(boundary,
/// similarity to LLL)`. It is the knee of the similarity, the point before it drops; the paper publishes no
/// threshold. `None` where the curve has no knee.
pub fn early_boundary(sweep: &[(f64, f64)]) -> Option<f64> {
    let mut curve = sweep.to_vec();
    curve.sort_by(|a, b| a.0.total_cmp(&b.0));
    knee(&curve).map(|at| curve[at].0)
}

/// FlowBlending's late boundary, from a sweep over it: `(boundary, detail)`, where detail is any measure of
/// which the reference has `wanted` (sharpness, flicker, a Frechet distance with 0). The more of the end the
/// large model takes, the nearer the detail comes; the knee of that is the boundary. `None` where there is none.
pub fn late_boundary(sweep: &[(f64, f64)], wanted: f64) -> Option<f64> {
    let mut curve: Vec<_> = sweep
        .iter()
        .map(|(boundary, detail)| (1.0 - boundary, -(detail - wanted).abs(), *boundary))
        .collect();
    curve.sort_by(|a, b| a.0.total_cmp(&b.0));
    let shares: Vec<_> = curve
        .iter()
        .map(|(share, near, _)| (*share, *near))
        .collect();
    knee(&shares).map(|at| curve[at].2)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn trades(points: &[(f64, f64)]) -> Vec<Trade> {
        let trade = |(secs, quality): &(f64, f64)| Trade {
            secs: *secs,
            quality: *quality,
        };
        points.iter().map(trade).collect()
    }

    /// LLL last; the plan at 3 s is beaten by the one at 2 s.
    const SWEEP: [(f64, f64); 6] = [
        (1.0, 0.5),
        (3.0, 0.85),
        (2.0, 0.9),
        (2.0, 0.7),
        (4.0, 0.95),
        (6.0, 1.0),
    ];

    #[test]
    fn the_front_holds_what_nothing_beats_from_the_fastest_on() {
        let points = trades(&SWEEP);
        assert_eq!(pareto_front(&points), [0, 2, 4, 5]);
        let twins = trades(&[(1.0, 0.5), (1.0, 0.5), (f64::NAN, 0.9)]);
        assert_eq!(pareto_front(&twins), [0]);
        assert!(pareto_front(&[]).is_empty());
    }

    #[test]
    fn the_best_is_what_is_wished() {
        let points = trades(&SWEEP);
        for (wish, found) in [
            (Wish::AtLeast(0.5), Some(0)),
            (Wish::AtLeast(0.8), Some(2)),
            (Wish::AtLeast(0.96), Some(5)),
            (Wish::AtLeast(1.1), None),
            (Wish::AtMostSecs(3.5), Some(2)),
            (Wish::AtMostSecs(0.5), None),
            (Wish::AtMostSecs(60.0), Some(5)),
            (Wish::Knee, Some(2)),
        ] {
            assert_eq!(best(&points, wish), found, "{wish:?}");
        }
        // An endless quality, as PSNR has for LLL itself, is no place for a knee.
        let with_psnr = trades(&[(1.0, 20.0), (2.0, 30.0), (4.0, 32.0), (6.0, f64::INFINITY)]);
        assert_eq!(best(&with_psnr, Wish::Knee), Some(1));
        assert_eq!(best(&with_psnr, Wish::AtMostSecs(9.0)), Some(3));
    }

    #[test]
    fn a_straight_line_and_one_that_bends_the_other_way_have_no_knee() {
        let line: Vec<_> = (0..7).map(|i| (f64::from(i), 0.1 * f64::from(i))).collect();
        assert_eq!(knee(&line), None);
        assert_eq!(knee(&[(0.0, 0.0), (1.0, 0.1), (2.0, 1.0)]), None);
        assert_eq!(knee(&[(0.0, 1.0), (1.0, 0.9), (2.0, 0.0)]), None);
        assert_eq!(knee(&[(0.0, 1.0)]), None);
        assert_eq!(knee(&[]), None);
    }

    #[test]
    fn boundaries_are_where_their_curves_bend() {
        // Likeness that is nearly all there once the large model has the first two fifths, in any order.
        let early = [
            (0.6, 0.95),
            (0.2, 0.7),
            (0.4, 0.93),
            (0.0, 0.5),
            (0.8, 0.96),
        ];
        assert_eq!(early_boundary(&early), Some(0.4));
        assert_eq!(early_boundary(&early[..2]), None);
        // Detail that is nearly all there once the large model has the last fifth, from either side.
        for sign in [1.0, -1.0] {
            let gap = [(1.0, 2.0), (0.9, 1.2), (0.8, 0.2), (0.7, 0.15), (0.6, 0.1)];
            let detail: Vec<_> = gap.map(|(at, gap)| (at, 9.0 + sign * gap)).to_vec();
            assert_eq!(late_boundary(&detail, 9.0), Some(0.8));
        }
        assert_eq!(late_boundary(&[], 9.0), None);
    }

    proptest! {
        #[test]
        fn whatever_is_not_on_the_front_is_beaten_from_it(
            points in proptest::collection::vec((0u8..9, 0u8..9), 0..20)
        ) {
            let points = trades(&points.iter().map(|(s, q)| (f64::from(*s), f64::from(*q))).collect::<Vec<_>>());
            let front = pareto_front(&points);
            prop_assert!(front.windows(2).all(|w| points[w[0]].secs < points[w[1]].secs
                && points[w[0]].quality < points[w[1]].quality));
            for point in &points {
                prop_assert!(front.iter().any(|i| points[*i] == *point || points[*i].beats(point)));
            }
        }
    }
}
