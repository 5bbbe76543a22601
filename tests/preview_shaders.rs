//! The shaders, drawn through egui's own renderer, against the CPU reference.
//!
//! Tolerance: 1 level of 255 a channel, for a GPU's way of rounding; clips at whole scales are exact.

#![allow(clippy::unwrap_used, reason = "a helper of a test fails by panicking")]

use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, Waker};

use eframe::egui::mutex::RwLock;
use eframe::egui::{Color32, Frame, Rect, pos2, vec2};
use eframe::egui_wgpu::{RenderState, Renderer, RendererOptions, WgpuConfiguration, wgpu};
use egui_kittest::Harness;
use egui_kittest::wgpu::{WgpuTestRenderer, default_wgpu_setup};
use flowblend::media::Clip;
use flowblend::preview::{
    Filter, LatentFrames, Picture, RgbFactors, ZoomPan, blit, install, paint, paint_part,
};

const TOLERANCE: u8 = 1;
const PANE: [usize; 2] = [120, 90];

/// wgpu's futures on the desktop are ready at once; this waits without a runtime.
fn wait<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    loop {
        match future
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
        {
            Poll::Ready(value) => return value,
            Poll::Pending => std::thread::yield_now(),
        }
    }
}

/// One device for all tests, a fresh renderer for each picture. Draws with a software adapter where
/// there is one; fails where there is no adapter at all, because a test that is skipped unseen guards
/// nothing.
fn render_state(format: wgpu::TextureFormat) -> RenderState {
    static STATE: LazyLock<RenderState> = LazyLock::new(|| {
        let setup = default_wgpu_setup();
        let instance = wait(setup.new_instance());
        let config = WgpuConfiguration {
            wgpu_setup: setup,
            ..WgpuConfiguration::default()
        };
        let options = RendererOptions::PREDICTABLE;
        wait(RenderState::create(&config, &instance, None, options)).unwrap_or_else(|e| {
            panic!(
                "no graphics adapter was found ({e}); install a Vulkan driver, \
                 for example Debian's mesa-vulkan-drivers, which draws on the CPU"
            )
        })
    });
    let mut state = STATE.clone();
    let renderer = Renderer::new(&state.device, format, RendererOptions::PREDICTABLE);
    state.target_format = format;
    state.renderer = Arc::new(RwLock::new(renderer));
    state
}

/// The pixels of a pane of [`PANE`] that shows `picture`; magenta where it does not reach.
fn on_gpu(
    format: wgpu::TextureFormat,
    picture: &Picture,
    filter: Filter,
    view: &ZoomPan,
) -> Vec<[u8; 3]> {
    let state = render_state(format);
    draw(Some(state), picture, filter, view)
}

/// Without a state nothing is installed, which is how a harness of the window's draws.
fn draw(
    state: Option<RenderState>,
    picture: &Picture,
    filter: Filter,
    view: &ZoomPan,
) -> Vec<[u8; 3]> {
    let mut ours = state.clone();
    let state = state.unwrap_or_else(|| render_state(wgpu::TextureFormat::Rgba8Unorm));
    let mut harness = Harness::builder()
        .with_size(vec2(PANE[0] as f32, PANE[1] as f32))
        .renderer(WgpuTestRenderer::from_render_state(state))
        .build_ui(|ui| {
            if let Some(state) = ours.take() {
                install(ui.ctx(), &state);
            }
            let pane = pane();
            ui.painter()
                .rect_filled(pane, 0.0, Color32::from_rgb(255, 0, 255));
            paint(ui, pane, picture, filter, view);
        });
    harness.run();
    let image = harness.render().unwrap();
    assert_eq!([image.width() as usize, image.height() as usize], PANE);
    image.pixels().map(|p| [p[0], p[1], p[2]]).collect()
}

fn pane() -> Rect {
    Rect::from_min_size(pos2(0.0, 0.0), vec2(PANE[0] as f32, PANE[1] as f32))
}

/// The same by the CPU reference.
fn on_cpu(picture: &Picture, filter: Filter, view: &ZoomPan) -> Vec<[u8; 3]> {
    let rect = view.picture_rect(pane(), picture.size().unwrap());
    let (min, max) = (rect.min.round(), rect.max.round());
    let drawn = max - min;
    let rgb = picture.to_rgb().unwrap();
    blit(&rgb, PANE, [min.x, min.y], [drawn.x, drawn.y], filter)
        .into_iter()
        .map(|p| p.unwrap_or([255, 0, 255]))
        .collect()
}

