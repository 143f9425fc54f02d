// Normalisation of rows held in registers: a few threads of one warp per row, 16 bytes per access, statistics in f32.
//
// A finish is what follows the statistics: it has a static `centred` (whether the mean is taken off), `row(row)`, which
// prepares it for one row, and `apply(normal, channel)`.
#pragma once

#include "pack.cuh"

namespace pergola {

struct RowShape {
  int32_t dtype;
  int32_t rows, channels;
  float eps;
};

constexpr int kRowThreads = 128;

__device__ __forceinline__ float sum_lanes(float value, int lanes) {
  for (int step = lanes / 2; step > 0; step /= 2) value += __shfl_xor_sync(0xffffffffu, value, step);
  return value;
}

// `Packs` accesses of each of `Lanes` threads hold a row.
template <typename T, typename Finish, int Lanes, int Packs>
__global__ void __launch_bounds__(kRowThreads)
    norm_rows(const T* __restrict__ x, T* __restrict__ out, RowShape shape, Finish finish) {
  constexpr int width = kPackSize<T>;
  const int row = blockIdx.x * (kRowThreads / Lanes) + threadIdx.x / Lanes;
  const int lane = threadIdx.x % Lanes;
  // Threads without a row go along, for the sums need whole warps.
  const bool active = row < shape.rows;
  const int64_t start = static_cast<int64_t>(row) * shape.channels;
  float values[Packs][width];
  float total = 0.f;
#pragma unroll
  for (int i = 0; i < Packs; i++) {
    const int channel = (lane + i * Lanes) * width;
    Pack<T, width> pack;
    if (active && channel < shape.channels) pack = load_pack<width>(x + start + channel);
    else pack = Pack<T, width>{};
#pragma unroll
    for (int j = 0; j < width; j++) {
      values[i][j] = static_cast<float>(pack.at[j]);
      total += values[i][j];
    }
  }
  const float count = static_cast<float>(shape.channels);
  const float mean = Finish::centred ? sum_lanes(total, Lanes) / count : 0.f;
  float squares = 0.f;
#pragma unroll
  for (int i = 0; i < Packs; i++) {
    if ((lane + i * Lanes) * width >= shape.channels) continue;
#pragma unroll
    for (int j = 0; j < width; j++) squares = fmaf(values[i][j] - mean, values[i][j] - mean, squares);
  }
  const float scale = rsqrtf(sum_lanes(squares, Lanes) / count + shape.eps);
  if (!active) return;
  finish.row(row);
#pragma unroll
  for (int i = 0; i < Packs; i++) {
    const int channel = (lane + i * Lanes) * width;
    if (channel >= shape.channels) continue;
    float normal[width];
#pragma unroll
    for (int j = 0; j < width; j++) normal[j] = (values[i][j] - mean) * scale;
    finish.template apply<width>(normal, channel);
    Pack<T, width> pack;
#pragma unroll
    for (int j = 0; j < width; j++) pack.at[j] = static_cast<T>(normal[j]);
    store_pack<width>(out + start + channel, pack);
  }
}

// Any number of channels and any alignment: one block per row, which is read three times.
template <typename T, typename Finish>
__global__ void __launch_bounds__(kRowThreads)
    norm_rows_any(const T* __restrict__ x, T* __restrict__ out, RowShape shape, Finish finish) {
  __shared__ float shared[kRowThreads / 32];
  const auto across = [&](float value) {
    value = sum_lanes(value, 32);
    __syncthreads();
    if (threadIdx.x % 32 == 0) shared[threadIdx.x / 32] = value;
    __syncthreads();
    value = 0.f;
    for (int warp = 0; warp < kRowThreads / 32; warp++) value += shared[warp];
    return value;
  };
  const int row = blockIdx.x;
  const int64_t start = static_cast<int64_t>(row) * shape.channels;
  const float count = static_cast<float>(shape.channels);
  float mean = 0.f;
  if (Finish::centred) {
    float total = 0.f;
    for (int c = threadIdx.x; c < shape.channels; c += kRowThreads) total += static_cast<float>(x[start + c]);
    mean = across(total) / count;
  }
  float squares = 0.f;
  for (int c = threadIdx.x; c < shape.channels; c += kRowThreads) {
    const float distance = static_cast<float>(x[start + c]) - mean;
    squares = fmaf(distance, distance, squares);
  }
  const float scale = rsqrtf(across(squares) / count + shape.eps);
  finish.row(row);
  for (int c = threadIdx.x; c < shape.channels; c += kRowThreads) {
    float normal[1] = {(static_cast<float>(x[start + c]) - mean) * scale};
    finish.template apply<1>(normal, c);
    out[start + c] = static_cast<T>(normal[0]);
  }
}

template <typename T, typename Finish, int Lanes, int Packs>
void launch_norm_rows(const Call& call, const RowShape& shape, const T* x, T* out, const Finish& finish) {
  norm_rows<T, Finish, Lanes, Packs>
      <<<ceil_div(shape.rows, kRowThreads / Lanes), kRowThreads, 0, call.stream>>>(x, out, shape, finish);
}

// `packed`: whether what the finish reads lies on 16-byte boundaries.
template <typename T, typename Finish>
void norm_rows_by_size(const Call& call, const RowShape& shape, const T* x, T* out, const Finish& finish, bool packed) {
  constexpr int width = kPackSize<T>;
  const int packs = shape.channels / width;
  if (!packed || shape.channels % width != 0 || packs > 256 || !is_aligned(x) || !is_aligned(out)) {
    norm_rows_any<T, Finish><<<shape.rows, kRowThreads, 0, call.stream>>>(x, out, shape, finish);
  } else if (packs <= 4) launch_norm_rows<T, Finish, 4, 1>(call, shape, x, out, finish);
  else if (packs <= 16) launch_norm_rows<T, Finish, 16, 1>(call, shape, x, out, finish);
  else if (packs <= 32) launch_norm_rows<T, Finish, 32, 1>(call, shape, x, out, finish);
  else if (packs <= 64) launch_norm_rows<T, Finish, 32, 2>(call, shape, x, out, finish);
  else if (packs <= 128) launch_norm_rows<T, Finish, 32, 4>(call, shape, x, out, finish);
  else launch_norm_rows<T, Finish, 32, 8>(call, shape, x, out, finish);
}

}  // namespace pergola
