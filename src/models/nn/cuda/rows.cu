// Norms, gated residuals and rotations of rows: bfloat16 in memory, eight numbers read and written at a time, f32 in between.
//
// Compiled by NVRTC when it is first needed, after bf16.cuh.

// Eights of a row that a thread of a norm keeps at most.
#define KEPT 4

struct Eight { float v[8]; };

__device__ __forceinline__ Eight wide(uint4 q) {
    unsigned words[4] = { q.x, q.y, q.z, q.w };
    Eight e;
#pragma unroll
    for (int k = 0; k < 4; ++k) {
        e.v[2 * k] = __uint_as_float(words[k] << 16);
        e.v[2 * k + 1] = __uint_as_float(words[k] & 0xffff0000u);
    }
    return e;
}

__device__ __forceinline__ uint4 narrowed(const Eight &e) {
    unsigned words[4];
#pragma unroll
    for (int k = 0; k < 4; ++k) words[k] = (unsigned)narrow(e.v[2 * k]) | ((unsigned)narrow(e.v[2 * k + 1]) << 16);
    return make_uint4(words[0], words[1], words[2], words[3]);
}

// The sum over a block of whole warps, for all of its threads.
__device__ float over_block(float sum) {
    __shared__ float warps[32];
    for (int lane = 16; lane > 0; lane >>= 1) sum += __shfl_xor_sync(0xffffffffu, sum, lane);
    if ((threadIdx.x & 31) == 0) warps[threadIdx.x >> 5] = sum;
    __syncthreads();
    sum = 0.f;
    for (int warp = 0; warp < (int)(blockDim.x >> 5); ++warp) sum += warps[warp];
    // Nobody writes the next sums before all have read these.
    __syncthreads();
    return sum;
}

// A layer norm or, where it is not centred, an RMS norm: a block for each row of `eights`, with weight and bias.
extern "C" __global__ void norm_rows(
    const uint4 *x, const float *weight, const float *bias, uint4 *out, int eights, float eps, int centred
) {
    x += (size_t)blockIdx.x * eights;
    out += (size_t)blockIdx.x * eights;
    Eight kept[KEPT];
    float sum = 0.f;
#pragma unroll
    for (int k = 0; k < KEPT; ++k) {
        int i = threadIdx.x + k * blockDim.x;
        if (i < eights) {
            kept[k] = wide(x[i]);
#pragma unroll
            for (int j = 0; j < 8; ++j) sum += kept[k].v[j];
        }
    }
    float dim = 8.f * eights;
    float mean = centred ? over_block(sum) / dim : 0.f;
    float squares = 0.f;
#pragma unroll
    for (int k = 0; k < KEPT; ++k) {
        if (threadIdx.x + k * blockDim.x < eights) {
#pragma unroll
            for (int j = 0; j < 8; ++j) {
                float d = kept[k].v[j] - mean;
                squares += d * d;
            }
        }
    }
    float inverse = rsqrtf(over_block(squares) / dim + eps);
#pragma unroll
    for (int k = 0; k < KEPT; ++k) {
        int i = threadIdx.x + k * blockDim.x;
        if (i < eights) {
            Eight e;
#pragma unroll
            for (int j = 0; j < 8; ++j) e.v[j] = (kept[k].v[j] - mean) * inverse * weight[8 * i + j] + bias[8 * i + j];
            out[i] = narrowed(e);
        }
    }
}

// x + y * gate, where rows are of `eights`: a thread for every eight of `all`.
extern "C" __global__ void gated_add_rows(
    const uint4 *x, const uint4 *y, const float *gate, uint4 *out, int eights, size_t all
) {
    size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= all) return;
    Eight a = wide(x[i]), b = wide(y[i]);
    const float *g = gate + 8 * (i % eights);
#pragma unroll
    for (int j = 0; j < 8; ++j) a.v[j] += b.v[j] * g[j];
    out[i] = narrowed(a);
}

// Turns the pairs of heads of `eights`, `heads` of a token and `tokens` in a row: a thread for every eight of `all`.
extern "C" __global__ void rotate_rows(
    const uint4 *x, const float *cosines, const float *sines, uint4 *out, int eights, int heads, int tokens, size_t all
) {
    size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= all) return;
    size_t token = i / ((size_t)eights * heads) % tokens;
    size_t angle = 4 * (token * eights + i % eights);
    Eight a = wide(x[i]), b;
#pragma unroll
    for (int j = 0; j < 4; ++j) {
        float c = cosines[angle + j], s = sines[angle + j];
        b.v[2 * j] = a.v[2 * j] * c - a.v[2 * j + 1] * s;
        b.v[2 * j + 1] = a.v[2 * j] * s + a.v[2 * j + 1] * c;
    }
    out[i] = narrowed(b);
}