fn worst_difference(a: &[[u8; 3]], b: &[[u8; 3]]) -> (u8, usize) {
    assert_eq!(a.len(), b.len());
    let of = |i: usize| (0..3).map(|c| a[i][c].abs_diff(b[i][c])).max().unwrap_or(0);
    (0..a.len()).map(|i| (of(i), i)).max().unwrap_or((0, 0))
}

fn check(
    format: wgpu::TextureFormat,
    picture: &Picture,
    filter: Filter,
    view: &ZoomPan,
    what: &str,
) {
    let (gpu, cpu) = (
        on_gpu(format, picture, filter, view),
        on_cpu(picture, filter, view),
    );
    let (worst, at) = worst_difference(&gpu, &cpu);
    let place = (at % PANE[0], at / PANE[0]);
    assert!(
        worst <= TOLERANCE,
        "{what}, {filter:?}: {worst} levels apart at {place:?}: {:?} for {:?}",
        gpu[at],
        cpu[at],
    );
}

/// Numbers in -1..1 without a pattern, the same every time.
fn noise(count: usize) -> impl Iterator<Item = f32> {
    let mut state = 0x2545_f491u32;
    std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    })
    .take(count)
}

fn latent(channels: usize, frames: usize, width: usize, height: usize, frame: usize) -> Picture {
    let mut numbers = noise(channels * 3 + channels * frames * width * height);
    let factors = (0..channels)
        .map(|_| std::array::from_fn(|_| 0.3 * numbers.next().unwrap()))
        .collect();
    Picture::Latent {
        frames: LatentFrames {
            step: 0,
            channels,
            frames,
            height,
            width,
            data: numbers.map(|v| 2.0 * v).collect(),
        },
        rgb: Arc::new(RgbFactors {
            factors,
            bias: [0.5, 0.4, 0.6],
        }),
        frame_index: frame,
    }
}

fn clip(width: usize, height: usize) -> Arc<Clip> {
    let frame = |start: usize| {
        (start..start + width * height * 3)
            .map(|i| (i * 37 % 256) as u8)
            .collect()
    };
    Arc::new(Clip {
        width,
        height,
        fps: 16.0,
        frames: vec![frame(0), frame(11)],
    })
}

fn zoomed(picture: &Picture) -> ZoomPan {
    let mut view = ZoomPan::default();
    let size = picture.size().unwrap();
    view.zoom_at(pane(), size, pos2(100.0, 20.0), 3.3);
    view
}

const GAMMA: wgpu::TextureFormat = wgpu::TextureFormat::Rgba8Unorm;
const LINEAR: wgpu::TextureFormat = wgpu::TextureFormat::Rgba8UnormSrgb;

#[test]
fn latents_match_the_reference() {
    // Channel counts that fill the groups of four and that do not; sides that are odd.
    for (channels, width, height) in [(16, 8, 8), (3, 7, 5), (48, 13, 9), (128, 5, 6)] {
        let picture = latent(channels, 3, width, height, 1);
        for filter in Filter::ALL {
            let what = format!("{channels} channels {width}x{height}");
            check(GAMMA, &picture, filter, &ZoomPan::default(), &what);
            check(
                GAMMA,
                &picture,
                filter,
                &zoomed(&picture),
                &format!("{what} zoomed"),
            );
        }
    }
}

#[test]
fn latents_with_more_channels_than_the_shader_has_are_drawn_all_the_same() {
    let picture = latent(130, 1, 6, 4, 0);
    check(
        GAMMA,
        &picture,
        Filter::Cubic,
        &ZoomPan::default(),
        "130 channels",
    );
}

#[test]
fn clips_match_the_reference() {
    for (width, height) in [(16, 16), (33, 21), (120, 90), (300, 50), (1, 1)] {
        let picture = Picture::Clip {
            clip: clip(width, height),
            frame_index: 1,
        };
        for filter in Filter::ALL {
            let what = format!("{width}x{height}");
            check(GAMMA, &picture, filter, &ZoomPan::default(), &what);
            check(
                GAMMA,
                &picture,
                filter,
                &zoomed(&picture),
                &format!("{what} zoomed"),
            );
        }
    }
}

/// `clip` with each byte moved by 0 to 8 levels, as two ways to denoise the same noise do.
fn nearly(clip: &Clip) -> Arc<Clip> {
    let frame = |frame: &Vec<u8>| {
        let moved = frame.iter().zip(noise(frame.len()));
        moved
            .map(|(&v, by)| v.saturating_add((by.abs() * 9.0) as u8))
            .collect()
    };
    Arc::new(Clip {
        frames: clip.frames.iter().map(frame).collect(),
        ..*clip
    })
}

