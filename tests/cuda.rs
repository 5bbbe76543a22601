//! The operations on an NVIDIA GPU against the same on the CPU. Ignored where there is none: run them with
//! `cargo test --features cuda,cudnn --test cuda -- --ignored --test-threads 1`.

#![cfg(feature = "cuda")]
#![allow(clippy::unwrap_used, clippy::expect_used)] // A test that cannot go on should panic.

use candle_core::{DType, Device, Shape, Tensor};
use flowblend::models::nn::{
    Activation, Rope3d, activate, attention, gated_add, layer_norm, rms_modulated,
};
use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::SeedableRng as _;
use rand_distr::{Distribution as _, StandardNormal};

fn gpu() -> Device {
    Device::new_cuda(0).expect("an NVIDIA GPU and its driver")
}

/// Numbers of the standard normal distribution, the same in every run.
struct Normal(ChaCha12Rng);

impl Normal {
    fn new() -> Self {
        Self(ChaCha12Rng::seed_from_u64(7))
    }

    fn draw(&mut self, shape: impl Into<Shape>) -> Tensor {
        let shape = shape.into();
        let values: Vec<f32> = (0..shape.elem_count())
            .map(|_| StandardNormal.sample(&mut self.0))
            .collect();
        Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
    }
}

/// The same numbers on both devices, on the GPU in `dtype`, on the CPU in f32 after the same rounding.
fn both(x: &Tensor, dtype: DType, gpu: &Device) -> (Tensor, Tensor) {
    let rounded = x.to_dtype(dtype).unwrap();
    let there = rounded.to_device(gpu).unwrap();
    (there, rounded.to_dtype(DType::F32).unwrap())
}

/// The largest magnitude; NaN where there is one.
fn largest(x: &Tensor) -> f64 {
    let x = x.to_dtype(DType::F64).unwrap().flatten_all().unwrap();
    let values = x.to_vec1::<f64>().unwrap();
    values.into_iter().fold(0f64, |a, b| match b.is_nan() {
        true => b,
        false if a.is_nan() => a,
        false => a.max(b.abs()),
    })
}

/// The largest difference over the largest number.
fn off(got: &Tensor, want: &Tensor) -> f64 {
    let got = got.to_device(&Device::Cpu).unwrap();
    let got = got.to_dtype(DType::F64).unwrap();
    let want = want.to_dtype(DType::F64).unwrap();
    assert_eq!(got.dims(), want.dims());
    largest(&(got - &want).unwrap()) / largest(&want)
}

/// What rounding to a format changes at most, relative to the number: half a unit of its last digit.
fn unit(dtype: DType) -> f64 {
    match dtype {
        DType::F32 => 2f64.powi(-24),
        DType::F16 => 2f64.powi(-11),
        _ => 2f64.powi(-8),
    }
}

/// What the roundings of up to five steps, one after the other, leave. In f32 the order of sums and the
/// functions' approximations come on top.
fn near(dtype: DType) -> f64 {
    match dtype {
        DType::F32 => 1e-5,
        _ => 5.0 * unit(dtype),
    }
}

/// What the format leaves of attention. Sums and the softmax are worked out in f32 everywhere; what is rounded
/// to the format are, where the kernel does not keep them in f32:
///
/// - the scores s: that changes them by |s| units at most, and with them the weights e^s by as much of themselves;
/// - the queries after the scale, where candle's softmax is used: each of a score's terms changes by up to a unit
///   of itself with a sign of its own, the score so by about one unit of the square root of the terms' squares.
///   That is `spread`, the scores' standard deviation, since the terms are independent and of mean 0;
/// - the weights, one unit, and the result, one unit.
///
/// So every weight is off by `(max |s| + spread + 1)` units of itself at most. Values have random signs, hence
/// these errors add up to the result's error just as the weights add up to the result.
fn attention_near(dtype: DType, scores: f64, spread: f64, dim: usize) -> f64 {
    let units = match (dtype, dim) {
        (DType::F32, _) => return near(dtype),
        // One kernel does it all and keeps scores in f32.
        (DType::BF16, 64 | 128) => 1.0 + 1.0,
        // The kernel for the softmax does the scaling.
        (DType::BF16, _) => scores + 1.0 + 1.0,
        _ => scores + spread + 1.0 + 1.0,
    };
    units * unit(dtype)
}

const DTYPES: [DType; 3] = [DType::F32, DType::F16, DType::BF16];

