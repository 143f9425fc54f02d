// Matrix products on the plain cores: every dtype, layout and alignment, sums in f32.
//
// A block computes 128 by 128 results, a thread eight by eight of them in four blocks of four by four.
#pragma once

#include "matmul_product.cuh"

namespace pergola {

constexpr int kPlainTile = 128;
constexpr int kPlainDepth = 16;
constexpr int kPlainThreads = 256;
// Results of a thread along each axis, in two groups half a tile apart.
constexpr int kPlainItems = 8;

namespace matmul_tiled_detail {

using PlainTile = float[kPlainDepth][kPlainTile + 4];

// Loads `kPlainTile` vectors of an operand, `kPlainDepth` elements from `start` on each. `Along`: the elements of a
// vector are neighbours in memory; else the vectors are.
template <typename T, bool Along>
__device__ __forceinline__ void load(PlainTile& tile, const T* x, int64_t leading, int first, int vectors, int start,
                                     int depth) {
#pragma unroll
  for (int i = 0; i < kPlainTile * kPlainDepth / kPlainThreads; i++) {
    const int index = threadIdx.x + i * kPlainThreads;
    const int vector = Along ? index / kPlainDepth : index % kPlainTile;
    const int k = Along ? index % kPlainDepth : index / kPlainTile;
    const bool inside = first + vector < vectors && start + k < depth;
    const int64_t at = Along ? (first + vector) * leading + start + k : (start + k) * leading + first + vector;
    tile[k][vector] = inside ? static_cast<float>(x[at]) : 0.f;
  }
}

// Element of a thread's `item` along an axis of the tile.
__device__ __forceinline__ int item_at(int thread, int item) {
  return thread * 4 + item % 4 + item / 4 * (kPlainTile / 2);
}

}  // namespace matmul_tiled_detail

template <typename T, bool ATransposed, bool BTransposed>
__global__ void __launch_bounds__(kPlainThreads, 2)
    matmul_tiled(const T* __restrict__ a, const T* __restrict__ b, const T* __restrict__ bias, T* __restrict__ d,
                 MatmulParams p) {
  using namespace matmul_tiled_detail;
  __shared__ PlainTile a_tile, b_tile;
  const TilePlace place = tile_place<kPlainTile, kPlainTile>(p, blockIdx.x);
  a += static_cast<int64_t>(blockIdx.z) * p.a_stride;
  b += static_cast<int64_t>(blockIdx.z) * p.b_stride;
  d += static_cast<int64_t>(blockIdx.z) * p.m * p.n;
  const int row = threadIdx.x / 16;
  const int column = threadIdx.x % 16;
  // By pair of columns, row, and column of the pair.
  float sums[kPlainItems / 2][kPlainItems][2] = {};
  for (int start = 0; start < p.k; start += kPlainDepth) {
    __syncthreads();
    load<T, !ATransposed>(a_tile, a, p.lda, place.row, p.m, start, p.k);
    load<T, BTransposed>(b_tile, b, p.ldb, place.column, p.n, start, p.k);
    __syncthreads();
#pragma unroll
    for (int k = 0; k < kPlainDepth; k++) {
      float left[kPlainItems], right[kPlainItems];
#pragma unroll
      for (int i = 0; i < kPlainItems; i++) left[i] = a_tile[k][item_at(row, i)];
#pragma unroll
      for (int i = 0; i < kPlainItems; i++) right[i] = b_tile[k][item_at(column, i)];
#pragma unroll
      for (int i = 0; i < kPlainItems; i++) {
#pragma unroll
        for (int j = 0; j < kPlainItems; j++) sums[j / 2][i][j % 2] = fmaf(left[i], right[j], sums[j / 2][i][j % 2]);
      }
    }
  }
#pragma unroll
  for (int half = 0; half < 2; half++) {
    auto& own = reinterpret_cast<float(&)[2][kPlainItems][2]>(sums[half * 2]);
    const int first = place.column + item_at(column, half * 4);
    finish_sums<2, kPlainItems, 2>(own, p, bias, first);
#pragma unroll
    for (int i = 0; i < kPlainItems; i++) {
      const int at = place.row + item_at(row, i);
      if (at >= p.m) continue;
#pragma unroll
      for (int pair = 0; pair < 2; pair++) {
        store_pair(d + static_cast<int64_t>(at) * p.n, p, first + pair * 2, own[pair][i]);
      }
    }
  }
}

template <typename T>
void launch_matmul_tiled(const Call& call, const MatmulParams& p) {
  const auto kernel = p.a_transposed ? (p.b_transposed ? matmul_tiled<T, true, true> : matmul_tiled<T, true, false>)
                                     : (p.b_transposed ? matmul_tiled<T, false, true> : matmul_tiled<T, false, false>);
  for_matrices(p, [&](int first, int count) {
    const int64_t at = first;
    const dim3 grid(tile_count<kPlainTile, kPlainTile>(p), 1, count);
    kernel<<<grid, kPlainThreads, 0, call.stream>>>(
        call.in<T>(0) + at * p.a_stride, call.in<T>(1) + at * p.b_stride, call.in<T>(2),
        call.out<T>(3) + at * p.m * p.n, p);
  });
}

}  // namespace pergola
