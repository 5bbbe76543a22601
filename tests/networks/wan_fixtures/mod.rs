//! What the WAN tests share: fixtures that tests/reference/wan.py writes, and comparisons.

#![allow(clippy::unwrap_used, reason = "a helper of a test fails by panicking")]

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};

/// The folder of fixtures.
#[allow(dead_code, reason = "not every test binary reads fixtures of wan.py")]
fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/wan")
}

fn present(path: PathBuf) -> PathBuf {
    assert!(
        path.exists(),
        "the fixture {} is missing; run `python tests/reference/wan.py` to write it",
        path.display()
    );
    path
}

/// The model folder of the `large` or the `small` model.
#[allow(dead_code, reason = "not every test binary reads these models")]
pub fn model(name: &str) -> PathBuf {
    present(folder().join("pair").join(name))
}

/// All tensors of a fixture, in f32.
#[allow(dead_code, reason = "not every test binary reads tensors")]
pub fn tensors(name: &str) -> HashMap<String, Tensor> {
    let path = present(folder().join(format!("{name}.safetensors")));
    let stored = candle_core::safetensors::load(path, &Device::Cpu).unwrap();
    stored
        .into_iter()
        .map(|(name, tensor)| (name, tensor.to_dtype(DType::F32).unwrap()))
        .collect()
}

/// The text of a fixture.
#[allow(dead_code, reason = "not every test binary reads text")]
pub fn text(name: &str) -> String {
    std::fs::read_to_string(present(folder().join(name))).unwrap()
}

/// How far `got` is from `want`: the l2 norm of the difference over that of `want`, and the
/// largest difference over the largest value of `want`.
pub fn errors(got: &Tensor, want: &Tensor) -> (f64, f64) {
    assert_eq!(got.dims(), want.dims());
    let values = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let (mut square, mut of, mut largest, mut peak) = (0.0f64, 0.0f64, 0.0f64, 0.0f64);
    for (got, want) in values(got).into_iter().zip(values(want)) {
        let (difference, want) = (f64::from(got) - f64::from(want), f64::from(want));
        assert!(difference.is_finite());
        square += difference * difference;
        of += want * want;
        largest = largest.max(difference.abs());
        peak = peak.max(want.abs());
    }
    ((square / of).sqrt(), largest / peak)
}

/// Fails unless both [`errors`] are below `tolerance`; prints them for `--nocapture`.
#[allow(dead_code, reason = "not every test binary compares with a reference")]
pub fn assert_close(what: &str, got: &Tensor, want: &Tensor, tolerance: f64) {
    let (l2, max) = errors(got, want);
    println!("{what}: l2 {l2:.2e}, max {max:.2e}");
    assert!(
        l2 < tolerance && max < tolerance,
        "{what}: l2 {l2:.2e}, max {max:.2e}"
    );
}
