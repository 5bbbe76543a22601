//! The picture in the middle.

use std::sync::Arc;

use eframe::egui;
use egui::{Align2, Rect, RichText, Sense, Ui, Vec2, vec2};

use super::compare_bar::run_words;
use super::compare_view;
use super::theme::{RADIUS_PX, bold, palette, regular};
use super::view::{View, ZoomWish};
use super::widgets::{paint_text, text_width};
use crate::app::{Estimate, Request, Scene, Source};
use crate::media::Clip;
use crate::preview::{Filter, Picture, ZoomPan, paint};

/// Space around the picture.
const MARGIN_PX: f32 = 16.0;

/// The picture: the estimate while a run is going, else the clip, or the two that are compared.
pub fn show(ui: &mut Ui, scene: &Scene<'_>, view: &mut View, out: &mut Vec<Request>) {
    let stage = ui.available_rect_before_wrap();
    let response = ui.allocate_rect(stage, Sense::click_and_drag());
    if let Some(sides) = scene.compared() {
        compare_view::show(ui, scene, &sides, view, response, out);
        return;
    }
    let picture = with_heat(picture(scene), scene, view);
    let (Some(size), Some(clip_size)) = (picture.size(), clip_size(scene)) else {
        view.shown_scale = None;
        empty(ui, stage, scene);
        return;
    };
    let pane = magnify(ui, view, &response, stage, size, clip_size);
    let filter = match (view.is_smooth, &picture) {
        (false, _) => Filter::Nearest,
        // A latent cell covers much of the screen; straight lines between so few show as a grid.
        (true, Picture::Latent { .. }) => Filter::Cubic,
        (true, _) => Filter::Linear,
    };
    if let Some(rect) = paint(ui, pane, &picture, filter, &view.zoom) {
        view.shown_scale = Some(rect.width() * ui.pixels_per_point() / clip_size.x);
        let seen = rect.intersect(stage.shrink(8.0));
        badges(ui, scene, seen);
        if let Picture::Heat { step, .. } = &picture {
            let corner = seen.shrink(8.0).left_bottom();
            let text = format!("where the models differ · step {}", step + 1);
            badge(ui, corner, Align2::LEFT_BOTTOM, &text, seen.width());
        }
    }
    if !view.zoom.is_fit() {
        response.on_hover_and_drag_cursor(egui::CursorIcon::Grab);
    }
}

fn picture(scene: &Scene<'_>) -> Picture {
    let frame_index = scene.player.frame_index();
    if let Some((estimate, rgb)) = scene.estimate().zip(scene.rgb) {
        return match decoded(&estimate, frame_index) {
            Some(clip) => Picture::Clip {
                clip: Arc::clone(clip),
                frame_index,
            },
            None => Picture::Latent {
                frames: estimate.latents.clone(),
                rgb: Arc::clone(rgb),
                frame_index: estimate.latent_frame(frame_index),
            },
        };
    }
    match scene.gallery.shown().and_then(|run| run.clip()) {
        Some(clip) => Picture::Clip {
            clip: Arc::clone(clip),
            frame_index,
        },
        None => Picture::Empty,
    }
}

/// The clip that is being decoded, where a frame of it is there.
fn decoded<'a>(estimate: &Estimate<'a>, frame_index: usize) -> Option<&'a Arc<Clip>> {
    estimate.clip.filter(|clip| frame_index < clip.frames.len())
}

/// The picture with the map of the step that the timeline's curve points at, where that map is of this very
/// run.
fn with_heat(under: Picture, scene: &Scene<'_>, view: &View) -> Picture {
    let settings = match scene.estimate() {
        Some(estimate) => Some(estimate.settings),
        None => scene.gallery.shown().map(|run| run.settings()),
    };
    let step = view.timeline.heat.step();
    let Some((step, probe)) = step.zip(settings.and_then(|of| scene.probes.of(of))) else {
        return under;
    };
    let frame_index = match &under {
        // Of a clip that is being decoded some frames are there.
        Picture::Clip { frame_index, .. } => {
            let frames = scene.player.frame_count();
            probe.maps.latent_frame(*frame_index, frames)
        }
        Picture::Latent { frame_index, .. } => *frame_index,
        _ => return under,
    };
    let heat = Picture::Heat {
        under: Box::new(under.clone()),
        maps: Arc::clone(&probe.maps),
        step,
        frame_index,
    };
    // A probe of other steps has no such map.
    match heat.size() {
        Some(_) => heat,
        None => under,
    }
}

/// The size of the clip that is shown, or that the estimate will become.
fn clip_size(scene: &Scene<'_>) -> Option<Vec2> {
    let (width, height) = match scene.estimate() {
        Some(estimate) => (estimate.settings.width, estimate.settings.height),
        None => {
            let clip = scene.gallery.shown()?.clip()?;
            (clip.width, clip.height)
        }
    };
    (width > 0 && height > 0).then(|| vec2(width as f32, height as f32))
}

