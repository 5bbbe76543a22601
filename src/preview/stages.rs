use bytemuck::Zeroable as _;
use eframe::egui_wgpu::wgpu;

use super::latent::{LatentFrames, RgbFactors};
use super::pipelines::{HeatUniform, LATENT_FORMAT, MapUniform, PICTURE_FORMAT, Pipelines};

/// What the latent shader reads.
pub(super) struct LatentStage {
    values: wgpu::Texture,
    map: wgpu::Buffer,
    bind_group: wgpu::BindGroup,
}

impl LatentStage {
    /// Room for `groups` of four channels, each as large as the picture.
    pub fn new(
        device: &wgpu::Device,
        pipelines: &Pipelines,
        [width, height]: [u32; 2],
        groups: u32,
    ) -> Self {
        let size = [width, height * groups];
        let values = texture(device, "preview latents", size, LATENT_FORMAT, INPUT);
        let map = uniform(device, "preview map", size_of::<MapUniform>());
        Self {
            bind_group: bind(device, &pipelines.latent_layout, &[&values], &map),
            values,
            map,
        }
    }

    /// Puts one frame and its map in.
    pub fn upload(
        &self,
        queue: &wgpu::Queue,
        frames: &LatentFrames,
        rgb: &RgbFactors,
        frame: usize,
    ) {
        let groups = frames.channels.div_ceil(4);
        let cells = frames.width * frames.height;
        let mut map = MapUniform::zeroed();
        map.size = [frames.width as u32, frames.height as u32, groups as u32, 0];
        map.bias[..3].copy_from_slice(&rgb.bias);
        for (row, factors) in map.factors.iter_mut().zip(&rgb.factors) {
            row[..3].copy_from_slice(factors);
        }
        // Channels beyond the last, in its group of four, stay 0 and so add nothing.
        let mut texels = vec![[0.0f32; 4]; groups * cells];
        for channel in 0..frames.channels {
            let start = (channel * frames.frames + frame) * cells;
            let group = &mut texels[channel / 4 * cells..][..cells];
            for (texel, &value) in group.iter_mut().zip(&frames.data[start..start + cells]) {
                texel[channel % 4] = value;
            }
        }
        queue.write_buffer(&self.map, 0, bytemuck::bytes_of(&map));
        write_texture(queue, &self.values, bytemuck::cast_slice(&texels), 16);
    }

    /// Maps what is in to `target`.
    pub fn draw(
        &self,
        pipelines: &Pipelines,
        encoder: &mut wgpu::CommandEncoder,
        target: &wgpu::TextureView,
    ) {
        draw(encoder, target, &pipelines.latent, &self.bind_group);
    }
}

/// What the difference shader reads.
pub(super) struct DifferenceStage {
    frames: [wgpu::Texture; 2],
    heat: wgpu::Buffer,
    bind_group: wgpu::BindGroup,
}

impl DifferenceStage {
    /// Room for two frames as large as the picture.
    pub fn new(device: &wgpu::Device, pipelines: &Pipelines, size: [u32; 2]) -> Self {
        let frame = |label| texture(device, label, size, PICTURE_FORMAT, INPUT);
        let frames = [frame("preview one"), frame("preview other")];
        let heat = uniform(device, "preview heat", size_of::<HeatUniform>());
        let layout = &pipelines.difference_layout;
        Self {
            bind_group: bind(device, layout, &[&frames[0], &frames[1]], &heat),
            frames,
            heat,
        }
    }

    /// Puts two frames and the gain in.
    pub fn upload(&self, queue: &wgpu::Queue, frames: [&[u8]; 2], gain: f32) {
        for (texture, rgb) in self.frames.iter().zip(frames) {
            write_texture(queue, texture, &rgba(rgb), 4);
        }
        let heat = HeatUniform::new(gain);
        queue.write_buffer(&self.heat, 0, bytemuck::bytes_of(&heat));
    }

