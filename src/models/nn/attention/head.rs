use super::super::cpu;
use super::super::product::{Packed, Panels, panel_product};

/// Queries that see a block of keys together, and the keys of a block: these, their values, the queries and what they find stay in the
/// second cache of a core, the weights of a panel of queries in the first.
pub(super) const QUERIES: usize = 256;
const KEYS: usize = 128;

/// What a thread works in.
#[derive(Default)]
pub(super) struct Buffers {
    /// The keys and the values of a head, packed block by block.
    keys: Vec<f32>,
    values: Vec<f32>,
    /// Some queries in panels, and what each panel has found: `(dim, queries of a panel)`.
    queries: Vec<f32>,
    found: Vec<f32>,
    /// What a panel's queries give to the keys of a block: `(keys, queries of a panel)`.
    weights: Vec<f32>,
    /// The largest score of each query so far, the sum of its weights, and what is left of earlier ones.
    largest: Vec<f32>,
    sums: Vec<f32>,
    left: Vec<f32>,
}

/// A head's part of queries, keys and values, whose rows lie `step` numbers apart.
pub(super) struct Head<'a> {
    pub queries: &'a [f32],
    pub keys: &'a [f32],
    pub values: &'a [f32],
    /// From that of the first query and the last key on.
    pub bias: Option<&'a [f32]>,
    /// How many queries and keys there are.
    pub counts: (usize, usize),
    pub dim: usize,
    pub step: usize,
    pub scale: f32,
}

impl Head<'_> {
    /// The blocks of keys, all about the same: the first of each, and how many it has.
    fn blocks(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        let keys = self.counts.1;
        let long = keys.div_ceil(keys.div_ceil(KEYS).max(1)).max(1);
        (0..keys)
            .step_by(long)
            .map(move |first| (first, long.min(keys - first)))
    }

    /// Packs the keys, and the values turned, so that of both products what comes out of one goes into the next as it is: scores are
    /// `keys (keys, dim) * queries (dim, queries)`, and what is found `values (dim, keys) * weights (keys, queries)`.
    pub(super) fn pack(&self, buffers: &mut Buffers) {
        let Self { dim, step, .. } = *self;
        buffers.keys.resize(self.counts.1 * dim, 0.0);
        buffers.values.resize(self.counts.1 * dim, 0.0);
        for (first, count) in self.blocks() {
            let place = first * dim..(first + count) * dim;
            let (keys, values) = (&self.keys[first * step..], &self.values[first * step..]);
            Packed::new(count, dim).fill_from_rows(&mut buffers.keys[place.clone()], keys, step);
            Packed::new(dim, count).fill_from_columns(&mut buffers.values[place], values, step);
        }
    }

    /// How the queries from `start` on are laid out, a block of them at most.
    fn layout(&self, start: usize) -> Panels {
        Panels::new(self.dim, QUERIES.min(self.counts.0 - start))
    }

    /// What the queries from `start` on find, a block of them at most, not yet divided by the sums of their weights. Keys come block by
    /// block, and what was found so far is scaled down where a larger score turns up (Milakov & Gimelshein 2018, arXiv 1805.02867).
    pub(super) fn attend(&self, start: usize, buffers: &mut Buffers) {
        let Self { dim, step, .. } = *self;
        let layout = self.layout(start);
        let width = layout.width();
        let Buffers {
            keys,
            values,
            queries,
            found,
            weights,
            largest,
            sums,
            left,
        } = buffers;
        queries.resize(layout.len(), 0.0);
        found.resize(layout.len(), 0.0);
        found.fill(0.0);
        largest.clear();
        largest.resize(layout.count() * width, f32::NEG_INFINITY);
        sums.clear();
        sums.resize(layout.count() * width, 0.0);
        left.resize(width, 0.0);
        for panel in 0..layout.count() {
            let to = &mut queries[panel * layout.panel_len()..][..layout.panel_len()];
            layout.fill_from_columns(panel, to, &self.queries[start * step..], step);
        }
        for (first, count) in self.blocks() {
            let place = first * dim..(first + count) * dim;
            let (keys, values) = (&keys[place.clone()], &values[place]);
            weights.resize(count * width, 0.0);
            for panel in 0..layout.count() {
                if let Some(bias) = self.bias {
                    let from = start + panel * width;
                    let there = width.min(self.counts.0 - from);
                    for (key, weights) in weights.chunks_exact_mut(width).enumerate() {
                        let nearest = from + self.counts.1 - 1 - (first + key);
                        weights[..there].copy_from_slice(&bias[nearest..][..there]);
                    }
                }
                let lanes = panel * width..(panel + 1) * width;
                let place = panel * layout.panel_len()..(panel + 1) * layout.panel_len();
                let (queries, found) = (&queries[place.clone()], &mut found[place]);
                let added = self.bias.is_some();
                panel_product(Packed::new(count, dim), keys, queries, weights, added);
                let (largest, sums) = (&mut largest[lanes.clone()], &mut sums[lanes]);
                weigh(weights, self.scale, largest, sums, left);
                if first > 0 && left.iter().any(|left| *left != 1.0) {
                    scaled(found, left);
                }
                panel_product(Packed::new(dim, count), values, weights, found, true);
            }
        }
    }

    /// Writes what the queries from `start` on have found to `out` from `at` on.
    ///
    /// # Safety
    /// The rows of the output are the caller's alone.
    pub(super) unsafe fn write(
        &self,
        start: usize,
        out: cpu::Shared,
        at: usize,
        buffers: &Buffers,
    ) {
        let layout = self.layout(start);
        let panels = buffers.found.chunks_exact(layout.panel_len());
        let (count, width) = (layout.columns, layout.width());
        // SAFETY: the caller's promise.
        unsafe { self.write_panels(out, at, count, panels, width, &buffers.sums) };
    }

    /// Writes what `count` queries in panels of `width` have found, divided by the sums of their weights.
    ///
    /// # Safety
    /// As for [`write`](Self::write).
    pub(super) unsafe fn write_panels<'a>(
        &self,
        out: cpu::Shared,
        at: usize,
        count: usize,
        panels: impl Iterator<Item = &'a [f32]>,
        width: usize,
        sums: &[f32],
    ) {
        for (panel, found) in panels.enumerate() {
            for query in panel * width..((panel + 1) * width).min(count) {
                let share = sums[query].recip();
                // SAFETY: the caller's promise.
                let row = unsafe { out.slice(at + query * self.step, self.dim) };
                for (out, found) in row.iter_mut().zip(found.chunks_exact(width)) {
                    *out = found[query % width] * share;
                }
            }
        }
    }
}

