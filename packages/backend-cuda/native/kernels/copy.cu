// copy: strided to contiguous, for any element size. Axes arrive merged as far as the strides allow.
#include "broadcast.cuh"

namespace pergola {
namespace {

struct CopyParams {
  int32_t element_bytes;
  BroadcastShape<1> shape;
};

struct Same {
  template <typename T>
  __device__ T operator()(T x) const {
    return x;
  }
};

constexpr int kTile = 32;
constexpr int kTileRows = 8;

// Axis `near` is contiguous in the source and the last axis in the target: tiles of both turn in shared memory.
template <typename T>
__global__ void copy_turned(const T* __restrict__ source, T* __restrict__ target,
                            const __grid_constant__ BroadcastShape<1> shape, int near) {
  __shared__ T tile[kTile][kTile + 1];
  constexpr int last = kMaxAxes - 1;
  const uint32_t columns = shape.extents[last];
  const uint32_t rows = shape.extents[near];
  // Where the block's slice of the other axes starts in both, and the distance of rows in the target.
  int64_t from = 0, to = 0, row_step = 0, step = 1;
  uint32_t rest = blockIdx.z;
  for (int axis = last; axis >= kMaxAxes - shape.rank; axis--) {
    if (axis == near) row_step = step;
    else if (axis != last) {
      const uint32_t index = rest % shape.extents[axis];
      rest /= shape.extents[axis];
      from += static_cast<int64_t>(index) * shape.strides[0][axis];
      to += index * step;
    }
    step *= shape.extents[axis];
  }
  const uint32_t row0 = blockIdx.y * kTile;
  const uint32_t column0 = blockIdx.x * kTile;
  for (int i = threadIdx.y; i < kTile; i += kTileRows) {
    const uint32_t row = row0 + threadIdx.x;
    const uint32_t column = column0 + i;
    if (row < rows && column < columns) {
      tile[threadIdx.x][i] = source[from + row + static_cast<int64_t>(column) * shape.strides[0][last]];
    }
  }
  __syncthreads();
  for (int i = threadIdx.y; i < kTile; i += kTileRows) {
    const uint32_t row = row0 + i;
    const uint32_t column = column0 + threadIdx.x;
    if (row < rows && column < columns) target[to + row * row_step + column] = tile[i][threadIdx.x];
  }
}

// The axis to turn with the last one, or -1 when tiles would not pay or not fit the grid.
int turned_axis(const BroadcastShape<1>& shape) {
  constexpr int last = kMaxAxes - 1;
  if (shape.strides[0][last] == 1 || shape.extents[last] < kTileRows) return -1;
  for (int axis = last - 1; axis >= kMaxAxes - shape.rank; axis--) {
    if (shape.strides[0][axis] != 1 || shape.extents[axis] < kTileRows) continue;
    const uint32_t slices = shape.elements / shape.extents[last] / shape.extents[axis];
    return slices <= 65535 && ceil_div(shape.extents[axis], kTile) <= 65535 ? axis : -1;
  }
  return -1;
}

}  // namespace

PERGOLA_LAUNCHER(copy) {
  const auto& p = call.as<CopyParams>();
  const int near = turned_axis(p.shape);
  with_size(p.element_bytes, [&](auto zero) {
    using T = decltype(zero);
    if (near < 0) return launch_map(call, p.shape, call.in<T>(0), call.out<T>(1), Same{});
    const uint32_t columns = p.shape.extents[kMaxAxes - 1];
    const uint32_t rows = p.shape.extents[near];
    const dim3 grid(ceil_div(columns, kTile), ceil_div(rows, kTile), p.shape.elements / columns / rows);
    copy_turned<T><<<grid, dim3(kTile, kTileRows), 0, call.stream>>>(call.in<T>(0), call.out<T>(1), p.shape, near);
  });
  check_launch("copy");
}

}  // namespace pergola
