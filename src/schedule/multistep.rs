//! What a step of the multistep solvers mixes. With `lambda = ln((1 - sigma) / sigma)` as time, the way from one noise
//! level to another is exact but for the clean estimate in between, which they read off the last few.

/// The next state as a sum: `state * x + estimates[0] * x0 + estimates[1] * (the x0 before it) + ...`.
#[derive(Clone, Debug, PartialEq)]
pub struct Mix {
    /// The share of the state the step starts from.
    pub state: f64,
    /// The shares of the estimates of the clean latents, the newest first.
    pub estimates: Vec<f64>,
}

/// What the formulas share of a step from one noise level to another.
struct Span<'a> {
    sigmas: &'a [f64],
    from: usize,
    /// `lambda(to) - lambda(from)`; infinite on the way to sigma 0.
    h: f64,
    /// `sigma(to) / sigma(from)`.
    ratio: f64,
    /// `1 - sigma(to)`, the share of the clean latents there.
    alpha: f64,
}

impl<'a> Span<'a> {
    fn new(sigmas: &'a [f64], from: usize) -> Self {
        let (s, t) = (sigmas[from], sigmas[from + 1]);
        Self {
            sigmas,
            from,
            h: lambda(t) - lambda(s),
            ratio: t / s,
            alpha: 1.0 - t,
        }
    }

    /// How far back the level `back` steps before the span's start lies, in spans; negative.
    fn back(&self, back: usize) -> f64 {
        (lambda(self.sigmas[self.from - back]) - lambda(self.sigmas[self.from])) / self.h
    }
}

fn lambda(sigma: f64) -> f64 {
    ((1.0 - sigma) / sigma).ln()
}

/// DPM-Solver++ of `order` 1, 2 (midpoint) or 3 (Lu et al. 2022, arXiv 2211.01095) from level `step` to the next.
/// Needs the estimates of `order` steps, this one among them.
pub(super) fn dpm_solver(sigmas: &[f64], step: usize, order: usize) -> Mix {
    let span = Span::new(sigmas, step);
    let (h, alpha) = (span.h, span.alpha);
    let reached = -(-h).exp_m1();
    let mut estimates = vec![0.0; order];
    // With D1 and D2 the first and second differences of the estimates over their distances.
    estimates[0] = alpha * reached;
    match order {
        2 => {
            let slope = 0.5 * alpha * reached / -span.back(1);
            estimates[0] += slope;
            estimates[1] -= slope;
        }
        3 => {
            let (r0, r1) = (-span.back(1), span.back(1) - span.back(2));
            let first = alpha * (1.0 - reached / h);
            let second = -alpha * ((h - reached) / (h * h) - 0.5);
            // D1_0 = (m0 - m1) / r0 and D1_1 = (m1 - m2) / r1; D1 = D1_0 + r0 / (r0 + r1) * (D1_0 - D1_1) and
            // D2 = (D1_0 - D1_1) / (r0 + r1).
            let near = first * (1.0 + r0 / (r0 + r1)) + second / (r0 + r1);
            let far = -(first * r0 + second) / (r0 + r1);
            estimates[0] += near / r0;
            estimates[1] += far / r1 - near / r0;
            estimates[2] -= far / r1;
        }
        _ => {}
    }
    Mix {
        state: span.ratio,
        estimates,
    }
}

/// The predictor of UniPC (Zhao et al. 2023, arXiv 2302.04867; B(h) = e^h - 1) of `order` 1 to 3 from level `step` to the
/// next. Needs the estimates of `order` steps, this one among them.
pub(super) fn unipc_predictor(sigmas: &[f64], step: usize, order: usize) -> Mix {
    let span = Span::new(sigmas, step);
    let back: Vec<f64> = (1..order).map(|i| span.back(i)).collect();
    let shares = match order {
        2 => vec![0.5], // what the equations come to but for terms of higher order, as its authors do
        _ => shares(span.h, &back),
    };
    Mix {
        state: span.ratio,
        estimates: uni(&span, &back, &shares),
    }
}

