use bytemuck::{Pod, Zeroable};
use eframe::egui_wgpu::wgpu;

use super::heat::{COLOURS, STOPS};
use super::rgb::Filter;

/// Latent channels the shader has room for; it counts them in fours.
pub(super) const MAX_CHANNELS: usize = 128;
/// What a picture is kept in: the clip's bytes as they are.
pub(super) const PICTURE_FORMAT: wgpu::TextureFormat = wgpu::TextureFormat::Rgba8Unorm;
/// Four latent channels a texel, as a texture because old GPUs read no buffers in fragment shaders.
pub(super) const LATENT_FORMAT: wgpu::TextureFormat = wgpu::TextureFormat::Rgba32Float;

/// `View` in `shaders/blit.wgsl`.
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub(super) struct ViewUniform {
    origin_px: [f32; 2],
    size_px: [f32; 2],
}

impl ViewUniform {
    pub fn new(origin_px: [f32; 2], size_px: [f32; 2]) -> Self {
        Self { origin_px, size_px }
    }
}

/// `Map` in `shaders/latent.wgsl`.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub(super) struct MapUniform {
    /// Columns, rows, groups of four channels; the fourth is padding.
    pub size: [u32; 4],
    /// Red, green, blue; the fourth is padding.
    pub bias: [f32; 4],
    /// A row a channel; the fourth column is padding.
    pub factors: [[f32; 4]; MAX_CHANNELS],
}

/// `Heat` in `shaders/difference.wgsl`.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub(super) struct HeatUniform {
    /// The first is the gain; the rest is padding.
    gain: [f32; 4],
    /// Red, green, blue; the fourth column is padding.
    colours: [[f32; 4]; STOPS],
}

impl HeatUniform {
    pub fn new(gain: f32) -> Self {
        Self {
            gain: [gain, 0.0, 0.0, 0.0],
            colours: COLOURS.map(|[r, g, b]| [r, g, b, 1.0]),
        }
    }
}

/// The shaders, made once a window.
pub(super) struct Pipelines {
    pub latent: wgpu::RenderPipeline,
    pub difference: wgpu::RenderPipeline,
    /// In the order of [`Filter::ALL`].
    blit: [wgpu::RenderPipeline; 3],
    /// Texture and uniform of the latent shader.
    pub latent_layout: wgpu::BindGroupLayout,
    /// Texture, uniform and second texture of the difference shader.
    pub difference_layout: wgpu::BindGroupLayout,
    /// Texture and uniform of the blit shader.
    pub blit_layout: wgpu::BindGroupLayout,
}

impl Pipelines {
    /// For a window that egui draws into as `target`.
    pub fn new(device: &wgpu::Device, target: wgpu::TextureFormat) -> Self {
        let latent_layout = layout(device, "preview latent", size_of::<MapUniform>(), 1);
        let difference_layout = layout(device, "preview difference", size_of::<HeatUniform>(), 2);
        let blit_layout = layout(device, "preview blit", size_of::<ViewUniform>(), 1);
        // egui gives both kinds of target gamma-encoded values; see its own shader.
        let target_encodes = f64::from(u8::from(target.is_srgb()));
        let blit = Filter::ALL.map(|filter| {
            pipeline(
                device,
                wgpu::include_wgsl!("../../shaders/blit.wgsl"),
                (
                    "shade",
                    &[
                        ("mode", f64::from(filter as u8)),
                        ("target_encodes", target_encodes),
                    ],
                ),
                &blit_layout,
                target,
            )
        });
        Self {
            latent: pipeline(
                device,
                wgpu::include_wgsl!("../../shaders/latent.wgsl"),
                ("to_rgb", &[]),
                &latent_layout,
                PICTURE_FORMAT,
            ),
            difference: pipeline(
                device,
                wgpu::include_wgsl!("../../shaders/difference.wgsl"),
                ("to_heat", &[]),
                &difference_layout,
                PICTURE_FORMAT,
            ),
            blit,
            latent_layout,
            difference_layout,
            blit_layout,
        }
    }

    /// The pipeline that draws into the window.
    pub fn blit(&self, filter: Filter) -> &wgpu::RenderPipeline {
        &self.blit[filter as usize]
    }
}

/// A texture, a uniform and, where there are two, another texture.
fn layout(
    device: &wgpu::Device,
    label: &str,
    uniform_bytes: usize,
    textures: usize,
) -> wgpu::BindGroupLayout {
    let entry = |binding, ty| wgpu::BindGroupLayoutEntry {
        binding,
        visibility: wgpu::ShaderStages::FRAGMENT,
        ty,
        count: None,
    };
    let texture = wgpu::BindingType::Texture {
        // The shaders filter by hand: 32-bit floats cannot be sampled everywhere, and samplers round
        // differently from one GPU to the next.
        sample_type: wgpu::TextureSampleType::Float { filterable: false },
        view_dimension: wgpu::TextureViewDimension::D2,
        multisampled: false,
    };
    let uniform = wgpu::BindingType::Buffer {
        ty: wgpu::BufferBindingType::Uniform,
        has_dynamic_offset: false,
        min_binding_size: wgpu::BufferSize::new(uniform_bytes as u64),
    };
    let entries = [entry(0, texture), entry(1, uniform), entry(2, texture)];
    device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
        label: Some(label),
        entries: &entries[..textures + 1],
    })
}

fn pipeline(
    device: &wgpu::Device,
    shader: wgpu::ShaderModuleDescriptor<'_>,
    (entry_point, constants): (&str, &[(&str, f64)]),
    layout: &wgpu::BindGroupLayout,
    target: wgpu::TextureFormat,
) -> wgpu::RenderPipeline {
    let label = Some(entry_point);
    let module = device.create_shader_module(shader);
    let pipeline_layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
        label,
        bind_group_layouts: &[Some(layout)],
        immediate_size: 0,
    });
    device.create_render_pipeline(&wgpu::RenderPipelineDescriptor {
        label,
        layout: Some(&pipeline_layout),
        vertex: wgpu::VertexState {
            module: &module,
            entry_point: Some("corner"),
            buffers: &[],
            compilation_options: wgpu::PipelineCompilationOptions::default(),
        },
        primitive: wgpu::PrimitiveState::default(),
        depth_stencil: None,
        multisample: wgpu::MultisampleState::default(),
        fragment: Some(wgpu::FragmentState {
            module: &module,
            entry_point: Some(entry_point),
            // Opaque: what lies below the picture never shines through.
            targets: &[Some(wgpu::ColorTargetState {
                format: target,
                blend: None,
                write_mask: wgpu::ColorWrites::ALL,
            })],
            compilation_options: wgpu::PipelineCompilationOptions {
                constants,
                ..Default::default()
            },
        }),
        multiview_mask: None,
        cache: None,
    })
}
