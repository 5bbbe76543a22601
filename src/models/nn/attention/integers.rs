use super::super::cpu;
use super::super::product::integers::{
    BLOCK, Factor, Instructions, Layout, MOST, PLACES, integer, pair, panel_product,
};
use super::head::{Head, QUERIES, scaled};

/// Keys of a block: full groups of rows, and full blocks of integers.
const KEYS: usize = 192;

/// What a thread works in.
#[derive(Default)]
pub(super) struct Buffers {
    /// The keys of a head and its values, turned, block by block.
    keys: Vec<Factor>,
    values: Vec<Factor>,
    /// Some queries, and what each panel of them has found: `(dim, queries of a panel)`, a little more than `dim`.
    queries: Factor,
    found: Vec<f32>,
    /// The scores of a panel's queries for the keys of a block, `(keys, queries of a panel)`, and the weights they become.
    scores: Vec<f32>,
    weights: Factor,
    /// A channel of a block's values.
    channel: Vec<f32>,
    /// The largest score of each query so far, the sum of its weights, and what is left of earlier ones.
    largest: Vec<f32>,
    sums: Vec<f32>,
    left: Vec<f32>,
}

/// A head whose products are made in integers. As in [`Head`] what comes out of one product goes into the next as it is.
pub(super) struct IntegerHead<'a> {
    pub head: Head<'a>,
    pub instructions: Instructions,
}

impl IntegerHead<'_> {
    /// The blocks of keys: the first of each, and how many it has.
    fn blocks(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        let keys = self.head.counts.1;
        let firsts = (0..keys).step_by(KEYS);
        firsts.map(move |first| (first, KEYS.min(keys - first)))
    }

    /// Of so many keys, and of their values.
    fn layouts(&self, count: usize) -> (Layout, Layout) {
        let dim = self.head.dim;
        (
            Layout::rows(self.instructions, count, dim),
            Layout::rows(self.instructions, dim, count),
        )
    }

    /// Of the queries from `start` on, a block of them at most.
    fn queries(&self, start: usize) -> Layout {
        let count = QUERIES.min(self.head.counts.0 - start);
        Layout::columns(self.instructions, count, self.head.dim)
    }

    /// Packs the keys, and the values turned.
    pub(super) fn pack(&self, buffers: &mut Buffers) {
        let Head { dim, step, .. } = self.head;
        let count = self.blocks().count();
        for factors in [&mut buffers.keys, &mut buffers.values] {
            factors.resize_with(factors.len().max(count), Factor::default);
        }
        let factors = buffers.keys.iter_mut().zip(&mut buffers.values);
        for ((first, count), (keys, values)) in self.blocks().zip(factors) {
            let (of_keys, of_values) = self.layouts(count);
            keys.clear(of_keys);
            for key in 0..count {
                keys.fill(of_keys, key, &self.head.keys[(first + key) * step..][..dim]);
            }
            values.clear(of_values);
            for index in 0..dim {
                let channel = self.head.values[first * step + index..].iter();
                buffers.channel.clear();
                buffers.channel.extend(channel.step_by(step).take(count));
                values.fill(of_values, index, &buffers.channel);
            }
        }
    }

    /// What the queries from `start` on find: see [`Head::attend`].
    pub(super) fn attend(&self, start: usize, buffers: &mut Buffers) {
        let Head { dim, step, .. } = self.head;
        let of_queries = self.queries(start);
        let (panels, width) = (of_queries.groups(), of_queries.together());
        let Buffers {
            keys,
            values,
            queries,
            found,
            scores,
            weights,
            largest,
            sums,
            left,
            ..
        } = buffers;
        queries.clear(of_queries);
        for query in 0..of_queries.lines {
            let numbers = &self.head.queries[(start + query) * step..][..dim];
            queries.fill(of_queries, query, numbers);
        }
        let panel_len = self.panel_len(width);
        found.clear();
        found.resize(panels * panel_len, 0.0);
        largest.clear();
        largest.resize(panels * width, f32::NEG_INFINITY);
        sums.clear();
        sums.resize(panels * width, 0.0);
        left.resize(width, 0.0);
        let blocks = self.blocks().zip(keys.iter().zip(values.iter()));
        for ((first, count), (keys, values)) in blocks {
            let (of_keys, of_values) = self.layouts(count);
            let of_weights = Layout::columns(self.instructions, width, count);
            let rows = of_keys.groups() * of_keys.together();
            let places = count.next_multiple_of(PLACES);
            for panel in 0..panels {
                scores.clear();
                scores.resize(rows.max(places) * width, 0.0);
                let of_panel = (of_queries, &*queries, panel);
                let to = &mut scores[..rows * width];
                panel_product(self.instructions, (of_keys, keys), of_panel, to);
                // What there is no key for weighs nothing.
                scores[count * width..].fill(f32::NEG_INFINITY);
                let lanes = panel * width..(panel + 1) * width;
                let (largest, sums) = (&mut largest[lanes.clone()], &mut sums[lanes]);
                weights.resize(of_weights);
                let to = (&mut weights.pairs[..], &mut weights.scales[..]);
                let scores = &scores[..places * width];
                weigh(scores, self.head.scale, largest, sums, left, to.0, to.1);
                let found = &mut found[panel * panel_len..][..panel_len];
                if first > 0 && left.iter().any(|left| *left != 1.0) {
                    scaled(found, left);
                }
                let of_panel = (of_weights, &*weights, 0);
                panel_product(self.instructions, (of_values, values), of_panel, found);
            }
        }
    }

    /// Numbers of what a panel of `width` queries finds, with those that fill the last group of channels up.
    fn panel_len(&self, width: usize) -> usize {
        let of_values = self.layouts(1).1;
        of_values.groups() * of_values.together() * width
    }

    /// See [`Head::write`].
    ///
    /// # Safety
    /// As there.
    pub(super) unsafe fn write(
        &self,
        start: usize,
        out: cpu::Shared,
        at: usize,
        buffers: &Buffers,
    ) {
        let of_queries = self.queries(start);
        let width = of_queries.together();
        let panels = buffers.found.chunks_exact(self.panel_len(width));
        // SAFETY: the caller's promise.
        unsafe {
            self.head
                .write_panels(out, at, of_queries.lines, panels, width, &buffers.sums);
        }
    }
}

