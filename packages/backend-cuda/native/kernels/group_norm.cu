// groupNorm of [B, C, ...]: each group of channels of each batch element is one contiguous run of numbers.
#include <algorithm>

#include "affine.cuh"
#include "device.h"
#include "moments.cuh"

namespace pergola {
namespace {

struct GroupNormParams {
  int32_t dtype;
  // Batch elements times groups.
  int32_t runs;
  int32_t groups;
  int32_t group_channels;
  int32_t positions;
  float eps;
  int32_t weight_dtype, bias_dtype;
};

constexpr int kThreads = 256;
// Each block reduces this many numbers at the least, and a run is cut into no more blocks than this.
constexpr int kSplitLength = 8192;
constexpr int kMaxSplits = 64;

template <typename T>
__global__ void run_moments(const T* __restrict__ x, Moments* __restrict__ partial, int64_t count, int64_t split) {
  const T* from = x + blockIdx.y * count;
  const int64_t end = min(count, (blockIdx.x + 1) * split);
  Moments own{0.f, 0.f, 0.f};
  for (int64_t i = blockIdx.x * split + threadIdx.x; i < end; i += kThreads) {
    add_value(own, static_cast<float>(from[i]), 1.f / (own.count + 1.f));
  }
  const Moments all = merge_block<kThreads>(own);
  if (threadIdx.x == 0) partial[blockIdx.y * gridDim.x + blockIdx.x] = all;
}

template <typename T, int Width>
__global__ void apply_norm(const T* __restrict__ x, const Moments* __restrict__ partial, T* __restrict__ out,
                           GroupNormParams p, int64_t count, int64_t split, Affine affine) {
  const int run = blockIdx.y;
  Moments all = partial[run * gridDim.x];
  for (unsigned i = 1; i < gridDim.x; i++) all = merge(all, partial[run * gridDim.x + i]);
  const float scale = rsqrtf(all.squares / static_cast<float>(count) + p.eps);
  const int first_channel = run % p.groups * p.group_channels;
  const int64_t end = min(count, (blockIdx.x + 1) * split);
  for (int64_t i = blockIdx.x * split + threadIdx.x * Width; i < end; i += kThreads * Width) {
    const auto pack = load_pack<Width>(x + run * count + i);
    const int channel = first_channel + static_cast<int>(static_cast<uint32_t>(i) / p.positions);
    Pack<T, Width> result;
#pragma unroll
    for (int j = 0; j < Width; j++) {
      float value[1] = {(static_cast<float>(pack.at[j]) - all.mean) * scale};
      apply_affine<1, T>(value, affine, channel);
      result.at[j] = static_cast<T>(value[0]);
    }
    store_pack<Width>(out + run * count + i, result);
  }
}

}  // namespace

// Buffers: x, weight, bias (null where absent), out.
PERGOLA_LAUNCHER(groupNorm) {
  const auto& p = call.as<GroupNormParams>();
  const int64_t count = static_cast<int64_t>(p.group_channels) * p.positions;
  const int splits = std::min(kMaxSplits, ceil_div(count, kSplitLength));
  // A multiple of the widest pack, so that every split starts on its boundary.
  const int64_t split = (ceil_div(count, splits) + 7) / 8 * 8;
  auto* partial = static_cast<Moments*>(call.device.workspace(sizeof(Moments) * p.runs * splits));
  const Affine affine{call.buffers[1], call.buffers[2], p.weight_dtype, p.bias_dtype};
  const dim3 grid(splits, p.runs);
  with_float(p.dtype, [&](auto zero) {
    using T = decltype(zero);
    constexpr int width = kPackSize<T>;
    const T* x = call.in<T>(0);
    T* out = call.out<T>(3);
    run_moments<T><<<grid, kThreads, 0, call.stream>>>(x, partial, count, split);
    if (p.positions % width == 0 && is_aligned(x)) {
      apply_norm<T, width><<<grid, kThreads, 0, call.stream>>>(x, partial, out, p, count, split, affine);
    } else {
      apply_norm<T, 1><<<grid, kThreads, 0, call.stream>>>(x, partial, out, p, count, split, affine);
    }
  });
  check_launch("groupNorm");
}

}  // namespace pergola
