// neighborMap and invertNeighborMap: for every row and kernel tap, the row that meets it there.
#include "aligned_coords.h"
#include "coord_hash.cuh"

namespace pergola {
namespace {

constexpr int kThreads = 256;

// In the order of the strategies on the TypeScript side.
enum Strategy : int32_t { Direct = 0, Symmetric = 1 };

struct NeighborParams {
  // Rows of the queries and of the coordinates.
  uint32_t rows, inputs, capacity;
  int32_t kernel_size, stride, padding, dilation;
  int32_t strategy;
};

// The place that tap `tap` of a row looks at.
__device__ __forceinline__ int4 tap_coord(const int4& row, uint32_t tap, uint32_t size, const NeighborParams& p) {
  int4 coord = row;
  coord.y = coord.y * p.stride - p.padding + static_cast<int32_t>(tap / (size * size)) * p.dilation;
  coord.z = coord.z * p.stride - p.padding + static_cast<int32_t>(tap / size % size) * p.dilation;
  coord.w = coord.w * p.stride - p.padding + static_cast<int32_t>(tap % size) * p.dilation;
  return coord;
}

// One thread for each entry of the map, in its order: results leave in whole lines, and neighbouring rows ask for the
// same slots and coordinates, which then lie in the cache. Size is the number of taps per axis where it is known.
template <int Size>
__global__ void __launch_bounds__(kThreads)
    find_neighbors(const int4* __restrict__ queries, const int4* __restrict__ coords, const int32_t* __restrict__ slots,
                   int32_t* __restrict__ out, NeighborParams p) {
  const uint32_t size = Size > 0 ? Size : p.kernel_size;
  const uint32_t taps = size * size * size;
  const uint64_t i = blockIdx.x * static_cast<uint64_t>(kThreads) + threadIdx.x;
  if (i >= static_cast<uint64_t>(p.rows) * taps) return;
  const uint32_t row = i >> 32 == 0 ? static_cast<uint32_t>(i) / taps : static_cast<uint32_t>(i / taps);
  const uint32_t tap = static_cast<uint32_t>(i - static_cast<uint64_t>(row) * taps);
  const int4 coord = tap_coord(__ldg(queries + row), tap, size, p);
  // Written past the cache, which is for the table.
  __stcs(out + i, find_row(slots, p.capacity - 1, coords, coord));
}

// Taps of a kernel of size 3, and those up to its centre.
constexpr uint32_t kTaps = 27;
constexpr uint32_t kHalfTaps = 14;
// Rows that a warp looks at side by side.
constexpr uint32_t kWarpRows = 32 / kHalfTaps;

// The centred map of a set of voxels onto itself: a voxel that sees another at one tap is seen by it at the opposite
// one, so half of the searches give both entries. `out` is -1 everywhere before. Searches find the first of repeated
// voxels; only that one may write for others.
__global__ void __launch_bounds__(kThreads)
    find_both_ways(const int4* __restrict__ coords, const int32_t* __restrict__ slots, int32_t* __restrict__ out,
                   NeighborParams p) {
  const uint32_t lane = threadIdx.x % 32;
  const uint32_t place = lane / kHalfTaps;
  const uint32_t tap = lane % kHalfTaps;
  const uint32_t row = (blockIdx.x * (kThreads / 32) + threadIdx.x / 32) * kWarpRows + place;
  const bool active = place < kWarpRows && row < p.rows;
  const uint32_t mask = p.capacity - 1;
  int4 own = make_int4(0, 0, 0, 0);
  int32_t found = -1;
  if (active) {
    own = __ldg(coords + row);
    found = find_row(slots, mask, coords, tap_coord(own, tap, 3, p));
  }
  // What the row's own place holds: the row itself, or the first of its repetitions.
  const int32_t first = __shfl_sync(0xffffffffu, found, place * kHalfTaps + kHalfTaps - 1);
  if (!active) return;
  int32_t* line = out + static_cast<uint64_t>(row) * kTaps;
  if (found >= 0) line[tap] = found;
  if (first == static_cast<int32_t>(row)) {
    if (found >= 0 && tap < kHalfTaps - 1) out[static_cast<uint64_t>(found) * kTaps + kTaps - 1 - tap] = first;
  } else if (tap < kHalfTaps - 1) {
    // Nobody finds this row, so it looks at the other half itself.
    const uint32_t other = kTaps - 1 - tap;
    line[other] = find_row(slots, mask, coords, tap_coord(own, other, 3, p));
  }
}

struct InvertParams {
  uint32_t rows, taps;
  // Rows of the result.
  uint32_t inputs;
};

__global__ void invert(const int32_t* __restrict__ map, int32_t* __restrict__ out, InvertParams p) {
  const uint64_t i = blockIdx.x * static_cast<uint64_t>(kThreads) + threadIdx.x;
  if (i >= static_cast<uint64_t>(p.rows) * p.taps) return;
  const uint32_t input = static_cast<uint32_t>(map[i]);
  if (input >= p.inputs) return;
  const uint32_t row = static_cast<uint32_t>(i / p.taps);
  out[static_cast<uint64_t>(input) * p.taps + (i - static_cast<uint64_t>(row) * p.taps)] = static_cast<int32_t>(row);
}

}  // namespace

// Buffers: queries, coords, slots, out.
PERGOLA_LAUNCHER(neighborMap) {
  const auto& p = call.as<NeighborParams>();
  const int64_t taps = static_cast<int64_t>(p.kernel_size) * p.kernel_size * p.kernel_size;
  const AlignedCoords queries(call, 0, p.rows);
  const AlignedCoords coords(call, 1, p.inputs);
  const auto* slots = call.in<int32_t>(2);
  auto* out = call.out<int32_t>(3);
  // The plan knows the shapes; whether both are the same voxels shows here.
  if (p.strategy == Symmetric && p.kernel_size == 3 && call.buffers[0] == call.buffers[1] && p.rows == p.inputs) {
    check(cudaMemsetAsync(out, 0xff, sizeof(int32_t) * p.rows * taps, call.stream), "neighborMap");
    const int blocks = ceil_div(ceil_div(p.rows, kWarpRows), kThreads / 32);
    find_both_ways<<<blocks, kThreads, 0, call.stream>>>(coords, slots, out, p);
  } else {
    const int blocks = ceil_div(p.rows * taps, kThreads);
    const auto launch = [&](auto kernel) {
      kernel<<<blocks, kThreads, 0, call.stream>>>(queries, coords, slots, out, p);
    };
    if (p.kernel_size == 3) launch(find_neighbors<3>);
    else launch(find_neighbors<0>);
  }
  check_launch("neighborMap");
}

// Buffers: map, out.
PERGOLA_LAUNCHER(invertNeighborMap) {
  const auto& p = call.as<InvertParams>();
  auto* out = call.out<int32_t>(1);
  const size_t bytes = sizeof(int32_t) * static_cast<size_t>(p.inputs) * p.taps;
  check(cudaMemsetAsync(out, 0xff, bytes, call.stream), "invertNeighborMap");
  const int64_t entries = static_cast<int64_t>(p.rows) * p.taps;
  if (entries > 0) invert<<<ceil_div(entries, kThreads), kThreads, 0, call.stream>>>(call.in<int32_t>(0), out, p);
  check_launch("invertNeighborMap");
}

}  // namespace pergola