/// The corrector of UniPC: level `step` once more from the level before it, now that the estimate there is known. Its
/// first share is that estimate's; `order` is that of the step which led here.
pub(super) fn unipc_corrector(sigmas: &[f64], step: usize, order: usize) -> Mix {
    let span = Span::new(sigmas, step - 1);
    let mut places: Vec<f64> = (1..order).map(|i| span.back(i)).collect();
    places.push(1.0);
    let shares = match order {
        1 => vec![0.5],
        _ => shares(span.h, &places),
    };
    let mut estimates = uni(&span, &places, &shares);
    // The newest estimate is the one at the span's end, at place 1.
    if let Some(newest) = estimates.pop() {
        estimates.insert(0, newest);
    }
    Mix {
        state: span.ratio,
        estimates,
    }
}

/// `m0` and the estimates at `places`, as the unified formula mixes them: `alpha * (1 - e^-h)` times
/// `m0 + sum of shares[i] * (m_i - m0) / places[i]`.
fn uni(span: &Span<'_>, places: &[f64], shares: &[f64]) -> Vec<f64> {
    let reached = -span.alpha * (-span.h).exp_m1();
    let parts = places
        .iter()
        .zip(shares)
        .map(|(place, share)| reached * share / place);
    let mut estimates = vec![reached];
    for part in parts {
        estimates[0] -= part;
        estimates.push(part);
    }
    estimates
}

/// The weights for which the differences at `places` give `B(h)`'s series up to their number: a Vandermonde system.
fn shares(h: f64, places: &[f64]) -> Vec<f64> {
    let minus = -h;
    let reached = minus.exp_m1();
    let (mut phi, mut factorial) = (reached / minus - 1.0, 1.0);
    let mut rows = Vec::with_capacity(places.len());
    for power in 0..places.len() {
        let mut row: Vec<f64> = places
            .iter()
            .map(|place| place.powi(power as i32))
            .collect();
        row.push(phi * factorial / reached);
        rows.push(row);
        factorial *= power as f64 + 2.0;
        phi = phi / minus - 1.0 / factorial;
    }
    solve(rows)
}

/// Gaussian elimination of a few equations, the right side last in each row. The rows here are independent, since
/// noise levels differ.
fn solve(mut rows: Vec<Vec<f64>>) -> Vec<f64> {
    let size = rows.len();
    for column in 0..size {
        let pivot = (column..size)
            .max_by(|a, b| rows[*a][column].abs().total_cmp(&rows[*b][column].abs()))
            .unwrap_or(column);
        rows.swap(column, pivot);
        let lead = rows[column].clone();
        for row in rows.iter_mut().skip(column + 1) {
            let factor = row[column] / lead[column];
            row.iter_mut()
                .zip(&lead)
                .for_each(|(x, y)| *x -= factor * y);
        }
    }
    let mut found = vec![0.0; size];
    for i in (0..size).rev() {
        let known: f64 = (i + 1..size).map(|j| rows[i][j] * found[j]).sum();
        found[i] = (rows[i][size] - known) / rows[i][i];
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mix_keeps_what_does_not_change() {
        // Where all estimates are one clip and the state is that clip with noise, the next state has the next level's.
        let sigmas = [0.999, 0.9, 0.72, 0.5, 0.2, 0.0];
        for step in 2..5 {
            let mut mixes = vec![(step, dpm_solver(&sigmas, step, 1))];
            if step < 4 {
                mixes.extend((2..=3).map(|order| (step, dpm_solver(&sigmas, step, order))));
                mixes.extend((1..=3).map(|order| (step, unipc_predictor(&sigmas, step, order))));
            }
            mixes.extend((1..=2).map(|order| (step - 1, unipc_corrector(&sigmas, step, order))));
            for (from, mix) in mixes {
                let (clip, noise) = (0.7, -1.3);
                let x = (1.0 - sigmas[from]) * clip + sigmas[from] * noise;
                let next = mix.state * x + mix.estimates.iter().sum::<f64>() * clip;
                let want = (1.0 - sigmas[from + 1]) * clip + sigmas[from + 1] * noise;
                assert!((next - want).abs() < 1e-12, "{from}: {mix:?}");
            }
        }
    }
}
