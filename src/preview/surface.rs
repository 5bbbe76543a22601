use eframe::egui_wgpu::wgpu;

use super::picture::{ContentKey, Picture};
use super::pipelines::{MAX_CHANNELS, PICTURE_FORMAT, Pipelines, ViewUniform};
use super::rgb::RgbPicture;
use super::stages::{DifferenceStage, LatentStage, bind, rgba, texture, uniform, write_texture};

/// Where a picture's pixels come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    /// Bytes, as they are.
    Bytes,
    /// The latent shader, from this many groups of four channels.
    Latents(u32),
    /// The difference shader.
    Difference,
}

/// What decides whether one picture's textures can hold another's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    /// Columns and rows of the picture's texture.
    size: [u32; 2],
    origin: Origin,
}

impl Shape {
    /// The textures `picture` needs; `None` when there is nothing to show or a side is beyond what
    /// the GPU can hold, `limit_px`.
    pub fn of(picture: &Picture, limit_px: u32) -> Option<Self> {
        let size = picture.size()?.map(|side| side as u32);
        let origin = match picture {
            Picture::Latent { frames, .. } if frames.channels <= MAX_CHANNELS => {
                let groups = frames.channels.div_ceil(4) as u32;
                // Latents too many or too tall for the shader's texture are mapped on the CPU.
                match size[1].saturating_mul(groups) <= limit_px {
                    true => Origin::Latents(groups),
                    false => Origin::Bytes,
                }
            }
            Picture::Difference { .. } => Origin::Difference,
            _ => Origin::Bytes,
        };
        (size[0].max(size[1]) <= limit_px).then_some(Self { size, origin })
    }
}

/// What fills a picture's texture by a shader.
enum Stage {
    Latent(LatentStage),
    Difference(DifferenceStage),
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
    stage: Option<Stage>,
}

impl Surface {
    pub fn new(device: &wgpu::Device, pipelines: &Pipelines, shape: Shape) -> Self {
        let usage = wgpu::TextureUsages::TEXTURE_BINDING
            | wgpu::TextureUsages::COPY_DST
            | wgpu::TextureUsages::RENDER_ATTACHMENT;
        let size = shape.size;
        let picture = texture(device, "preview picture", size, PICTURE_FORMAT, usage);
        let view = uniform(device, "preview view", size_of::<ViewUniform>());
        let stage = match shape.origin {
            Origin::Bytes => None,
            Origin::Latents(groups) => {
                let stage = LatentStage::new(device, pipelines, size, groups);
                Some(Stage::Latent(stage))
            }
            Origin::Difference => {
                let stage = DifferenceStage::new(device, pipelines, size);
                Some(Stage::Difference(stage))
            }
        };
        Self {
            shape,
            content: None,
            used_at: 0,
            bind_group: bind(device, &pipelines.blit_layout, &[&picture], &view),
            picture_view: picture.create_view(&wgpu::TextureViewDescriptor::default()),
            picture,
            view,
            view_content: None,
            stage,
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
        match (picture, &self.stage) {
            (
                Picture::Latent {
                    frames,
                    rgb,
                    frame_index,
                },
                Some(Stage::Latent(stage)),
            ) => {
                stage.upload(queue, frames, rgb, *frame_index);
                stage.draw(pipelines, encoder, &self.picture_view);
            }
            (
                Picture::Difference {
                    one,
                    other,
                    frame_index,
                    gain,
                },
                Some(Stage::Difference(stage)),
            ) => {
                let frames = [one, other].map(|clip| clip.frames[*frame_index].as_slice());
                stage.upload(queue, frames, *gain);
                stage.draw(pipelines, encoder, &self.picture_view);
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

    /// Draws into egui's pass with one of the blit pipelines.
    pub fn draw(&self, blit: &wgpu::RenderPipeline, pass: &mut wgpu::RenderPass<'static>) {
        pass.set_pipeline(blit);
        pass.set_bind_group(0, &self.bind_group, &[]);
        pass.draw(0..3, 0..1);
    }
}
