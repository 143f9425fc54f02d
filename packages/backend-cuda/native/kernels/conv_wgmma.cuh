// Dense convolution of channels-last tensors on Hopper's tensor cores, as implicit GEMM: no im2col buffer.
//
// A block computes 128 positions times BN output channels. The summed axis runs over (tap, input channel) in steps of
// 64: rows of A are gathered from x by cp.async (taps outside arrive as zeros), rows of B are the rearranged weights.
// A 16-byte unit of eight channels belongs to one tap, so any multiple of eight input channels will do.
#pragma once

#include "async_copy.cuh"
#include "conv_geometry.cuh"
#include "device.h"
#include "wgmma.cuh"

namespace pergola {

constexpr int kDenseRows = 128;
constexpr int kDenseThreads = 256;
constexpr int kDenseDepth = 64;

namespace conv_wgmma_detail {

// Byte offset of 16-byte unit `unit` of `row` in a tile of 64 halves with the 128-byte swizzle.
__device__ __forceinline__ uint32_t swizzled(uint32_t row, uint32_t unit) {
  const uint32_t offset = row * 128 + unit * 16;
  return offset ^ (((offset >> 7) & 7) << 4);
}

}  // namespace conv_wgmma_detail

template <int BN, int Stages>
constexpr int conv_wgmma_shared_bytes() {
  return Stages * (kDenseRows + BN) * kDenseDepth * 2 + 1024;
}

// `weight` has rows of `depth` halves, a multiple of 64, zeros after the last channel of the last tap.
template <typename T, int BN, int Stages>
__global__ void __launch_bounds__(kDenseThreads, BN <= 64 ? 2 : 1)
    conv_wgmma(const T* __restrict__ x, const T* __restrict__ weight, const T* __restrict__ bias, T* __restrict__ out,
               ConvParams p, int depth) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  using namespace conv_wgmma_detail;
  extern __shared__ uint8_t raw[];
  const uint32_t shared = (static_cast<uint32_t>(__cvta_generic_to_shared(raw)) + 1023) & ~1023u;
  constexpr uint32_t a_bytes = kDenseRows * kDenseDepth * 2;
  constexpr uint32_t stage_bytes = a_bytes + BN * kDenseDepth * 2;
  const int first = blockIdx.y * kDenseRows;
  const int column0 = blockIdx.x * BN;
  const int rows = min(kDenseRows, p.batch * p.positions - first);

  constexpr int units = kDenseDepth / 8;
  constexpr int rows_per_pass = kDenseThreads / units;
  constexpr int passes = kDenseRows / rows_per_pass;
  const int unit = threadIdx.x % units;
  const int lane_row = threadIdx.x / units;
  // First tap of each position that this thread gathers: its indices in x and its image.
  int at[passes][3];
  int image[passes];
#pragma unroll
  for (int i = 0; i < passes; i++) {
    int rest = first + lane_row + i * rows_per_pass;
#pragma unroll
    for (int axis = 2; axis >= 0; axis--) {
      at[i][axis] = rest % p.out_extents[axis] * p.stride[axis] - p.padding[axis];
      rest /= p.out_extents[axis];
    }
    image[i] = rest;
    // Rows behind the last position lie outside every axis.
    if (lane_row + i * rows_per_pass >= rows) at[i][0] = INT32_MIN / 2;
  }

  const int steps = depth / kDenseDepth;
  // Tap and channel of this thread's unit in the next tile.
  int tap = unit * 8 / p.cin;
  int channel = unit * 8 % p.cin;
  int load_k = unit * 8;
  const auto load = [&](int slot) {
    const uint32_t a_tile = shared + slot * stage_bytes;
    const uint32_t b_tile = a_tile + a_bytes;
    const int a = tap / (p.kernel[1] * p.kernel[2]) * p.dilation[0];
    const int b = tap / p.kernel[2] % p.kernel[1] * p.dilation[1];
    const int c = tap % p.kernel[2] * p.dilation[2];
    const bool held = tap < p.taps;
#pragma unroll
    for (int i = 0; i < passes; i++) {
      const uint32_t i0 = at[i][0] + a, i1 = at[i][1] + b, i2 = at[i][2] + c;
      const bool inside = held && i0 < static_cast<uint32_t>(p.x.extents[0]) &&
                          i1 < static_cast<uint32_t>(p.x.extents[1]) && i2 < static_cast<uint32_t>(p.x.extents[2]);
      const uint32_t voxel = ((image[i] * p.x.extents[0] + i0) * p.x.extents[1] + i1) * p.x.extents[2] + i2;
      const T* from = inside ? x + static_cast<int64_t>(voxel) * p.cin + channel : x;
      copy16(a_tile + swizzled(lane_row + i * rows_per_pass, unit), from, inside);
    }
#pragma unroll
    for (int i = 0; i < BN / rows_per_pass; i++) {
      const int row = lane_row + i * rows_per_pass;
      const bool inside = column0 + row < p.cout;
      const T* from = weight + (inside ? static_cast<int64_t>(column0 + row) * depth + load_k : 0);
      copy16(b_tile + swizzled(row, unit), from, inside);
    }
    load_k += kDenseDepth;
    channel += kDenseDepth;
    while (channel >= p.cin) {
      channel -= p.cin;
      tap++;
    }
  };

