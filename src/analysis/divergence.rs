use candle_core::{DType, Tensor};

use super::{AnalysisError, Valley};

/// How far one velocity is from another at the same state and step.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Divergence {
    /// `|small - large| / |large|`, l2 norms over all values.
    pub relative_l2: f64,
    /// `1 - cos(small, large)` over all values: the direction alone.
    pub one_minus_cosine: f64,
}

/// How a divergence is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Measure {
    /// Length and direction.
    #[default]
    RelativeL2,
    /// Direction alone.
    OneMinusCosine,
}

impl Divergence {
    /// One of its two numbers.
    pub fn get(&self, measure: Measure) -> f64 {
        match measure {
            Measure::RelativeL2 => self.relative_l2,
            Measure::OneMinusCosine => self.one_minus_cosine,
        }
    }
}

/// The large model is asked until the divergence has fallen to this many times the least of its valley.
/// The lower of the two rims, for what goes wrong early is carried through all steps that follow.
pub const EARLY_RIM: f64 = 1.1;
/// And again from where it has risen to this many times that.
pub const LATE_RIM: f64 = 1.8;

/// The divergence at every step of one or more runs.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
pub struct DivergenceCurve {
    /// Each run's steps, in order; all of one length.
    runs: Vec<Vec<Divergence>>,
}

impl DivergenceCurve {
    /// Takes the steps of one more run, as far as the others have as many.
    pub fn add(&mut self, mut run: Vec<Divergence>) {
        if let Some(one) = self.runs.first() {
            run.truncate(one.len());
        }
        self.runs
            .iter_mut()
            .for_each(|other| other.truncate(run.len()));
        self.runs.push(run);
    }

    /// The runs it stands on.
    pub fn runs(&self) -> usize {
        self.runs.len()
    }

    /// Steps of a run.
    pub fn steps(&self) -> usize {
        self.runs.first().map_or(0, Vec::len)
    }

    /// The mean over runs at each step, and the standard deviation beside it (0 for a single run).
    pub fn mean_and_spread(&self, measure: Measure) -> Vec<(f64, f64)> {
        let count = self.runs.len() as f64;
        let at = |step: usize| self.runs.iter().map(move |run| run[step].get(measure));
        (0..self.steps())
            .map(|step| {
                let mean = at(step).sum::<f64>() / count;
                let squares = at(step).map(|value| (value - mean).powi(2)).sum::<f64>();
                let spread = match self.runs.len() {
                    1 => 0.0,
                    _ => (squares / (count - 1.0)).sqrt(),
                };
                (mean, spread)
            })
            .collect()
    }

    /// The fractions of the steps between which the small model may serve: in the [`Valley`], from where
    /// the curve has fallen to [`EARLY_RIM`] times its lowest point until it rises to [`LATE_RIM`] times
    /// that. `None` where it does not.
    pub fn boundaries(&self, measure: Measure) -> Option<[f64; 2]> {
        let means: Vec<f64> = self
            .mean_and_spread(measure)
            .into_iter()
            .map(|(mean, _)| mean)
            .collect();
        let edges = Valley::of(&means).edges(&means, EARLY_RIM, LATE_RIM)?;
        Some(edges.map(|step| step / means.len() as f64))
    }
}

/// Where in frames and space two velocities `(1, C, T, H, W)` differ: the length of their difference over
/// the channels of a place, against the root mean square length of `large` over all places. T·H·W values
/// in that order; their squares average to the square of [`Divergence::relative_l2`].
pub fn divergence_map(small: &Tensor, large: &Tensor) -> Result<Vec<f32>, AnalysisError> {
    let length = large.sqr()?.sum(1)?.mean_all()?.sqrt()?;
    let apart = (small - large)?.sqr()?.sum(1)?.sqrt()?;
    let relative = apart.broadcast_div(&length)?;
    Ok(relative.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?)
}

