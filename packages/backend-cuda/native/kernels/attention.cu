// attention: picks the kernel by dtype, head size and chip.
#include "attention_mma.cuh"
#include "attention_launch.h"
#include "attention_scalar.cuh"
#include "attention_tiled.cuh"
#include "attention_wgmma.cuh"
#include "device.h"
#include "launcher.h"
#include "pack.cuh"

namespace pergola {
namespace {

// In the order of the strategies on the TypeScript side.
enum Strategy : int32_t { Scalar = 0, Tiled = 1, Mma = 2, Wgmma = 3, Pipelined = 4 };

struct Params {
  AttentionParams attention;
  int32_t strategy;
};

template <typename T>
using AttentionKernel = void (*)(const T*, const T*, const T*, const int32_t*, const int32_t*, T*, AttentionParams);

template <typename T>
void launch_sequences(const Call& call, const AttentionParams& p, AttentionKernel<T> kernel, int rows, int threads,
                      int bytes) {
  if (bytes > 0) call.device.allow_shared(reinterpret_cast<const void*>(kernel), bytes);
  for_sequences(p, [&](int count, int first) {
    const dim3 grid(ceil_div(p.max_q, rows), p.heads, count);
    kernel<<<grid, threads, bytes, call.stream>>>(call.in<T>(0), call.in<T>(1), call.in<T>(2),
                                                  call.in<int32_t>(3) + first, call.in<int32_t>(4) + first,
                                                  call.out<T>(5), p);
  });
}

template <typename T, int D, int Keys, int Stages, int Warpgroups, int Blocks>
void launch_wgmma(const Call& call, const AttentionParams& p) {
  launch_sequences<T>(call, p, attention_wgmma<T, D, Keys, Stages, Warpgroups, Blocks>, Warpgroups * 64,
                      Warpgroups * 128, attention_shared_bytes<D, Keys, Stages>());
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
  launch_sequences<T>(call, p, attention_mma<T, D>, kMmaRows, kMmaThreads, attention_mma_shared_bytes<D>());
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
  launch_sequences<T>(call, p, attention_scalar<T>, kScalarWarps, kScalarWarps * 32, 0);
}

template <typename T, int D, int Keys>
void launch_tiled(const Call& call, const AttentionParams& p) {
  launch_sequences<T>(call, p, attention_tiled<T, D, Keys>, kTiledRows, kTiledThreads,
                      attention_tiled_shared_bytes<D, Keys>());
}

// Fewer keys a tile for large heads: 99 KiB of shared memory are what every chip from Ampere on has.
template <typename T>
void launch_tiled_by_dim(const Call& call, const AttentionParams& p) {
  if (p.dim <= 64) return launch_tiled<T, 64, 64>(call, p);
  return launch_tiled<T, 128, 32>(call, p);
}

}  // namespace

// Buffers: q, k, v, offsetsQ, offsetsK, out.
PERGOLA_LAUNCHER(attention) {
  const auto& params = call.as<Params>();
  const AttentionParams& p = params.attention;
  if (p.max_q == 0) return;
  const bool aligned = aligned16(call.buffers[0]) && aligned16(call.buffers[1]) && aligned16(call.buffers[2]);
  const auto on_halves = [&](auto launch_halves) {
    if (p.dtype == F16) launch_halves(__half{});
    else launch_halves(__nv_bfloat16{});
  };
  switch (aligned || params.strategy == Scalar ? params.strategy : Tiled) {
    case Mma:
      on_halves([&](auto zero) { launch_mma_by_dim<decltype(zero)>(call, p); });
      break;
    case Wgmma:
      on_halves([&](auto zero) { launch_wgmma_by_dim<decltype(zero)>(call, p); });
      break;
    case Pipelined:
      // The copy engine refuses some layouts.
      if (!launch_attention_pipelined(call, p)) {
        on_halves([&](auto zero) { launch_wgmma_by_dim<decltype(zero)>(call, p); });
      }
      break;
    case Tiled:
      with_float(p.dtype, [&](auto zero) { launch_tiled_by_dim<decltype(zero)>(call, p); });
      break;
    default:
      if (p.dtype == F32) launch_scalar<float>(call, p);
      else on_halves([&](auto zero) { launch_scalar<decltype(zero)>(call, p); });
  }
  check_launch("attention");
}

}  // namespace pergola
