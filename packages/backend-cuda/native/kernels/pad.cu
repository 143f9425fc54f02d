// pad: a tensor surrounded by a constant, for any element size.
#include "pack.cuh"

namespace pergola {
namespace {

constexpr int kMaxRank = 8;

// The last `rank` of kMaxRank axes count.
struct PadParams {
  int32_t element_bytes;
  // The constant's bits in its low bytes.
  uint32_t value;
  int32_t rank;
  uint32_t elements;
  uint32_t out_extents[kMaxRank];
  uint32_t extents[kMaxRank];
  uint32_t before[kMaxRank];
};

template <typename T>
__global__ void pad_elements(const T* __restrict__ x, T* __restrict__ out,
                             const __grid_constant__ PadParams p) {
  const uint32_t i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= p.elements) return;
  uint32_t rest = i;
  uint32_t at = 0;
  uint32_t step = 1;
  bool inside = true;
#pragma unroll
  for (int axis = kMaxRank - 1; axis >= 0; axis--) {
    if (axis < kMaxRank - p.rank) break;
    // Positions before the tensor wrap to large numbers.
    const uint32_t place = rest % p.out_extents[axis] - p.before[axis];
    rest /= p.out_extents[axis];
    inside = inside && place < p.extents[axis];
    at += place * step;
    step *= p.extents[axis];
  }
  out[i] = inside ? x[at] : static_cast<T>(p.value);
}

}  // namespace

PERGOLA_LAUNCHER(pad) {
  const auto& p = call.as<PadParams>();
  with_size(p.element_bytes, [&](auto zero) {
    using T = decltype(zero);
    pad_elements<T><<<ceil_div(p.elements, 256), 256, 0, call.stream>>>(call.in<T>(0), call.out<T>(1), p);
  });
  check_launch("pad");
}

}  // namespace pergola
