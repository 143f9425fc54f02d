// sparseConv3d: submanifold, strided and inverse convolution over a neighbour map; picks the kernel by dtype and sizes.
#include "launcher.h"
#include "sparse_conv_mma.cuh"
#include "sparse_conv_wgmma.cuh"

namespace pergola {
namespace {

// In the order of the strategies on the TypeScript side.
enum Strategy : int32_t { Scalar = 0, Mma = 1, Wgmma = 2 };

struct Params {
  SparseConvParams conv;
  int32_t strategy;
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
using ConvKernel = void (*)(const T*, const T*, const T*, const int32_t*, T*, SparseConvParams);

// Taps of the largest map that the TypeScript side lets through.
constexpr int kTiledTaps = 27;

template <typename T, int BN, int BK, int Stages, ConvKernel<T> Kernel>
void launch_tiles(const Call& call, const SparseConvParams& p) {
  static const cudaError_t raised = cudaFuncSetAttribute(Kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                                         sparse_conv_shared_bytes<BN, BK, Stages>(kTiledTaps));
  check(raised, "sparseConv3d");
  const dim3 grid(ceil_div(p.cout, BN), ceil_div(p.rows, kConvRows));
  Kernel<<<grid, kConvThreads, sparse_conv_shared_bytes<BN, BK, Stages>(p.taps), call.stream>>>(
      call.in<T>(0), call.in<T>(1), call.in<T>(2), call.in<int32_t>(3), call.out<T>(4), p);
}

template <typename T, int BN, int BK, int Stages, int Blocks>
void launch_wgmma(const Call& call, const SparseConvParams& p) {
  launch_tiles<T, BN, BK, Stages, sparse_conv_wgmma<T, BN, BK, Stages, Blocks>>(call, p);
}

template <typename T, int BN>
void launch_mma(const Call& call, const SparseConvParams& p) {
  // Four stages of 32 channels fit the 99 KiB of shared memory that a block has on every chip from Ampere on.
  launch_tiles<T, BN, 32, 4, sparse_conv_mma<T, BN, 32, 4>>(call, p);
}

// The widest tile of columns that the result fills; 64 channels a step where they divide, else 32. Two blocks a
// multiprocessor where registers and shared memory allow it: measured on an H200, that beats deeper rings by a quarter.
template <typename T>
void launch_wgmma_by_size(const Call& call, const SparseConvParams& p) {
  if (p.cin % 64 == 0) {
    if (p.cout % 256 == 0 && p.cout >= 512) return launch_wgmma<T, 256, 64, 4, 1>(call, p);
    if (p.cout % 192 == 0) return launch_wgmma<T, 192, 64, 5, 1>(call, p);
    if (p.cout % 128 == 0) return launch_wgmma<T, 128, 64, 3, 2>(call, p);
    if (p.cout % 96 == 0) return launch_wgmma<T, 96, 64, 3, 2>(call, p);
    return launch_wgmma<T, 64, 64, 3, 2>(call, p);
  }
  if (p.cout % 192 == 0) return launch_wgmma<T, 192, 32, 6, 1>(call, p);
  if (p.cout % 128 == 0) return launch_wgmma<T, 128, 32, 5, 2>(call, p);
  if (p.cout % 96 == 0) return launch_wgmma<T, 96, 32, 5, 2>(call, p);
  if (p.cout <= 32) return launch_wgmma<T, 32, 32, 6, 2>(call, p);
  return launch_wgmma<T, 64, 32, 6, 2>(call, p);
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
  const auto& [p, planned] = call.as<Params>();
  const int32_t strategy = aligned16(call.buffers[0]) && aligned16(call.buffers[1]) ? planned : Scalar;
  if (strategy == Wgmma) {
    if (p.dtype == F16) launch_wgmma_by_size<__half>(call, p);
    else launch_wgmma_by_size<__nv_bfloat16>(call, p);
  } else if (strategy == Mma) {
    if (p.dtype == F16) launch_mma_by_size<__half>(call, p);
    else launch_mma_by_size<__nv_bfloat16>(call, p);
  } else if (p.dtype == F32) launch_scalar<float>(call, p);
  else if (p.dtype == F16) launch_scalar<__half>(call, p);
  else launch_scalar<__nv_bfloat16>(call, p);
  check_launch("sparseConv3d");
}

}  // namespace pergola
