// Matrix products of half types for Hopper: the copy engine fills a ring of tiles, two warpgroups multiply them.
//
// A is row-major and B stored transposed, so that the summed axis is contiguous in both. A block computes tiles of 128
// rows, 64 for each multiplying warpgroup, times BN columns in steps of 64, one after the other: the copies of the next
// tile are under way while one is stored.
#include "barrier.cuh"
#include "bulk_copy.cuh"
#include "device.h"
#include "matmul_product.cuh"
#include "pack.cuh"
#include "tensor_map.h"
#include "wgmma.cuh"

namespace pergola {
namespace {

constexpr int kRows = 128;
constexpr int kDepth = 64;
// Two warpgroups that multiply and one that copies.
constexpr int kThreads = 384;

template <int BN, int Stages>
constexpr int shared_bytes() {
  return Stages * (kRows + BN) * kDepth * 2 + 1024;
}

template <typename T, int BN, int Stages>
__global__ void __launch_bounds__(kThreads, 1)
    matmul_wgmma(const __grid_constant__ CUtensorMap a_map, const __grid_constant__ CUtensorMap b_map,
                 const T* __restrict__ bias, T* __restrict__ d, MatmulParams p) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  extern __shared__ uint8_t raw[];
  __shared__ uint64_t barriers[2 * Stages];
  const uint32_t ring = (static_cast<uint32_t>(__cvta_generic_to_shared(raw)) + 1023) & ~1023u;
  constexpr uint32_t a_bytes = kRows * kDepth * 2;
  constexpr uint32_t stage_bytes = a_bytes + BN * kDepth * 2;
  const uint32_t first_barrier = static_cast<uint32_t>(__cvta_generic_to_shared(barriers));
  const auto a_tile = [ring](int step) { return ring + step % Stages * stage_bytes; };
  const auto full = [first_barrier](int step) { return first_barrier + step % Stages * 8; };
  const auto empty = [first_barrier](int step) { return first_barrier + (Stages + step % Stages) * 8; };
  const auto parity = [](int step) { return (step / Stages) & 1; };
  const int steps = (p.k + kDepth - 1) / kDepth;
  const int tiles = tile_count<kRows, BN>(p);
  const int64_t all = static_cast<int64_t>(tiles) * p.batch;
  if (threadIdx.x == 0) {
    for (int i = 0; i < Stages; i++) {
      barrier::init(full(i), 1);
      // One lane of each multiplying warp gives a tile back.
      barrier::init(empty(i), 8);
    }
    barrier::publish();
  }
  __syncthreads();

  const int warp = threadIdx.x / 32;
  const int lane = threadIdx.x % 32;
  if (warp >= 8) {
    if (threadIdx.x != 256) return;
    // Steps of all tiles of the block are counted through.
    int at = 0;
    for (int64_t tile = blockIdx.x; tile < all; tile += gridDim.x) {
      const TilePlace place = tile_place<kRows, BN>(p, tile % tiles);
      const int matrix = tile / tiles;
      for (int step = 0; step < steps; step++, at++) {
        if (at >= Stages) barrier::wait(empty(at), parity(at - Stages));
        barrier::arrive_expecting(full(at), stage_bytes);
        // The same matrix for all is described as one.
        copy_box(a_tile(at), a_map, step * kDepth, place.row, p.a_stride == 0 ? 0 : matrix, full(at));
        copy_box(a_tile(at) + a_bytes, b_map, step * kDepth, place.column, p.b_stride == 0 ? 0 : matrix, full(at));
      }
    }
    return;
  }

