// Attention that never holds its scores (Dao, arXiv 2307.08691): bfloat16 in memory, products of the
// tensor cores with f32 sums, softmax in f32 as the keys go by. D, the channels of a head, is given to the
// compiler: 64 or 128.
//
// Queries are (B, N, H, D), keys and values (B, M, H, D), the result is (B, N, H, D), all without gaps.
// Compiled by NVRTC when it is first needed, hence without any header.

typedef unsigned short bf16;

#define WARPS 8
#define QUERIES (16 * WARPS)
#define KEYS 64
#define CHUNKS (D / 8)          // of 16 bytes in a row
#define STAGE (2 * KEYS * D)    // numbers: keys, then values

// Rows lie one after the other; chunks of a row change places so that reads of eight rows hit all banks.
__device__ __forceinline__ int place(int row, int chunk) { return row * D + ((chunk ^ (row & 7)) << 3); }

__device__ __forceinline__ unsigned shared_address(const bf16 *p) { return (unsigned)__cvta_generic_to_shared(p); }

__device__ __forceinline__ void copy(bf16 *to, const bf16 *from, bool exists) {
    int bytes = exists ? 16 : 0;    // What does not exist becomes zeros.
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(to)), "l"(from), "r"(bytes));
}

__device__ __forceinline__ void commit() { asm volatile("cp.async.commit_group;"); }

__device__ __forceinline__ void matrices(unsigned (&r)[4], const bf16 *p) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(shared_address(p)) : "memory");
}

__device__ __forceinline__ void matrices_turned(unsigned (&r)[4], const bf16 *p) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(shared_address(p)) : "memory");
}

__device__ __forceinline__ void product(float (&c)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

__device__ __forceinline__ unsigned pack(float low, float high) {
    unsigned r;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(high), "f"(low));
    return r;
}

__device__ __forceinline__ float two_to(float x) {
    float r;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(r) : "f"(x));
    return r;
}

// Copies rows from `first` on into shared memory, zeros for those that there are not.
__device__ __forceinline__ void rows(bf16 *to, const bf16 *from, int count, int first, int of, size_t stride) {
    for (int i = threadIdx.x; i < count * CHUNKS; i += 32 * WARPS) {
        int row = i / CHUNKS, chunk = i % CHUNKS;
        bool exists = first + row < of;
        const bf16 *source = from + (size_t)(exists ? first + row : 0) * stride + chunk * 8;
        copy(to + place(row, chunk), source, exists);
    }
}

