//! The parts of one model, each by itself: what a pass, a decode and a prompt take.

use std::path::Path;

use candle_core::safetensors;
use serde_json::{Value, json};

use super::CliError;
use super::options::GlobalOptions;
use crate::engine::{OpenDevice, PartBench, PartsBench, PartsRequest, peak_rss_bytes};
use crate::project::{AtomicError, AtomicFile};

/// Measures, prints, and writes what went in and came out to the file `tensors`; an existing one only where `overwrite` says so.
pub(super) fn bench(
    request: &PartsRequest,
    tensors: Option<&Path>,
    overwrite: bool,
    global: &GlobalOptions,
) -> Result<(), CliError> {
    let failed = |why: AtomicError| CliError::Failed(why.to_string());
    // What cannot be written is refused before the first second of measuring.
    let file = tensors.map(|path| AtomicFile::create(path, overwrite));
    let file = file.transpose().map_err(failed)?;
    let options = global.engine();
    let device = OpenDevice::open(options.device, options.dtype).map_err(CliError::Failed)?;
    let bench = PartsBench::run(request, &device)
        .map_err(|why| CliError::Failed(format!("{}: {why}", request.model.display())))?;
    if let (Some(path), Some(file)) = (tensors, file) {
        let io = |why| AtomicError::from_io(path, std::io::Error::other(why));
        safetensors::save(&bench.tensors, file.temp_path())
            .map_err(io)
            .and_then(|()| file.commit())
            .map_err(failed)?;
    }
    if global.json {
        println!("{}", report(request, &bench, &device));
    } else {
        print(request, &bench, &device);
    }
    Ok(())
}

/// The middle one, the fastest and the slowest.
fn spread(secs: &[f64]) -> [f64; 3] {
    let mut secs = secs.to_vec();
    secs.sort_by(f64::total_cmp);
    let at = |index: usize| secs.get(index).copied().unwrap_or(f64::NAN);
    [at(secs.len() / 2), at(0), at(secs.len().saturating_sub(1))]
}

/// FLOPs a second at the median, where they are counted.
fn rate(part: &PartBench) -> Option<f64> {
    part.flops.map(|flops| flops.full() / spread(&part.secs)[0])
}

fn report(request: &PartsRequest, bench: &PartsBench, device: &OpenDevice) -> Value {
    let (width, height, frames) = bench.size;
    let part = |part: &PartBench| {
        let [median, min, max] = spread(&part.secs);
        json!({
            "part": part.part,
            "load_secs": part.load_secs,
            "first_secs": part.first_secs,
            "secs": { "median": median, "min": min, "max": max, "count": part.secs.len() },
            "flops": part.flops.map(|flops| flops.full()),
            "flops_a_second": rate(part),
        })
    };
    json!({
        "bench": "parts of a model",
        "model": request.model.display().to_string(),
        "device": device.to_string(),
        "dtype": device.dtype.as_str(),
        "integers": device.integers,
        "width": width,
        "height": height,
        "frames": frames,
        "parts": bench.parts.iter().map(part).collect::<Vec<_>>(),
        "product_flops_a_second": bench.product_rate,
        "peak_rss_bytes": peak_rss_bytes(),
    })
}

fn print(request: &PartsRequest, bench: &PartsBench, device: &OpenDevice) {
    let (width, height, frames) = bench.size;
    println!(
        "{} on {device} in {}: {width}x{height}, {frames} frames",
        request.model.display(),
        device.format()
    );
    for part in &bench.parts {
        let [median, min, max] = spread(&part.secs);
        let count = part.secs.len();
        let rate = rate(part).map_or_else(String::new, |rate| {
            let share = 100.0 * rate / bench.product_rate;
            format!(
                ", {:.1} GFLOP/s, {share:.0} % of a large matrix product",
                rate / 1e9
            )
        });
        println!(
            "{:<14} {median:.3} s (median of {count}, {min:.3} to {max:.3}){rate}",
            part.part
        );
    }
    println!("matrix product {:.1} GFLOP/s", bench.product_rate / 1e9);
    if let Some(bytes) = peak_rss_bytes() {
        println!("peak memory    {:.2} GB", bytes as f64 / 1e9);
    }
}
