use std::cell::RefCell;

use candle_core::{CpuStorage, CustomOp3, DType, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use super::product::{Begin, Panels, Rows, Target, product};
use super::{cpu, on_cpu_f32};

/// Queries that see a block of keys together, and the keys of a block: their scores and what these come from stay in the second cache
/// of a core.
const QUERIES: usize = 96;
const KEYS: usize = 256;

/// Tasks that each thread gets at least, where there are queries enough.
const TASKS_A_THREAD: usize = 2;

/// Softmax attention, exact, without ever holding the whole score matrix.
///
/// `q` is `(B, N, H, D)`, `k` and `v` are `(B, M, H, D)`; the result is `(B, N, H, D)`. Scores
/// are multiplied by `scale`.
pub fn attention(q: &Tensor, k: &Tensor, v: &Tensor, scale: f64) -> Result<Tensor> {
    if on_cpu_f32(q) {
        let op = Fused {
            scale: scale as f32,
        };
        return q
            .contiguous()?
            .apply_op3_no_bwd(&k.contiguous()?, &v.contiguous()?, &op);
    }
    #[cfg(feature = "cuda")]
    if super::cuda::flash_can(q, k, v, scale) {
        return super::cuda::flash(q, k, v, scale);
    }
    composed(q, k, v, scale)
}

/// Scores that the form for other devices holds at a time: one gibibyte of them in f32.
const HELD: usize = 1 << 28;

/// The form for other devices: queries in chunks of so many that the scores held are bounded, softmax in f32.
fn composed(q: &Tensor, k: &Tensor, v: &Tensor, scale: f64) -> Result<Tensor> {
    let (_, queries, heads, _) = q.dims4()?;
    // Without copies in f32 there is room for more, and products of more rows fill the GPU better.
    let held = if own_softmax(q) { 2 * HELD } else { HELD };
    let chunk = chunk(held, heads * k.dim(1)?, queries);
    in_chunks(q, k, v, scale, chunk)
}

/// Queries that `most` scores are enough for, where one takes `row` scores, out of `queries`: whole tiles of
/// a GPU's matrix product where there are several.
fn chunk(most: usize, row: usize, queries: usize) -> usize {
    const TILE: usize = 64;
    let fitting = most / row.max(1);
    let whole = match fitting {
        0 => 1,
        few if few < TILE => few,
        many => many / TILE * TILE,
    };
    whole.min(queries.max(1))
}

fn in_chunks(q: &Tensor, k: &Tensor, v: &Tensor, scale: f64, chunk: usize) -> Result<Tensor> {
    let queries = q.dim(1)?;
    // Where the softmax takes the scale, the queries are not rounded for it.
    let own = own_softmax(q);
    let q = match own {
        true => q.transpose(1, 2)?.contiguous()?,
        false => (q.transpose(1, 2)? * scale)?.contiguous()?,
    };
    let k = k.transpose(1, 2)?.transpose(2, 3)?.contiguous()?;
    let v = v.transpose(1, 2)?.contiguous()?;
    let mut parts = Vec::with_capacity(queries.div_ceil(chunk));
    for start in (0..queries).step_by(chunk) {
        let q = q
            .narrow(2, start, chunk.min(queries - start))?
            .contiguous()?;
        let scores = q.matmul(&k)?;
        let weights = match own {
            true => softmax_in_place(scores, scale)?,
            false => candle_nn::ops::softmax_last_dim(&scores.to_dtype(DType::F32)?)?
                .to_dtype(v.dtype())?,
        };
        parts.push(weights.matmul(&v)?);
    }
    Tensor::cat(&parts, 2)?.transpose(1, 2)?.contiguous()
}

/// Whether a kernel of our own does the softmax: it reads and writes the scores once, where candle's
/// operations do so many times.
fn own_softmax(q: &Tensor) -> bool {
    #[cfg(feature = "cuda")]
    return super::cuda::softmax_can(q);
    #[cfg(not(feature = "cuda"))]
    {
        let _ = q;
        false
    }
}

/// `softmax(scale * scores)` over the last axis, where [`own_softmax`] says so.
fn softmax_in_place(scores: Tensor, scale: f64) -> Result<Tensor> {
    #[cfg(feature = "cuda")]
    super::cuda::softmax_in_place(&scores, scale)?;
    #[cfg(not(feature = "cuda"))]
    let _ = scale;
    Ok(scores)
}

struct Fused {
    scale: f32,
}

/// What a thread works in.
#[derive(Default)]
struct Buffers {
    /// The keys and the values of a head, laid out block by block.
    keys: Vec<f32>,
    values: Vec<f32>,
    /// The scores of some queries for a block of keys.
    scores: Vec<f32>,
    /// The largest score of each query so far, and the sum of its weights.
    standing: Vec<(f32, f32)>,
}

thread_local! {
    static BUFFERS: RefCell<Buffers> = RefCell::default();
}

/// A head's part of queries, keys and values, whose rows lie `step` numbers apart.
struct Head<'a> {
    queries: &'a [f32],
    keys: &'a [f32],
    values: &'a [f32],
    /// How many queries and keys there are.
    counts: (usize, usize),
    dim: usize,
    step: usize,
}

