// One latent frame to RGB: a linear map of the channels, clamped. One texel of the target is one latent cell.
// src/preview/rgb.rs computes the same on the CPU.

struct Map {
    // Columns, rows, and texels of four channels a cell.
    size: vec3<u32>,
    bias: vec4<f32>,
    // What a channel adds to red, green and blue.
    factors: array<vec4<f32>, 128>,
}

// Four channels a texel; the groups of four lie below one another, `size.y` rows each.
@group(0) @binding(0) var latents: texture_2d<f32>;
@group(0) @binding(1) var<uniform> map: Map;

@vertex
fn corner(@builtin(vertex_index) index: u32) -> @builtin(position) vec4<f32> {
    // One triangle that covers the whole target.
    let x = f32((index & 1u) * 4u) - 1.0;
    let y = f32((index >> 1u) * 4u) - 1.0;
    return vec4<f32>(x, y, 0.0, 1.0);
}

@fragment
fn to_rgb(@builtin(position) position: vec4<f32>) -> @location(0) vec4<f32> {
    let cell = vec2<u32>(position.xy);
    var colour = map.bias.rgb;
    for (var group = 0u; group < map.size.z; group++) {
        let value = textureLoad(latents, vec2<u32>(cell.x, cell.y + group * map.size.y), 0);
        let first = group * 4u;
        colour += value.x * map.factors[first].rgb;
        colour += value.y * map.factors[first + 1u].rgb;
        colour += value.z * map.factors[first + 2u].rgb;
        colour += value.w * map.factors[first + 3u].rgb;
    }
    return vec4<f32>(clamp(colour, vec3<f32>(0.0), vec3<f32>(1.0)), 1.0);
}
