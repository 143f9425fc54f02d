// Reductions over groups of rows that an order and offsets describe: rows of a group combine in a fixed order, so
// equal calls give equal bits.
#pragma once

#include "pack.cuh"

namespace pergola {

// In the order of the reductions on the TypeScript side.
enum Reduction : int32_t { SumRows = 0, MeanRows = 1, MaxRows = 2, MinRows = 3 };

constexpr int kSegmentThreads = 128;

template <typename Total>
__device__ __forceinline__ Total combine_rows(Total a, Total b, int32_t reduction) {
  if (reduction == MaxRows) return b > a || b != b ? b : a;
  if (reduction == MinRows) return b < a || b != b ? b : a;
  return a + b;
}

// Segment s takes the rows order[offsets[s]] .. order[offsets[s + 1] - 1] of x [rows, channels]; empty ones give 0.
// `lanes` threads (a power of two) share the rows of a segment; `extra` is added to the count that a mean divides by.
template <typename T, int Width>
__global__ void reduce_segments(const T* __restrict__ x, const int32_t* __restrict__ order,
                                const int32_t* __restrict__ offsets, T* __restrict__ out, uint32_t segments,
                                uint32_t channels, int32_t reduction, float extra, int lanes) {
  // Integers sum in 64 bits: the result wraps once, and a mean is the mean of the true sum.
  using Total = std::conditional_t<kIsFloat<T>, float, int64_t>;
  __shared__ Total shared[kSegmentThreads * Width];
  const int columns = kSegmentThreads / lanes;
  const int lane = threadIdx.x / columns;
  const uint32_t per_row = channels / Width;
  const uint32_t item = blockIdx.x * columns + threadIdx.x % columns;
  const bool active = item < segments * per_row;
  const uint32_t segment = active ? item / per_row : 0;
  const uint32_t channel = active ? item % per_row * Width : 0;
  const int begin = active ? offsets[segment] : 0;
  const int end = active ? offsets[segment + 1] : 0;
  Total totals[Width];
#pragma unroll
  for (int j = 0; j < Width; j++) totals[j] = Total(0);
  bool any = false;
  for (int i = begin + lane; i < end; i += lanes) {
    const auto pack = load_pack<Width>(x + static_cast<int64_t>(order[i]) * channels + channel);
#pragma unroll
    for (int j = 0; j < Width; j++) {
      const Total value = static_cast<Total>(widen(pack.at[j]));
      totals[j] = any ? combine_rows(totals[j], value, reduction) : value;
    }
    any = true;
  }
  if (lanes > 1) {
#pragma unroll
    for (int j = 0; j < Width; j++) shared[threadIdx.x * Width + j] = totals[j];
    __syncthreads();
    if (lane == 0) {
      const int used = min(lanes, end - begin);
      for (int other = 1; other < used; other++) {
#pragma unroll
        for (int j = 0; j < Width; j++) {
          totals[j] = combine_rows(totals[j], shared[(other * columns + threadIdx.x) * Width + j], reduction);
        }
      }
    }
  }
  if (!active || lane != 0) return;
  Pack<T, Width> result;
#pragma unroll
  for (int j = 0; j < Width; j++) {
    if (reduction == MeanRows && end > begin) {
      if constexpr (kIsFloat<T>) totals[j] /= static_cast<float>(end - begin) + extra;
      else totals[j] /= end - begin;
    }
    result.at[j] = static_cast<T>(totals[j]);
  }
  store_pack<Width>(out + static_cast<int64_t>(segment) * channels + channel, result);
}

// `rows` in all segments together: with many for each, several threads share a segment.
template <typename T>
void launch_segments(const Call& call, const T* x, const int32_t* order, const int32_t* offsets, T* out,
                     uint32_t segments, uint32_t channels, uint32_t rows, int32_t reduction, float extra) {
  int lanes = 1;
  while (lanes < 32 && static_cast<uint64_t>(segments) * lanes * 16 < rows) lanes *= 2;
  const int columns = kSegmentThreads / lanes;
  constexpr int width = kPackSize<T>;
  if (channels % width == 0 && is_aligned(x)) {
    const int64_t items = static_cast<int64_t>(segments) * (channels / width);
    reduce_segments<T, width><<<ceil_div(items, columns), kSegmentThreads, 0, call.stream>>>(
        x, order, offsets, out, segments, channels, reduction, extra, lanes);
  } else {
    const int64_t items = static_cast<int64_t>(segments) * channels;
    reduce_segments<T, 1><<<ceil_div(items, columns), kSegmentThreads, 0, call.stream>>>(
        x, order, offsets, out, segments, channels, reduction, extra, lanes);
  }
}

}  // namespace pergola
