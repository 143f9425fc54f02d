// Sparse convolution for Ampere and later: the tiles of sparse_conv_tiles.cuh multiplied by mma.sync. Eight warps share the
// block as four by two: 32 rows times half of the columns each.
#pragma once

#include "mma.cuh"
#include "sparse_conv_tiles.cuh"

namespace pergola {

template <typename T, int BN, int BK, int Stages, Division How>
__global__ void __launch_bounds__(kConvThreads)
    sparse_conv_mma(const T* __restrict__ x, const T* __restrict__ weight, const T* __restrict__ bias,
                    const int32_t* __restrict__ map, T* __restrict__ out, SparseConvParams p,
                    float* partial) {
  using namespace conv_detail;
  static_assert(BN % 32 == 0, "a warp has pairs of 8 columns");
  constexpr int columns = BN / 2;
  extern __shared__ uint8_t raw[];
  __shared__ BlockTaps block;
  auto tiles = ConvTiles<T, BN, BK, Stages>::template make<How>(x, weight, map, raw, block, p);
#pragma unroll
  for (int i = 0; i < Stages - 1; i++) tiles.load_next();

  float sums[2][columns / 2] = {};
  const int lane = threadIdx.x % 32;
  const int warp = threadIdx.x / 32;
  const int warp_row = (warp / 2) * 32;
  const int warp_column = (warp % 2) * columns;

  for (int step = tiles.begin; step < tiles.steps; step++) {
    copies_wait<Stages - 2>();
    // Also ends the reading of the slot that is written next, the one before this.
    __syncthreads();
    tiles.load_next();
    const uint32_t a = tiles.a_tile(step);
    const uint32_t b = tiles.b_tile(step);
#pragma unroll
    for (int k = 0; k < BK / 16; k++) {
      uint32_t rows[2][4];
#pragma unroll
      for (int m = 0; m < 2; m++) {
        mma::load_matrices(rows[m], a + swizzled<BK>(warp_row + m * 16 + lane % 16, k * 2 + lane / 16));
      }
#pragma unroll
      for (int n = 0; n < columns / 16; n++) {
        uint32_t pair[4];
        mma::load_matrices(pair, b + swizzled<BK>(warp_column + n * 16 + lane % 8 + (lane / 16) * 8,
                                                  k * 2 + (lane / 8) % 2));
#pragma unroll
        for (int m = 0; m < 2; m++) {
          mma::multiply<T>(*reinterpret_cast<float(*)[4]>(sums[m] + n * 8), rows[m], pair[0], pair[1]);
          mma::multiply<T>(*reinterpret_cast<float(*)[4]>(sums[m] + n * 8 + 4), rows[m], pair[2], pair[3]);
        }
      }
    }
  }

#pragma unroll
  for (int m = 0; m < 2; m++) {
    store_fragment<How, T, columns>(out, bias, sums[m], p, partial, tiles.first, warp_row + m * 16 + lane / 4,
                                    tiles.column0 + warp_column + (lane % 4) * 2);
  }
}

}  // namespace pergola
