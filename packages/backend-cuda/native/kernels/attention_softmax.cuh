// What the attention kernels on tensor cores share: parameters, asynchronous copies, and the online softmax in f32 base 2
// (Dao, FlashAttention-2, arXiv 2307.08691) on accumulator fragments. A thread holds two rows, lane / 4 and eight below;
// score i of its array is of row (i / 2) % 2 and key 8 (i / 4) + 2 (lane % 4) + i % 2 of the tile.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <cstdint>

#include "async_copy.cuh"

namespace pergola {

struct AttentionParams {
  int32_t heads;
  int32_t dim;
  int32_t max_q;
  int32_t max_k;
  int32_t causal;
  float scale;
  int32_t sequences;
  // Of all sequences together.
  int32_t q_rows, k_rows;
  // Strides in elements: of a row, and of a head within it.
  int32_t q_row, q_head, k_row, k_head, v_row, v_head;
  int32_t dtype;
};

namespace attention_detail {

// The rows of Q of a warp as A fragments, straight from memory; rows from `rows` on and columns from `dim` on are zero.
template <typename T, int D>
__device__ __forceinline__ void load_queries(uint32_t (&fragments)[D / 16][4], const T* source, int64_t row_stride,
                                             int row, int rows, int dim) {
  const int lane = threadIdx.x % 32;
#pragma unroll
  for (int step = 0; step < D / 16; step++) {
#pragma unroll
    for (int part = 0; part < 4; part++) {
      const int r = row + (part & 1) * 8;
      const int c = step * 16 + (part >> 1) * 8 + (lane % 4) * 2;
      fragments[step][part] =
          r < rows && c < dim ? *reinterpret_cast<const uint32_t*>(source + static_cast<int64_t>(r) * row_stride + c) : 0u;
    }
  }
}

// What a block has to do: query rows from `first_row` of its sequence on, and the tiles of keys that they may see.
struct BlockSpan {
  int first_row;
  // None where the sequence ends before the block.
  int rows;
  // Where the sequence starts among all rows of q and k, and how many keys it has.
  int q_begin, k_begin, k_count;
  int tiles;
};

// Of a block that computes up to `height` rows of a sequence from `first_row` on.
template <int Keys>
__device__ __forceinline__ BlockSpan span_of_rows(int sequence, int first_row, int height,
                                                  const int32_t* __restrict__ offsets_q,
                                                  const int32_t* __restrict__ offsets_k, const AttentionParams& p) {
  const int q_begin = offsets_q[sequence];
  const int q_count = offsets_q[sequence + 1] - q_begin;
  const int k_begin = offsets_k[sequence];
  const int k_count = offsets_k[sequence + 1] - k_begin;
  const int rows = min(height, q_count - first_row);
  int tiles = (k_count + Keys - 1) / Keys;
  if (p.causal) tiles = min(tiles, (first_row + rows + Keys - 1) / Keys);
  return {first_row, rows, q_begin, k_begin, k_count, tiles};
}

// Where all blocks are `Rows` high.
template <int Rows, int Keys>
__device__ __forceinline__ BlockSpan block_span(const int32_t* __restrict__ offsets_q,
                                                const int32_t* __restrict__ offsets_k, const AttentionParams& p) {
  return span_of_rows<Keys>(blockIdx.z, blockIdx.x * Rows, Rows, offsets_q, offsets_k, p);
}

template <typename T>
__device__ __forceinline__ uint32_t pack(float low, float high);
template <>
__device__ __forceinline__ uint32_t pack<__half>(float low, float high) {
  const __half2 pair = __floats2half2_rn(low, high);
  return *reinterpret_cast<const uint32_t*>(&pair);
}
template <>
__device__ __forceinline__ uint32_t pack<__nv_bfloat16>(float low, float high) {
  const __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
  return *reinterpret_cast<const uint32_t*>(&pair);
}

__device__ __forceinline__ float exp2_fast(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

// The reference of a row's exponentials may lag behind its largest score by this factor of 2: sums stay far from the
// limits of f32 and f16, and the accumulators are rescaled a few times instead of at every tile.
constexpr float kRescaleBits = 8.f;

// State of the softmax of a thread's two rows.
struct Softmax {
  // Score that the exponentials refer to, times the scale; -inf until a row meets its first key.
  float top[2] = {-INFINITY, -INFINITY};
  // Of this thread's keys alone.
  float sum[2] = {0.f, 0.f};
};

// Which keys a tile of scores has and which of them a row may see.
struct Window {
  int first_key;
  int keys;
  bool causal;
  // Within the sequence.
  int query;
};

template <int Keys>
__device__ __forceinline__ void mask_scores(float (&s)[Keys / 2], const Window& w, bool edge) {
  if (!edge) return;
  const int lane = threadIdx.x % 32;
#pragma unroll
  for (int i = 0; i < Keys / 2; i++) {
    const int key = w.first_key + (i / 4) * 8 + (lane % 4) * 2 + (i & 1);
    const int query = w.query + ((i >> 1) & 1) * 8;
    if (key >= w.keys || (w.causal && key > query)) s[i] = -INFINITY;
  }
}

// Scores to exponentials in place. `rescale(low, high)` multiplies what was summed so far.
template <int Keys, typename Rescale>
__device__ __forceinline__ void exponentiate(float (&s)[Keys / 2], Softmax& state, float scale, Rescale rescale) {
  float peak[2] = {-INFINITY, -INFINITY};
#pragma unroll
  for (int i = 0; i < Keys / 2; i += 4) {
    peak[0] = fmaxf(peak[0], fmaxf(s[i], s[i + 1]));
    peak[1] = fmaxf(peak[1], fmaxf(s[i + 2], s[i + 3]));
  }
#pragma unroll
  for (int h = 0; h < 2; h++) {
    peak[h] = fmaxf(peak[h], __shfl_xor_sync(0xffffffffu, peak[h], 1));
    peak[h] = fmaxf(peak[h], __shfl_xor_sync(0xffffffffu, peak[h], 2)) * scale;
  }
  const bool outgrown = peak[0] > state.top[0] + kRescaleBits || peak[1] > state.top[1] + kRescaleBits;
  if (__any_sync(0xffffffffu, outgrown)) {
    float correction[2];
#pragma unroll
    for (int h = 0; h < 2; h++) {
      const float next = fmaxf(state.top[h], peak[h]);
      // A row without any key yet keeps what it has, so that no (-inf) - (-inf) arises.
      correction[h] = next == -INFINITY ? 1.f : exp2_fast(state.top[h] - next);
      state.top[h] = next;
      state.sum[h] *= correction[h];
    }
    rescale(correction[0], correction[1]);
  }
  const float reference[2] = {state.top[0] == -INFINITY ? 0.f : state.top[0],
                              state.top[1] == -INFINITY ? 0.f : state.top[1]};
#pragma unroll
  for (int i = 0; i < Keys / 2; i += 2) {
    const int h = (i >> 1) & 1;
    s[i] = exp2_fast(fmaf(s[i], scale, -reference[h]));
    s[i + 1] = exp2_fast(fmaf(s[i + 1], scale, -reference[h]));
    state.sum[h] += s[i] + s[i + 1];
  }
}

// Exponentials as the A fragments of the next product.
template <typename T, int Keys>
__device__ __forceinline__ void pack_weights(const float (&s)[Keys / 2], uint32_t (&weights)[Keys / 16][4]) {
#pragma unroll
  for (int step = 0; step < Keys / 16; step++) {
#pragma unroll
    for (int part = 0; part < 4; part++) {
      weights[step][part] = pack<T>(s[step * 8 + part * 2], s[step * 8 + part * 2 + 1]);
    }
  }
}

// Factors that make the sums of both rows averages; 0 for a row without keys.
__device__ __forceinline__ float2 finish(const Softmax& state) {
  float inverse[2];
#pragma unroll
  for (int h = 0; h < 2; h++) {
    float sum = state.sum[h];
    sum += __shfl_xor_sync(0xffffffffu, sum, 1);
    sum += __shfl_xor_sync(0xffffffffu, sum, 2);
    inverse[h] = sum > 0.f ? 1.f / sum : 0.f;
  }
  return {inverse[0], inverse[1]};
}

template <int Width>
__device__ __forceinline__ void scale_rows(float (&o)[Width / 2], float low, float high) {
#pragma unroll
  for (int i = 0; i < Width / 2; i += 4) {
    o[i] *= low;
    o[i + 1] *= low;
    o[i + 2] *= high;
    o[i + 3] *= high;
  }
}

template <typename T, int Width>
__device__ __forceinline__ void store_chunk(T* out, int64_t row_stride, int column, const float (&o)[Width / 2], int row,
                                            int rows, int dim, float low, float high) {
  const int lane = threadIdx.x % 32;
#pragma unroll
  for (int i = 0; i < Width / 8; i++) {
    const int c = column + i * 8 + (lane % 4) * 2;
    if (c >= dim) continue;
    if (row < rows) *reinterpret_cast<uint32_t*>(out + row * row_stride + c) = pack<T>(o[4 * i] * low, o[4 * i + 1] * low);
    if (row + 8 < rows) {
      *reinterpret_cast<uint32_t*>(out + (row + 8) * row_stride + c) = pack<T>(o[4 * i + 2] * high, o[4 * i + 3] * high);
    }
  }
}

}  // namespace attention_detail

}  // namespace pergola
