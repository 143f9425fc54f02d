// Elementwise kernels of two operands, the second of which may be a number.
#pragma once

#include <utility>

#include "broadcast.cuh"

namespace pergola {

struct BinaryParams {
  int32_t dtype;
  // The number in place of b, for float and for integer dtypes; used when b is absent.
  float scalar;
  int32_t integer_scalar;
  // The number is the left operand.
  int32_t reverse;
  BroadcastShape<2> shape;
};

// What computes on an element, or on the number that stands in for an operand.
template <typename T>
__device__ __forceinline__ Arith<T> widen_or(bool has, T element, Arith<T> number) {
  const Arith<T> wide = widen(element);
  return has ? wide : number;
}

// Either operand may be null: `number` stands in for it.
template <int Width, typename Function, typename T, typename Out>
__global__ void map_two(const T* __restrict__ a, const T* __restrict__ b, Out* __restrict__ out,
                        const __grid_constant__ BroadcastWalk<2> walk, Arith<T> number) {
  const uint32_t i = (blockIdx.x * blockDim.x + threadIdx.x) * Width;
  if (i >= walk.elements) return;
  int64_t at[2];
  locate(walk, i, at);
  const int32_t a_step = walk.strides[0][kMaxAxes - 1];
  const int32_t b_step = walk.strides[1][kMaxAxes - 1];
  const bool has_a = a != nullptr;
  const bool has_b = b != nullptr;
  // A read of the other operand in place of an absent one is never used.
  const T* left_from = has_a ? a + at[0] : b + at[1];
  const T* right_from = has_b ? b + at[1] : a + at[0];
  const auto apply = [=](T left, T right) {
    return static_cast<Out>(Function::apply(widen_or(has_a, left, number), widen_or(has_b, right, number)));
  };
  if (Width > 1 && i + Width > walk.elements) {
#pragma unroll 1
    for (uint32_t j = 0; i + j < walk.elements; j++) out[i + j] = apply(left_from[j * a_step], right_from[j * b_step]);
    return;
  }
  const auto left = load_operand<Width>(left_from, 0, a_step);
  const auto right = load_operand<Width>(right_from, 0, b_step);
  Pack<Out, Width> result;
#pragma unroll
  for (int j = 0; j < Width; j++) result.at[j] = apply(left.at[j], right.at[j]);
  store_pack<Width>(out + i, result);
}

template <typename Function, typename T, typename Out>
void launch_two(const Call& call, const BinaryParams& p) {
  const T* a = call.in<T>(0);
  const T* b = call.in<T>(1);
  Out* out = call.out<Out>(2);
  const auto number = kIsFloat<T> ? Arith<T>(p.scalar) : Arith<T>(p.integer_scalar);
  constexpr int width = kPackSize<T>;
  const bool packs = packs_fit(p.shape, width) && reads_packs(p.shape, 0, a, width) &&
                     (b == nullptr || reads_packs(p.shape, 1, b, width));
  auto walk = walk_of(p.shape);
  if (p.reverse != 0) {
    std::swap(a, b);
    std::swap(walk.strides[0], walk.strides[1]);
  }
  if (packs) {
    map_two<width, Function, T, Out>
        <<<map_blocks(p.shape.elements, width), kMapThreads, 0, call.stream>>>(a, b, out, walk, number);
  } else {
    map_two<1, Function, T, Out>
        <<<map_blocks(p.shape.elements, 1), kMapThreads, 0, call.stream>>>(a, b, out, walk, number);
  }
}

}  // namespace pergola
