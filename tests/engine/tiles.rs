//! A clip that is decoded in tiles looks like one that is decoded whole.

use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use flowblend::models::{Family, Loading, Span, Tiling, Vae};
use flowblend::sampler::{Cancel, initial_noise};

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn vae(model: &str) -> Vae {
    Vae::load(&here(model), Loading::to(&Device::Cpu, DType::F32)).unwrap()
}

fn whole(vae: &Vae, latents: &Tensor) -> Tensor {
    vae.decode(latents, 3, &Cancel::new(), &mut |_, _| ())
        .unwrap()
}

fn tiled(vae: &Vae, latents: &Tensor, tiling: &Tiling) -> Tensor {
    let mut told = Vec::new();
    let video = vae
        .decode_in_tiles(latents, tiling, 3, &Cancel::new(), &mut |done, of| {
            told.push((done, of));
        })
        .unwrap();
    assert!(told.is_sorted() && told.last().is_some_and(|(done, of)| done == of));
    video
}

/// Rendered clips of what the demo pair was trained on, `(1, 3, 25, 96, 96)` in [-1, 1].
fn scenes() -> Vec<Tensor> {
    let file = here("tests/fixtures/reader.safetensors");
    let clips = &candle_core::safetensors::load(file, &Device::Cpu).unwrap()["clips"];
    let scene = |i| {
        let bytes = clips
            .narrow(0, i, 1)
            .unwrap()
            .permute((0, 4, 1, 2, 3))
            .unwrap();
        let levels = (bytes.to_dtype(DType::F32).unwrap() / 127.5).unwrap();
        (levels - 1.0).unwrap()
    };
    (0..clips.dim(0).unwrap()).map(scene).collect()
}

/// The root of the mean squared difference.
fn distance(one: &Tensor, other: &Tensor) -> f32 {
    let mean = (one - other).unwrap().sqr().unwrap().mean_all().unwrap();
    mean.to_scalar::<f32>().unwrap().sqrt()
}

/// By how much the difference of two videos changes from one position to the next, at the most.
fn steepest(one: &Tensor, other: &Tensor, axis: usize) -> f32 {
    let apart = (one - other).unwrap();
    let length = apart.dim(axis).unwrap() - 1;
    let (here, next) = (apart.narrow(axis, 0, length), apart.narrow(axis, 1, length));
    let steps = (next.unwrap() - here.unwrap()).unwrap();
    let axes: Vec<usize> = (0..5).filter(|other| *other != axis).collect();
    let mean = steps.mean(axes).unwrap().abs().unwrap();
    mean.max_all().unwrap().to_scalar().unwrap()
}

#[test]
fn tiles_of_a_wan_clip_meet_without_a_seam() {
    let vae = vae("models/demo/large");
    let Vae::Wan(wan) = &vae else {
        panic!("the demo pair is WAN");
    };
    // Less than half of what tiles share where memory is short.
    let tiling = Tiling {
        side: Span {
            length: 8,
            overlap: 3,
        },
        ..Family::Wan.tiling()
    };
    for scene in scenes() {
        let latents = wan.encode(&scene, &Cancel::new()).unwrap();
        let (whole, tiled) = (whole(&vae, &latents), tiled(&vae, &latents, &tiling));
        // Far less than what the VAE itself is off, and not seen: 48 dB.
        let (apart, off) = (distance(&whole, &tiled), distance(&whole, &scene));
        assert!(apart < 0.008 && apart < 0.35 * off, "{apart} {off}");
        // Between neighbouring rows and columns the two differ by less than four levels of 255.
        for axis in [3, 4] {
            assert!(steepest(&tiled, &whole, axis) < 0.03);
        }
    }
}

/// With random weights every pixel of noise sees far more than one overlap, so tiles cannot agree as
/// those of a trained decoder do; but they come nearer the more they share, and steps are faded out.
#[test]
fn tiles_of_an_ltx_clip_fade_into_one_another() {
    let vae = vae("tests/fixtures/ltx/pair/large");
    let latents = initial_noise(1, (1, 128, 7, 9, 10), &Device::Cpu).unwrap();
    let whole = whole(&vae, &latents);
    let mean = whole.mean_all().unwrap();
    let contrast = distance(&whole, &mean.broadcast_as(whole.shape()).unwrap());
    let mut nearest = contrast;
    for (overlap, share) in [(1, 0.6), (2, 0.33), (3, 0.28)] {
        let tiling = Tiling {
            side: Span { length: 7, overlap },
            frames: Some(Span { length: 5, overlap }),
            ..Family::Ltx.tiling()
        };
        let tiled = tiled(&vae, &latents, &tiling);
        let apart = distance(&tiled, &whole);
        assert!(apart < nearest.min(share * contrast), "{overlap}: {apart}");
        nearest = apart;
        for axis in [2, 3, 4] {
            let step = steepest(&tiled, &whole, axis);
            assert!(step < 0.03 * contrast, "{overlap}, axis {axis}: {step}");
        }
    }
}

#[test]
fn frames_of_an_ltx_clip_in_tiles_are_told_as_soon_as_no_other_tile_changes_them() {
    let vae = vae("tests/fixtures/ltx/pair/large");
    let latents = initial_noise(1, (1, 128, 7, 4, 3), &Device::Cpu).unwrap();
    let (length, overlap) = (4, 1);
    let tiling = Tiling {
        side: Span { length: 3, overlap },
        frames: Some(Span { length, overlap }),
        ..Family::Ltx.tiling()
    };
    let mut told: Vec<Vec<u8>> = Vec::new();
    let mut seen = Vec::new();
    let frames = vae
        .decode_frames(
            &latents,
            Some(&tiling),
            3,
            &Cancel::new(),
            &mut |done, of, new| {
                told.extend_from_slice(new);
                seen.push((done, of, told.len()));
            },
        )
        .unwrap();
    assert_eq!(frames.len(), 8 * 7 - 7);
    assert!(told == frames);
    // Two tiles along the frames, of four latent frames each, share one: half of the work is done when the first
    // 25 frames are there, of which the second tile fades into one.
    let halfway = seen.iter().find(|(_, _, told)| *told > 0);
    assert!(halfway.is_some_and(|(done, of, told)| 2 * done == *of && *told == 24));
}

#[test]
fn a_clip_of_one_tile_is_decoded_as_a_whole() {
    for (model, shape) in [
        ("tests/fixtures/wan/pair/large", (1, 16, 2, 6, 4)),
        ("tests/fixtures/ltx/pair/large", (1, 128, 2, 3, 2)),
    ] {
        let vae = vae(model);
        let latents = initial_noise(2, shape, &Device::Cpu).unwrap();
        let tiling = Family::of(&here(model)).tiling();
        let (whole, tiled) = (whole(&vae, &latents), tiled(&vae, &latents, &tiling));
        assert!(distance(&whole, &tiled) == 0.0);
    }
}
