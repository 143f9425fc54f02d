// sparseGroupNorm of packed rows: statistics over all rows of a batch element and the channels of a group.
//
// Rows are cut into chunks that never cross from one batch element to the next. One launch takes the moments of every
// channel of every chunk, one merges them by element and group, one applies the result.
#include <algorithm>

#include "affine.cuh"
#include "device.h"
#include "moments.cuh"
#include "packed_rows.cuh"

namespace pergola {
namespace {

struct SparseGroupNormParams {
  int32_t dtype;
  int32_t rows, channels;
  int32_t groups;
  int32_t elements;
  float eps;
  int32_t silu;
  int32_t weight_dtype, bias_dtype;
};

constexpr int kThreads = 256;
// There are few groups: each takes as many threads as a block can have.
constexpr int kGroupThreads = 1024;
constexpr int kMinChunkRows = 32;

// Chunk c of element b has the slot offsets[b] / chunk + b + c: elements never share one.
__device__ __forceinline__ int first_slot(const int32_t* offsets, int element, int chunk) {
  return offsets[element] / chunk + element;
}

struct ChannelMoments {
  float mean, squares;
};

// blockIdx.x is a slot, blockIdx.y a tile of channels; each thread takes `Width` channels of some rows of the chunk.
template <typename T, int Width>
__global__ void chunk_moments(const T* __restrict__ x, const int32_t* __restrict__ offsets,
                              ChannelMoments* __restrict__ partial, SparseGroupNormParams p, int chunk, int columns) {
  __shared__ Moments shared[kThreads * Width];
  const int slot = blockIdx.x;
  int low = 0, high = p.elements - 1;
  while (low < high) {
    const int middle = (low + high + 1) / 2;
    if (first_slot(offsets, middle, chunk) <= slot) low = middle;
    else high = middle - 1;
  }
  const int begin = offsets[low] + (slot - first_slot(offsets, low, chunk)) * chunk;
  const int end = min(offsets[low + 1], begin + chunk);
  if (begin >= end) return;
  const int lanes = kThreads / columns;
  const int lane = threadIdx.x / columns;
  const int channel = (blockIdx.y * columns + threadIdx.x % columns) * Width;
  Moments own[Width];
#pragma unroll
  for (int j = 0; j < Width; j++) own[j] = {0.f, 0.f, 0.f};
  if (lane < lanes && channel < p.channels) {
    float count = 0.f;
    for (int row = begin + lane; row < end; row += lanes) {
      float values[Width];
      load_floats<Width>(values, x + static_cast<int64_t>(row) * p.channels + channel);
      count += 1.f;
      const float inverse = 1.f / count;
#pragma unroll
      for (int j = 0; j < Width; j++) add_value(own[j], values[j], inverse);
    }
  }
#pragma unroll
  for (int j = 0; j < Width; j++) shared[threadIdx.x * Width + j] = own[j];
  __syncthreads();
  if (lane != 0 || channel >= p.channels) return;
#pragma unroll
  for (int j = 0; j < Width; j++) {
    Moments all = own[j];
    for (int other = 1; other < lanes; other++) all = merge(all, shared[(other * columns + threadIdx.x) * Width + j]);
    partial[static_cast<int64_t>(slot) * p.channels + channel + j] = {all.mean, all.squares};
  }
}

// One block for each group of each element.
__global__ void __launch_bounds__(kGroupThreads)
    group_statistics(const ChannelMoments* __restrict__ partial, const int32_t* __restrict__ offsets,
                     float2* __restrict__ statistics, SparseGroupNormParams p, int chunk) {
  const int element = blockIdx.x / p.groups;
  const int width = p.channels / p.groups;
  const int group = blockIdx.x % p.groups;
  const int rows = offsets[element + 1] - offsets[element];
  const int slot = first_slot(offsets, element, chunk);
  const int chunks = (rows + chunk - 1) / chunk;
  Moments own{0.f, 0.f, 0.f};
  for (int i = threadIdx.x; i < chunks * width; i += kGroupThreads) {
    const int part = i / width;
    const ChannelMoments moments = partial[static_cast<int64_t>(slot + part) * p.channels + group * width + i % width];
    own = merge(own, {static_cast<float>(min(chunk, rows - part * chunk)), moments.mean, moments.squares});
  }
  const Moments all = merge_block<kGroupThreads>(own);
  if (threadIdx.x == 0) statistics[blockIdx.x] = {all.mean, rsqrtf(all.squares / all.count + p.eps)};
}

template <typename T, int Width>
__global__ void apply_norm(const T* __restrict__ x, const int32_t* __restrict__ offsets,
                           const float2* __restrict__ statistics, T* __restrict__ out, SparseGroupNormParams p,
                           Affine affine) {
  const uint32_t per_row = p.channels / Width;
  const uint32_t i = blockIdx.x * kThreads + threadIdx.x;
  if (i >= p.rows * per_row) return;
  const int channel = static_cast<int>(i % per_row) * Width;
  const int element = element_of_row(offsets, p.elements, static_cast<int>(i / per_row));
  const int width = p.channels / p.groups;
  const int64_t at = static_cast<int64_t>(i) * Width;
  float values[Width];
  load_floats<Width>(values, x + at);
  // Rows that belong to no element are 0.
  if (element < p.elements) {
#pragma unroll
    for (int j = 0; j < Width; j++) {
      const float2 group = statistics[element * p.groups + (channel + j) / width];
      values[j] = (values[j] - group.x) * group.y;
    }
    apply_affine<Width, T>(values, affine, channel);
    if (p.silu != 0) apply_silu<Width>(values);
  } else {
#pragma unroll
    for (int j = 0; j < Width; j++) values[j] = 0.f;
  }
  Pack<T, Width> result;
#pragma unroll
  for (int j = 0; j < Width; j++) result.at[j] = static_cast<T>(values[j]);
  store_pack<Width>(out + at, result);
}

template <typename T, int Width>
void launch(const Call& call, const SparseGroupNormParams& p, const Affine& affine) {
  const T* x = call.in<T>(0);
  const auto* offsets = call.in<int32_t>(3);
  const int chunk = std::max(kMinChunkRows, ceil_div(p.rows, call.device.properties().multiProcessorCount * 8));
  const int slots = p.rows / chunk + p.elements + 1;
  const int columns = std::min(kThreads, p.channels / Width);
  const size_t partial_bytes = sizeof(ChannelMoments) * slots * p.channels;
  auto* partial = static_cast<ChannelMoments*>(
      call.device.workspace(partial_bytes + sizeof(float2) * p.elements * p.groups));
  auto* statistics = reinterpret_cast<float2*>(partial + static_cast<size_t>(slots) * p.channels);
  if (p.elements > 0) {
    chunk_moments<T, Width><<<dim3(slots, ceil_div(p.channels / Width, columns)), kThreads, 0, call.stream>>>(
        x, offsets, partial, p, chunk, columns);
    group_statistics<<<p.elements * p.groups, kGroupThreads, 0, call.stream>>>(partial, offsets, statistics, p, chunk);
  }
  const uint32_t packs = p.rows * (p.channels / Width);
  apply_norm<T, Width>
      <<<ceil_div(packs, kThreads), kThreads, 0, call.stream>>>(x, offsets, statistics, call.out<T>(4), p, affine);
}

}  // namespace

// Buffers: x, weight, bias (null where absent), offsets, out.
PERGOLA_LAUNCHER(sparseGroupNorm) {
  const auto& p = call.as<SparseGroupNormParams>();
  const Affine affine{call.buffers[1], call.buffers[2], p.weight_dtype, p.bias_dtype};
  with_float(p.dtype, [&](auto zero) {
    using T = decltype(zero);
    constexpr int width = kPackSize<T>;
    if (p.channels % width == 0 && is_aligned(call.in<T>(0)) && affine.packed<T>()) launch<T, width>(call, p, affine);
    else launch<T, 1>(call, p, affine);
  });
  check_launch("sparseGroupNorm");
}

}  // namespace pergola
