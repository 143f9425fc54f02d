// Attention for every dtype and head size, one warp per query row: the path for f32 and for layouts that the
// tensor-core kernels cannot load. Online softmax in f32.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "attention_softmax.cuh"

namespace pergola {

constexpr int kScalarWarps = 4;
// Head columns that one lane holds: heads of up to 128.
constexpr int kScalarColumns = 4;

template <typename T>
__global__ void __launch_bounds__(kScalarWarps * 32)
    attention_scalar(const T* __restrict__ q, const T* __restrict__ k, const T* __restrict__ v,
                     const int32_t* __restrict__ offsets_q, const int32_t* __restrict__ offsets_k, T* __restrict__ out,
                     AttentionParams p) {
  const int lane = threadIdx.x % 32;
  const int sequence = blockIdx.z;
  const int head = blockIdx.y;
  const int q_begin = offsets_q[sequence];
  const int row = blockIdx.x * kScalarWarps + threadIdx.x / 32;
  if (row >= offsets_q[sequence + 1] - q_begin) return;
  const int k_begin = offsets_k[sequence];
  int keys = offsets_k[sequence + 1] - k_begin;
  if (p.causal) keys = min(keys, row + 1);

  const T* query = q + static_cast<int64_t>(q_begin + row) * p.q_row + static_cast<int64_t>(head) * p.q_head;
  const T* key_rows = k + static_cast<int64_t>(k_begin) * p.k_row + static_cast<int64_t>(head) * p.k_head;
  const T* value_rows = v + static_cast<int64_t>(k_begin) * p.v_row + static_cast<int64_t>(head) * p.v_head;
  float mine[kScalarColumns], sums[kScalarColumns];
#pragma unroll
  for (int i = 0; i < kScalarColumns; i++) {
    const int c = lane + i * 32;
    mine[i] = c < p.dim ? static_cast<float>(query[c]) * p.scale : 0.f;
    sums[i] = 0.f;
  }
  float top = -INFINITY, total = 0.f;
  for (int key = 0; key < keys; key++) {
    const T* key_row = key_rows + static_cast<int64_t>(key) * p.k_row;
    float score = 0.f;
#pragma unroll
    for (int i = 0; i < kScalarColumns; i++) {
      const int c = lane + i * 32;
      if (c < p.dim) score = fmaf(mine[i], static_cast<float>(key_row[c]), score);
    }
#pragma unroll
    for (int step = 16; step > 0; step >>= 1) score += __shfl_xor_sync(0xffffffffu, score, step);
    const float peak = fmaxf(top, score);
    // The first key's correction is exp(-inf) = 0; a peak of -inf would make it NaN, as the reference does too.
    const float correction = expf(top - peak);
    const float weight = expf(score - peak);
    top = peak;
    total = total * correction + weight;
    const T* value_row = value_rows + static_cast<int64_t>(key) * p.v_row;
#pragma unroll
    for (int i = 0; i < kScalarColumns; i++) {
      const int c = lane + i * 32;
      if (c < p.dim) sums[i] = fmaf(weight, static_cast<float>(value_row[c]), sums[i] * correction);
    }
  }
  T* to = out + (static_cast<int64_t>(q_begin + row) * p.heads + head) * p.dim;
  const float inverse = keys > 0 ? 1.f / total : 0.f;
#pragma unroll
  for (int i = 0; i < kScalarColumns; i++) {
    const int c = lane + i * 32;
    if (c < p.dim) to[c] = static_cast<T>(sums[i] * inverse);
  }
}

}  // namespace pergola