/// Carries out wheel, drag, double-click and the menu's wishes. Gives the part of `stage` that the picture
/// is shown in.
pub(super) fn magnify(
    ui: &Ui,
    view: &mut View,
    response: &egui::Response,
    stage: Rect,
    size: [usize; 2],
    clip_size: Vec2,
) -> Rect {
    let ppp = ui.pixels_per_point();
    // Zoomed in, the picture may use the whole stage; whole, it keeps its distance.
    let pane = if view.zoom.is_fit() {
        stage.shrink(MARGIN_PX)
    } else {
        stage
    };
    if response.double_clicked() {
        view.zoom_wish = Some(ZoomWish::Fit);
    }
    if response.dragged() {
        view.zoom.drag(pane, size, response.drag_delta());
    }
    let wheel = ui.input(|i| i.zoom_delta());
    if wheel != 1.0
        && let Some(pointer) = response.hover_pos()
    {
        view.is_actual = false;
        view.zoom.zoom_at(pane, size, pointer, wheel);
    }
    match view.zoom_wish.take() {
        None => {}
        Some(ZoomWish::Fit) => {
            view.zoom.reset();
            view.is_actual = false;
        }
        Some(ZoomWish::Actual) => {
            view.zoom = ZoomPan::default();
            view.is_actual = true;
            let fits = (clip_size / ppp).x <= pane.width() && (clip_size / ppp).y <= pane.height();
            if !fits {
                let clip = [clip_size.x as usize, clip_size.y as usize];
                view.zoom.one_to_one(pane, clip, ppp);
            }
        }
        Some(ZoomWish::By(factor)) => {
            view.is_actual = false;
            view.zoom.zoom_at(pane, size, pane.center(), factor);
        }
    }
    if view.is_actual && view.zoom.is_fit() {
        Rect::from_center_size(stage.center(), (clip_size / ppp).min(pane.size()))
    } else {
        pane
    }
}

fn badges(ui: &Ui, scene: &Scene<'_>, rect: Rect) {
    if rect.width() < 160.0 {
        return;
    }
    let (anchor, text) = if let Some(estimate) = scene.estimate() {
        let step = estimate.latents.step + 1;
        let steps = match (estimate.source, scene.session.active()) {
            (Source::Estimate(_) | Source::Decoding(_), Some(active)) => active.steps_in_all(),
            _ => estimate.settings.steps_taken(),
        };
        let mut text = match decoded(&estimate, scene.player.frame_index()) {
            Some(clip) => format!("decoded {} of {}", clip.frames.len(), estimate.frames()),
            None => format!("x0 · step {step}/{steps}"),
        };
        if matches!(estimate.source, Source::Paused(_)) && scene.session.active().is_none() {
            text.push_str(" · paused");
        }
        (Align2::RIGHT_TOP, text)
    } else if let Some(run) = scene.gallery.shown() {
        (Align2::LEFT_TOP, run_words(run))
    } else {
        return;
    };
    let corner = anchor.pos_in_rect(&rect.shrink(8.0));
    badge(ui, corner, anchor, &text, rect.width());
}

/// A few words on the picture, left out where they do not fit.
pub(super) fn badge(ui: &Ui, pos: egui::Pos2, anchor: Align2, text: &str, max_width_px: f32) {
    let width = text_width(ui, text, regular(12.0)) + 16.0;
    if width > max_width_px {
        return;
    }
    let rect = anchor.anchor_size(pos, vec2(width, 22.0));
    let ground = egui::Color32::from_black_alpha(170);
    ui.painter().rect_filled(rect, RADIUS_PX, ground);
    paint_text(
        ui,
        rect.center(),
        Align2::CENTER_CENTER,
        text,
        regular(12.0),
        egui::Color32::WHITE,
        width,
    );
}

fn empty(ui: &mut Ui, stage: Rect, scene: &Scene<'_>) {
    let palette = palette(ui);
    let (title, hint) = if scene.session.active().is_some() {
        (
            "Rendering",
            "The first picture appears after the first step.",
        )
    } else if scene.pair.is_none() {
        (scene.pair_words(), scene.pair_error.unwrap_or_default())
    } else if !scene.gallery.runs().is_empty() {
        (
            "No clip is shown",
            "Click a run on the right to see it again, or press Ctrl+Enter to render the prompt.",
        )
    } else {
        (
            "No clip yet",
            "Press Ctrl+Enter to render the prompt, then drag a boundary below and compare.",
        )
    };
    let room = Rect::from_center_size(stage.center(), vec2(stage.width() - 32.0, 64.0));
    ui.scope_builder(egui::UiBuilder::new().max_rect(room), |ui| {
        ui.vertical_centered(|ui| {
            ui.label(RichText::new(title).font(bold(15.0)).color(palette.text));
            ui.label(
                RichText::new(hint)
                    .font(regular(12.5))
                    .color(palette.text_weak),
            );
        });
    });
}
