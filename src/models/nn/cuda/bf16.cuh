// bfloat16 as NVRTC has it without any header: the upper half of an f32. Other kernels' sources follow.

typedef unsigned short bf16;

__device__ __forceinline__ float widen(bf16 x) { return __uint_as_float((unsigned)x << 16); }

// To the nearest, ties to even; what is no number stays none.
__device__ __forceinline__ bf16 narrow(float x) {
    unsigned bits = __float_as_uint(x);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return (bf16)((bits >> 16) | 0x40u);
    return (bf16)((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}
