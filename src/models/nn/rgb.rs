use candle_core::{DType, Result, Storage, Tensor, bail};
use rayon::prelude::*;

use super::{cpu, on_cpu_f32};

/// `(1, 3, F, H, W)` in -1..=1 to F frames of packed RGB, 8 bits a channel, rounded to nearest.
pub fn rgb_frames(video: &Tensor) -> Result<Vec<Vec<u8>>> {
    let (1, 3, frames, height, width) = video.dims5()? else {
        bail!(
            "a clip has one item of three colours, found {:?}",
            video.shape()
        );
    };
    if !on_cpu_f32(video) {
        return composed(video);
    }
    // Candle's operations would do this in several passes, by threads of their own that go on spinning beside ours.
    let video = video.contiguous()?;
    let (storage, layout) = video.storage_and_layout();
    let Storage::Cpu(storage) = &*storage else {
        bail!("a clip on the CPU was found on {:?}", video.device());
    };
    let numbers = cpu::slice(storage, layout)?;
    let plane = height * width;
    let byte = |number: f32| ((number.clamp(-1.0, 1.0) + 1.0) * 127.5).round() as u8;
    let frame = |frame: usize| {
        let colour = |colour: usize| &numbers[(colour * frames + frame) * plane..][..plane];
        let (red, green, blue) = (colour(0), colour(1), colour(2));
        let pixels = red.iter().zip(green).zip(blue);
        pixels
            .flat_map(|((red, green), blue)| [byte(*red), byte(*green), byte(*blue)])
            .collect()
    };
    Ok((0..frames).into_par_iter().map(frame).collect())
}

/// The form for other devices, which turns the clip into bytes before they leave the device.
fn composed(video: &Tensor) -> Result<Vec<Vec<u8>>> {
    let bytes = ((video.clamp(-1.0, 1.0)? + 1.0)? * 127.5)?
        .round()?
        .to_dtype(DType::U8)?
        .squeeze(0)?
        .permute((1, 2, 3, 0))?
        .contiguous()?;
    (0..bytes.dim(0)?)
        .map(|i| bytes.get(i)?.flatten_all()?.to_vec1::<u8>())
        .collect()
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Tensor};

    use super::{composed, rgb_frames};

    #[test]
    fn both_forms_give_the_same_bytes() {
        let video = Tensor::randn(0f32, 0.8, (1, 3, 4, 5, 7), &Device::Cpu).unwrap();
        let frames = rgb_frames(&video).unwrap();
        assert_eq!(frames, composed(&video).unwrap());
        assert_eq!((frames.len(), frames[0].len()), (4, 5 * 7 * 3));
        assert!(frames[0].contains(&0) || frames[1].contains(&0));
        assert!(rgb_frames(&video.transpose(0, 1).unwrap()).is_err());
    }
}
