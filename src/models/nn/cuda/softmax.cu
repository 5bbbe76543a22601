// Softmax of scores over each row, in place: bfloat16 in memory, f32 in between.
//
// Compiled by NVRTC when it is first needed, after bf16.cuh.

// The largest score so far and the sum of e^(score - largest).
struct State { float max, sum; };

__device__ __forceinline__ State join(State a, State b) {
    float max = fmaxf(a.max, b.max);
    State both;
    both.max = max;
    // Nothing has been seen where the sum is 0; its maximum would give a difference that is no number.
    both.sum = (a.sum == 0.f ? 0.f : a.sum * __expf(a.max - max))
             + (b.sum == 0.f ? 0.f : b.sum * __expf(b.max - max));
    return both;
}

__device__ __forceinline__ void add(State &state, float score) {
    // Scores that are not numbers compare as false everywhere and reach the sum.
    if (score > state.max) {
        state.sum = state.sum == 0.f ? 0.f : state.sum * __expf(state.max - score);
        state.max = score;
    }
    state.sum += __expf(score - state.max);
}

__device__ State over_block(State state) {
    __shared__ State warps[32];
    for (int lane = 16; lane > 0; lane >>= 1) {
        State other;
        other.max = __shfl_xor_sync(0xffffffffu, state.max, lane);
        other.sum = __shfl_xor_sync(0xffffffffu, state.sum, lane);
        state = join(state, other);
    }
    if ((threadIdx.x & 31) == 0) warps[threadIdx.x >> 5] = state;
    __syncthreads();
    state = warps[0];
    for (int warp = 1; warp < (int)(blockDim.x >> 5); ++warp) state = join(state, warps[warp]);
    return state;
}

// A block for each row of any width.
extern "C" __global__ void softmax_any(bf16 *scores, int columns, float scale) {
    bf16 *row = scores + (size_t)blockIdx.x * columns;
    State state = { -3.4e38f, 0.f };
    for (int i = threadIdx.x; i < columns; i += blockDim.x) add(state, widen(row[i]) * scale);
    state = over_block(state);
    float inverse = 1.f / state.sum;
    for (int i = threadIdx.x; i < columns; i += blockDim.x)
        row[i] = narrow(__expf(widen(row[i]) * scale - state.max) * inverse);
}

// The same for rows of a multiple of eight, which are read eight numbers at a time.
extern "C" __global__ void softmax_by_eight(uint4 *scores, int columns, float scale) {
    int eights = columns >> 3;
    uint4 *row = scores + (size_t)blockIdx.x * eights;
    State state = { -3.4e38f, 0.f };
    for (int i = threadIdx.x; i < eights; i += blockDim.x) {
        uint4 v = row[i];
        unsigned words[4] = { v.x, v.y, v.z, v.w };
#pragma unroll
        for (int k = 0; k < 4; ++k) {
            add(state, __uint_as_float(words[k] << 16) * scale);
            add(state, __uint_as_float(words[k] & 0xffff0000u) * scale);
        }
    }
    state = over_block(state);
    float inverse = 1.f / state.sum;
    for (int i = threadIdx.x; i < eights; i += blockDim.x) {
        uint4 v = row[i];
        unsigned words[4] = { v.x, v.y, v.z, v.w };
#pragma unroll
        for (int k = 0; k < 4; ++k) {
            float low = __expf(__uint_as_float(words[k] << 16) * scale - state.max) * inverse;
            float high = __expf(__uint_as_float(words[k] & 0xffff0000u) * scale - state.max) * inverse;
            words[k] = (unsigned)narrow(low) | ((unsigned)narrow(high) << 16);
        }
        row[i] = make_uint4(words[0], words[1], words[2], words[3]);
    }
}
