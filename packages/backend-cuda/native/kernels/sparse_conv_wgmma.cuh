// Sparse convolution for Hopper: the tiles of sparse_conv_tiles.cuh multiplied by wgmma, both operands in shared memory.
#pragma once

#include "sparse_conv_tiles.cuh"
#include "wgmma.cuh"

namespace pergola {

template <typename T, int BN, int BK, int Stages, int Blocks, Division How>
__global__ void __launch_bounds__(kConvThreads, Blocks)
    sparse_conv_wgmma(const T* __restrict__ x, const T* __restrict__ weight, const T* __restrict__ bias,
                      const int32_t* __restrict__ map, T* __restrict__ out, SparseConvParams p,
                      float* partial) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  extern __shared__ uint8_t raw[];
  __shared__ conv_detail::BlockTaps block;
  auto tiles = ConvTiles<T, BN, BK, Stages>::template make<How>(x, weight, map, raw, block, p);
#pragma unroll
  for (int i = 0; i < Stages - 2; i++) tiles.load_next();

  float sums[BN / 2];
#pragma unroll
  for (int i = 0; i < BN / 2; i++) sums[i] = 0.f;
  const int warpgroup = threadIdx.x / 128;

  for (int step = tiles.begin; step < tiles.steps; step++) {
    copies_wait<Stages - 3>();
    asm volatile("fence.proxy.async.shared::cta;\n" ::: "memory");
    __syncthreads();
    const uint32_t a = tiles.a_tile(step) + warpgroup * 64 * BK * 2;
    const uint32_t b = tiles.b_tile(step);
    wgmma::fence();
#pragma unroll
    for (int k = 0; k < BK / 16; k++) {
      wgmma::MultiplyShared<T, BN>::run(sums, wgmma::descriptor<BK>(a + k * 32), wgmma::descriptor<BK>(b + k * 32), 1);
    }
    wgmma::commit();
    // The slot written here was read two steps ago; every warpgroup has waited for that product before the barrier.
    tiles.load_next();
    wgmma::wait<1>();
  }
  wgmma::wait<0>();
  wgmma::settle(sums);

  const int lane = threadIdx.x % 32;
  conv_detail::store_fragment<How, T, BN>(out, bias, sums, p, partial, tiles.first,
                                          (threadIdx.x / 32) * 16 + lane / 4, tiles.column0 + (lane % 4) * 2);
#endif
}

}  // namespace pergola
