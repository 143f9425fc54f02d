// attention: picks the kernel by dtype, head size and chip.
#include "attention_mma.cuh"
#include "attention_scalar.cuh"
#include "attention_wgmma.cuh"
#include "device.h"
#include "launcher.h"

namespace pergola {
namespace {

// In the order of the strategies on the TypeScript side.
enum Strategy : int32_t { Scalar = 0, Mma = 1, Wgmma = 2 };

struct Params {
  AttentionParams attention;
  int32_t strategy;
};

template <typename T, int D, int Keys, int Stages, int Warpgroups, int Blocks>
void launch_wgmma(const Call& call, const AttentionParams& p) {
  const auto kernel = attention_wgmma<T, D, Keys, Stages, Warpgroups, Blocks>;
  constexpr int bytes = attention_shared_bytes<D, Keys, Stages>();
  static const cudaError_t raised = cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes);
  check(raised, "attention");
  const dim3 grid(ceil_div(p.max_q, Warpgroups * 64), p.heads, p.sequences);
  kernel<<<grid, Warpgroups * 128, bytes, call.stream>>>(call.in<T>(0), call.in<T>(1), call.in<T>(2),
                                                         call.in<int32_t>(3), call.in<int32_t>(4), call.out<T>(5), p);
}

// Heads are padded with zeros to the next multiple of 16. Two blocks a multiprocessor where the registers allow it: measured
// on an H200, four warpgroups in two blocks beat three or four in one, and tiles of 64 keys beat 32, 96 and 128.
template <typename T>
void launch_wgmma_by_dim(const Call& call, const AttentionParams& p) {
  switch ((p.dim + 15) / 16) {
    case 1:
      return launch_wgmma<T, 16, 64, 3, 2, 2>(call, p);
    case 2:
      return launch_wgmma<T, 32, 64, 3, 2, 2>(call, p);
    case 3:
      return launch_wgmma<T, 48, 64, 3, 2, 2>(call, p);
    case 4:
      return launch_wgmma<T, 64, 64, 3, 2, 2>(call, p);
    case 5:
      return launch_wgmma<T, 80, 64, 3, 2, 2>(call, p);
    case 6:
      return launch_wgmma<T, 96, 64, 4, 2, 1>(call, p);
    case 7:
      return launch_wgmma<T, 112, 64, 4, 2, 1>(call, p);
    default:
      return launch_wgmma<T, 128, 128, 3, 2, 1>(call, p);
  }
}

template <typename T, int D>
void launch_mma(const Call& call, const AttentionParams& p) {
  const auto kernel = attention_mma<T, D>;
  constexpr int bytes = attention_mma_shared_bytes<D>();
  static const cudaError_t raised = cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes);
  check(raised, "attention");
  const dim3 grid(ceil_div(p.max_q, kMmaRows), p.heads, p.sequences);
  kernel<<<grid, kMmaThreads, bytes, call.stream>>>(call.in<T>(0), call.in<T>(1), call.in<T>(2), call.in<int32_t>(3),
                                                    call.in<int32_t>(4), call.out<T>(5), p);
}

template <typename T>
void launch_mma_by_dim(const Call& call, const AttentionParams& p) {
  if (p.dim <= 32) return launch_mma<T, 32>(call, p);
  if (p.dim <= 64) return launch_mma<T, 64>(call, p);
  if (p.dim <= 80) return launch_mma<T, 80>(call, p);
  return launch_mma<T, 128>(call, p);
}

template <typename T>
void launch_scalar(const Call& call, const AttentionParams& p) {
  const dim3 grid(ceil_div(p.max_q, kScalarWarps), p.heads, p.sequences);
  attention_scalar<T><<<grid, kScalarWarps * 32, 0, call.stream>>>(
      call.in<T>(0), call.in<T>(1), call.in<T>(2), call.in<int32_t>(3), call.in<int32_t>(4), call.out<T>(5), p);
}

}  // namespace

// Buffers: q, k, v, offsetsQ, offsetsK, out.
PERGOLA_LAUNCHER(attention) {
  const auto& [p, planned] = call.as<Params>();
  if (p.max_q == 0) return;
  const bool aligned = aligned16(call.buffers[0]) && aligned16(call.buffers[1]) && aligned16(call.buffers[2]);
  const int32_t strategy = aligned ? planned : Scalar;
  if (strategy == Wgmma) {
    if (p.dtype == F16) launch_wgmma_by_dim<__half>(call, p);
    else launch_wgmma_by_dim<__nv_bfloat16>(call, p);
  } else if (strategy == Mma) {
    if (p.dtype == F16) launch_mma_by_dim<__half>(call, p);
    else launch_mma_by_dim<__nv_bfloat16>(call, p);
  } else if (p.dtype == F32) launch_scalar<float>(call, p);
  else if (p.dtype == F16) launch_scalar<__half>(call, p);
  else launch_scalar<__nv_bfloat16>(call, p);
  check_launch("attention");
}

}  // namespace pergola
