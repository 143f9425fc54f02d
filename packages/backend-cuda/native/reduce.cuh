// Reductions over any set of axes.
//
// A reduction is described by a type with: Value (element of x), Out, Total (what is carried), and device functions
// start(), step(total, value), merge(total, other) and finish(total, count). Work is divided in a fixed way, so equal
// calls give equal bits. Long reductions with few results are cut into splits whose totals meet in a second launch.
#pragma once

#include <algorithm>

#include "device.h"
#include "pack.cuh"

namespace pergola {

constexpr int kReduceAxes = 8;
constexpr int kReduceThreads = 256;
// Columns and row lanes of a block that reduces along columns.
constexpr int kReduceColumns = 32;

// The last `rank` of kReduceAxes axes count.
struct ReduceAxes {
  int32_t rank;
  uint32_t extents[kReduceAxes];
  int32_t strides[kReduceAxes];
};

struct ReduceParams {
  int32_t dtype;
  uint32_t outputs;
  // Elements of each output.
  uint32_t count;
  // Neighbouring outputs lie next to each other in x: threads of a warp take different outputs.
  int32_t columns;
  ReduceAxes kept;
  ReduceAxes reduced;
};

__device__ __forceinline__ int64_t locate(const ReduceAxes& axes, uint32_t index) {
  int64_t at = 0;
  for (int axis = kReduceAxes - 1; axis > kReduceAxes - axes.rank; axis--) {
    at += static_cast<int64_t>(index % axes.extents[axis]) * axes.strides[axis];
    index /= axes.extents[axis];
  }
  return axes.rank == 0 ? 0 : at + static_cast<int64_t>(index) * axes.strides[kReduceAxes - axes.rank];
}

// Totals of `lanes` neighbouring threads (a power of two) meet in the first; all threads of the block take part.
template <typename R>
__device__ __forceinline__ typename R::Total meet(typename R::Total total, int lanes) {
  __shared__ typename R::Total shared[kReduceThreads];
  shared[threadIdx.x] = total;
  __syncthreads();
  const int lane = threadIdx.x % lanes;
  for (int step = lanes / 2; step > 0; step /= 2) {
    if (lane < step) shared[threadIdx.x] = R::merge(shared[threadIdx.x], shared[threadIdx.x + step]);
    __syncthreads();
  }
  return shared[threadIdx.x];
}

// One output (or one split of it, along blockIdx.y) for each `lanes` threads.
template <typename R>
__global__ void reduce_rows(const typename R::Value* __restrict__ x, typename R::Out* __restrict__ out,
                            typename R::Total* __restrict__ totals, ReduceParams p, int lanes, uint32_t split_length) {
  const uint32_t output = blockIdx.x * (kReduceThreads / lanes) + threadIdx.x / lanes;
  const bool active = output < p.outputs;
  typename R::Total total = R::start();
  if (active) {
    const auto* from = x + locate(p.kept, output);
    const uint32_t begin = blockIdx.y * split_length;
    const uint32_t end = min(p.count, begin + split_length);
#pragma unroll 4
    for (uint32_t i = begin + threadIdx.x % lanes; i < end; i += lanes) {
      total = R::step(total, from[locate(p.reduced, i)]);
    }
  }
  total = meet<R>(total, lanes);
  if (!active || threadIdx.x % lanes != 0) return;
  if (totals != nullptr) totals[static_cast<size_t>(output) * gridDim.y + blockIdx.y] = total;
  else out[output] = R::finish(total, p.count);
}

// 32 neighbouring outputs for each block, eight threads for each of them.
template <typename R>
__global__ void reduce_columns(const typename R::Value* __restrict__ x, typename R::Out* __restrict__ out,
                               typename R::Total* __restrict__ totals, ReduceParams p, uint32_t split_length) {
  constexpr int lanes = kReduceThreads / kReduceColumns;
  __shared__ typename R::Total shared[lanes][kReduceColumns + 1];
  const int column = threadIdx.x % kReduceColumns;
  const int lane = threadIdx.x / kReduceColumns;
  const uint32_t output = blockIdx.x * kReduceColumns + column;
  typename R::Total total = R::start();
  if (output < p.outputs) {
    const auto* from = x + locate(p.kept, output);
    const uint32_t begin = blockIdx.y * split_length;
    const uint32_t end = min(p.count, begin + split_length);
#pragma unroll 4
    for (uint32_t i = begin + lane; i < end; i += lanes) total = R::step(total, from[locate(p.reduced, i)]);
  }
  shared[lane][column] = total;
  __syncthreads();
  if (lane != 0 || output >= p.outputs) return;
  for (int i = 1; i < lanes; i++) total = R::merge(total, shared[i][column]);
  if (totals != nullptr) totals[static_cast<size_t>(output) * gridDim.y + blockIdx.y] = total;
  else out[output] = R::finish(total, p.count);
}

// Totals of the splits of each output, next to each other.
template <typename R>
__global__ void reduce_totals(const typename R::Total* __restrict__ totals, typename R::Out* __restrict__ out,
                              uint32_t outputs, uint32_t splits, uint32_t count, int lanes) {
  const uint32_t output = blockIdx.x * (kReduceThreads / lanes) + threadIdx.x / lanes;
  typename R::Total total = R::start();
  if (output < outputs) {
    const auto* from = totals + static_cast<size_t>(output) * splits;
    for (uint32_t i = threadIdx.x % lanes; i < splits; i += lanes) total = R::merge(total, from[i]);
  }
  total = meet<R>(total, lanes);
  if (output < outputs && threadIdx.x % lanes == 0) out[output] = R::finish(total, count);
}

// The power of two from 1 to the block's size that is nearest above `wanted`.
inline int lanes_for(uint32_t wanted) {
  int lanes = 1;
  while (lanes < kReduceThreads && static_cast<uint32_t>(lanes) < wanted) lanes *= 2;
  return lanes;
}

template <typename R>
void reduce(const Call& call, const ReduceParams& p) {
  const auto* x = call.in<typename R::Value>(0);
  auto* out = call.out<typename R::Out>(1);
  // Four elements per thread at the least.
  const int lanes = p.columns != 0 ? kReduceThreads / kReduceColumns : lanes_for(ceil_div(p.count, 4));
  const int blocks = p.columns != 0 ? ceil_div(p.outputs, kReduceColumns) : ceil_div(p.outputs, kReduceThreads / lanes);
  // Enough blocks for every multiprocessor, but no split of less than 16 elements per thread.
  const int wanted = ceil_div(call.device.properties().multiProcessorCount * 8, blocks);
  const int splits = std::min(std::min(wanted, 1024), std::max(1, static_cast<int>(p.count / (16u * lanes))));
  const uint32_t length = ceil_div(p.count, splits);
  typename R::Total* totals = nullptr;
  if (splits > 1) {
    totals = static_cast<typename R::Total*>(call.device.workspace(sizeof(typename R::Total) * p.outputs * splits));
  }
  const dim3 grid(blocks, splits);
  if (p.columns != 0) reduce_columns<R><<<grid, kReduceThreads, 0, call.stream>>>(x, out, totals, p, length);
  else reduce_rows<R><<<grid, kReduceThreads, 0, call.stream>>>(x, out, totals, p, lanes, length);
  if (splits == 1) return;
  const int merging = lanes_for(splits);
  reduce_totals<R><<<ceil_div(p.outputs, kReduceThreads / merging), kReduceThreads, 0, call.stream>>>(
      totals, out, p.outputs, splits, p.count, merging);
}

}  // namespace pergola