    /// Draws the colours of what is in to `target`.
    pub fn draw(
        &self,
        pipelines: &Pipelines,
        encoder: &mut wgpu::CommandEncoder,
        target: &wgpu::TextureView,
    ) {
        draw(encoder, target, &pipelines.difference, &self.bind_group);
    }
}

/// A texture that only the processor writes and only shaders read.
const INPUT: wgpu::TextureUsages =
    wgpu::TextureUsages::TEXTURE_BINDING.union(wgpu::TextureUsages::COPY_DST);

/// One triangle over all of `target`.
fn draw(
    encoder: &mut wgpu::CommandEncoder,
    target: &wgpu::TextureView,
    pipeline: &wgpu::RenderPipeline,
    bind_group: &wgpu::BindGroup,
) {
    let mut pass = encoder.begin_render_pass(&wgpu::RenderPassDescriptor {
        label: Some("preview to RGB"),
        color_attachments: &[Some(wgpu::RenderPassColorAttachment {
            view: target,
            depth_slice: None,
            resolve_target: None,
            ops: wgpu::Operations {
                load: wgpu::LoadOp::Clear(wgpu::Color::BLACK),
                store: wgpu::StoreOp::Store,
            },
        })],
        ..Default::default()
    });
    pass.set_pipeline(pipeline);
    pass.set_bind_group(0, bind_group, &[]);
    pass.draw(0..3, 0..1);
}

/// Bytes of three channels with a fourth, as textures need it.
pub(super) fn rgba(rgb: &[u8]) -> Vec<u8> {
    let pixels = rgb.as_chunks::<3>().0;
    pixels
        .iter()
        .flat_map(|&[r, g, b]| [r, g, b, u8::MAX])
        .collect()
}

pub(super) fn texture(
    device: &wgpu::Device,
    label: &str,
    [width, height]: [u32; 2],
    format: wgpu::TextureFormat,
    usage: wgpu::TextureUsages,
) -> wgpu::Texture {
    device.create_texture(&wgpu::TextureDescriptor {
        label: Some(label),
        size: wgpu::Extent3d {
            width,
            height,
            depth_or_array_layers: 1,
        },
        mip_level_count: 1,
        sample_count: 1,
        dimension: wgpu::TextureDimension::D2,
        format,
        usage,
        view_formats: &[],
    })
}

pub(super) fn uniform(device: &wgpu::Device, label: &str, bytes: usize) -> wgpu::Buffer {
    device.create_buffer(&wgpu::BufferDescriptor {
        label: Some(label),
        size: bytes as u64,
        usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
        mapped_at_creation: false,
    })
}

/// The textures at 0 and, where there is a second, 2; the uniform between them.
pub(super) fn bind(
    device: &wgpu::Device,
    layout: &wgpu::BindGroupLayout,
    textures: &[&wgpu::Texture],
    buffer: &wgpu::Buffer,
) -> wgpu::BindGroup {
    let views: Vec<wgpu::TextureView> = textures
        .iter()
        .map(|texture| texture.create_view(&wgpu::TextureViewDescriptor::default()))
        .collect();
    let mut entries = vec![wgpu::BindGroupEntry {
        binding: 1,
        resource: buffer.as_entire_binding(),
    }];
    entries.extend(
        views
            .iter()
            .zip([0, 2])
            .map(|(view, binding)| wgpu::BindGroupEntry {
                binding,
                resource: wgpu::BindingResource::TextureView(view),
            }),
    );
    device.create_bind_group(&wgpu::BindGroupDescriptor {
        label: None,
        layout,
        entries: &entries,
    })
}

/// Fills all of `texture` with rows packed without padding.
pub(super) fn write_texture(
    queue: &wgpu::Queue,
    texture: &wgpu::Texture,
    bytes: &[u8],
    texel_bytes: u32,
) {
    let layout = wgpu::TexelCopyBufferLayout {
        offset: 0,
        bytes_per_row: Some(texture.width() * texel_bytes),
        rows_per_image: Some(texture.height()),
    };
    queue.write_texture(texture.as_image_copy(), bytes, layout, texture.size());
}
