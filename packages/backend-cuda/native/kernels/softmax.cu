// softmax along one axis, in f32: largest element, sum of powers, quotients.
#include "pack.cuh"

namespace pergola {
namespace {

struct SoftmaxParams {
  int32_t dtype;
  // Element (o, e, i) of x lies at (o * extent + e) * inner + i.
  uint32_t outer, extent, inner;
};

constexpr int kThreads = 256;
// Lines up to this long get one warp each, longer ones a block.
constexpr uint32_t kWarpExtent = 1024;

// The result of `combine` over `lanes` (32 or the whole block) threads, in each of them.
template <typename Combine>
__device__ __forceinline__ float across(float value, int lanes, Combine combine) {
  __shared__ float shared[kThreads / 32];
  for (int step = 16; step > 0; step /= 2) value = combine(value, __shfl_xor_sync(0xffffffffu, value, step));
  if (lanes == 32) return value;
  __syncthreads();
  if (threadIdx.x % 32 == 0) shared[threadIdx.x / 32] = value;
  __syncthreads();
  value = shared[0];
  for (int warp = 1; warp < kThreads / 32; warp++) value = combine(value, shared[warp]);
  return value;
}

template <typename T>
__global__ void softmax_lines(const T* __restrict__ x, T* __restrict__ out, SoftmaxParams p, int lanes) {
  const uint64_t lines = static_cast<uint64_t>(p.outer) * p.inner;
  const uint64_t line = blockIdx.x * static_cast<uint64_t>(kThreads / lanes) + threadIdx.x / lanes;
  const uint32_t lane = threadIdx.x % lanes;
  // Threads without a line go along, for the sums need whole warps.
  const bool active = line < lines;
  const uint32_t extent = active ? p.extent : 0;
  const int64_t first = active ? static_cast<int64_t>(line / p.inner * p.extent * p.inner + line % p.inner) : 0;
  const auto at = [&](uint32_t e) { return first + static_cast<int64_t>(e) * p.inner; };
  float top = -INFINITY;
  for (uint32_t e = lane; e < extent; e += lanes) {
    const float value = static_cast<float>(x[at(e)]);
    top = value > top || value != value ? value : top;
  }
  top = across(top, lanes, [](float a, float b) { return a != a ? a : (b != b ? b : fmaxf(a, b)); });
  float total = 0.f;
  for (uint32_t e = lane; e < extent; e += lanes) total += expf(static_cast<float>(x[at(e)]) - top);
  total = across(total, lanes, [](float a, float b) { return a + b; });
  for (uint32_t e = lane; e < extent; e += lanes) {
    out[at(e)] = static_cast<T>(expf(static_cast<float>(x[at(e)]) - top) / total);
  }
}

}  // namespace

PERGOLA_LAUNCHER(softmax) {
  const auto& p = call.as<SoftmaxParams>();
  const int lanes = p.extent <= kWarpExtent ? 32 : kThreads;
  const int blocks = ceil_div(static_cast<int64_t>(p.outer) * p.inner, kThreads / lanes);
  with_float(p.dtype, [&](auto zero) {
    using T = decltype(zero);
    softmax_lines<T><<<blocks, kThreads, 0, call.stream>>>(call.in<T>(0), call.out<T>(1), p, lanes);
  });
  check_launch("softmax");
}

}  // namespace pergola