#[test]
#[ignore = "needs an NVIDIA GPU"]
fn attention_is_that_of_the_cpu() {
    let (gpu, mut normal) = (gpu(), Normal::new());
    // Keys in multiples of eight and not, fewer than a warp, more than a block, and one more than whole tiles.
    for (b, n, m, h, d) in [
        (1, 1, 1, 1, 16),
        (1, 37, 37, 3, 16),
        (1, 300, 72, 2, 64),
        (1, 65, 3001, 4, 64),
        (2, 129, 65, 3, 64),
        (1, 1, 1, 1, 128),
        (2, 129, 65, 3, 128),
        (1, 130, 8192, 2, 128),
    ] {
        const SPREAD: f64 = 2.0;
        let (q, k, v) = (
            (normal.draw((b, n, h, d)) * SPREAD).unwrap(),
            normal.draw((b, m, h, d)),
            normal.draw((b, m, h, d)),
        );
        let scale = (d as f64).powf(-0.5);
        let heads = |x: &Tensor| x.transpose(1, 2).unwrap().contiguous().unwrap();
        let scores = heads(&q).matmul(&heads(&k).t().unwrap()).unwrap();
        let scores = largest(&scores) * scale;
        for dtype in DTYPES {
            let [(q, wide_q), (k, wide_k), (v, wide_v)] =
                [&q, &k, &v].map(|x| both(x, dtype, &gpu));
            let got = attention(&q, &k, &v, scale).unwrap();
            let want = attention(&wide_q, &wide_k, &wide_v, scale).unwrap();
            let (off, near) = (off(&got, &want), attention_near(dtype, scores, SPREAD, d));
            println!("attention {b} {n} {m} {h} {d} {dtype:?}: {off:.1e} of {near:.1e}");
            assert!(off < near, "{b} {n} {m} {h} {d} {dtype:?}: {off}");
        }
    }
}

#[test]
#[ignore = "needs an NVIDIA GPU"]
fn a_nan_in_the_scores_is_not_hidden() {
    let gpu = gpu();
    for (m, d) in [(16, 8), (19, 8), (16, 64), (67, 64), (16, 128), (67, 128)] {
        let key = Tensor::ones((1, m, 1, d), DType::BF16, &gpu).unwrap();
        let query = Tensor::full(f32::NAN, (1, 3, 1, d), &gpu).unwrap();
        let query = query.to_dtype(DType::BF16).unwrap();
        let out = attention(&query, &key, &key, 1.0).unwrap();
        let out = out.to_dtype(DType::F32).unwrap().flatten_all().unwrap();
        assert!(out.to_vec1::<f32>().unwrap().iter().all(|v| v.is_nan()));
    }
}

#[test]
#[ignore = "needs an NVIDIA GPU"]
fn norms_gates_and_activations_are_those_of_the_cpu() {
    let (gpu, mut normal) = (gpu(), Normal::new());
    for dim in [48, 1536, 5120] {
        let (x, y) = (normal.draw((1, 33, dim)), normal.draw((1, 33, dim)));
        let (scale, shift) = (normal.draw(dim), normal.draw(dim));
        let there = |x: &Tensor| x.to_device(&gpu).unwrap();
        for dtype in DTYPES {
            let [(gx, cx), (gy, cy)] = [&x, &y].map(|x| both(x, dtype, &gpu));
            let (gs, gt) = (there(&scale), there(&shift));
            let pairs = [
                (
                    "layer norm",
                    layer_norm(&gx, &gs, &gt, 1e-6),
                    layer_norm(&cx, &scale, &shift, 1e-6),
                ),
                (
                    "rms norm",
                    rms_modulated(&gx, &gs, &gt, 1e-6),
                    rms_modulated(&cx, &scale, &shift, 1e-6),
                ),
                (
                    "gate",
                    gated_add(&gx, &gy, &gs),
                    gated_add(&cx, &cy, &scale),
                ),
                (
                    "gelu",
                    activate(&gx, Activation::GeluTanh),
                    activate(&cx, Activation::GeluTanh),
                ),
                (
                    "silu",
                    activate(&gx, Activation::Silu),
                    activate(&cx, Activation::Silu),
                ),
            ];
            for (name, got, want) in pairs {
                let off = off(&got.unwrap(), &want.unwrap());
                println!("{name} {dim} {dtype:?}: {off:.1e}");
                assert!(off < near(dtype), "{name} {dim} {dtype:?}: {off}");
            }
        }
    }
}

#[test]
#[ignore = "needs an NVIDIA GPU"]
fn the_rotation_is_that_of_the_cpu() {
    let gpu = gpu();
    let x = Normal::new().draw((1, 3 * 4 * 5, 6, 128));
    for dtype in DTYPES {
        let (there, here) = both(&x, dtype, &gpu);
        let got = Rope3d::new((3, 4, 5), 128, 1e4, &gpu).unwrap();
        let want = Rope3d::new((3, 4, 5), 128, 1e4, &Device::Cpu).unwrap();
        let off = off(&got.apply(&there).unwrap(), &want.apply(&here).unwrap());
        println!("rope {dtype:?}: {off:.1e}");
        assert!(off < near(dtype), "{dtype:?}: {off}");
    }
}
