use candle_core::{DType, Tensor};

use super::AnalysisError;

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

/// A curve that rises to this many times its lowest point on both sides has a valley, and in the valley the
/// small model serves about as well as anywhere.
pub const VALLEY: f64 = 1.3;

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

    /// The fractions of the steps between which the models differ by no more than [`VALLEY`] times what
    /// they differ by at the least: the stage that the small model may take. `None` where that is no
    /// valley, because it reaches an end of the run.
    pub fn valley(&self, measure: Measure) -> Option<[f64; 2]> {
        let means = self.mean_and_spread(measure);
        let height = |step: usize| means[step].0;
        let lowest = (0..means.len()).min_by(|a, b| height(*a).total_cmp(&height(*b)))?;
        let is_low = |step: &usize| height(*step) <= VALLEY * height(lowest);
        let first = (0..=lowest).rev().take_while(is_low).last()?;
        let last = (lowest..means.len()).take_while(is_low).last()?;
        let is_inside = first > 0 && last + 1 < means.len();
        is_inside.then(|| [first, last + 1].map(|step| step as f64 / means.len() as f64))
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
    fn the_valley_is_what_lies_around_the_lowest_point_and_inside_the_run() {
        let valley = |heights: &[f64]| curve(&[heights]).valley(Measure::RelativeL2);
        assert_eq!(valley(&[0.8, 0.5, 0.4, 0.45, 0.7]), Some([0.2, 0.8]));
        assert_eq!(valley(&[0.8, 0.4, 0.7, 0.45, 0.7]), Some([0.2, 0.4]));
        // Falls to the end, rises from the start, is flat, has no steps.
        assert_eq!(valley(&[0.8, 0.6, 0.4]), None);
        assert_eq!(valley(&[0.4, 0.6, 0.8]), None);
        assert_eq!(valley(&[0.4, 0.4, 0.4]), None);
        assert_eq!(valley(&[]), None);
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