/// Queries that the loop below takes at a time; a panel has one or several times as many.
const LANES: usize = 16;

cpu::vectorised! {
    /// Turns the scores of as many queries as `largest` has, `(keys, queries)`, into their weights `exp(scale * (score - largest))` as
    /// integers: those of a block of keys beside the largest of the block, which gives its scale. `sums` count what was rounded, so
    /// that shares add up to one. `largest`, `sums` and `left` are as for f32.
    fn weigh(
        scores: &[f32],
        scale: f32,
        largest: &mut [f32],
        sums: &mut [f32],
        left: &mut [f32],
        pairs: &mut [u32],
        scales: &mut [f32]
    ) {
        let scale = scale * std::f32::consts::LOG2_E;
        let larger = |a: f32, b: f32| if a > b { a } else { b };
        let (width, most) = (largest.len(), MOST as f32);
        for first in (0..width).step_by(LANES) {
            let lanes = first..first + LANES;
            let mut of_blocks = [[f32::NEG_INFINITY; LANES]; KEYS / BLOCK];
            let mut of_all = [0f32; LANES];
            of_all.copy_from_slice(&largest[lanes.clone()]);
            for (of_block, rows) in of_blocks.iter_mut().zip(scores.chunks(BLOCK * width)) {
                for row in rows.chunks_exact(width) {
                    if let Some(row) = row[first..].first_chunk::<LANES>() {
                        for (of_block, &score) in of_block.iter_mut().zip(row) {
                            *of_block = larger(*of_block, score);
                        }
                    }
                }
                for (of_all, of_block) in of_all.iter_mut().zip(of_block) {
                    *of_all = larger(*of_all, *of_block);
                }
            }
            let mut added = [0f32; LANES];
            let blocks = scores.chunks(BLOCK * width).zip(pairs.chunks_mut(BLOCK / 2 * width));
            let blocks = blocks.zip(scales.chunks_exact_mut(width)).zip(&of_blocks);
            for (((rows, pairs), scales), of_block) in blocks {
                let mut sum = [0f32; LANES];
                for (rows, pairs) in rows.chunks_exact(2 * width).zip(pairs.chunks_exact_mut(width)) {
                    let found = (
                        rows[first..].first_chunk::<LANES>(),
                        rows[width + first..].first_chunk::<LANES>(),
                        pairs[first..].first_chunk_mut::<LANES>(),
                    );
                    if let (Some(row), Some(next), Some(pairs)) = found {
                        for i in 0..LANES {
                            let weight = |score: f32| integer(cpu::exp2((score - of_block[i]) * scale, FUSED) * most);
                            let (a, b) = (weight(row[i]), weight(next[i]));
                            sum[i] += (f32::from_bits(a) - cpu::ROUND) + (f32::from_bits(b) - cpu::ROUND);
                            pairs[i] = pair(a, b);
                        }
                    }
                }
                for (i, scales) in scales[lanes.clone()].iter_mut().enumerate() {
                    *scales = cpu::exp2((of_block[i] - of_all[i]) * scale, FUSED) / most;
                    added[i] += sum[i] * *scales;
                }
            }
            let (largest, sums) = (&mut largest[lanes.clone()], &mut sums[lanes.clone()]);
            for (i, left) in left[lanes].iter_mut().enumerate() {
                *left = cpu::exp2((largest[i] - of_all[i]) * scale, FUSED);
                largest[i] = of_all[i];
                sums[i] = sums[i] * *left + added[i];
            }
        }
    }
}
