// Tiles of the sparse convolution as implicit GEMM over the neighbour map: no im2col buffer.
//
// A block computes 128 rows times BN output channels. The summed axis runs over (tap, input channel) in steps of BK: rows
// of A are gathered through the map by cp.async (absent neighbours arrive as zeros), rows of B are the weights
// [Cout, taps, Cin]. Taps that no row of the block has are skipped.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <cstdint>

#include "async_copy.cuh"

namespace pergola {

struct SparseConvParams {
  // Rows of the map and of the result, and rows of x.
  int32_t rows;
  int32_t x_rows;
  int32_t taps;
  int32_t cin;
  int32_t cout;
  int32_t dtype;
};

// Whether one block computes all of a tile, or the blocks of a column of the grid share its taps.
enum class Division { Direct, Split };

constexpr int kConvRows = 128;
constexpr int kConvThreads = 256;
constexpr int kMaxTaps = 125;

namespace conv_detail {

template <int Width>
__device__ __forceinline__ uint32_t swizzled(uint32_t row, uint32_t unit) {
  const uint32_t offset = row * (Width * 2) + unit * 16;
  constexpr uint32_t mask = Width == 64 ? 7 : 3;
  return offset ^ (((offset >> 7) & mask) << 4);
}

// The taps of a block and its part of the map, in shared memory.
struct BlockTaps {
  int active[kMaxTaps];
  uint32_t seen[(kMaxTaps + 31) / 32];
};

}  // namespace conv_detail

template <int BN, int BK, int Stages>
constexpr int sparse_conv_shared_bytes(int taps) {
  return Stages * (kConvRows + BN) * BK * 2 + kConvRows * taps * 4 + 1024;
}

// Loads the tiles of one block, step by step, into a ring of stages.
template <typename T, int BN, int BK, int Stages>
struct ConvTiles {
  static constexpr uint32_t a_bytes = kConvRows * BK * 2;
  static constexpr uint32_t b_bytes = BN * BK * 2;
  static constexpr uint32_t stage_bytes = a_bytes + b_bytes;
  static constexpr int units = BK / 8;
  static constexpr int rows_per_pass = kConvThreads / units;

  const T* x;
  const T* weight;
  const int32_t* neighbours;
  const conv_detail::BlockTaps* taps;
  SparseConvParams p;
  uint32_t shared;
  int column0;
  // The block's first row.
  int first;
  // The steps from `begin` to `steps` are the block's.
  int begin = 0;
  int steps;
  int loaded = 0;
  int load_tap = 0;
  int load_chunk = 0;

  // Reads the block's part of the map and lists its taps. `raw` is the dynamic shared memory.
  template <Division How>
  __device__ __forceinline__ static ConvTiles make(const T* x, const T* weight, const int32_t* map, uint8_t* raw,
                                                   conv_detail::BlockTaps& block, const SparseConvParams& p) {
    ConvTiles tiles;
    tiles.x = x;
    tiles.weight = weight;
    tiles.taps = &block;
    tiles.p = p;
    const uint32_t start = static_cast<uint32_t>(__cvta_generic_to_shared(raw));
    tiles.shared = (start + 1023) & ~1023u;
    int32_t* own = reinterpret_cast<int32_t*>(raw + (tiles.shared - start) + Stages * stage_bytes);
    tiles.neighbours = own;
    // Blocks of the same rows follow one another: what they gather is in the cache.
    const int column_tiles = (p.cout + BN - 1) / BN;
    tiles.column0 = static_cast<int>(blockIdx.x % column_tiles) * BN;
    tiles.first = static_cast<int>(blockIdx.x / column_tiles) * kConvRows;
    const int rows = min(kConvRows, p.rows - tiles.first);
    if (threadIdx.x < (kMaxTaps + 31) / 32) block.seen[threadIdx.x] = 0;
    __syncthreads();
    for (int i = threadIdx.x; i < kConvRows * p.taps; i += kConvThreads) {
      int neighbour = -1;
      const int tap = i % p.taps;
      if (i < rows * p.taps) neighbour = map[static_cast<int64_t>(tiles.first) * p.taps + i];
      if (neighbour >= p.x_rows) neighbour = -1;
      own[i] = neighbour;
      if (neighbour >= 0) atomicOr(&block.seen[tap / 32], 1u << (tap % 32));
    }
    __syncthreads();
    int count = 0;
    for (int tap = 0; tap < p.taps; tap++) {
      if ((block.seen[tap / 32] >> (tap % 32)) & 1) {
        if (threadIdx.x == 0) block.active[count] = tap;
        count++;
      }
    }
    __syncthreads();
    const int chunks = p.cin / BK;
    tiles.steps = count * chunks;
    if constexpr (How == Division::Split) {
      const int all = tiles.steps;
      const int splits = static_cast<int>(gridDim.y);
      const int part = static_cast<int>(blockIdx.y);
      tiles.begin = all * part / splits;
      tiles.steps = all * (part + 1) / splits;
      tiles.loaded = tiles.begin;
      if (tiles.begin < tiles.steps) {
        tiles.load_tap = tiles.begin / chunks;
        tiles.load_chunk = tiles.begin % chunks;
      }
    }
    return tiles;
  }

