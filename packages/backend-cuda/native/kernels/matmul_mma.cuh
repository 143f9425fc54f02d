// Matrix products of half types by mma.sync, for Ampere and later. A is row-major; B either way.
//
// A block computes 128 by 128 results in steps of 32; its eight warps share them as four by two. Copies run ahead by
// cp.async through a ring of stages.
#pragma once

#include "async_copy.cuh"
#include "matmul_product.cuh"
#include "mma.cuh"

namespace pergola {

constexpr int kMmaTile = 128;
constexpr int kMmaDepth = 32;
constexpr int kMmaStages = 4;
constexpr int kMatmulMmaThreads = 256;
constexpr int kMmaTileBytes = kMmaTile * kMmaDepth * 2;
constexpr int kMatmulMmaSharedBytes = kMmaStages * 2 * kMmaTileBytes;
// Halves in one 16-byte copy: rows must start on such a boundary and have whole units.
constexpr int kMatmulUnit = 8;
// Units in a row of a tile whose rows run along the summed axis, or along the columns.
constexpr int kAlongDepth = kMmaDepth / kMatmulUnit;
constexpr int kAlongColumns = kMmaTile / kMatmulUnit;

namespace matmul_mma_detail {

// Byte offset of a 16-byte unit in a tile with `Units` of them in a row, 4 or 16.
template <int Units>
__device__ __forceinline__ uint32_t unit_at(uint32_t row, uint32_t unit) {
  const uint32_t turn = Units == 4 ? (row >> 1) & 3 : row & 7;
  return row * (Units * 16) + ((unit ^ turn) * 16);
}

// Starts the copies of a tile: rows from `first` on, `Units` units of each from element `start` on.
template <int Units, typename T>
__device__ __forceinline__ void load_tile(uint32_t tile, const T* x, int64_t leading, int first, int rows, int start,
                                          int elements) {
#pragma unroll
  for (int i = 0; i < 2; i++) {
    const int index = threadIdx.x + i * kMatmulMmaThreads;
    const int row = index / Units;
    const int unit = index % Units;
    const int at = start + unit * kMatmulUnit;
    const bool inside = first + row < rows && at < elements;
    copy16(tile + unit_at<Units>(row, unit), inside ? x + (first + row) * leading + at : x, inside);
  }
}

}  // namespace matmul_mma_detail

template <typename T, bool BTransposed>
__global__ void __launch_bounds__(kMatmulMmaThreads, 2)
    matmul_mma(const T* __restrict__ a, const T* __restrict__ b, const T* __restrict__ bias, T* __restrict__ d,
               MatmulParams p) {
  using namespace matmul_mma_detail;
  extern __shared__ __align__(128) uint8_t raw[];
  const uint32_t shared = static_cast<uint32_t>(__cvta_generic_to_shared(raw));
  const TilePlace place = tile_place<kMmaTile, kMmaTile>(p, blockIdx.x);
  a += static_cast<int64_t>(blockIdx.z) * p.a_stride;
  b += static_cast<int64_t>(blockIdx.z) * p.b_stride;
  d += static_cast<int64_t>(blockIdx.z) * p.m * p.n;
  const int steps = (p.k + kMmaDepth - 1) / kMmaDepth;
  const auto a_tile = [shared](int step) { return shared + step % kMmaStages * (2 * kMmaTileBytes); };
  const auto b_tile = [&](int step) { return a_tile(step) + kMmaTileBytes; };
  const auto load = [&](int step) {
    if (step < steps) {
      const int start = step * kMmaDepth;
      load_tile<kAlongDepth>(a_tile(step), a, p.lda, place.row, p.m, start, p.k);
      if (BTransposed) load_tile<kAlongDepth>(b_tile(step), b, p.ldb, place.column, p.n, start, p.k);
      else load_tile<kAlongColumns>(b_tile(step), b, p.ldb, start, p.k, place.column, p.n);
    }
    copies_commit();
  };
#pragma unroll
  for (int i = 0; i < kMmaStages - 1; i++) load(i);

  const int lane = threadIdx.x % 32;
  const int warp = threadIdx.x / 32;
  const int warp_row = warp / 2 * 32;
  const int warp_column = warp % 2 * 64;
  // By fragment of 8 columns, row and the one eight below, and column.
  float sums[2][8][2][2] = {};
  for (int step = 0; step < steps; step++) {
    copies_wait<kMmaStages - 2>();
    // Also ends the reading of the slot that is written next, the one before this.
    __syncthreads();
    load(step + kMmaStages - 1);
#pragma unroll
    for (int k = 0; k < kMmaDepth / 16; k++) {
      uint32_t rows[2][4];
#pragma unroll
      for (int m = 0; m < 2; m++) {
        mma::load_matrices(rows[m], a_tile(step) + unit_at<kAlongDepth>(warp_row + m * 16 + lane % 16, k * 2 + lane / 16));
      }
#pragma unroll
      for (int n = 0; n < 4; n++) {
        uint32_t pair[4];
        const int column = warp_column + n * 16;
        if (BTransposed) {
          mma::load_matrices(pair, b_tile(step) + unit_at<kAlongDepth>(column + lane % 8 + lane / 16 * 8, k * 2 + lane / 8 % 2));
        } else {
          mma::load_transposed(pair, b_tile(step) + unit_at<kAlongColumns>(k * 16 + lane % 16, column / 8 + lane / 16));
        }
#pragma unroll
        for (int m = 0; m < 2; m++) {
          mma::multiply<T>(reinterpret_cast<float(&)[4]>(sums[m][n * 2]), rows[m], pair[0], pair[1]);
          mma::multiply<T>(reinterpret_cast<float(&)[4]>(sums[m][n * 2 + 1]), rows[m], pair[2], pair[3]);
        }
      }
    }
  }

  const int column = place.column + warp_column + lane % 4 * 2;
#pragma unroll
  for (int m = 0; m < 2; m++) {
    finish_sums<8, 2, 8>(sums[m], p, bias, column);
#pragma unroll
    for (int half = 0; half < 2; half++) {
      const int row = place.row + warp_row + m * 16 + lane / 4 + half * 8;
      if (row >= p.m) continue;
      T* out = d + static_cast<int64_t>(row) * p.n;
#pragma unroll
      for (int i = 0; i < 8; i++) store_pair(out, p, column + i * 8, sums[m][i][half]);
    }
  }
}

template <typename T>
void launch_matmul_mma(const Call& call, const MatmulParams& p) {
  const auto kernel = p.b_transposed ? matmul_mma<T, true> : matmul_mma<T, false>;
  call.device.allow_shared(reinterpret_cast<const void*>(kernel), kMatmulMmaSharedBytes);
  for_matrices(p, [&](int first, int count) {
    const int64_t at = first;
    const dim3 grid(tile_count<kMmaTile, kMmaTile>(p), 1, count);
    kernel<<<grid, kMatmulMmaThreads, kMatmulMmaSharedBytes, call.stream>>>(
        call.in<T>(0) + at * p.a_stride, call.in<T>(1) + at * p.b_stride, call.in<T>(2),
        call.out<T>(3) + at * p.m * p.n, p);
  });
}

}  // namespace pergola