/// Queries that the loops below take at a time; a panel has one or several times as many.
const LANES: usize = 16;

cpu::vectorised! {
    /// Turns the scores of as many queries as `largest` has, `(keys, queries)`, into their weights `exp(scale * (score - largest))`.
    /// `largest` and `sums` are brought up to date, and `left` is what weights of before are to be multiplied by.
    fn weigh(scores: &mut [f32], scale: f32, largest: &mut [f32], sums: &mut [f32], left: &mut [f32]) {
        // Weights are powers of two, which are easier than those of e.
        let scale = scale * std::f32::consts::LOG2_E;
        let larger = |a: f32, b: f32| if a > b { a } else { b };
        let width = largest.len();
        for first in (0..width).step_by(LANES) {
            let lanes = first..first + LANES;
            let mut most = [0f32; LANES];
            most.copy_from_slice(&largest[lanes.clone()]);
            for row in scores.chunks_exact(width) {
                if let Some(row) = row[first..].first_chunk::<LANES>() {
                    for (most, &score) in most.iter_mut().zip(row) {
                        *most = larger(*most, score);
                    }
                }
            }
            let mut added = [0f32; LANES];
            for row in scores.chunks_exact_mut(width) {
                if let Some(row) = row[first..].first_chunk_mut::<LANES>() {
                    for ((score, most), added) in row.iter_mut().zip(most).zip(&mut added) {
                        *score = cpu::exp2((*score - most) * scale, FUSED);
                        *added += *score;
                    }
                }
            }
            let (largest, sums) = (&mut largest[lanes.clone()], &mut sums[lanes.clone()]);
            for (i, left) in left[lanes].iter_mut().enumerate() {
                *left = cpu::exp2((largest[i] - most[i]) * scale, FUSED);
                largest[i] = most[i];
                sums[i] = sums[i] * *left + added[i];
            }
        }
    }
}

cpu::vectorised! {
    /// Multiplies each row of `found` by `left`.
    pub(super) fn scaled(found: &mut [f32], left: &[f32]) {
        for row in found.chunks_exact_mut(left.len()) {
            for (found, left) in row.iter_mut().zip(left) {
                *found *= left;
            }
        }
    }
}
