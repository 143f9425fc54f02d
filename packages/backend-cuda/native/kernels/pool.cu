// maxPool and avgPool of images and volumes, channels first; one thread for each window.
#include "pack.cuh"

namespace pergola {
namespace {

struct PoolParams {
  int32_t dtype;
  uint32_t windows;
  int32_t extents[3];
  int32_t out_extents[3];
  int32_t kernel[3];
  int32_t stride[3];
  int32_t padding[3];
};

template <typename T, bool Max>
__global__ void pool_windows(const T* __restrict__ x, T* __restrict__ out, PoolParams p) {
  const uint32_t i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= p.windows) return;
  uint32_t rest = i;
  int32_t low[3], high[3];
  // Positions in the window, counting padding but not what lies beyond it.
  int32_t area = 1;
#pragma unroll
  for (int axis = 2; axis >= 0; axis--) {
    const int32_t place = static_cast<int32_t>(rest % p.out_extents[axis]);
    rest /= p.out_extents[axis];
    const int32_t start = place * p.stride[axis] - p.padding[axis];
    const int32_t end = min(start + p.kernel[axis], p.extents[axis] + p.padding[axis]);
    area *= end - start;
    low[axis] = max(start, 0);
    high[axis] = min(end, p.extents[axis]);
  }
  const T* plane = x + static_cast<int64_t>(rest) * p.extents[0] * p.extents[1] * p.extents[2];
  float total = Max ? -INFINITY : 0.f;
  for (int a = low[0]; a < high[0]; a++) {
    for (int b = low[1]; b < high[1]; b++) {
      const T* row = plane + (static_cast<int64_t>(a) * p.extents[1] + b) * p.extents[2];
      for (int c = low[2]; c < high[2]; c++) {
        const float value = static_cast<float>(row[c]);
        // NaN wins.
        if (Max) total = value > total || value != value ? value : total;
        else total += value;
      }
    }
  }
  out[i] = static_cast<T>(Max ? total : total / static_cast<float>(area));
}

template <bool Max>
void launch(const Call& call, const char* op) {
  const auto& p = call.as<PoolParams>();
  with_float(p.dtype, [&](auto zero) {
    using T = decltype(zero);
    pool_windows<T, Max><<<ceil_div(p.windows, 256), 256, 0, call.stream>>>(call.in<T>(0), call.out<T>(1), p);
  });
  check_launch(op);
}

}  // namespace

PERGOLA_LAUNCHER(maxPool) { launch<true>(call, "maxPool"); }
PERGOLA_LAUNCHER(avgPool) { launch<false>(call, "avgPool"); }

}  // namespace pergola
