// Elementwise kernels over up to three operands with NumPy broadcasting and any strides.
//
// The TypeScript side merges axes as far as the strides of all operands allow, so that contiguous operands arrive as
// one axis. A thread computes `Width` neighbours along the last axis: 16 bytes of the widest operand where strides and
// addresses allow it, else one element.
#pragma once

#include "divisor.cuh"
#include "pack.cuh"

namespace pergola {

constexpr int kMaxAxes = 8;

// Extents and strides of the last `rank` of kMaxAxes axes, as src/merge-axes.ts packs them.
template <int Operands>
struct BroadcastShape {
  int32_t rank;
  uint32_t elements;
  uint32_t extents[kMaxAxes];
  // In elements; 0 where an operand repeats.
  int32_t strides[Operands][kMaxAxes];
};

// The same as kernels walk it.
template <int Operands>
struct BroadcastWalk {
  int32_t rank;
  uint32_t elements;
  Divisor extents[kMaxAxes];
  int32_t strides[Operands][kMaxAxes];
};

template <int Operands>
BroadcastWalk<Operands> walk_of(const BroadcastShape<Operands>& shape) {
  BroadcastWalk<Operands> walk;
  walk.rank = shape.rank;
  walk.elements = shape.elements;
  for (int axis = 0; axis < kMaxAxes; axis++) {
    walk.extents[axis] = divisor_of(shape.extents[axis]);
    for (int operand = 0; operand < Operands; operand++) walk.strides[operand][axis] = shape.strides[operand][axis];
  }
  return walk;
}

template <int Operands>
__device__ __forceinline__ void locate(const BroadcastWalk<Operands>& walk, uint32_t element,
                                       int64_t (&at)[Operands]) {
  uint32_t rest = element;
#pragma unroll
  for (int operand = 0; operand < Operands; operand++) at[operand] = 0;
  // Unrolled: an axis known only at run time would have every thread copy the parameters to local memory.
#pragma unroll
  for (int axis = kMaxAxes - 1; axis >= 0; axis--) {
    const bool outermost = axis <= kMaxAxes - walk.rank;
    const Quotient parts = outermost ? Quotient{0, rest} : divide_with_rest(rest, walk.extents[axis]);
#pragma unroll
    for (int operand = 0; operand < Operands; operand++) {
      at[operand] += static_cast<int64_t>(parts.remainder) * walk.strides[operand][axis];
    }
    if (outermost) break;
    rest = parts.quotient;
  }
}

// `Width` elements from `at` on; a whole pack where the operand advances, else one element repeated.
template <int Width, typename T>
__device__ __forceinline__ Pack<T, Width> load_operand(const T* from, int64_t at, int32_t step) {
  if constexpr (Width > 1) {
    if (step == 1) return load_pack<Width>(from + at);
  }
  Pack<T, Width> pack;
  const T value = from[at];
#pragma unroll
  for (int i = 0; i < Width; i++) pack.at[i] = value;
  return pack;
}

// Whether an operand can be read `width` elements at a time.
template <typename T, int Operands>
bool reads_packs(const BroadcastShape<Operands>& shape, int operand, const T* from, int width) {
  const int32_t* strides = shape.strides[operand];
  const int32_t last = strides[kMaxAxes - 1];
  if (last == 0) return true;
  if (last != 1 || !is_aligned(from, sizeof(T) * width)) return false;
  for (int axis = kMaxAxes - shape.rank; axis < kMaxAxes - 1; axis++) {
    if (strides[axis] % width != 0) return false;
  }
  return true;
}

// Whether groups of `width` elements never cross the end of the last axis.
template <int Operands>
bool packs_fit(const BroadcastShape<Operands>& shape, int width) {
  return shape.rank <= 1 || shape.extents[kMaxAxes - 1] % width == 0;
}

constexpr int kMapThreads = 256;

// Function gives the element of the output from that of the operand.
template <int Width, typename Out, typename Function, typename A>
__global__ void map_one(const A* __restrict__ a, Out* __restrict__ out, const __grid_constant__ BroadcastWalk<1> walk,
                        Function function) {
  const uint32_t i = (blockIdx.x * blockDim.x + threadIdx.x) * Width;
  if (i >= walk.elements) return;
  int64_t at[1];
  locate(walk, i, at);
  const int32_t step = walk.strides[0][kMaxAxes - 1];
  if (Width > 1 && i + Width > walk.elements) {
#pragma unroll 1
    for (uint32_t j = 0; i + j < walk.elements; j++) out[i + j] = function(a[at[0] + j * step]);
    return;
  }
  const auto left = load_operand<Width>(a, at[0], step);
  Pack<Out, Width> result;
#pragma unroll
  for (int j = 0; j < Width; j++) result.at[j] = function(left.at[j]);
  store_pack<Width>(out + i, result);
}

inline int map_blocks(uint32_t elements, int width) { return ceil_div(ceil_div(elements, width), kMapThreads); }

template <typename Out, typename Function, typename A>
void launch_map(const Call& call, const BroadcastShape<1>& shape, const A* a, Out* out, Function function) {
  constexpr int width = kPackBytes / static_cast<int>(sizeof(A) > sizeof(Out) ? sizeof(A) : sizeof(Out));
  const auto walk = walk_of(shape);
  if (packs_fit(shape, width) && reads_packs(shape, 0, a, width)) {
    map_one<width><<<map_blocks(shape.elements, width), kMapThreads, 0, call.stream>>>(a, out, walk, function);
  } else {
    map_one<1><<<map_blocks(shape.elements, 1), kMapThreads, 0, call.stream>>>(a, out, walk, function);
  }
}

}  // namespace pergola
