// Elementwise kernels of two operands, the second of which may be a number.
#pragma once

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

// What stands in for b when there is none.
template <typename T>
struct Scalar {
  Arith<T> value;
  bool reverse;
};

template <typename Function, typename T>
__device__ __forceinline__ auto combine(T a, T b, bool has_b, const Scalar<T>& scalar) {
  const Arith<T> left = widen(a);
  const Arith<T> right = has_b ? widen(b) : scalar.value;
  return scalar.reverse ? Function::apply(right, left) : Function::apply(left, right);
}

template <int Width, typename Function, typename T, typename Out>
__global__ void map_two(const T* __restrict__ a, const T* __restrict__ b, Out* __restrict__ out, BroadcastShape<2> shape,
                        Scalar<T> scalar) {
  const uint32_t i = (blockIdx.x * blockDim.x + threadIdx.x) * Width;
  if (i >= shape.elements) return;
  int64_t at[2];
  locate(shape, i, at);
  const int32_t a_step = shape.strides[0][kMaxAxes - 1];
  const int32_t b_step = shape.strides[1][kMaxAxes - 1];
  const bool has_b = b != nullptr;
  // A read of a in place of an absent b is never used.
  const T* other = has_b ? b + at[1] : a + at[0];
  if (Width > 1 && i + Width > shape.elements) {
    for (uint32_t j = 0; i + j < shape.elements; j++) {
      out[i + j] = static_cast<Out>(combine<Function, T>(a[at[0] + j * a_step], other[j * b_step], has_b, scalar));
    }
    return;
  }
  const auto left = load_operand<Width>(a, at[0], a_step);
  const auto right = load_operand<Width>(other, 0, b_step);
  Pack<Out, Width> result;
#pragma unroll
  for (int j = 0; j < Width; j++) {
    result.at[j] = static_cast<Out>(combine<Function, T>(left.at[j], right.at[j], has_b, scalar));
  }
  store_pack<Width>(out + i, result);
}

template <typename Function, typename T, typename Out>
void launch_two(const Call& call, const BinaryParams& p) {
  const T* a = call.in<T>(0);
  const T* b = call.in<T>(1);
  Out* out = call.out<Out>(2);
  const Scalar<T> scalar{kIsFloat<T> ? Arith<T>(p.scalar) : Arith<T>(p.integer_scalar), p.reverse != 0};
  constexpr int width = kPackSize<T>;
  const bool packs = packs_fit(p.shape, width) && reads_packs(p.shape, 0, a, width) &&
                     (b == nullptr || reads_packs(p.shape, 1, b, width));
  if (packs) {
    map_two<width, Function, T, Out>
        <<<map_blocks(p.shape.elements, width), kMapThreads, 0, call.stream>>>(a, b, out, p.shape, scalar);
  } else {
    map_two<1, Function, T, Out>
        <<<map_blocks(p.shape.elements, 1), kMapThreads, 0, call.stream>>>(a, b, out, p.shape, scalar);
  }
}

}  // namespace pergola
