//! A transformer at its full size with random weights: what one pass of it takes.

use serde_json::json;

use super::CliError;
use super::options::GlobalOptions;
use crate::engine::{OpenDevice, PassBench, PassRequest};
use crate::models::{NumberFormat, TransformerConfig};

/// What to measure.
pub(super) struct ModelBench<'a> {
    /// One of [`TransformerConfig::PUBLISHED`].
    pub(super) name: &'a str,
    /// Width and height; the family's usual where left out.
    pub(super) size: Option<(usize, usize)>,
    pub(super) frames: Option<usize>,
    pub(super) passes: usize,
}

/// Measures and prints. Fails after that where the output is not finite.
pub(super) fn bench(what: &ModelBench<'_>, global: &GlobalOptions) -> Result<(), CliError> {
    let config = TransformerConfig::published(what.name).ok_or_else(|| {
        CliError::Usage(format!(
            "there is no model {}; choose one of {}",
            what.name,
            TransformerConfig::PUBLISHED.join(", ")
        ))
    })?;
    let (width, height, frames) = config.family().usual_size();
    let (width, height) = what.size.unwrap_or((width, height));
    let size = (width, height, what.frames.unwrap_or(frames));
    config
        .family()
        .check_size(size.0, size.1, size.2)
        .map_err(|why| CliError::Usage(why.to_string()))?;
    let options = global.engine();
    let device = OpenDevice::open(options.device, options.dtype).map_err(CliError::Failed)?;
    let request = PassRequest {
        config,
        size,
        passes: what.passes,
    };
    let measured = PassBench::run(&request, &device)
        .map_err(|why| CliError::Failed(format!("{}: {why}", what.name)))?;
    let report = Report::new(what.name, size, &device, &measured);
    if global.json {
        println!("{}", report.json());
    } else {
        report.print();
    }
    if measured.is_finite {
        Ok(())
    } else {
        Err(CliError::Failed(
            "the output holds numbers that are not finite; try --dtype f32".to_owned(),
        ))
    }
}

struct Report<'a> {
    name: &'a str,
    size: (usize, usize, usize),
    device: String,
    format: NumberFormat,
    measured: &'a PassBench,
    /// The middle one, the fastest and the slowest.
    secs: [f64; 3],
}

impl<'a> Report<'a> {
    fn new(
        name: &'a str,
        size: (usize, usize, usize),
        device: &OpenDevice,
        measured: &'a PassBench,
    ) -> Self {
        let mut secs = measured.pass_secs.clone();
        secs.sort_by(f64::total_cmp);
        let at = |index: usize| secs.get(index).copied().unwrap_or(f64::NAN);
        Self {
            name,
            size,
            device: device.to_string(),
            format: device.format(),
            measured,
            secs: [at(secs.len() / 2), at(0), at(secs.len().saturating_sub(1))],
        }
    }

    /// TFLOPs of a pass, and of them a second at the median.
    fn tflops(&self) -> (f64, f64) {
        let pass = self.measured.flops.full() / 1e12;
        (pass, pass / self.secs[0])
    }

    fn json(&self) -> serde_json::Value {
        let m = self.measured;
        let (width, height, frames) = self.size;
        let (tflops, speed) = self.tflops();
        let [median, min, max] = self.secs;
        json!({
            "bench": "one pass with random weights",
            "model": self.name,
            "device": self.device,
            "dtype": self.format.dtype.as_str(),
            "integers": self.format.integers,
            "width": width,
            "height": height,
            "frames": frames,
            "tokens": m.tokens,
            "text_tokens": m.text_tokens,
            "parameters": m.parameters,
            "passes_a_step": { "without_guidance": 1, "with_guidance": 2 },
            "build_secs": m.build_secs,
            "first_pass_secs": m.first_secs,
            "pass_secs": { "median": median, "min": min, "max": max, "count": m.pass_secs.len() },
            "pass_tflops": tflops,
            "tflops_a_second": speed,
            "weights_bytes": m.weights_bytes,
            "peak_tensor_bytes": m.peak_bytes,
            "gpu_bytes_taken": m.taken_bytes,
            "is_finite": m.is_finite,
            "output_rms": m.rms,
            "output_samples": m.samples,
        })
    }

    fn print(&self) {
        let m = self.measured;
        let (width, height, frames) = self.size;
        let (tflops, speed) = self.tflops();
        let [median, min, max] = self.secs;
        println!(
            "{} with random weights on {} in {}: one pass over {width}x{height}, {frames} frames",
            self.name, self.device, self.format
        );
        println!("(a denoising step takes one pass, or two with guidance)");
        let row = |name: &str, value: String| println!("{name:<34} {value}");
        row("parameters", m.parameters.to_string());
        row(
            "tokens",
            format!("{} of video, {} of text", m.tokens, m.text_tokens),
        );
        row("weights made", format!("{:.3} s", m.build_secs));
        row("first pass", format!("{:.3} s", m.first_secs));
        row(
            "pass",
            format!(
                "{median:.3} s (median of {}, {min:.3} to {max:.3})",
                m.pass_secs.len()
            ),
        );
        row("FLOPs of a pass, by our count", format!("{tflops:.2} T"));
        row("speed", format!("{speed:.2} TFLOP/s"));
        for (name, bytes) in [
            ("GPU memory, weights", m.weights_bytes),
            ("GPU memory, tensors at their peak", m.peak_bytes),
            ("GPU memory, taken after the last", m.taken_bytes),
        ] {
            if let Some(bytes) = bytes {
                row(name, format!("{:.2} GB", bytes as f64 / 1e9));
            }
        }
        row(
            "output",
            match m.is_finite {
                true => format!("finite, root mean square {:.4}", m.rms),
                false => "not finite".to_owned(),
            },
        );
    }
}