impl CustomOp3 for Fused {
    fn name(&self) -> &'static str {
        "attention"
    }

    fn cpu_fwd(
        &self,
        q: &CpuStorage,
        q_layout: &Layout,
        k: &CpuStorage,
        k_layout: &Layout,
        v: &CpuStorage,
        v_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (batch, queries, heads, dim) = q_layout.shape().dims4()?;
        let keys = k_layout.shape().dims4()?.1;
        if k_layout.dims() != [batch, keys, heads, dim] || k_layout.dims() != v_layout.dims() {
            bail!(
                "attention was given queries {:?}, keys {:?}, values {:?}",
                q_layout.shape(),
                k_layout.shape(),
                v_layout.shape()
            );
        }
        let q = cpu::slice(q, q_layout)?;
        let k = cpu::slice(k, k_layout)?;
        let v = cpu::slice(v, v_layout)?;
        let mut out = vec![0f32; q.len()];
        let shared = cpu::Shared::new(&mut out);
        // Where there are few heads, queries are shared out as well, which costs a second laying out of the keys.
        let blocks = queries.div_ceil(QUERIES);
        let groups = (TASKS_A_THREAD * rayon::current_num_threads())
            .div_ceil((batch * heads).max(1))
            .clamp(1, blocks.max(1));
        let step = heads * dim;
        (0..batch * heads * groups)
            .into_par_iter()
            .for_each(|task| {
                let (b, head, group) = (
                    task / (heads * groups),
                    task / groups % heads,
                    task % groups,
                );
                let first = group * blocks / groups * QUERIES;
                let last = ((group + 1) * blocks / groups * QUERIES).min(queries);
                let at = (b * queries + first) * step + head * dim;
                let seen = b * keys * step + head * dim;
                let head = Head {
                    queries: &q[at.min(q.len())..],
                    keys: &k[seen.min(k.len())..],
                    values: &v[seen.min(v.len())..],
                    counts: (last - first, keys),
                    dim,
                    step,
                };
                BUFFERS.with_borrow_mut(|buffers| {
                    // SAFETY: a task owns its queries' rows of the output, in its head's columns.
                    unsafe { head.attend(self.scale, shared, at, buffers) };
                });
            });
        cpu::output(out, q_layout.shape())
    }
}