fn difference(one: &Arc<Clip>, other: &Arc<Clip>, frame_index: usize, gain: f32) -> Picture {
    let (one, other) = (Arc::clone(one), Arc::clone(other));
    Picture::Difference {
        one,
        other,
        frame_index,
        gain,
    }
}

#[test]
fn differences_match_the_reference() {
    for (width, height) in [(16, 16), (33, 21), (120, 90), (1, 1)] {
        let one = clip(width, height);
        // So far apart that much lies beyond the scale.
        let far = Arc::new(Clip {
            frames: one.frames.iter().rev().cloned().collect(),
            ..*one
        });
        for (other, gain) in [(nearly(&one), 1.0), (nearly(&one), 16.0), (far, 3.5)] {
            let picture = difference(&one, &other, 1, gain);
            for filter in Filter::ALL {
                let what = format!("{width}x{height} times {gain}");
                check(GAMMA, &picture, filter, &ZoomPan::default(), &what);
                check(LINEAR, &picture, filter, &zoomed(&picture), &what);
            }
        }
    }
}

#[test]
fn equal_clips_are_black_and_a_new_gain_is_drawn_at_once() {
    let one = clip(40, 30);
    let seen = |other: &Arc<Clip>, gain| {
        let picture = difference(&one, other, 0, gain);
        on_gpu(GAMMA, &picture, Filter::Nearest, &ZoomPan::default())
    };
    assert!(seen(&one, 32.0).iter().all(|p| *p == [0; 3]));
    let other = nearly(&one);
    let light = |pixels: &[[u8; 3]]| pixels.iter().flatten().map(|&v| u64::from(v)).sum::<u64>();
    let (weak, strong) = (seen(&other, 2.0), seen(&other, 8.0));
    assert!(0 < light(&weak) && light(&weak) < light(&strong));
}

/// What a wipe is made of: two pictures in one pane, each in its own part.
#[test]
fn parts_of_a_pane_show_their_own_pictures() {
    let state = render_state(GAMMA);
    let clip = clip(40, 30);
    let of = |frame_index| Picture::Clip {
        clip: Arc::clone(&clip),
        frame_index,
    };
    let mut installing = Some(state.clone());
    let mut harness = Harness::builder()
        .with_size(vec2(PANE[0] as f32, PANE[1] as f32))
        .renderer(WgpuTestRenderer::from_render_state(state))
        .build_ui(|ui| {
            if let Some(state) = installing.take() {
                install(ui.ctx(), &state);
            }
            let (left, right) = pane().split_left_right_at_x(45.0);
            for (part, frame) in [(left, 0), (right, 1)] {
                let view = ZoomPan::default();
                paint_part(ui, pane(), part, &of(frame), Filter::Nearest, &view);
            }
        });
    harness.run();
    let image = harness.render().unwrap();
    for x in [0, 44, 45, 119] {
        let frame = usize::from(x >= 45);
        let start = (10 * 40 + x as usize / 3) * 3;
        let wanted = &clip.frames[frame][start..start + 3];
        assert_eq!(&image.get_pixel(x, 30).0[..3], wanted, "column {x}");
    }
}

#[test]
fn a_clips_bytes_reach_the_screen_unchanged() {
    let picture = Picture::Clip {
        clip: clip(40, 30),
        frame_index: 0,
    };
    for format in [GAMMA, wgpu::TextureFormat::Rgba8UnormSrgb] {
        let seen = on_gpu(format, &picture, Filter::Nearest, &ZoomPan::default());
        let wanted = on_cpu(&picture, Filter::Nearest, &ZoomPan::default());
        assert_eq!(worst_difference(&seen, &wanted).0, 0, "{format:?}");
    }
}

#[test]
fn a_target_that_encodes_shows_the_same() {
    let picture = Picture::Clip {
        clip: clip(33, 21),
        frame_index: 0,
    };
    for filter in Filter::ALL {
        check(LINEAR, &picture, filter, &zoomed(&picture), "sRGB target");
    }
}

