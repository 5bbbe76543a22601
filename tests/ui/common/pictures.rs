//! The known picture.

use flowblend::media::Clip;
use flowblend::preview::LatentFrames;
use flowblend::project::RunSettings;

/// Latent frames of every clip.
pub(super) const LATENT_FRAMES: usize = 5;

/// A disc on stripes that moves with the frame; `sharpness` mixes it with grey, as an estimate clears up.
fn picture(width: usize, height: usize, phase: f32, sharpness: f32) -> Vec<[f32; 3]> {
    let (w, h) = (width as f32, height as f32);
    let centre = (
        w * (0.3 + 0.4 * phase),
        h * (0.55 - 0.25 * (phase * 3.0).sin().abs()),
    );
    (0..width * height)
        .map(|i| {
            let (x, y) = ((i % width) as f32 + 0.5, (i / width) as f32 + 0.5);
            let stripe = if ((x / w * 10.0) as usize).is_multiple_of(2) {
                0.36
            } else {
                0.24
            };
            let far = (x - centre.0).hypot(y - centre.1);
            let disc = ((w * 0.2 - far) / (w * 0.03) + 0.5).clamp(0.0, 1.0);
            let ground = [0.10, stripe * 0.8, stripe * 1.5];
            let red = [0.90, 0.34, 0.31];
            std::array::from_fn(|c| {
                let sharp = ground[c] * (1.0 - disc) + red[c] * disc;
                0.4 + (sharp - 0.4) * sharpness
            })
        })
        .collect()
}

pub(super) fn latents(step: usize, share: f32) -> LatentFrames {
    const SIDE: usize = 8;
    let mut data = vec![0.0; 3 * LATENT_FRAMES * SIDE * SIDE];
    for frame in 0..LATENT_FRAMES {
        for (i, colour) in picture(SIDE, SIDE, frame as f32 / LATENT_FRAMES as f32, share)
            .into_iter()
            .enumerate()
        {
            for (c, value) in colour.into_iter().enumerate() {
                data[(c * LATENT_FRAMES + frame) * SIDE * SIDE + i] = value;
            }
        }
    }
    LatentFrames {
        step,
        channels: 3,
        frames: LATENT_FRAMES,
        height: SIDE,
        width: SIDE,
        data: data.into(),
    }
}

pub(super) fn clip(settings: &RunSettings, darker: u8) -> Clip {
    let frame = |i: usize| {
        picture(
            settings.width,
            settings.height,
            i as f32 / settings.frames as f32,
            1.0,
        )
        .into_iter()
        .flatten()
        .map(|c| ((c * 255.0) as u8).saturating_sub(darker))
        .collect()
    };
    Clip {
        width: settings.width,
        height: settings.height,
        fps: settings.fps,
        frames: (0..settings.frames).map(frame).collect(),
    }
}