  __device__ __forceinline__ uint32_t a_tile(int step) const { return shared + (step % Stages) * stage_bytes; }
  __device__ __forceinline__ uint32_t b_tile(int step) const { return a_tile(step) + a_bytes; }

  // Starts the copies of the next step, if there is one, and closes their group.
  __device__ __forceinline__ void load_next() {
    if (loaded < steps) {
      load(a_tile(loaded), b_tile(loaded));
      loaded++;
    }
    copies_commit();
  }

  __device__ __forceinline__ void load(uint32_t a, uint32_t b) {
    using namespace conv_detail;
    const int unit = threadIdx.x % units;
    const int lane_row = threadIdx.x / units;
    const int tap = taps->active[load_tap];
    const int channel = load_chunk * BK + unit * 8;
#pragma unroll
    for (int i = 0; i < kConvRows / rows_per_pass; i++) {
      const int row = lane_row + i * rows_per_pass;
      const int neighbour = neighbours[row * p.taps + tap];
      const T* from = x + static_cast<int64_t>(max(neighbour, 0)) * p.cin + channel;
      copy16(a + swizzled<BK>(row, unit), from, neighbour >= 0);
    }
    const int64_t weight_row = static_cast<int64_t>(p.taps) * p.cin;
    const T* weights = weight + static_cast<int64_t>(tap) * p.cin + channel;
#pragma unroll
    for (int i = 0; i < (BN + rows_per_pass - 1) / rows_per_pass; i++) {
      const int row = lane_row + i * rows_per_pass;
      if (BN % rows_per_pass != 0 && row >= BN) break;
      const bool inside = column0 + row < p.cout;
      copy16(b + swizzled<BK>(row, unit), weights + (inside ? (column0 + row) * weight_row : 0), inside);
    }
    if (++load_chunk == p.cin / BK) {
      load_chunk = 0;
      load_tap++;
    }
  }
};

namespace conv_detail {

template <typename T>
__device__ __forceinline__ uint32_t pack_pair(float low, float high);
template <>
__device__ __forceinline__ uint32_t pack_pair<__half>(float low, float high) {
  const __half2 pair = __floats2half2_rn(low, high);
  return *reinterpret_cast<const uint32_t*>(&pair);
}
template <>
__device__ __forceinline__ uint32_t pack_pair<__nv_bfloat16>(float low, float high) {
  const __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
  return *reinterpret_cast<const uint32_t*>(&pair);
}

// Stores a fragment of 16 rows times `Columns` of the tile from row `first` on: the result with the bias added, or the
// f32 sums of a split in `partial` [splits, rows, cout]. `row` (within the tile) and `column` are those of this thread's
// first element.
template <Division How, typename T, int Columns>
__device__ __forceinline__ void store_fragment(T* out, const T* bias, const float (&sums)[Columns / 2],
                                               const SparseConvParams& p, float* partial, int first, int row,
                                               int column) {
  const int rows = min(kConvRows, p.rows - first);
  int64_t starts[2];
#pragma unroll
  for (int half = 0; half < 2; half++) {
    int64_t target = first + min(row + half * 8, rows - 1);
    if constexpr (How == Division::Split) target += static_cast<int64_t>(blockIdx.y) * p.rows;
    starts[half] = target * p.cout;
  }
#pragma unroll
  for (int i = 0; i < Columns / 8; i++) {
    const int c = column + i * 8;
    if (c >= p.cout) continue;
    float b0 = 0.f, b1 = 0.f;
    if (How != Division::Split && bias != nullptr) {
      b0 = static_cast<float>(bias[c]);
      b1 = static_cast<float>(bias[c + 1]);
    }
#pragma unroll
    for (int half = 0; half < 2; half++) {
      if (row + half * 8 >= rows) continue;
      const float low = sums[4 * i + half * 2], high = sums[4 * i + half * 2 + 1];
      if constexpr (How == Division::Split) {
        *reinterpret_cast<float2*>(partial + starts[half] + c) = {low, high};
      } else {
        *reinterpret_cast<uint32_t*>(out + starts[half] + c) = pack_pair<T>(low + b0, high + b1);
      }
    }
  }
}

}  // namespace conv_detail

}  // namespace pergola
