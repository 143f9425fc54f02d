// where: one of two operands by a condition, with broadcasting, for any element size.
#include "broadcast.cuh"

namespace pergola {
namespace {

struct WhereParams {
  int32_t element_bytes;
  BroadcastShape<3> shape;
};

template <int Width, typename T>
__global__ void select(const uint8_t* __restrict__ condition, const T* __restrict__ a, const T* __restrict__ b,
                       T* __restrict__ out, const __grid_constant__ BroadcastWalk<3> walk) {
  const uint32_t i = (blockIdx.x * blockDim.x + threadIdx.x) * Width;
  if (i >= walk.elements) return;
  int64_t at[3];
  locate(walk, i, at);
  int32_t steps[3];
#pragma unroll
  for (int operand = 0; operand < 3; operand++) steps[operand] = walk.strides[operand][kMaxAxes - 1];
  if (Width > 1 && i + Width > walk.elements) {
    for (uint32_t j = 0; i + j < walk.elements; j++) {
      out[i + j] = condition[at[0] + j * steps[0]] != 0 ? a[at[1] + j * steps[1]] : b[at[2] + j * steps[2]];
    }
    return;
  }
  const auto chosen = load_operand<Width>(condition, at[0], steps[0]);
  const auto left = load_operand<Width>(a, at[1], steps[1]);
  const auto right = load_operand<Width>(b, at[2], steps[2]);
  Pack<T, Width> result;
#pragma unroll
  for (int j = 0; j < Width; j++) result.at[j] = chosen.at[j] != 0 ? left.at[j] : right.at[j];
  store_pack<Width>(out + i, result);
}

}  // namespace

// Buffers: condition, a, b, out.
PERGOLA_LAUNCHER(where) {
  const auto& p = call.as<WhereParams>();
  with_size(p.element_bytes, [&](auto zero) {
    using T = decltype(zero);
    constexpr int width = kPackSize<T>;
    const auto* condition = call.in<uint8_t>(0);
    const T* a = call.in<T>(1);
    const T* b = call.in<T>(2);
    const bool packs = packs_fit(p.shape, width) && reads_packs(p.shape, 0, condition, width) &&
                       reads_packs(p.shape, 1, a, width) && reads_packs(p.shape, 2, b, width);
    const auto walk = walk_of(p.shape);
    if (packs) {
      select<width, T>
          <<<map_blocks(p.shape.elements, width), kMapThreads, 0, call.stream>>>(condition, a, b, call.out<T>(3), walk);
    } else {
      select<1, T>
          <<<map_blocks(p.shape.elements, 1), kMapThreads, 0, call.stream>>>(condition, a, b, call.out<T>(3), walk);
    }
  });
  check_launch("where");
}

}  // namespace pergola
