use std::sync::{Arc, Mutex, PoisonError};

use eframe::egui::{
    Color32, ColorImage, Context, Id, Rect, TextureHandle, TextureOptions, Ui, pos2,
};
use eframe::egui_wgpu::Callback;

use super::gpu::{Installed, PreviewCallback, installed};
use super::picture::{ContentKey, Picture};
use super::rgb::Filter;
use super::zoom::{ZoomPan, on_pixels};

/// Passes of the window that an unused egui texture is kept for.
const KEEP_PASSES: u64 = 2;

/// Shows `picture` in `pane`, zoomed as `view` says, and gives the rectangle that the whole picture
/// takes, in points; it can reach beyond the pane. `None` when there is nothing to show.
///
/// Draws through the GPU pipelines where [`install`](super::install) made them; else, and where a
/// picture is larger than the GPU's textures, as an egui texture from the same bytes.
pub fn paint(
    ui: &Ui,
    pane: Rect,
    picture: &Picture,
    filter: Filter,
    view: &ZoomPan,
) -> Option<Rect> {
    paint_part(ui, pane, pane, picture, filter, view)
}

/// [`paint`], of which only what lies in `part` of the pane is drawn.
pub fn paint_part(
    ui: &Ui,
    pane: Rect,
    part: Rect,
    picture: &Picture,
    filter: Filter,
    view: &ZoomPan,
) -> Option<Rect> {
    let size = picture.size()?;
    let scale = ui.ctx().pixels_per_point();
    let rect = on_pixels(view.picture_rect(pane, size), scale);
    let visible = pane.intersect(part).intersect(rect);
    if !visible.is_positive() {
        return Some(rect);
    }
    let painter = ui.painter_at(pane.intersect(part));
    match installed(ui.ctx()) {
        Some(Installed { max_side_px }) if size[0].max(size[1]) <= max_side_px => {
            let origin_px = [rect.left() * scale, rect.top() * scale].map(f32::round);
            let size_px = [rect.width() * scale, rect.height() * scale].map(f32::round);
            let callback = PreviewCallback::new(picture.clone(), origin_px, size_px, filter);
            painter.add(Callback::new_paint_callback(visible, callback));
        }
        _ => {
            let texture = egui_texture(ui.ctx(), picture, filter)?;
            let whole = Rect::from_min_max(pos2(0.0, 0.0), pos2(1.0, 1.0));
            painter.image(texture.id(), rect, whole, Color32::WHITE);
        }
    }
    Some(rect)
}

/// One picture as egui keeps it.
struct Entry {
    content: ContentKey,
    filter: Filter,
    texture: TextureHandle,
    used_at: u64,
}

/// egui's textures of the last passes, so that a picture is uploaded once and not every time.
#[derive(Clone, Default)]
struct Textures(Arc<Mutex<Vec<Entry>>>);

fn egui_texture(ctx: &Context, picture: &Picture, filter: Filter) -> Option<TextureHandle> {
    let content = picture.key()?;
    let id = Id::unique("flowblend preview textures");
    let textures = ctx.data_mut(|data| data.get_temp_mut_or_default::<Textures>(id).clone());
    let mut entries = textures.0.lock().unwrap_or_else(PoisonError::into_inner);
    let now = ctx.cumulative_pass_nr();
    entries.retain(|e| e.used_at + KEEP_PASSES >= now);
    let known = entries
        .iter_mut()
        .find(|e| e.content == content && e.filter == filter);
    if let Some(entry) = known {
        entry.used_at = now;
        return Some(entry.texture.clone());
    }
    let bytes = picture.to_rgb()?;
    let image = ColorImage::from_rgb([bytes.width, bytes.height], &bytes.rgb);
    let options = match filter {
        Filter::Nearest => TextureOptions::NEAREST,
        // egui's textures know no curves.
        Filter::Linear | Filter::Cubic => TextureOptions::LINEAR,
    };
    let texture = ctx.load_texture("preview", image, options);
    entries.push(Entry {
        content,
        filter,
        texture: texture.clone(),
        used_at: now,
    });
    Some(texture)
}
