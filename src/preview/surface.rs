use bytemuck::Zeroable as _;
use eframe::egui_wgpu::wgpu;

use super::latent::{LatentFrames, RgbFactors};
use super::picture::{ContentKey, Picture};
use super::pipelines::{
    LATENT_FORMAT, MAX_CHANNELS, MapUniform, PICTURE_FORMAT, Pipelines, ViewUniform,
};
use super::rgb::RgbPicture;

/// What decides whether one picture's textures can hold another's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    /// Columns and rows of the picture's texture.
    size: [u32; 2],
    /// Groups of four latent channels that the shader maps; 0 when bytes are uploaded.
    groups: u32,
}

impl Shape {
    /// The textures `picture` needs; `None` when there is nothing to show or a side is beyond what
    /// the GPU can hold, `limit_px`.
    pub fn of(picture: &Picture, limit_px: u32) -> Option<Self> {
        let size = picture.size()?.map(|side| side as u32);
        let groups = match picture {
            Picture::Latent { frames, .. } if frames.channels <= MAX_CHANNELS => {
                frames.channels.div_ceil(4) as u32
            }
            _ => 0,
        };
        // Latents too many or too tall for the shader's texture are mapped on the CPU.
        let groups = if size[1].saturating_mul(groups) <= limit_px {
            groups
        } else {
            0
        };
        (size[0].max(size[1]) <= limit_px).then_some(Self { size, groups })
    }
}

/// The textures and uniforms of one picture on the screen.
pub(super) struct Surface {
    pub shape: Shape,
    /// What the texture holds.
    pub content: Option<ContentKey>,
    /// The last frame of the window that showed it.
    pub used_at: u64,
    picture: wgpu::Texture,
    picture_view: wgpu::TextureView,
    view: wgpu::Buffer,
    view_content: Option<ViewUniform>,
    bind_group: wgpu::BindGroup,
    latent: Option<LatentStage>,
}

/// What the latent shader reads.
struct LatentStage {
    values: wgpu::Texture,
    map: wgpu::Buffer,
    bind_group: wgpu::BindGroup,
}

impl Surface {
    pub fn new(device: &wgpu::Device, pipelines: &Pipelines, shape: Shape) -> Self {
        let [width, height] = shape.size;
        let usage = wgpu::TextureUsages::TEXTURE_BINDING
            | wgpu::TextureUsages::COPY_DST
            | wgpu::TextureUsages::RENDER_ATTACHMENT;
        let picture = texture(
            device,
            "preview picture",
            width,
            height,
            PICTURE_FORMAT,
            usage,
        );
        let picture_view = picture.create_view(&wgpu::TextureViewDescriptor::default());
        let view = uniform(device, "preview view", size_of::<ViewUniform>());
        let latent = (shape.groups > 0).then(|| {
            let values = texture(
                device,
                "preview latents",
                width,
                height * shape.groups,
                LATENT_FORMAT,
                wgpu::TextureUsages::TEXTURE_BINDING | wgpu::TextureUsages::COPY_DST,
            );
            let map = uniform(device, "preview map", size_of::<MapUniform>());
            let values_view = values.create_view(&wgpu::TextureViewDescriptor::default());
            LatentStage {
                bind_group: bind(device, &pipelines.latent_layout, &values_view, &map),
                values,
                map,
            }
        });
        Self {
            shape,
            content: None,
            used_at: 0,
            bind_group: bind(device, &pipelines.blit_layout, &picture_view, &view),
            picture,
            picture_view,
            view,
            view_content: None,
            latent,
        }
    }

    /// Where and how the picture is drawn.
    pub fn set_view(&mut self, queue: &wgpu::Queue, view: ViewUniform) {
        if self.view_content != Some(view) {
            queue.write_buffer(&self.view, 0, bytemuck::bytes_of(&view));
            self.view_content = Some(view);
        }
    }

