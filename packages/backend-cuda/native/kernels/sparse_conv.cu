// sparseConv3d: submanifold, strided and inverse convolution over a neighbour map; picks the kernel by dtype and sizes.
#include "device.h"
#include "launcher.h"
#include "sparse_conv_mma.cuh"
#include "sparse_conv_wgmma.cuh"

namespace pergola {
namespace {

// In the order of the strategies on the TypeScript side.
enum Strategy : int32_t { Scalar = 0, Mma = 1, Wgmma = 2, Split = 3 };

struct Params {
  SparseConvParams conv;
  int32_t strategy;
  // On Hopper: output channels of a tile, and blocks that share one.
  int32_t columns;
  int32_t splits;
};

// One thread per result element: every dtype, any sizes.
template <typename T>
__global__ void sparse_conv_scalar(const T* __restrict__ x, const T* __restrict__ weight, const T* __restrict__ bias,
                                   const int32_t* __restrict__ map, T* __restrict__ out, SparseConvParams p) {
  const int64_t i = blockIdx.x * static_cast<int64_t>(blockDim.x) + threadIdx.x;
  if (i >= static_cast<int64_t>(p.rows) * p.cout) return;
  const int64_t row = i / p.cout;
  const int column = static_cast<int>(i % p.cout);
  float sum = bias != nullptr ? static_cast<float>(bias[column]) : 0.f;
  for (int tap = 0; tap < p.taps; tap++) {
    const int neighbour = map[row * p.taps + tap];
    if (neighbour < 0 || neighbour >= p.x_rows) continue;
    const T* from = x + static_cast<int64_t>(neighbour) * p.cin;
    const T* w = weight + (static_cast<int64_t>(column) * p.taps + tap) * p.cin;
    for (int c = 0; c < p.cin; c++) sum = fmaf(static_cast<float>(from[c]), static_cast<float>(w[c]), sum);
  }
  out[i] = static_cast<T>(sum);
}

template <typename T>
void launch_scalar(const Call& call, const SparseConvParams& p) {
  const int64_t count = static_cast<int64_t>(p.rows) * p.cout;
  sparse_conv_scalar<T><<<ceil_div(count, 128), 128, 0, call.stream>>>(call.in<T>(0), call.in<T>(1), call.in<T>(2),
                                                                      call.in<int32_t>(3), call.out<T>(4), p);
}

template <typename T>
using ConvKernel = void (*)(const T*, const T*, const T*, const int32_t*, T*, SparseConvParams, float*);

// Taps of the largest map that the TypeScript side lets through.
constexpr int kTiledTaps = 27;
constexpr int kThreads = 256;

// Pairs of results from the sums of all splits, in their order.
template <typename T>
__global__ void add_splits(const float2* __restrict__ partial, const T* __restrict__ bias, T* __restrict__ out,
                           int64_t pairs, int pairs_per_row, int splits) {
  const int64_t i = blockIdx.x * static_cast<int64_t>(kThreads) + threadIdx.x;
  if (i >= pairs) return;
  float2 sum = partial[i];
  for (int split = 1; split < splits; split++) {
    const float2 next = partial[split * pairs + i];
    sum.x += next.x;
    sum.y += next.y;
  }
  if (bias != nullptr) {
    const int column = static_cast<int>(i % pairs_per_row) * 2;
    sum.x += static_cast<float>(bias[column]);
    sum.y += static_cast<float>(bias[column + 1]);
  }
  reinterpret_cast<uint32_t*>(out)[i] = conv_detail::pack_pair<T>(sum.x, sum.y);
}

template <typename T, int BN, int BK, int Stages, Division How, ConvKernel<T> Kernel>
void launch_tiles(const Call& call, const SparseConvParams& p, int splits = 1) {
  call.device.allow_shared(reinterpret_cast<const void*>(Kernel),
                           sparse_conv_shared_bytes<BN, BK, Stages>(kTiledTaps));
  const int tiles = ceil_div(p.cout, BN) * ceil_div(p.rows, kConvRows);
  const int64_t pairs = static_cast<int64_t>(p.rows) * p.cout / 2;
  float2* partial = nullptr;
  if constexpr (How == Division::Split) {
    partial = static_cast<float2*>(call.device.workspace(sizeof(float2) * pairs * splits));
  }
  Kernel<<<dim3(tiles, splits), kConvThreads, sparse_conv_shared_bytes<BN, BK, Stages>(p.taps), call.stream>>>(
      call.in<T>(0), call.in<T>(1), call.in<T>(2), call.in<int32_t>(3), call.out<T>(4), p,
      reinterpret_cast<float*>(partial));
  if constexpr (How == Division::Split) {
    add_splits<T><<<ceil_div(pairs, kThreads), kThreads, 0, call.stream>>>(partial, call.in<T>(2), call.out<T>(4), pairs,
                                                                          p.cout / 2, splits);
  }
}

template <typename T, Division How, int BN, int BK, int Stages, int Blocks>
void launch_wgmma(const Call& call, const SparseConvParams& p, int splits) {
  launch_tiles<T, BN, BK, Stages, How, sparse_conv_wgmma<T, BN, BK, Stages, Blocks, How>>(call, p, splits);
}

template <typename T, int BN>
void launch_mma(const Call& call, const SparseConvParams& p) {
  // Four stages of 32 channels fit the 99 KiB of shared memory that a block has on every chip from Ampere on.
  launch_tiles<T, BN, 32, 4, Division::Direct, sparse_conv_mma<T, BN, 32, 4, Division::Direct>>(call, p);
}

// 64 channels a step where they divide, else 32. Two blocks a multiprocessor where registers and shared memory allow it:
// measured on an H200, that beats deeper rings by a quarter.
template <typename T, Division How>
void launch_wgmma_by_size(const Call& call, const Params& params) {
  const SparseConvParams& p = params.conv;
  const int splits = params.splits;
  const bool wide = p.cin % 64 == 0;
  switch (params.columns) {
    case 256: return launch_wgmma<T, How, 256, 64, 4, 1>(call, p, splits);
    case 192:
      return wide ? launch_wgmma<T, How, 192, 64, 5, 1>(call, p, splits)
                  : launch_wgmma<T, How, 192, 32, 6, 1>(call, p, splits);
    case 128:
      return wide ? launch_wgmma<T, How, 128, 64, 3, 2>(call, p, splits)
                  : launch_wgmma<T, How, 128, 32, 5, 2>(call, p, splits);
    case 96:
      return wide ? launch_wgmma<T, How, 96, 64, 3, 2>(call, p, splits)
                  : launch_wgmma<T, How, 96, 32, 5, 2>(call, p, splits);
    case 64:
      return wide ? launch_wgmma<T, How, 64, 64, 3, 2>(call, p, splits)
                  : launch_wgmma<T, How, 64, 32, 6, 2>(call, p, splits);
    default: return launch_wgmma<T, How, 32, 32, 6, 2>(call, p, splits);
  }
}

template <typename T>
void launch_mma_by_size(const Call& call, const SparseConvParams& p) {
  if (p.cout <= 64) return launch_mma<T, 64>(call, p);
  if (p.cout % 96 == 0) return launch_mma<T, 96>(call, p);
  return launch_mma<T, 128>(call, p);
}

}  // namespace

// Buffers: x, weight, bias (null without one), map, out.
PERGOLA_LAUNCHER(sparseConv3d) {
  const auto& params = call.as<Params>();
  const SparseConvParams& p = params.conv;
  const int32_t strategy = aligned16(call.buffers[0]) && aligned16(call.buffers[1]) ? params.strategy : Scalar;
  const auto on_halves = [&](auto launch_halves) {
    if (p.dtype == F16) launch_halves(__half{});
    else launch_halves(__nv_bfloat16{});
  };
  switch (strategy) {
    case Mma:
      on_halves([&](auto zero) { launch_mma_by_size<decltype(zero)>(call, p); });
      break;
    case Wgmma:
      on_halves([&](auto zero) { launch_wgmma_by_size<decltype(zero), Division::Direct>(call, params); });
      break;
    case Split:
      on_halves([&](auto zero) { launch_wgmma_by_size<decltype(zero), Division::Split>(call, params); });
      break;
    default:
      if (p.dtype == F32) launch_scalar<float>(call, p);
      else on_halves([&](auto zero) { launch_scalar<decltype(zero)>(call, p); });
  }
  check_launch("sparseConv3d");
}

}  // namespace pergola
