// A picture onto the window, scaled and moved. Values stay what they are in the clip: they are sRGB-encoded
// already, and so is what egui draws into. src/preview/rgb.rs computes the same on the CPU.

struct View {
    // Upper left corner and size of the whole picture in pixels of the target.
    origin_px: vec2<f32>,
    size_px: vec2<f32>,
}

// 0 nearest, 1 linear, 2 cubic. Fixed when the pipeline is made: a software rasteriser runs every branch of a
// choice made per pixel.
override mode: u32 = 1u;
// Whether the target encodes what it is given, as an sRGB format does.
override target_encodes: bool = false;

@group(0) @binding(0) var picture: texture_2d<f32>;
@group(0) @binding(1) var<uniform> view: View;

@vertex
fn corner(@builtin(vertex_index) index: u32) -> @builtin(position) vec4<f32> {
    // One triangle that covers the whole target; the scissor cuts it to the pane.
    let x = f32((index & 1u) * 4u) - 1.0;
    let y = f32((index >> 1u) * 4u) - 1.0;
    return vec4<f32>(x, y, 0.0, 1.0);
}

fn texel(at: vec2<i32>) -> vec3<f32> {
    let last = vec2<i32>(textureDimensions(picture)) - 1;
    return textureLoad(picture, clamp(at, vec2<i32>(0), last), 0).rgb;
}

fn linear(at: vec2<f32>) -> vec3<f32> {
    let base = floor(at - 0.5);
    let part = at - 0.5 - base;
    let first = vec2<i32>(base);
    let above = mix(texel(first), texel(first + vec2<i32>(1, 0)), part.x);
    let below = mix(texel(first + vec2<i32>(0, 1)), texel(first + vec2<i32>(1, 1)), part.x);
    return mix(above, below, part.y);
}

// Weights of the four texels around a point, after Catmull and Rom: passes through every texel.
fn weights(t: f32) -> vec4<f32> {
    let t2 = t * t;
    let t3 = t2 * t;
    return 0.5 * vec4<f32>(
        2.0 * t2 - t - t3,
        3.0 * t3 - 5.0 * t2 + 2.0,
        4.0 * t2 - 3.0 * t3 + t,
        t3 - t2,
    );
}

fn cubic(at: vec2<f32>) -> vec3<f32> {
    let base = floor(at - 0.5);
    let part = at - 0.5 - base;
    let first = vec2<i32>(base) - 1;
    let across = weights(part.x);
    let down = weights(part.y);
    var colour = vec3<f32>(0.0);
    for (var y = 0; y < 4; y++) {
        var row = vec3<f32>(0.0);
        for (var x = 0; x < 4; x++) {
            row += across[x] * texel(first + vec2<i32>(x, y));
        }
        colour += down[y] * row;
    }
    return clamp(colour, vec3<f32>(0.0), vec3<f32>(1.0));
}

@fragment
fn shade(@builtin(position) position: vec4<f32>) -> @location(0) vec4<f32> {
    let share = (position.xy - view.origin_px) / view.size_px;
    if any(share < vec2<f32>(0.0)) || any(share >= vec2<f32>(1.0)) {
        discard;
    }
    let at = share * vec2<f32>(textureDimensions(picture));
    var colour: vec3<f32>;
    if mode == 0u {
        colour = texel(vec2<i32>(floor(at)));
    } else if mode == 1u {
        colour = linear(at);
    } else {
        colour = cubic(at);
    }
    if target_encodes {
        // Decode first, so that the same value ends up in the target.
        let low = colour / 12.92;
        let high = pow((colour + 0.055) / 1.055, vec3<f32>(2.4));
        colour = select(high, low, colour <= vec3<f32>(0.04045));
    }
    return vec4<f32>(colour, 1.0);
}
