// argmax and argmin along one axis: NaN is the extreme, and the first of equals stays.
#include "pack.cuh"

namespace pergola {
namespace {

struct ArgParams {
  int32_t dtype;
  // Element (o, e, i) of x lies at (o * extent + e) * inner + i.
  uint32_t outer, extent, inner;
};

constexpr int kThreads = 128;

template <typename Number>
struct Best {
  Number value;
  uint32_t index;
};

// Whether `a` goes before `b` as the largest element.
template <typename Number>
__device__ __forceinline__ bool beats(const Best<Number>& a, const Best<Number>& b) {
  const bool a_nan = a.value != a.value;
  const bool b_nan = b.value != b.value;
  if (a_nan != b_nan) return a_nan;
  if (!a_nan && a.value != b.value) return a.value > b.value;
  return a.index < b.index;
}

// `lanes` threads of one warp for each output. Sign -1 turns the smallest into the largest.
template <typename T, int Sign>
__global__ void arg_reduce(const T* __restrict__ x, int32_t* __restrict__ out, ArgParams p, int lanes) {
  using Number = std::conditional_t<kIsFloat<T>, float, int64_t>;
  const uint64_t outputs = static_cast<uint64_t>(p.outer) * p.inner;
  const uint64_t output = blockIdx.x * static_cast<uint64_t>(kThreads / lanes) + threadIdx.x / lanes;
  const uint32_t lane = threadIdx.x % lanes;
  Best<Number> best{Number(0), UINT32_MAX};
  if (output < outputs) {
    const T* from = x + output / p.inner * p.extent * p.inner + output % p.inner;
    for (uint32_t e = lane; e < p.extent; e += lanes) {
      const Best<Number> next{static_cast<Number>(widen(from[static_cast<int64_t>(e) * p.inner])) * Sign, e};
      if (best.index == UINT32_MAX || beats(next, best)) best = next;
    }
  }
  for (int step = lanes / 2; step > 0; step /= 2) {
    const Best<Number> other{__shfl_xor_sync(0xffffffffu, best.value, step),
                             __shfl_xor_sync(0xffffffffu, best.index, step)};
    if (other.index != UINT32_MAX && (best.index == UINT32_MAX || beats(other, best))) best = other;
  }
  if (output < outputs && lane == 0) out[output] = static_cast<int32_t>(best.index);
}

template <int Sign>
void launch(const Call& call, const char* op) {
  const auto& p = call.as<ArgParams>();
  // Neighbouring outputs are neighbours in memory when there are many of them: then a thread for each will do.
  const int lanes = p.inner >= 32 || p.extent <= 4 ? 1 : 32;
  const int blocks = ceil_div(static_cast<int64_t>(p.outer) * p.inner, kThreads / lanes);
  with_number(p.dtype, [&](auto zero) {
    using T = decltype(zero);
    arg_reduce<T, Sign><<<blocks, kThreads, 0, call.stream>>>(call.in<T>(0), call.out<int32_t>(1), p, lanes);
  });
  check_launch(op);
}

}  // namespace

PERGOLA_LAUNCHER(argmax) { launch<1>(call, "argmax"); }
PERGOLA_LAUNCHER(argmin) { launch<-1>(call, "argmin"); }

}  // namespace pergola