impl Head<'_> {
    /// Writes what each query finds to `out` from `at` on. Keys come block by block, and what was found so far is scaled down
    /// where a larger score turns up (Milakov & Gimelshein 2018, arXiv 1805.02867).
    ///
    /// # Safety
    /// The rows of the output are the caller's alone.
    unsafe fn attend(&self, scale: f32, out: cpu::Shared, at: usize, buffers: &mut Buffers) {
        let Self {
            counts, dim, step, ..
        } = *self;
        let (queries, keys) = counts;
        let Buffers {
            keys: laid_keys,
            values: laid_values,
            scores,
            standing,
        } = buffers;
        let layouts = |block: usize| {
            let count = KEYS.min(keys - block * KEYS);
            (Panels::new(dim, count), Panels::new(count, dim))
        };
        let blocks = keys.div_ceil(KEYS);
        // Room for whole blocks; the last may be shorter.
        let room = (
            Panels::new(dim, KEYS.min(keys)),
            Panels::new(KEYS.min(keys), dim),
        );
        laid_keys.resize(blocks * room.0.len(), 0.0);
        laid_values.resize(blocks * room.1.len(), 0.0);
        for block in 0..blocks {
            let (of_keys, of_values) = layouts(block);
            let first = block * KEYS;
            let to = &mut laid_keys[block * room.0.len()..][..of_keys.len()];
            for (index, panel) in to.chunks_exact_mut(of_keys.panel_len().max(1)).enumerate() {
                of_keys.fill_from_columns(index, panel, &self.keys[first * step..], step);
            }
            let to = &mut laid_values[block * room.1.len()..][..of_values.len()];
            for (index, panel) in to
                .chunks_exact_mut(of_values.panel_len().max(1))
                .enumerate()
            {
                of_values.fill_from_rows(index, panel, &self.values[first * step..], step);
            }
        }

        scores.resize(QUERIES * KEYS, 0.0);
        for start in (0..queries).step_by(QUERIES) {
            let count = QUERIES.min(queries - start);
            standing.clear();
            standing.resize(count, (f32::NEG_INFINITY, 0.0));
            for block in 0..blocks {
                let (of_keys, of_values) = layouts(block);
                let wide = of_keys.columns;
                let scores = &mut scores[..count * wide];
                let rows = Rows {
                    start: self.queries[start * step..].as_ptr(),
                    step,
                    count,
                };
                let target = Target {
                    out: cpu::Shared::new(scores),
                    at: 0,
                    step: wide,
                    begin: Begin::Zero,
                    activation: None,
                };
                let panels = &laid_keys[block * room.0.len()..][..of_keys.len()];
                // SAFETY: the queries' rows lie in their slice, the scores are this thread's.
                unsafe { product(rows, of_keys, panels, target, false) };

                for (i, (scores, (max, sum))) in scores
                    .chunks_exact_mut(wide)
                    .zip(standing.iter_mut())
                    .enumerate()
                {
                    let before = *max;
                    largest(scores, max);
                    if block > 0 && *max != before {
                        let less = cpu::exp((before - *max) * scale);
                        *sum *= less;
                        // SAFETY: the caller's promise.
                        scaled(unsafe { out.slice(at + (start + i) * step, dim) }, less);
                    }
                    weigh(scores, *max, scale, sum);
                }

                let rows = Rows {
                    start: scores.as_ptr(),
                    step: wide,
                    count,
                };
                let target = Target {
                    out,
                    at: at + start * step,
                    step,
                    begin: if block == 0 { Begin::Zero } else { Begin::Out },
                    activation: None,
                };
                let panels = &laid_values[block * room.1.len()..][..of_values.len()];
                // SAFETY: the scores are whole rows; the caller's promise.
                unsafe { product(rows, of_values, panels, target, false) };
            }
            for (i, (_, sum)) in standing.iter().enumerate() {
                // SAFETY: the caller's promise.
                scaled(
                    unsafe { out.slice(at + (start + i) * step, dim) },
                    sum.recip(),
                );
            }
        }
    }
}

cpu::vectorised! {
    /// The largest of `max` and all of `x`. Unlike f32::max this keeps NaN, which must not be hidden.
    fn largest(x: &[f32], max: &mut f32) {
        const LANES: usize = 16;
        let larger = |a: f32, b: f32| if b <= a { a } else { b };
        let (chunks, tail) = x.as_chunks::<LANES>();
        let mut lanes = [*max; LANES];
        for chunk in chunks {
            for (max, &v) in lanes.iter_mut().zip(chunk) {
                *max = larger(*max, v);
            }
        }
        *max = lanes.iter().chain(tail).fold(*max, |a, &b| larger(a, b));
    }
}