  int loaded = 0;
#pragma unroll
  for (int i = 0; i < Stages - 2; i++) {
    if (loaded < steps) load(loaded++ % Stages);
    copies_commit();
  }

  float sums[BN / 2];
#pragma unroll
  for (int i = 0; i < BN / 2; i++) sums[i] = 0.f;
  const int group = threadIdx.x / 128;

  for (int step = 0; step < steps; step++) {
    copies_wait<Stages - 3>();
    asm volatile("fence.proxy.async.shared::cta;\n" ::: "memory");
    __syncthreads();
    const uint32_t a_tile = shared + (step % Stages) * stage_bytes + group * 64 * kDenseDepth * 2;
    const uint32_t b_tile = shared + (step % Stages) * stage_bytes + a_bytes;
    wgmma::fence();
#pragma unroll
    for (int k = 0; k < kDenseDepth / 16; k++) {
      wgmma::MultiplyShared<T, BN>::run(sums, wgmma::descriptor<kDenseDepth>(a_tile + k * 32),
                                        wgmma::descriptor<kDenseDepth>(b_tile + k * 32), 1);
    }
    wgmma::commit();
    // The slot written here was read two steps ago; every warpgroup has waited for that product before the barrier.
    if (loaded < steps) load(loaded++ % Stages);
    copies_commit();
    wgmma::wait<1>();
  }
  wgmma::wait<0>();
  wgmma::settle(sums);

  const int lane = threadIdx.x % 32;
  const int row = threadIdx.x / 32 * 16 + lane / 4;
#pragma unroll
  for (int i = 0; i < BN / 8; i++) {
    const int column = column0 + i * 8 + lane % 4 * 2;
    const bool both = column + 1 < p.cout;
    if (column >= p.cout) continue;
    const float b0 = bias != nullptr ? static_cast<float>(bias[column]) : 0.f;
    const float b1 = bias != nullptr && both ? static_cast<float>(bias[column + 1]) : 0.f;
#pragma unroll
    for (int half = 0; half < 2; half++) {
      const int r = row + half * 8;
      if (r >= rows) continue;
      T* to = out + static_cast<int64_t>(first + r) * p.cout + column;
      const Pack<T, 2> pair{{static_cast<T>(sums[4 * i + half * 2] + b0), static_cast<T>(sums[4 * i + half * 2 + 1] + b1)}};
      // Pairs of an odd number of channels lie across the boundaries of words.
      if (p.cout % 2 == 0) {
        store_pack<2>(to, pair);
      } else {
        to[0] = pair.at[0];
        if (both) to[1] = pair.at[1];
      }
    }
  }
#endif
}

template <typename T, int BN, int Stages>
void launch_conv_wgmma(const Call& call, const ConvParams& p, const T* weight, int depth) {
  const auto kernel = conv_wgmma<T, BN, Stages>;
  constexpr int bytes = conv_wgmma_shared_bytes<BN, Stages>();
  call.device.allow_shared(reinterpret_cast<const void*>(kernel), bytes);
  const dim3 grid(ceil_div(p.cout, BN), ceil_div(static_cast<int64_t>(p.batch) * p.positions, kDenseRows));
  kernel<<<grid, kDenseThreads, bytes, call.stream>>>(call.in<T>(0), weight, call.in<T>(2), call.out<T>(3), p, depth);
}

// The widest tile of channels that the result fills and that still gives every multiprocessor a block.
template <typename T>
void launch_conv_wgmma_by_size(const Call& call, const ConvParams& p, const T* weight, int depth, int multiprocessors) {
  const int64_t row_tiles = ceil_div(static_cast<int64_t>(p.batch) * p.positions, kDenseRows);
  if (p.cout % 256 == 0 && row_tiles * (p.cout / 256) * 10 >= multiprocessors * 9) {
    return launch_conv_wgmma<T, 256, 4>(call, p, weight, depth);
  }
  if (p.cout > 64) return launch_conv_wgmma<T, 128, 5>(call, p, weight, depth);
  if (p.cout > 32) return launch_conv_wgmma<T, 64, 4>(call, p, weight, depth);
  return launch_conv_wgmma<T, 32, 4>(call, p, weight, depth);
}

}  // namespace pergola