/// How far the small model's velocity is from the large one's, both guided and of one shape.
pub fn divergence(small: &Tensor, large: &Tensor) -> Result<Divergence, AnalysisError> {
    let dot = |a: &Tensor, b: &Tensor| -> candle_core::Result<f64> {
        (a * b)?.sum_all()?.to_scalar::<f64>()
    };
    // f64: one minus a cosine near one would drown in the rounding of f32.
    let (small, large) = (small.to_dtype(DType::F64)?, large.to_dtype(DType::F64)?);
    let difference = (&small - &large)?;
    let (norm_small, norm_large) = (dot(&small, &small)?.sqrt(), dot(&large, &large)?.sqrt());
    Ok(Divergence {
        relative_l2: dot(&difference, &difference)?.sqrt() / norm_large,
        one_minus_cosine: 1.0 - dot(&small, &large)? / (norm_small * norm_large),
    })
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Tensor};

    use super::{Divergence, DivergenceCurve, Measure, divergence, divergence_map};

    fn curve(runs: &[&[f64]]) -> DivergenceCurve {
        let step = |relative_l2: &f64| Divergence {
            relative_l2: *relative_l2,
            one_minus_cosine: 0.0,
        };
        let mut curve = DivergenceCurve::default();
        for run in runs {
            curve.add(run.iter().map(step).collect());
        }
        curve
    }

    #[test]
    fn a_curve_averages_its_runs_and_says_how_they_spread() {
        let two = curve(&[&[1.0, 4.0], &[3.0, 4.0, 9.0]]);
        assert_eq!((two.runs(), two.steps()), (2, 2));
        let found = two.mean_and_spread(Measure::RelativeL2);
        assert_eq!(found, [(2.0, 2f64.sqrt()), (4.0, 0.0)]);
    }

    #[test]
    fn boundaries_are_the_edges_of_the_mean_curves_valley() {
        let two = curve(&[&[0.7, 0.6, 0.3, 0.5, 0.9], &[0.9, 1.0, 0.5, 0.5, 0.9]]);
        let [early, late] = two.boundaries(Measure::RelativeL2).unwrap();
        // Means 0.8, 0.8, 0.4, 0.5, 0.9: 0.44 is fallen to between steps 1 and 2, 0.72 risen to between 3 and 4.
        assert!((early - 1.9 / 5.0).abs() < 1e-9, "{early}");
        assert!((late - 3.55 / 5.0).abs() < 1e-9, "{late}");
        assert_eq!(
            curve(&[&[0.8, 0.6, 0.4]]).boundaries(Measure::RelativeL2),
            None
        );
        assert_eq!(curve(&[]).boundaries(Measure::RelativeL2), None);
    }

    #[test]
    fn a_map_says_where_and_its_mean_square_is_the_whole() {
        let shape = (1, 2, 2, 1, 3);
        let device = &Device::Cpu;
        let large = Tensor::randn(0f32, 1.0, shape, device).unwrap();
        let mut values = large.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        // The second channel of the second frame's last place.
        values[11] += 2.0;
        let small = Tensor::from_vec(values, shape, device).unwrap();
        let map = divergence_map(&small, &large).unwrap();
        assert_eq!(map.len(), 6);
        assert!(map[..5].iter().all(|value| *value == 0.0) && map[5] > 0.0);
        let squares = map.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>() / 6.0;
        let whole = divergence(&small, &large).unwrap().relative_l2;
        assert!(
            (squares.sqrt() - whole).abs() < 1e-6 * whole,
            "{squares} {whole}"
        );
    }

    #[test]
    fn length_and_direction_are_told_apart() {
        let tensor = |values: [f32; 2]| Tensor::new(&values, &Device::Cpu).unwrap();
        let large = tensor([3.0, 4.0]);
        for (small, relative_l2, one_minus_cosine) in [
            ([3.0, 4.0], 0.0, 0.0),
            ([6.0, 8.0], 1.0, 0.0),
            ([-4.0, 3.0], 2f64.sqrt(), 1.0),
            ([-3.0, -4.0], 2.0, 2.0),
        ] {
            let found = divergence(&tensor(small), &large).unwrap();
            assert!((found.relative_l2 - relative_l2).abs() < 1e-12, "{found:?}");
            assert!(
                (found.one_minus_cosine - one_minus_cosine).abs() < 1e-12,
                "{found:?}"
            );
        }
    }
}
