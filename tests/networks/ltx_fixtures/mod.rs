//! What the LTX-Video tests share: fixtures that tests/reference/ltx.py writes, and comparisons.

#![allow(clippy::unwrap_used, reason = "a helper of a test fails by panicking")]

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};

#[allow(unused_imports, reason = "not every test binary needs both")]
pub use crate::wan_fixtures::{assert_close, errors};

fn present(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/ltx")
        .join(name);
    assert!(
        path.exists(),
        "the fixture {} is missing; run `python tests/reference/ltx.py` to write it",
        path.display()
    );
    path
}

/// The model folder of the `large` or the `small` model.
pub fn model(name: &str) -> PathBuf {
    present(&format!("pair/{name}"))
}

/// The folder that holds a VAE of version 0.9.0.
#[allow(dead_code, reason = "not every test binary reads it")]
pub fn old_model() -> PathBuf {
    present("old")
}

/// All tensors of a fixture, in f32.
pub fn tensors(name: &str) -> HashMap<String, Tensor> {
    let path = present(&format!("{name}.safetensors"));
    let stored = candle_core::safetensors::load(path, &Device::Cpu).unwrap();
    stored
        .into_iter()
        .map(|(name, tensor)| (name, tensor.to_dtype(DType::F32).unwrap()))
        .collect()
}

/// The JSON of a fixture.
pub fn json(name: &str) -> serde_json::Value {
    serde_json::from_str(&std::fs::read_to_string(present(name)).unwrap()).unwrap()
}
