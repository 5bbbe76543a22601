// How far two frames are apart, as colours: the root mean square of the channels' differences, times a gain, looked
// up in a row of colours. One texel of the target is one pixel of the frames.
// src/preview/heat.rs computes the same on the CPU and makes the colours.

struct Heat {
    // What the difference is multiplied by; the rest is padding.
    gain: vec4<f32>,
    // From nothing to as much as the scale shows, evenly spaced.
    colours: array<vec4<f32>, 33>,
}

@group(0) @binding(0) var one: texture_2d<f32>;
@group(0) @binding(1) var<uniform> heat: Heat;
@group(0) @binding(2) var other: texture_2d<f32>;

@vertex
fn corner(@builtin(vertex_index) index: u32) -> @builtin(position) vec4<f32> {
    // One triangle that covers the whole target.
    let x = f32((index & 1u) * 4u) - 1.0;
    let y = f32((index >> 1u) * 4u) - 1.0;
    return vec4<f32>(x, y, 0.0, 1.0);
}

@fragment
fn to_heat(@builtin(position) position: vec4<f32>) -> @location(0) vec4<f32> {
    let at = vec2<i32>(position.xy);
    let apart = textureLoad(one, at, 0).rgb - textureLoad(other, at, 0).rgb;
    let share = clamp(sqrt(dot(apart, apart) / 3.0) * heat.gain.x, 0.0, 1.0);
    let place = share * 32.0;
    let first = min(u32(place), 31u);
    let colour = mix(heat.colours[first].rgb, heat.colours[first + 1u].rgb, place - f32(first));
    return vec4<f32>(colour, 1.0);
}
