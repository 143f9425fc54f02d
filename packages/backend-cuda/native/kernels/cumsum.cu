// cumsum: running sums along one axis, one block for each line. Floats accumulate in f32, integers wrap.
#include "pack.cuh"

namespace pergola {
namespace {

struct CumsumParams {
  int32_t dtype;
  // Element (o, e, i) of x lies at (o * extent + e) * inner + i.
  uint32_t outer, extent, inner;
  int32_t exclusive;
};

constexpr int kThreads = 256;
constexpr int kItems = 8;

template <typename T>
__global__ void running_sum(const T* __restrict__ x, T* __restrict__ out, CumsumParams p) {
  using Total = std::conditional_t<kIsFloat<T>, float, uint32_t>;
  __shared__ Total warp_totals[kThreads / 32];
  const int64_t line = static_cast<int64_t>(blockIdx.x / p.inner) * p.extent * p.inner + blockIdx.x % p.inner;
  const int lane = threadIdx.x % 32;
  const int warp = threadIdx.x / 32;
  Total carried = Total(0);
  for (uint32_t tile = 0; tile < p.extent; tile += kThreads * kItems) {
    const uint32_t first = tile + threadIdx.x * kItems;
    Total values[kItems];
    Total own = Total(0);
#pragma unroll
    for (int i = 0; i < kItems; i++) {
      const uint32_t e = first + i;
      values[i] = e < p.extent ? static_cast<Total>(widen(x[line + static_cast<int64_t>(e) * p.inner])) : Total(0);
      own += values[i];
    }
    Total before = own;
    for (int step = 1; step < 32; step *= 2) {
      const Total other = __shfl_up_sync(0xffffffffu, before, step);
      if (lane >= step) before += other;
    }
    if (lane == 31) warp_totals[warp] = before;
    // Exclusive within the warp: from the neighbour, for a difference would round (and make NaN of infinities).
    before = __shfl_up_sync(0xffffffffu, before, 1);
    if (lane == 0) before = Total(0);
    __syncthreads();
    Total running = carried;
    for (int w = 0; w < warp; w++) running += warp_totals[w];
    running += before;
    for (int w = 0; w < kThreads / 32; w++) carried += warp_totals[w];
#pragma unroll
    for (int i = 0; i < kItems; i++) {
      const uint32_t e = first + i;
      const Total next = running + values[i];
      if (e < p.extent) out[line + static_cast<int64_t>(e) * p.inner] = static_cast<T>(p.exclusive != 0 ? running : next);
      running = next;
    }
    __syncthreads();
  }
}

}  // namespace

PERGOLA_LAUNCHER(cumsum) {
  const auto& p = call.as<CumsumParams>();
  with_number(p.dtype, [&](auto zero) {
    using T = decltype(zero);
    running_sum<T><<<p.outer * p.inner, kThreads, 0, call.stream>>>(call.in<T>(0), call.out<T>(1), p);
  });
  check_launch("cumsum");
}

}  // namespace pergola
