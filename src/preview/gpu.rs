//! The GPU's side of the preview: pipelines made once, textures reused, uploads only of what changed.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use eframe::egui::{Context, Id, PaintCallbackInfo};
use eframe::egui_wgpu::{CallbackResources, CallbackTrait, RenderState, ScreenDescriptor, wgpu};

use super::picture::{ContentKey, Picture};
use super::pipelines::{Pipelines, ViewUniform};
use super::rgb::Filter;
use super::surface::{Shape, Surface};

/// Frames of the window that a texture waits to be wanted again: a clip that plays beside another
/// keeps its own, and a closed view gives its memory back at once.
const KEEP_FRAMES: u64 = 2;
/// No surface yet.
const UNASSIGNED: u64 = u64::MAX;

/// What [`super::paint`] must know of the GPU.
#[derive(Clone, Copy, Debug)]
pub(super) struct Installed {
    /// Largest side of a texture in pixels.
    pub max_side_px: usize,
}

fn installed_id() -> Id {
    Id::unique("flowblend preview pipelines")
}

/// Makes the pipelines, once at the start of a window, and lets [`paint`](super::paint) know of them.
/// Without this call previews are drawn as plain egui textures.
///
/// `state` must draw as eframe does by default: no multisampling and no depth buffer.
pub fn install(ctx: &Context, state: &RenderState) {
    let resources = Resources {
        pipelines: Pipelines::new(&state.device, state.target_format),
        surfaces: HashMap::new(),
        next_id: 0,
        window_frame: 0,
        preparing: false,
    };
    state.renderer.write().callback_resources.insert(resources);
    let max_side_px = state.device.limits().max_texture_dimension_2d as usize;
    ctx.data_mut(|data| data.insert_temp(installed_id(), Installed { max_side_px }));
}

pub(super) fn installed(ctx: &Context) -> Option<Installed> {
    ctx.data(|data| data.get_temp(installed_id()))
}

/// What lives in the renderer from frame to frame.
struct Resources {
    pipelines: Pipelines,
    surfaces: HashMap<u64, Surface>,
    next_id: u64,
    /// Counts the window's frames.
    window_frame: u64,
    /// Whether this window frame's first callback was seen already.
    preparing: bool,
}

impl Resources {
    /// Called by every callback; acts on the first of a window frame.
    fn begin_frame(&mut self) {
        if !self.preparing {
            self.preparing = true;
            self.window_frame += 1;
            let oldest = self.window_frame.saturating_sub(KEEP_FRAMES);
            self.surfaces.retain(|_, surface| surface.used_at >= oldest);
        }
    }

    /// A surface no other callback of this window frame has: with this content if there is one, else
    /// of this shape to be filled, else a new one.
    fn claim(&mut self, device: &wgpu::Device, key: &ContentKey, shape: Shape) -> u64 {
        let free = || {
            self.surfaces
                .iter()
                .filter(|(_, s)| s.used_at < self.window_frame)
        };
        let found = free()
            .find(|(_, s)| s.content.as_ref() == Some(key))
            // The one that waited longest, so that a clip beside this one finds its own again.
            .or_else(|| {
                free()
                    .filter(|(_, s)| s.shape == shape)
                    .min_by_key(|(_, s)| s.used_at)
            })
            .map(|(&id, _)| id);
        let id = found.unwrap_or_else(|| {
            let id = self.next_id;
            self.next_id += 1;
            let surface = Surface::new(device, &self.pipelines, shape);
            self.surfaces.insert(id, surface);
            id
        });
        if let Some(surface) = self.surfaces.get_mut(&id) {
            surface.used_at = self.window_frame;
        }
        id
    }
}

/// Draws one picture in one frame of the window. Carries references and numbers, never pixels.
pub struct PreviewCallback {
    picture: Picture,
    view: ViewUniform,
    filter: Filter,
    /// The surface [`prepare`](CallbackTrait::prepare) chose for [`paint`](CallbackTrait::paint).
    surface: AtomicU64,
}

impl PreviewCallback {
    /// A callback that draws `picture` with its upper left corner at `origin_px`, scaled to
    /// `size_px`, both in physical pixels of the window.
    pub fn new(picture: Picture, origin_px: [f32; 2], size_px: [f32; 2], filter: Filter) -> Self {
        Self {
            picture,
            view: ViewUniform::new(origin_px, size_px),
            filter,
            surface: AtomicU64::new(UNASSIGNED),
        }
    }
}

impl CallbackTrait for PreviewCallback {
    fn prepare(
        &self,
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        _screen: &ScreenDescriptor,
        encoder: &mut wgpu::CommandEncoder,
        resources: &mut CallbackResources,
    ) -> Vec<wgpu::CommandBuffer> {
        let Some(resources) = resources.get_mut::<Resources>() else {
            return Vec::new();
        };
        resources.begin_frame();
        let limit = device.limits().max_texture_dimension_2d;
        if let (Some(key), Some(shape)) = (self.picture.key(), Shape::of(&self.picture, limit)) {
            let id = resources.claim(device, &key, shape);
            if let Some(surface) = resources.surfaces.get_mut(&id) {
                surface.set_view(queue, self.view);
                if surface.content.as_ref() != Some(&key) {
                    surface.fill(&resources.pipelines, queue, encoder, &self.picture);
                    surface.content = Some(key);
                }
            }
            self.surface.store(id, Ordering::Relaxed);
        }
        Vec::new()
    }

    fn finish_prepare(
        &self,
        _device: &wgpu::Device,
        _queue: &wgpu::Queue,
        _encoder: &mut wgpu::CommandEncoder,
        resources: &mut CallbackResources,
    ) -> Vec<wgpu::CommandBuffer> {
        if let Some(resources) = resources.get_mut::<Resources>() {
            resources.preparing = false;
        }
        Vec::new()
    }

    fn paint(
        &self,
        info: PaintCallbackInfo,
        pass: &mut wgpu::RenderPass<'static>,
        resources: &CallbackResources,
    ) {
        let Some(resources) = resources.get::<Resources>() else {
            return;
        };
        let id = self.surface.load(Ordering::Relaxed);
        if let Some(surface) = resources.surfaces.get(&id) {
            // The whole screen: the shader counts in its pixels, egui's scissor does the clipping.
            let [width, height] = info.screen_size_px.map(|side| side as f32);
            pass.set_viewport(0.0, 0.0, width, height, 0.0, 1.0);
            surface.draw(resources.pipelines.blit(self.filter), pass);
        }
    }
}