  const int warpgroup = warp / 4;
  const auto give_back = [&](int at) {
    if (lane == 0) barrier::arrive(empty(at));
  };
  // By fragment of 8 columns, row and the one eight below, and column.
  float sums[BN / 8][2][2];
  auto& flat = reinterpret_cast<float(&)[BN / 2]>(sums);
#pragma unroll
  for (int i = 0; i < BN / 2; i++) flat[i] = 0.f;
  int at = 0;
  for (int64_t tile = blockIdx.x; tile < all; tile += gridDim.x) {
    for (int step = 0; step < steps; step++, at++) {
      barrier::wait(full(at), parity(at));
      const uint32_t a = a_tile(at) + warpgroup * 64 * kDepth * 2;
      const uint32_t b = a_tile(at) + a_bytes;
      wgmma::fence();
#pragma unroll
      for (int k = 0; k < kDepth / 16; k++) {
        const int accumulate = step > 0 || k > 0 ? 1 : 0;
        wgmma::MultiplyShared<T, BN>::run(flat, wgmma::descriptor<kDepth>(a + k * 32),
                                          wgmma::descriptor<kDepth>(b + k * 32), accumulate);
      }
      wgmma::commit();
      wgmma::wait<1>();
      if (step > 0) give_back(at - 1);
    }
    wgmma::wait<0>();
    wgmma::settle(flat);
    give_back(at - 1);

    const TilePlace place = tile_place<kRows, BN>(p, tile % tiles);
    T* out = d + tile / tiles * p.m * p.n;
    const int row = place.row + warp * 16 + lane / 4;
    const int column = place.column + lane % 4 * 2;
    finish_sums<BN / 8, 2, 8>(sums, p, bias, column);
#pragma unroll
    for (int half = 0; half < 2; half++) {
      if (row + half * 8 >= p.m) continue;
      T* out_row = out + static_cast<int64_t>(row + half * 8) * p.n;
#pragma unroll
      for (int i = 0; i < BN / 8; i++) store_pair(out_row, p, column + i * 8, sums[i][half]);
    }
  }
#endif
}

// Describes the vectors of an operand, each with its summed axis contiguous.
bool describe(CUtensorMap& map, const void* base, const MatmulParams& p, int vectors, int leading, int stride,
              int box) {
  const bool repeated = stride == 0 || p.batch == 1;
  // The distance of matrices means nothing where there is one, but it must be a valid one.
  const int matrices = repeated ? 1 : p.batch;
  const int distance = repeated ? leading : stride;
  return describe_head_rows(map, {base, p.dtype, vectors, matrices, p.k, leading, distance}, kDepth, box);
}

template <typename T, int BN, int Stages>
bool launch(const Call& call, const MatmulParams& p) {
  CUtensorMap a_map, b_map;
  if (!describe(a_map, call.buffers[0], p, p.m, p.lda, p.a_stride, kRows)) return false;
  if (!describe(b_map, call.buffers[1], p, p.n, p.ldb, p.b_stride, BN)) return false;
  const auto kernel = matmul_wgmma<T, BN, Stages>;
  call.device.allow_shared(reinterpret_cast<const void*>(kernel), shared_bytes<BN, Stages>());
  const int64_t tiles = static_cast<int64_t>(tile_count<kRows, BN>(p)) * p.batch;
  const int blocks = static_cast<int>(std::min<int64_t>(tiles, call.device.properties().multiProcessorCount));
  kernel<<<blocks, kThreads, shared_bytes<BN, Stages>(), call.stream>>>(a_map, b_map, call.in<T>(2), call.out<T>(3), p);
  return true;
}

// Wide tiles unless they leave multiprocessors idle.
template <typename T>
bool launch_by_size(const Call& call, const MatmulParams& p) {
  const int64_t wide = static_cast<int64_t>(tile_count<kRows, 256>(p)) * p.batch;
  if (wide >= call.device.properties().multiProcessorCount) return launch<T, 256, 4>(call, p);
  return launch<T, 128, 6>(call, p);
}

}  // namespace

bool launch_matmul_wgmma(const Call& call, const MatmulParams& p) {
  return p.dtype == F16 ? launch_by_size<__half>(call, p) : launch_by_size<__nv_bfloat16>(call, p);
}

}  // namespace pergola
