use candle_core::{DType, Result, Tensor};

use super::on_cpu_f32;

mod fused;
mod head;
mod integers;

/// Softmax attention, exact, without ever holding the whole score matrix.
///
/// `q` is `(B, N, H, D)`, `k` and `v` are `(B, M, H, D)`; the result is `(B, N, H, D)`. Scores
/// are multiplied by `scale`.
pub fn attention(q: &Tensor, k: &Tensor, v: &Tensor, scale: f64) -> Result<Tensor> {
    attention_in(q, k, v, scale, false)
}

/// [`attention`] whose products a CPU makes in `integers`, where it is faster so: each number is then rounded to 14 bits beside the largest
/// of 64.
pub fn attention_in(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    scale: f64,
    integers: bool,
) -> Result<Tensor> {
    if on_cpu_f32(q) {
        return fused::attention(q, k, v, scale, None, integers);
    }
    #[cfg(feature = "cuda")]
    if super::cuda::flash_can(q, k, v, scale) {
        return super::cuda::flash(q, k, v, scale);
    }
    composed(q, k, v, scale)
}

/// [`attention`] without a scale and with a bias that depends on distance alone, as T5 has it: `bias` is `(H, N + M - 1)`, of which entry
/// `i - j + M - 1` is added to the score of query `i` and key `j`.
pub fn attention_by_distance(q: &Tensor, k: &Tensor, v: &Tensor, bias: &Tensor) -> Result<Tensor> {
    if on_cpu_f32(q) {
        return fused::attention(q, k, v, 1.0, Some(bias), false);
    }
    composed_by_distance(q, k, v, bias)
}

fn composed_by_distance(q: &Tensor, k: &Tensor, v: &Tensor, bias: &Tensor) -> Result<Tensor> {
    let (queries, keys) = (q.dim(1)?, k.dim(1)?);
    let distances: Vec<u32> = (0..queries)
        .flat_map(|i| (0..keys).map(move |j| (i + keys - 1 - j) as u32))
        .collect();
    let bias = bias
        .index_select(&Tensor::new(distances, q.device())?, 1)?
        .reshape(((), queries, keys))?;
    let by_head = |x: &Tensor| x.transpose(1, 2)?.contiguous();
    let scores = by_head(q)?
        .matmul(&by_head(k)?.transpose(2, 3)?.contiguous()?)?
        .broadcast_add(&bias.unsqueeze(0)?)?;
    let weights = candle_nn::ops::softmax_last_dim(&scores.to_dtype(DType::F32)?)?;
    weights
        .to_dtype(v.dtype())?
        .matmul(&by_head(v)?)?
        .transpose(1, 2)?
        .contiguous()
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

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::super::product::integers::Instructions;
    use super::*;

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
    fn integers_agree_with_f32() {
        let dev = Device::Cpu;
        for (n, m, h, d) in [
            (1, 1, 1, 4),
            (37, 37, 3, 16),
            (300, 70, 2, 64),
            (5, 3000, 2, 12),
            (300, 500, 1, 128),
        ] {
            let q = Tensor::randn(0f32, 2.0, (2, n, h, d), &dev).unwrap();
            let k = Tensor::randn(0f32, 2.0, (2, m, h, d), &dev).unwrap();
            let v = Tensor::randn(0f32, 1.0, (2, m, h, d), &dev).unwrap();
            let scale = (d as f64).powf(-0.5);
            let [want, got] =
                [false, true].map(|integers| attention_in(&q, &k, &v, scale, integers).unwrap());
            let mean = |x: Tensor| {
                x.sqr()
                    .unwrap()
                    .mean_all()
                    .unwrap()
                    .to_scalar::<f32>()
                    .unwrap()
            };
            // The exponent of a weight, about four here, is off by 1e-4 of itself for each of two factors.
            let error = (mean((got - &want).unwrap()) / mean(want)).sqrt();
            assert!(error < 1e-3, "{n} {m} {h} {d}: {error}");
            let is_exact = Instructions::best().is_none();
            assert_eq!(error == 0.0, is_exact, "{n} {m} {h} {d}");
        }
    }

    #[test]
    fn a_bias_by_distance_agrees_with_the_composed_form() {
        let dev = Device::Cpu;
        for (n, m) in [(1, 1), (40, 40), (300, 290), (7, 600)] {
            let random = |n: usize| Tensor::randn(0f32, 1.0, (1, n, 3, 8), &dev).unwrap();
            let (q, k, v) = (random(n), random(m), random(m));
            let bias = Tensor::randn(0f32, 3.0, (3, n + m - 1), &dev).unwrap();
            let got = attention_by_distance(&q, &k, &v, &bias).unwrap();
            let want = composed_by_distance(&q, &k, &v, &bias).unwrap();
            let error = (got - want).unwrap().abs().unwrap().flatten_all().unwrap();
            let error = error.max(0).unwrap().to_scalar::<f32>().unwrap();
            assert!(error < 2e-5, "{n} {m}: {error}");
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
        for integers in [false, true] {
            let out = attention_in(&q, &k, &k, 1.0, integers).unwrap();
            let out = out.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            assert!(out.iter().all(|v| v.is_nan()), "{integers}");
        }
    }
}