// A block for 128 queries (x) of one head (y) of one batch item (z); a warp for 16 of them. `scale` includes
// the logarithm of e to the base 2.
extern "C" __global__ void __launch_bounds__(32 * WARPS)
flash(const bf16 *q, const bf16 *k, const bf16 *v, bf16 *out, int n, int m, int heads, float scale) {
    extern __shared__ __align__(128) bf16 shared[];     // two stages
    const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
    const size_t stride = (size_t)heads * D;
    q += (size_t)blockIdx.z * n * stride + (size_t)blockIdx.y * D;
    out += (size_t)blockIdx.z * n * stride + (size_t)blockIdx.y * D;
    k += (size_t)blockIdx.z * m * stride + (size_t)blockIdx.y * D;
    v += (size_t)blockIdx.z * m * stride + (size_t)blockIdx.y * D;
    const int first = blockIdx.x * QUERIES;

    // The queries pass through the second stage while the first tile of keys is on its way.
    rows(shared + STAGE, q, QUERIES, first, n, stride);
    commit();
    rows(shared, k, KEYS, 0, m, stride);
    rows(shared + KEYS * D, v, KEYS, 0, m, stride);
    commit();
    asm volatile("cp.async.wait_group 1;" ::: "memory");
    __syncthreads();
    unsigned query[D / 16][4];
#pragma unroll
    for (int step = 0; step < D / 16; ++step)
        matrices(query[step], shared + STAGE + place(warp * 16 + (lane & 15), 2 * step + (lane >> 4)));
    __syncthreads();

    float sums[D / 8][4];
#pragma unroll
    for (int i = 0; i < D / 8; ++i) sums[i][0] = sums[i][1] = sums[i][2] = sums[i][3] = 0.f;
    const float lowest = __int_as_float(0xff800000);
    // Of the row lane / 4 and the one eight below.
    float max[2] = { lowest, lowest }, total[2] = { 0.f, 0.f };

    const int tiles = (m + KEYS - 1) / KEYS;
    for (int tile = 0; tile < tiles; ++tile) {
        if (tile + 1 < tiles) {
            bf16 *next = shared + ((tile + 1) & 1) * STAGE;
            rows(next, k, KEYS, (tile + 1) * KEYS, m, stride);
            rows(next + KEYS * D, v, KEYS, (tile + 1) * KEYS, m, stride);
            commit();
            asm volatile("cp.async.wait_group 1;" ::: "memory");
        } else {
            asm volatile("cp.async.wait_group 0;" ::: "memory");
        }
        __syncthreads();
        const bf16 *key = shared + (tile & 1) * STAGE, *value = key + KEYS * D;

        float scores[KEYS / 8][4];
#pragma unroll
        for (int i = 0; i < KEYS / 8; ++i) scores[i][0] = scores[i][1] = scores[i][2] = scores[i][3] = 0.f;
#pragma unroll
        for (int step = 0; step < D / 16; ++step) {
#pragma unroll
            for (int pair = 0; pair < KEYS / 16; ++pair) {
                unsigned b[4];
                matrices(b, key + place(pair * 16 + (lane & 7) + ((lane >> 4) << 3), 2 * step + ((lane >> 3) & 1)));
                product(scores[2 * pair], query[step], b[0], b[1]);
                product(scores[2 * pair + 1], query[step], b[2], b[3]);
            }
        }
        // Keys beyond the last get no weight.
        if ((tile + 1) * KEYS > m) {
#pragma unroll
            for (int i = 0; i < KEYS / 8; ++i)
#pragma unroll
                for (int e = 0; e < 4; ++e)
                    if (tile * KEYS + i * 8 + (lane & 3) * 2 + (e & 1) >= m) scores[i][e] = lowest;
        }

#pragma unroll
        for (int half = 0; half < 2; ++half) {
            float most = max[half];
#pragma unroll
            for (int i = 0; i < KEYS / 8; ++i)
                most = fmaxf(most, fmaxf(scores[i][2 * half], scores[i][2 * half + 1]));
            most = fmaxf(most, __shfl_xor_sync(0xffffffffu, most, 1));
            most = fmaxf(most, __shfl_xor_sync(0xffffffffu, most, 2));
            float shrink = two_to((max[half] - most) * scale);
            float offset = most * scale;
            max[half] = most;
            float sum = 0.f;
#pragma unroll
            for (int i = 0; i < KEYS / 8; ++i) {
#pragma unroll
                for (int e = 2 * half; e < 2 * half + 2; ++e) {
                    scores[i][e] = two_to(scores[i][e] * scale - offset);
                    sum += scores[i][e];
                }
            }
            total[half] = total[half] * shrink + sum;
#pragma unroll
            for (int i = 0; i < D / 8; ++i) {
                sums[i][2 * half] *= shrink;
                sums[i][2 * half + 1] *= shrink;
            }
        }

#pragma unroll
        for (int step = 0; step < KEYS / 16; ++step) {
            unsigned weight[4] = {
                pack(scores[2 * step][0], scores[2 * step][1]),
                pack(scores[2 * step][2], scores[2 * step][3]),
                pack(scores[2 * step + 1][0], scores[2 * step + 1][1]),
                pack(scores[2 * step + 1][2], scores[2 * step + 1][3]),
            };
#pragma unroll
            for (int pair = 0; pair < D / 16; ++pair) {
                unsigned b[4];
                matrices_turned(b, value + place(step * 16 + (lane & 15), 2 * pair + (lane >> 4)));
                product(sums[2 * pair], weight, b[0], b[1]);
                product(sums[2 * pair + 1], weight, b[2], b[3]);
            }
        }
        __syncthreads();
    }

#pragma unroll
    for (int half = 0; half < 2; ++half) {
        float sum = total[half];
        sum += __shfl_xor_sync(0xffffffffu, sum, 1);
        sum += __shfl_xor_sync(0xffffffffu, sum, 2);
        float inverse = 1.f / sum;
        int row = first + warp * 16 + (lane >> 2) + 8 * half;
        if (row < n) {
            bf16 *to = out + (size_t)row * stride + (lane & 3) * 2;
#pragma unroll
            for (int i = 0; i < D / 8; ++i)
                *(unsigned *)(to + i * 8) = pack(sums[i][2 * half] * inverse, sums[i][2 * half + 1] * inverse);
        }
    }
}
