// Flash attention in f32 arithmetic for any float dtype: tiles of queries and keys in shared memory, products by register
// tiles, online softmax (Dao, FlashAttention-2, arXiv 2307.08691).
//
// One block computes 64 query rows of one head of one sequence. Sixteen threads share four rows: each has every sixteenth
// key of a tile while scores are made, and D / 16 neighbouring channels while values are mixed.
#pragma once

#include "attention_softmax.cuh"

namespace pergola {

constexpr int kTiledRows = 64;
constexpr int kTiledThreads = 256;

namespace attention_detail {

// Four floats more, so that sixteen rows start in different banks.
constexpr int padded_row(int columns) { return columns + 4; }

// `Rows` rows from `first` on as f32, `pitch` apart; zeros beyond `valid` rows and `dim` channels.
template <typename T, int Rows, int D>
__device__ __forceinline__ void load_floats_tile(float* target, int pitch, const T* source, int64_t row_stride, int valid,
                                                 int dim) {
  for (int i = threadIdx.x; i < Rows * D; i += kTiledThreads) {
    const int row = i / D;
    const int channel = i % D;
    const bool inside = row < valid && channel < dim;
    target[row * pitch + channel] = inside ? static_cast<float>(source[row * row_stride + channel]) : 0.f;
  }
}

__device__ __forceinline__ float dot4(float4 a, float4 b, float sum) {
  return fmaf(a.x, b.x, fmaf(a.y, b.y, fmaf(a.z, b.z, fmaf(a.w, b.w, sum))));
}

}  // namespace attention_detail

template <int D, int Keys>
constexpr int attention_tiled_shared_bytes() {
  using namespace attention_detail;
  return ((kTiledRows + Keys) * padded_row(D) + Keys * D + kTiledRows * padded_row(Keys)) * 4;
}

template <typename T, int D, int Keys>
__global__ void __launch_bounds__(kTiledThreads)
    attention_tiled(const T* __restrict__ q, const T* __restrict__ k, const T* __restrict__ v,
                    const int32_t* __restrict__ offsets_q, const int32_t* __restrict__ offsets_k, T* __restrict__ out,
                    AttentionParams p) {
  using namespace attention_detail;
  constexpr int lanes = 16;
  constexpr int rows = kTiledRows / lanes;
  constexpr int keys = Keys / lanes;
  constexpr int channels = D / lanes;
  constexpr int pitch = padded_row(D);
  constexpr int weights_pitch = padded_row(Keys);
  extern __shared__ float4 shared4[];
  const int head = blockIdx.y;
  const BlockSpan span = block_span<kTiledRows, Keys>(offsets_q, offsets_k, p);
  if (span.rows <= 0) return;
  float* q_tile = reinterpret_cast<float*>(shared4);
  float* k_tile = q_tile + kTiledRows * pitch;
  float* v_tile = k_tile + Keys * pitch;
  const int lane = threadIdx.x % lanes;
  const int row0 = threadIdx.x / lanes * rows;
  float* weights = v_tile + Keys * D + row0 * weights_pitch;

  const T* q_rows =
      q + static_cast<int64_t>(span.q_begin + span.first_row) * p.q_row + static_cast<int64_t>(head) * p.q_head;
  const T* k_rows = k + static_cast<int64_t>(span.k_begin) * p.k_row + static_cast<int64_t>(head) * p.k_head;
  const T* v_rows = v + static_cast<int64_t>(span.k_begin) * p.v_row + static_cast<int64_t>(head) * p.v_head;
  load_floats_tile<T, kTiledRows, D>(q_tile, pitch, q_rows, p.q_row, span.rows, p.dim);
  const float scale = p.scale * 1.4426950408889634f;
  float top[rows], sum[rows], mixed[rows][channels];
#pragma unroll
  for (int r = 0; r < rows; r++) {
    top[r] = -INFINITY;
    sum[r] = 0.f;
#pragma unroll
    for (int c = 0; c < channels; c++) mixed[r][c] = 0.f;
  }

  for (int tile = 0; tile < span.tiles; tile++) {
    const int key0 = tile * Keys;
    const int valid = span.k_count - key0;
    __syncthreads();
    load_floats_tile<T, Keys, D>(k_tile, pitch, k_rows + static_cast<int64_t>(key0) * p.k_row, p.k_row, valid, p.dim);
    load_floats_tile<T, Keys, D>(v_tile, D, v_rows + static_cast<int64_t>(key0) * p.v_row, p.v_row, valid, p.dim);
    __syncthreads();

    float s[rows][keys] = {};
#pragma unroll 4
    for (int d = 0; d < D; d += 4) {
      float4 a[rows], b[keys];
#pragma unroll
      for (int r = 0; r < rows; r++) a[r] = *reinterpret_cast<const float4*>(q_tile + (row0 + r) * pitch + d);
#pragma unroll
      for (int j = 0; j < keys; j++) b[j] = *reinterpret_cast<const float4*>(k_tile + (lane + j * lanes) * pitch + d);
#pragma unroll
      for (int r = 0; r < rows; r++) {
#pragma unroll
        for (int j = 0; j < keys; j++) s[r][j] = dot4(a[r], b[j], s[r][j]);
      }
    }

#pragma unroll
    for (int r = 0; r < rows; r++) {
      float peak = -INFINITY;
#pragma unroll
      for (int j = 0; j < keys; j++) {
        const int key = lane + j * lanes;
        const bool seen = key < valid && !(p.causal && key0 + key > span.first_row + row0 + r);
        s[r][j] = seen ? s[r][j] * scale : -INFINITY;
        peak = fmaxf(peak, s[r][j]);
      }
#pragma unroll
      for (int step = 1; step < lanes; step *= 2) peak = fmaxf(peak, __shfl_xor_sync(0xffffffffu, peak, step));
      const float next = fmaxf(top[r], peak);
      // A row without any key yet keeps what it has, so that no (-inf) - (-inf) arises.
      const float correction = next == -INFINITY ? 1.f : exp2f(top[r] - next);
      const float reference = next == -INFINITY ? 0.f : next;
      top[r] = next;
      sum[r] *= correction;
#pragma unroll
      for (int c = 0; c < channels; c++) mixed[r][c] *= correction;
#pragma unroll
      for (int j = 0; j < keys; j++) {
        const float weight = exp2f(s[r][j] - reference);
        sum[r] += weight;
        weights[r * weights_pitch + lane + j * lanes] = weight;
      }
    }
    // The rows' weights are written and read by the same sixteen threads.
    __syncwarp();
#pragma unroll 2
    for (int j = 0; j < Keys; j += 4) {
      float4 a[rows];
#pragma unroll
      for (int r = 0; r < rows; r++) a[r] = *reinterpret_cast<const float4*>(weights + r * weights_pitch + j);
#pragma unroll
      for (int c = 0; c < channels; c += 4) {
        float4 b[4];
#pragma unroll
        for (int i = 0; i < 4; i++) {
          b[i] = *reinterpret_cast<const float4*>(v_tile + (j + i) * D + c * lanes + lane * 4);
        }
#pragma unroll
        for (int r = 0; r < rows; r++) {
          mixed[r][c] = dot4(a[r], {b[0].x, b[1].x, b[2].x, b[3].x}, mixed[r][c]);
          mixed[r][c + 1] = dot4(a[r], {b[0].y, b[1].y, b[2].y, b[3].y}, mixed[r][c + 1]);
          mixed[r][c + 2] = dot4(a[r], {b[0].z, b[1].z, b[2].z, b[3].z}, mixed[r][c + 2]);
          mixed[r][c + 3] = dot4(a[r], {b[0].w, b[1].w, b[2].w, b[3].w}, mixed[r][c + 3]);
        }
      }
    }
    __syncwarp();
  }

  const int64_t out_row = static_cast<int64_t>(p.heads) * p.dim;
  T* out_rows =
      out + static_cast<int64_t>(span.q_begin + span.first_row) * out_row + static_cast<int64_t>(head) * p.dim;
#pragma unroll
  for (int r = 0; r < rows; r++) {
    float total = sum[r];
#pragma unroll
    for (int step = 1; step < lanes; step *= 2) total += __shfl_xor_sync(0xffffffffu, total, step);
    if (row0 + r >= span.rows) continue;
    const float inverse = span.tiles > 0 ? 1.f / total : 0.f;
#pragma unroll
    for (int c = 0; c < channels; c++) {
      const int channel = c / 4 * 4 * lanes + lane * 4 + c % 4;
      if (channel < p.dim) out_rows[(row0 + r) * out_row + channel] = static_cast<T>(mixed[r][c] * inverse);
    }
  }
}

}  // namespace pergola
