// argwhere: coordinates of the elements that are not 0, in row-major order: count by block, running sums, write.
#include "device.h"
#include "pack.cuh"
#include "radix_sort.cuh"

namespace pergola {
namespace {

constexpr int kMaxRank = 8;

// The last `rank` of kMaxRank axes count.
struct ArgwhereParams {
  int32_t dtype;
  int32_t rank;
  uint32_t elements;
  uint32_t extents[kMaxRank];
};

constexpr int kThreads = 256;
constexpr int kItems = 8;
constexpr int kTile = kThreads * kItems;

template <typename T>
__device__ __forceinline__ bool found_at(const T* x, uint32_t i, uint32_t elements) {
  // NaN differs from 0.
  return i < elements && widen(x[i]) != Arith<T>(0);
}

template <typename T>
__global__ void count_found(const T* __restrict__ x, int32_t* __restrict__ counts, uint32_t elements) {
  const uint32_t first = blockIdx.x * kTile + threadIdx.x;
  int own = 0;
#pragma unroll
  for (int i = 0; i < kItems; i++) own += __syncthreads_count(found_at(x, first + i * kThreads, elements));
  if (threadIdx.x == 0) counts[blockIdx.x] = own;
}

// `sums`: how many elements were found up to the end of each block.
template <typename T>
__global__ void write_found(const T* __restrict__ x, const int32_t* __restrict__ sums, int32_t* __restrict__ out,
                            ArgwhereParams p) {
  __shared__ int warp_counts[kThreads / 32];
  const int lane = threadIdx.x % 32;
  const int warp = threadIdx.x / 32;
  int64_t place = blockIdx.x == 0 ? 0 : sums[blockIdx.x - 1];
  for (int item = 0; item < kItems; item++) {
    const uint32_t i = blockIdx.x * kTile + item * kThreads + threadIdx.x;
    const bool found = found_at(x, i, p.elements);
    const uint32_t ballot = __ballot_sync(0xffffffffu, found);
    if (lane == 0) warp_counts[warp] = __popc(ballot);
    __syncthreads();
    int64_t own = place + __popc(ballot & ((1u << lane) - 1));
    for (int w = 0; w < warp; w++) own += warp_counts[w];
    for (int w = 0; w < kThreads / 32; w++) place += warp_counts[w];
    if (found) {
      uint32_t rest = i;
      for (int axis = kMaxRank - 1; axis >= kMaxRank - p.rank; axis--) {
        out[own * p.rank + axis - (kMaxRank - p.rank)] = static_cast<int32_t>(rest % p.extents[axis]);
        rest /= p.extents[axis];
      }
    }
    __syncthreads();
  }
}

__global__ void total_found(const int32_t* __restrict__ sums, int32_t* __restrict__ count, uint32_t blocks) {
  count[0] = blocks > 0 ? sums[blocks - 1] : 0;
}

}  // namespace

// Buffers: x, coordinates, number found.
PERGOLA_LAUNCHER(argwhere) {
  const auto& p = call.as<ArgwhereParams>();
  const uint32_t blocks = ceil_div(p.elements, kTile);
  const size_t own_bytes = (sizeof(int32_t) * blocks + 255) / 256 * 256;
  auto* workspace = static_cast<uint8_t*>(call.device.workspace(own_bytes + sort_workspace_bytes(blocks)));
  auto* sums = reinterpret_cast<int32_t*>(workspace);
  auto* out = call.out<int32_t>(1);
  if (blocks > 0) {
    // Rows behind the last coordinate are 0.
    check(cudaMemsetAsync(out, 0, sizeof(int32_t) * p.elements * p.rank, call.stream), "argwhere");
    with_any(p.dtype, [&](auto zero) {
      using T = decltype(zero);
      count_found<T><<<blocks, kThreads, 0, call.stream>>>(call.in<T>(0), sums, p.elements);
      running_sums(call, sums, blocks, workspace + own_bytes);
      write_found<T><<<blocks, kThreads, 0, call.stream>>>(call.in<T>(0), sums, out, p);
    });
  }
  total_found<<<1, 1, 0, call.stream>>>(sums, call.out<int32_t>(2), blocks);
  check_launch("argwhere");
}

}  // namespace pergola