cpu::vectorised! {
    /// `exp(scale * (x - max))` in place, and their sum added to `sum`.
    fn weigh(x: &mut [f32], max: f32, scale: f32, sum: &mut f32) {
        const LANES: usize = 16;
        let (chunks, tail) = x.as_chunks_mut::<LANES>();
        let mut sums = [0f32; LANES];
        for chunk in chunks {
            for (sum, v) in sums.iter_mut().zip(chunk) {
                *v = cpu::exp((*v - max) * scale);
                *sum += *v;
            }
        }
        for (sum, v) in sums.iter_mut().zip(tail) {
            *v = cpu::exp((*v - max) * scale);
            *sum += *v;
        }
        *sum += sums.iter().sum::<f32>();
    }
}

cpu::vectorised! {
    fn scaled(x: &mut [f32], by: f32) {
        for v in x {
            *v *= by;
        }
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device, Tensor};

    use super::{attention, chunk, composed, in_chunks};

    #[test]
    fn blocks_agree_with_the_composed_form() {
        let dev = Device::Cpu;
        for (n, m, h, d) in [
            (1, 1, 1, 4),
            (37, 37, 3, 16),
            (300, 70, 2, 8),
            (5, 3000, 2, 12),
        ] {
            let q = Tensor::randn(0f32, 2.0, (2, n, h, d), &dev).unwrap();
            let k = Tensor::randn(0f32, 2.0, (2, m, h, d), &dev).unwrap();
            let v = Tensor::randn(0f32, 1.0, (2, m, h, d), &dev).unwrap();
            let scale = (d as f64).powf(-0.5);
            let got = attention(&q, &k, &v, scale).unwrap();
            let want = composed(&q, &k, &v, scale).unwrap();
            assert_eq!(got.dims(), &[2, n, h, d]);
            let error = (got - want).unwrap().abs().unwrap().flatten_all().unwrap();
            let error = error.max(0).unwrap().to_dtype(DType::F64).unwrap();
            assert!(error.to_scalar::<f64>().unwrap() < 2e-5, "{n} {m} {h} {d}");
        }
    }

    #[test]
    fn chunks_of_queries_change_nothing() {
        let dev = Device::Cpu;
        let random = |n: usize| Tensor::randn(0f64, 1.0, (1, n, 3, 8), &dev).unwrap();
        let (q, k, v) = (random(37), random(21), random(21));
        let of = |chunk: usize| in_chunks(&q, &k, &v, 0.3, chunk).unwrap();
        let whole = of(37);
        for chunk in [1, 5, 36] {
            let error = (of(chunk) - &whole).unwrap().abs().unwrap();
            let error = error.flatten_all().unwrap().max(0).unwrap();
            // One row's product may be summed in another order; weights are f32.
            assert!(error.to_scalar::<f64>().unwrap() < 1e-6, "{chunk}");
        }
    }

    #[test]
    fn held_scores_are_bounded() {
        let most = 1 << 28;
        // WAN 14B at 832x480, 81 frames: all scores at once would be 86 GB in bf16.
        let (heads, tokens) = (40, 32_760);
        let of = chunk(most, heads * tokens, tokens);
        assert_eq!(of, 192);
        assert!(of * heads * tokens <= most);
        assert_eq!(chunk(most, 4 * 100, 100), 100);
        assert_eq!(chunk(most, most / 10, 100), 10);
        assert_eq!(chunk(most, 3 * most, 100), 1);
        assert_eq!(chunk(most, 0, 0), 1);
    }

    #[test]
    fn nan_is_passed_on() {
        let dev = Device::Cpu;
        let q = Tensor::new(&[f32::NAN, 1.0], &dev)
            .unwrap()
            .reshape((1, 1, 1, 2))
            .unwrap();
        let k = Tensor::ones((1, 3, 1, 2), DType::F32, &dev).unwrap();
        let out = attention(&q, &k, &k, 1.0).unwrap().flatten_all().unwrap();
        assert!(out.to_vec1::<f32>().unwrap().iter().all(|v| v.is_nan()));
    }
}