#[test]
fn without_pipelines_egui_draws_the_same() {
    for picture in [
        latent(16, 2, 8, 6, 1),
        Picture::Clip {
            clip: clip(40, 30),
            frame_index: 1,
        },
    ] {
        for filter in [Filter::Nearest, Filter::Linear] {
            let seen = draw(None, &picture, filter, &ZoomPan::default());
            let wanted = on_cpu(&picture, filter, &ZoomPan::default());
            let (worst, at) = worst_difference(&seen, &wanted);
            assert!(
                worst <= TOLERANCE,
                "{filter:?}: {worst} levels apart at {at}"
            );
        }
    }
}

#[test]
fn nothing_is_drawn_for_nothing_and_for_broken_pictures() {
    let broken = Picture::Clip {
        clip: Arc::new(Clip {
            width: 8,
            height: 8,
            fps: 16.0,
            frames: vec![vec![0; 7]],
        }),
        frame_index: 0,
    };
    for picture in [Picture::Empty, broken, latent(4, 1, 2, 2, 5)] {
        let seen = on_gpu(GAMMA, &picture, Filter::Linear, &ZoomPan::default());
        assert!(seen.iter().all(|p| *p == [255, 0, 255]));
    }
}

/// Several pictures at once, changing from frame to frame of the window: each pane must show its own.
#[test]
fn panes_side_by_side_keep_their_own_pictures() {
    let state = render_state(GAMMA);
    let clip = clip(20, 20);
    let frame_of = |pass: usize, index: usize| Picture::Clip {
        clip: Arc::clone(&clip),
        frame_index: (pass + index) % 2,
    };
    let panes: [Rect; 3] =
        [0.0, 40.0, 80.0].map(|x| Rect::from_min_size(pos2(x, 0.0), vec2(40.0, 40.0)));
    let installing = state.clone();
    let mut first = true;
    let mut harness = Harness::builder()
        .with_size(vec2(PANE[0] as f32, PANE[1] as f32))
        .renderer(WgpuTestRenderer::from_render_state(state))
        .build_ui_state(
            move |ui, pass: &mut usize| {
                if std::mem::take(&mut first) {
                    install(ui.ctx(), &installing);
                }
                Frame::NONE.show(ui, |ui| {
                    for (index, pane) in panes.iter().take(3 - *pass / 3).enumerate() {
                        let picture = frame_of(*pass, index);
                        paint(ui, *pane, &picture, Filter::Nearest, &ZoomPan::default());
                    }
                });
            },
            0,
        );
    for pass in 0..6 {
        *harness.state_mut() = pass;
        harness.run();
        let image = harness.render().unwrap();
        for (index, pane) in panes.iter().take(3 - pass / 3).enumerate() {
            let frame = &clip.frames[(pass + index) % 2];
            for (x, y) in [(0, 0), (7, 3), (19, 19)] {
                let seen = image.get_pixel(pane.left() as u32 + 2 * x, 2 * y);
                let start = (y * 20 + x) as usize * 3;
                assert_eq!(
                    seen.0[..3],
                    frame[start..start + 3],
                    "pass {pass}, pane {index}"
                );
            }
        }
    }
}

/// Prints seconds a frame of a large pane, for the figures of a change to the shaders.
#[test]
#[ignore = "a measurement: cargo test --test preview_shaders -- --ignored --nocapture"]
fn speed_of_a_large_pane() {
    let size = vec2(1280.0, 720.0);
    let clip = clip(128, 128);
    for filter in Filter::ALL {
        let whole = Picture::Clip {
            clip: Arc::clone(&clip),
            frame_index: 0,
        };
        for (kind, picture) in [
            ("empty", Picture::Empty),
            ("clip", whole),
            ("latent", latent(16, 5, 16, 16, 2)),
            ("difference", difference(&clip, &nearly(&clip), 0, 4.0)),
        ] {
            let state = render_state(GAMMA);
            let mut renderer = Some(state.clone());
            let mut harness = Harness::builder()
                .with_size(size)
                .renderer(WgpuTestRenderer::from_render_state(state))
                .build_ui(|ui| {
                    if let Some(state) = renderer.take() {
                        install(ui.ctx(), &state);
                    }
                    let pane = Rect::from_min_size(pos2(0.0, 0.0), size);
                    paint(ui, pane, &picture, filter, &ZoomPan::default());
                });
            let mut times: Vec<f64> = (0..15)
                .map(|_| {
                    harness.step();
                    let start = std::time::Instant::now();
                    harness.render().unwrap();
                    start.elapsed().as_secs_f64() * 1e3
                })
                .collect();
            times.sort_by(f64::total_cmp);
            println!("{filter:?} {kind}: median {:.2} ms", times[times.len() / 2]);
        }
    }
}