    /// Puts a picture of this surface's shape into its texture.
    pub fn fill(
        &self,
        pipelines: &Pipelines,
        queue: &wgpu::Queue,
        encoder: &mut wgpu::CommandEncoder,
        picture: &Picture,
    ) {
        match (picture, &self.latent) {
            (
                Picture::Latent {
                    frames,
                    rgb,
                    frame_index,
                },
                Some(stage),
            ) => {
                stage.upload(queue, frames, rgb, *frame_index);
                self.map_latents(pipelines, encoder, stage);
            }
            (Picture::Clip { clip, frame_index }, _) => {
                write_texture(queue, &self.picture, &rgba(&clip.frames[*frame_index]), 4);
            }
            _ => {
                if let Some(RgbPicture { rgb, .. }) = picture.to_rgb() {
                    write_texture(queue, &self.picture, &rgba(&rgb), 4);
                }
            }
        }
    }

    fn map_latents(
        &self,
        pipelines: &Pipelines,
        encoder: &mut wgpu::CommandEncoder,
        stage: &LatentStage,
    ) {
        let mut pass = encoder.begin_render_pass(&wgpu::RenderPassDescriptor {
            label: Some("preview latents to RGB"),
            color_attachments: &[Some(wgpu::RenderPassColorAttachment {
                view: &self.picture_view,
                depth_slice: None,
                resolve_target: None,
                ops: wgpu::Operations {
                    load: wgpu::LoadOp::Clear(wgpu::Color::BLACK),
                    store: wgpu::StoreOp::Store,
                },
            })],
            ..Default::default()
        });
        pass.set_pipeline(&pipelines.latent);
        pass.set_bind_group(0, &stage.bind_group, &[]);
        pass.draw(0..3, 0..1);
    }

    /// Draws into egui's pass with one of the blit pipelines.
    pub fn draw(&self, blit: &wgpu::RenderPipeline, pass: &mut wgpu::RenderPass<'static>) {
        pass.set_pipeline(blit);
        pass.set_bind_group(0, &self.bind_group, &[]);
        pass.draw(0..3, 0..1);
    }
}

impl LatentStage {
    fn upload(&self, queue: &wgpu::Queue, frames: &LatentFrames, rgb: &RgbFactors, frame: usize) {
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
}

fn rgba(rgb: &[u8]) -> Vec<u8> {
    let pixels = rgb.as_chunks::<3>().0;
    pixels
        .iter()
        .flat_map(|&[r, g, b]| [r, g, b, u8::MAX])
        .collect()
}

fn texture(
    device: &wgpu::Device,
    label: &str,
    width: u32,
    height: u32,
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

fn uniform(device: &wgpu::Device, label: &str, bytes: usize) -> wgpu::Buffer {
    device.create_buffer(&wgpu::BufferDescriptor {
        label: Some(label),
        size: bytes as u64,
        usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
        mapped_at_creation: false,
    })
}

fn bind(
    device: &wgpu::Device,
    layout: &wgpu::BindGroupLayout,
    view: &wgpu::TextureView,
    buffer: &wgpu::Buffer,
) -> wgpu::BindGroup {
    device.create_bind_group(&wgpu::BindGroupDescriptor {
        label: None,
        layout,
        entries: &[
            wgpu::BindGroupEntry {
                binding: 0,
                resource: wgpu::BindingResource::TextureView(view),
            },
            wgpu::BindGroupEntry {
                binding: 1,
                resource: buffer.as_entire_binding(),
            },
        ],
    })
}

/// Fills all of `texture` with rows packed without padding.
fn write_texture(queue: &wgpu::Queue, texture: &wgpu::Texture, bytes: &[u8], texel_bytes: u32) {
    let layout = wgpu::TexelCopyBufferLayout {
        offset: 0,
        bytes_per_row: Some(texture.width() * texel_bytes),
        rows_per_image: Some(texture.height()),
    };
    queue.write_texture(texture.as_image_copy(), bytes, layout, texture.size());
}
