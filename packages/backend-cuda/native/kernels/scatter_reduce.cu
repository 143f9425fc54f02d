// scatterReduce: rows that meet in one target, combined in ascending order. The index is sorted, which turns the targets
// into segments: no atomics, equal bits from equal calls.
#include "device.h"
#include "radix_sort.cuh"
#include "segments.cuh"

namespace pergola {
namespace {

struct ScatterParams {
  int32_t dtype;
  uint32_t rows, channels;
  // Targets.
  uint32_t size;
  int32_t reduction;
};

constexpr int kThreads = 256;

// Rows that are dropped sort behind the last target.
__global__ void target_keys(const uint32_t* __restrict__ index, uint32_t* __restrict__ keys, uint32_t rows,
                            uint32_t size) {
  const uint32_t i = blockIdx.x * kThreads + threadIdx.x;
  // As an unsigned number, a negative index lies behind every target.
  if (i < rows) keys[i] = min(index[i], size);
}

// offsets[t]: how many sorted keys are below t.
__global__ void target_offsets(const uint32_t* __restrict__ sorted, int32_t* __restrict__ offsets, uint32_t rows,
                               uint32_t size) {
  const uint32_t target = blockIdx.x * kThreads + threadIdx.x;
  if (target > size) return;
  uint32_t low = 0, high = rows;
  while (low < high) {
    const uint32_t middle = (low + high) / 2;
    if (sorted[middle] < target) low = middle + 1;
    else high = middle;
  }
  offsets[target] = static_cast<int32_t>(low);
}

int bits_of(uint32_t largest) {
  int bits = 1;
  while (bits < 32 && largest >> bits != 0) bits++;
  return bits;
}

}  // namespace

// Buffers: src, index, out.
PERGOLA_LAUNCHER(scatterReduce) {
  const auto& p = call.as<ScatterParams>();
  const size_t words = static_cast<size_t>(p.rows) * 2 + p.size + 1;
  // Whole multiples of 256 bytes keep the sort's part aligned.
  const size_t own_bytes = (words * 4 + 255) / 256 * 256;
  auto* workspace = static_cast<uint8_t*>(call.device.workspace(own_bytes + sort_workspace_bytes(p.rows)));
  auto* keys = reinterpret_cast<uint32_t*>(workspace);
  auto* order = reinterpret_cast<int32_t*>(keys + p.rows);
  int32_t* offsets = order + p.rows;
  if (p.rows > 0) {
    target_keys<<<ceil_div(p.rows, kThreads), kThreads, 0, call.stream>>>(call.in<uint32_t>(1), keys, p.rows, p.size);
    sort_words(call, keys, p.rows, bits_of(p.size), order, keys, workspace + own_bytes);
  }
  target_offsets<<<ceil_div(p.size + 1, kThreads), kThreads, 0, call.stream>>>(keys, offsets, p.rows, p.size);
  with_number(p.dtype, [&](auto zero) {
    using T = decltype(zero);
    launch_segments<T>(call, call.in<T>(0), order, offsets, call.out<T>(2), p.size, p.channels, p.rows, p.reduction, 0.f);
  });
  check_launch("scatterReduce");
}

}  // namespace pergola
