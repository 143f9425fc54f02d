// neighborMap and invertNeighborMap: for every row and kernel tap, the row that meets it there.
#include "aligned_coords.h"
#include "coord_hash.cuh"

namespace pergola {
namespace {

constexpr int kThreads = 256;

struct NeighborParams {
  // Rows of the queries and of the coordinates.
  uint32_t rows, inputs, capacity;
  int32_t kernel_size, stride, padding, dilation;
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
  const int blocks = ceil_div(p.rows * taps, kThreads);
  const auto launch = [&](auto kernel) {
    kernel<<<blocks, kThreads, 0, call.stream>>>(queries, coords, slots, out, p);
  };
  if (p.kernel_size == 3) launch(find_neighbors<3>);
  else launch(find_neighbors<0>);
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
