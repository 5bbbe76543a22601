use nalgebra::{DMatrix, RowDVector};

use super::AnalysisError;

/// How far two sets of vectors are apart as distributions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Frechet {
    /// The squared Fréchet distance of the Gaussians with the sets' means and covariances, as FID has it.
    pub distance: f64,
    /// Vectors in either set.
    pub samples: [usize; 2],
    /// Length of a vector.
    pub dimensions: usize,
}

impl Frechet {
    /// Whether a set is too small to span its space, so that the distance comes out too large, and the
    /// more so the smaller the set: only distances between sets of the same sizes can be compared.
    pub fn is_biased(&self) -> bool {
        self.samples.iter().any(|count| *count <= self.dimensions)
    }
}

/// The squared Fréchet distance (Dowson and Landau 1982; for features of networks Heusel et al., arXiv
/// 1706.08500) of two sets of vectors of one length:
///
/// `|m1 - m2|^2 + tr(C1) + tr(C2) - 2 tr((C1 C2)^(1/2))`
///
/// with the means `m` and the unbiased covariances `C`. These are not formed: a set's centred vectors, divided by
/// the root of their number less one, are the rows of a factor `A` with `C = A' A`, and the last trace is
/// the sum of the singular values of `A1 A2'`. So no eigenvalue is rounded below zero, and no root is taken of
/// rounding where the sets are smaller than their space.
///
/// # Errors
/// A sentence where a set has less than two vectors or vectors differ in length.
pub fn frechet(one: &[Vec<f32>], other: &[Vec<f32>]) -> Result<Frechet, AnalysisError> {
    let samples = [one.len(), other.len()];
    if let Some(found) = samples.into_iter().find(|count| *count < 2) {
        return Err(AnalysisError::TooFew { found });
    }
    let dimensions = one[0].len();
    if let Some(odd) = one.iter().chain(other).find(|row| row.len() != dimensions) {
        return Err(AnalysisError::Lengths {
            one: dimensions,
            other: odd.len(),
        });
    }
    let ((mean_one, factor_one), (mean_other, factor_other)) = (factor(one), factor(other));
    let traces = factor_one.norm_squared() + factor_other.norm_squared();
    let shared = (factor_one * factor_other.transpose()).singular_values();
    let distance = (mean_one - mean_other).norm_squared() + traces - 2.0 * shared.sum();
    Ok(Frechet {
        distance: distance.max(0.0),
        samples,
        dimensions,
    })
}

/// The mean of a set, and `A` with `A' A` its covariance and no more rows than columns.
fn factor(set: &[Vec<f32>]) -> (RowDVector<f64>, DMatrix<f64>) {
    let columns = set[0].len();
    let mut rows = DMatrix::from_fn(set.len(), columns, |row, column| {
        f64::from(set[row][column])
    });
    let mean = rows.row_mean();
    let scale = ((set.len() - 1) as f64).sqrt();
    for mut row in rows.row_iter_mut() {
        row -= &mean;
        row /= scale;
    }
    match set.len() > columns {
        // The orthogonal part drops out of A' A.
        true => (mean, rows.qr().r()),
        false => (mean, rows),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A set that `tests/reference/frechet.py` makes by the same formula.
    fn set(count: usize, dimensions: usize, phase: f64) -> Vec<Vec<f32>> {
        let value = |i: usize, j: usize| {
            let (i, j) = (i as f64, j as f64);
            let wave = (i * (1.3 + j) + phase).sin() + (0.7 * i * j + 2.0 * phase).cos();
            (wave * (1.0 + 0.1 * j) + 0.05 * phase * j) as f32
        };
        let row = |i| (0..dimensions).map(|j| value(i, j)).collect();
        (0..count).map(row).collect()
    }

    #[test]
    fn agrees_with_the_square_root_of_scipy() {
        // What tests/reference/frechet.py prints, with SciPy 1.17.1. The covariances of the last pair have no
        // full rank, and SciPy's roots of eigenvalues that are rounding make the distance 1.1e-8 of it too
        // small; of the others the two agree to 1e-13.
        for (counts, dimensions, want) in [
            ([400, 300], 12, 6.570_370_672_565_659),
            ([64, 64], 1, 2.583_419_390_718_700_6),
            ([90, 200], 40, 199.012_664_686_972_9),
            ([9, 14], 20, 96.974_318_498_290_56),
        ] {
            let (one, other) = (
                set(counts[0], dimensions, 0.3),
                set(counts[1], dimensions, 1.9),
            );
            let got = frechet(&one, &other).unwrap();
            let apart = (got.distance - want).abs() / want;
            assert!(
                apart < 2e-8,
                "{counts:?} x {dimensions}: {got:?}, not {want}"
            );
            assert_eq!(got.is_biased(), dimensions == 20);
        }
    }

    #[test]
    fn a_set_is_at_no_distance_from_itself() {
        let one = set(50, 6, 0.3);
        assert!(frechet(&one, &one).unwrap().distance < 1e-12);
    }

    #[test]
    fn sets_without_a_covariance_are_refused_in_a_sentence() {
        let (one, other) = (set(5, 6, 0.3), set(5, 7, 0.3));
        let said = |result: Result<Frechet, AnalysisError>| result.unwrap_err().to_string();
        assert!(said(frechet(&one, &one[..1])).contains("a set of 1 vectors"));
        assert!(said(frechet(&one, &other)).contains("vectors of 6 and 7"));
    }
}
