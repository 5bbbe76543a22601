//! The operations on an NVIDIA GPU against the same on the CPU. Ignored where there is none: run them with
//! `cargo test --features cuda,cudnn --test cuda -- --ignored --test-threads 1`.

#![cfg(feature = "cuda")]
#![allow(clippy::unwrap_used, clippy::expect_used)] // A test that cannot go on should panic.

use candle_core::{DType, Device, Tensor};
use flowblend::models::nn::{
    Activation, Rope3d, activate, attention, gated_add, layer_norm, rms_modulated,
};

fn gpu() -> Device {
    Device::new_cuda(0).expect("an NVIDIA GPU and its driver")
}

fn random(shape: impl Into<candle_core::Shape>) -> Tensor {
    Tensor::randn(0f32, 1.0, shape, &Device::Cpu).unwrap()
}

/// The same numbers on both devices, on the GPU in `dtype`, on the CPU in f32 after the same rounding.
fn both(x: &Tensor, dtype: DType, gpu: &Device) -> (Tensor, Tensor) {
    let rounded = x.to_dtype(dtype).unwrap();
    let there = rounded.to_device(gpu).unwrap();
    (there, rounded.to_dtype(DType::F32).unwrap())
}

/// The largest difference over the largest number.
fn off(got: &Tensor, want: &Tensor) -> f64 {
    let got = got.to_device(&Device::Cpu).unwrap();
    let got = got.to_dtype(DType::F64).unwrap();
    let want = want.to_dtype(DType::F64).unwrap();
    assert_eq!(got.dims(), want.dims());
    let largest = |x: &Tensor| {
        let values = x.flatten_all().unwrap().to_vec1::<f64>().unwrap();
        values.into_iter().fold(0f64, |a, b| {
            if b.is_nan() || a.is_nan() {
                f64::NAN
            } else {
                a.max(b.abs())
            }
        })
    };
    largest(&(got - &want).unwrap()) / largest(&want)
}

/// What a format's rounding leaves: scores of up to ten have an error of half a unit in the eighth bit in
/// bf16, in the eleventh in f16, which their weights have as well.
fn near(dtype: DType) -> f64 {
    match dtype {
        DType::F32 => 1e-5,
        DType::F16 => 3e-3,
        _ => 2e-2,
    }
}

const DTYPES: [DType; 3] = [DType::F32, DType::F16, DType::BF16];

#[test]
#[ignore = "needs an NVIDIA GPU"]
fn attention_is_that_of_the_cpu() {
    let gpu = gpu();
    // Keys in multiples of eight and not, fewer than a warp and more than a block.
    for (n, m, h, d) in [
        (1, 1, 1, 16),
        (37, 37, 3, 16),
        (300, 72, 2, 64),
        (65, 3001, 4, 64),
        (130, 8192, 2, 128),
    ] {
        let (q, k, v) = (
            (random((1, n, h, d)) * 2.0).unwrap(),
            random((1, m, h, d)),
            random((1, m, h, d)),
        );
        let scale = (d as f64).powf(-0.5);
        for dtype in DTYPES {
            let [(q, wide_q), (k, wide_k), (v, wide_v)] =
                [&q, &k, &v].map(|x| both(x, dtype, &gpu));
            let got = attention(&q, &k, &v, scale).unwrap();
            let want = attention(&wide_q, &wide_k, &wide_v, scale).unwrap();
            let off = off(&got, &want);
            println!("attention {n} {m} {h} {d} {dtype:?}: {off:.1e}");
            assert!(off < near(dtype), "{n} {m} {h} {d} {dtype:?}: {off}");
        }
    }
}

#[test]
#[ignore = "needs an NVIDIA GPU"]
fn a_nan_in_the_scores_is_not_hidden() {
    let gpu = gpu();
    for m in [16, 19] {
        let key = Tensor::ones((1, m, 1, 8), DType::BF16, &gpu).unwrap();
        let query = Tensor::full(f32::NAN, (1, 3, 1, 8), &gpu).unwrap();
        let query = query.to_dtype(DType::BF16).unwrap();
        let out = attention(&query, &key, &key, 1.0).unwrap();
        let out = out.to_dtype(DType::F32).unwrap().flatten_all().unwrap();
        assert!(out.to_vec1::<f32>().unwrap().iter().all(|v| v.is_nan()));
    }
}

#[test]
#[ignore = "needs an NVIDIA GPU"]
fn norms_gates_and_activations_are_those_of_the_cpu() {
    let gpu = gpu();
    for dim in [48, 1536, 5120] {
        let (x, y) = (random((1, 33, dim)), random((1, 33, dim)));
        let (scale, shift) = (random(dim), random(dim));
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
    let x = random((1, 3 * 4 * 5, 6, 128));
    for dtype in DTYPES {
        let (there, here) = both(&x, dtype, &gpu);
        let got = Rope3d::new((3, 4, 5), 128, 1e4, &gpu).unwrap();
        let want = Rope3d::new((3, 4, 5), 128, 1e4, &Device::Cpu).unwrap();
        let off = off(&got.apply(&there).unwrap(), &want.apply(&here).unwrap());
        println!("rope {dtype:?}: {off:.1e}");
        assert!(off < near(dtype), "{dtype:?}: {off}");
    }
}
