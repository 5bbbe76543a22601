//! Speed of the VAE's convolutions beside that of a matrix product, on one thread:
//! `cargo bench --bench convolutions`.

use candle_core::{Device, Result, Tensor};
use flowblend::models::nn::{Conv3d, Conv3dConfig};

/// CPU seconds of all threads so far; other programs on the machine do not count.
fn cpu_secs() -> f64 {
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten();
    let nanoseconds = tasks.flatten().filter_map(|task| {
        let text = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<f64>().ok()
    });
    nanoseconds.sum::<f64>() * 1e-9
}

/// The least CPU seconds of five rounds of about a fifth of a second.
fn least_secs(flops: f64, mut work: impl FnMut() -> Result<Tensor>) -> Result<f64> {
    let times = (2e10 / flops).ceil() as usize;
    let mut least = f64::MAX;
    for _ in 0..5 {
        let start = cpu_secs();
        for _ in 0..times {
            work()?;
        }
        least = least.min((cpu_secs() - start) / times as f64);
    }
    Ok(least)
}

fn main() -> Result<()> {
    let one = rayon::ThreadPoolBuilder::new().num_threads(1).build();
    one.map_err(candle_core::Error::wrap)?.install(measure)
}

fn measure() -> Result<()> {
    let device = Device::Cpu;
    let layers = [
        (16, 16, [4, 96, 96]),
        (32, 16, [4, 96, 96]),
        (32, 32, [4, 48, 48]),
        (64, 64, [2, 24, 24]),
        (64, 64, [1, 12, 12]),
        (16, 3, [4, 96, 96]),
        (96, 96, [4, 64, 64]),
        (384, 384, [1, 32, 32]),
    ];
    println!("3 x 3 x 3, in -> out, frames x height x width: ms, GFLOP/s of the definition");
    for (inputs, outputs, [t, h, w]) in layers {
        let x = Tensor::randn(0f32, 1.0, (1, inputs, t + 2, h, w), &device)?;
        let weight = Tensor::randn(0f32, 0.1, (outputs, inputs, 3, 3, 3), &device)?;
        let bias = Tensor::randn(0f32, 0.1, outputs, &device)?;
        let conv = Conv3d::from_tensors(&weight, bias, Conv3dConfig::CAUSAL_3)?;
        let flops = 2.0 * (inputs * outputs * 27 * t * h * w) as f64;
        let secs = least_secs(flops, || conv.forward(&x, 2))?;
        let rate = flops / secs * 1e-9;
        println!(
            "{inputs:4} -> {outputs:3}, {t} x {h} x {w}: {:.2}, {rate:.0}",
            secs * 1e3
        );
    }
    let matrix = Tensor::randn(0f32, 1.0, (1024, 1024), &device)?;
    let flops = 2.0 * 1024f64.powi(3);
    let secs = least_secs(flops, || matrix.matmul(&matrix))?;
    println!(
        "a matrix product of 1024: {:.0} GFLOP/s",
        flops / secs * 1e-9
    );
    Ok(())
}
