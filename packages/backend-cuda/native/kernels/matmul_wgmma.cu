// Matrix products of half types for Hopper: the copy engine fills a ring of tiles, two warpgroups multiply them.
//
// A is row-major and B stored transposed, so that the summed axis is contiguous in both. A block computes 128 rows, 64 for
// each multiplying warpgroup, times BN columns in steps of 64.
#include "barrier.cuh"
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

__device__ __forceinline__ void copy_box(uint32_t target, const CUtensorMap& map, int k, int row, int matrix,
                                         uint32_t barrier) {
  asm volatile(
      "cp.async.bulk.tensor.3d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%2, %3, %4}], [%5];\n" ::"r"(
          target),
      "l"(&map), "r"(k), "r"(row), "r"(matrix), "r"(barrier)
      : "memory");
}

template <int BN, int Stages>
constexpr int shared_bytes() {
  return Stages * (kRows + BN) * kDepth * 2 + 1024;
}

template <typename T, int BN, int Stages>
__global__ void __launch_bounds__(kThreads, 1)
    matmul_wgmma(const __grid_constant__ CUtensorMap a_map, const __grid_constant__ CUtensorMap b_map,
                 const T* __restrict__ bias, T* __restrict__ d, MatmulParams p, int first_matrix) {
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
  const TilePlace place = tile_place<kRows, BN>(p);
  const int matrix = first_matrix + blockIdx.z;
  const int steps = (p.k + kDepth - 1) / kDepth;
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
    for (int step = 0; step < steps; step++) {
      if (step >= Stages) barrier::wait(empty(step), parity(step - Stages));
      barrier::arrive_expecting(full(step), stage_bytes);
      // The same matrix for all is described as one.
      copy_box(a_tile(step), a_map, step * kDepth, place.row, p.a_stride == 0 ? 0 : matrix, full(step));
      copy_box(a_tile(step) + a_bytes, b_map, step * kDepth, place.column, p.b_stride == 0 ? 0 : matrix, full(step));
    }
    return;
  }

  const int warpgroup = warp / 4;
  float sums[BN / 2];
#pragma unroll
  for (int i = 0; i < BN / 2; i++) sums[i] = 0.f;
  for (int step = 0; step < steps; step++) {
    barrier::wait(full(step), parity(step));
    const uint32_t a = a_tile(step) + warpgroup * 64 * kDepth * 2;
    const uint32_t b = a_tile(step) + a_bytes;
    wgmma::fence();
#pragma unroll
    for (int k = 0; k < kDepth / 16; k++) {
      wgmma::MultiplyShared<T, BN>::run(sums, wgmma::descriptor<kDepth>(a + k * 32), wgmma::descriptor<kDepth>(b + k * 32),
                                        1);
    }
    wgmma::commit();
    wgmma::wait<1>();
    if (step > 0 && lane == 0) barrier::arrive(empty(step - 1));
  }
  wgmma::wait<0>();
  wgmma::settle(sums);

  T* out = d + static_cast<int64_t>(matrix) * p.m * p.n;
  const int row = place.row + warp * 16 + lane / 4;
#pragma unroll
  for (int i = 0; i < BN / 8; i++) {
    const int column = place.column + i * 8 + lane % 4 * 2;
    if (row < p.m) store_pair(out + static_cast<int64_t>(row) * p.n, p, bias, column, sums[4 * i], sums[4 * i + 1]);
    if (row + 8 < p.m) {
      store_pair(out + static_cast<int64_t>(row + 8) * p.n, p, bias, column, sums[4 * i + 2], sums[4 * i + 3]);
    }
  }
#endif
}

// Describes the vectors of an operand, each with its summed axis contiguous.
bool describe(CUtensorMap& map, const void* base, const MatmulParams& p, int vectors, int leading, int stride, int box) {
  const bool repeated = stride == 0 || p.batch == 1;
  return describe_head_rows(
      map, {base, p.dtype, vectors, repeated ? 1 : p.batch, p.k, leading, repeated ? leading * 8 : stride}, kDepth, box);
}

template <typename T, int BN, int Stages>
bool launch(const Call& call, const MatmulParams& p) {
  CUtensorMap a_map, b_map;
  if (!describe(a_map, call.buffers[0], p, p.m, p.lda, p.a_stride, kRows)) return false;
  if (!describe(b_map, call.buffers[1], p, p.n, p.ldb, p.b_stride, BN)) return false;
  const auto kernel = matmul_wgmma<T, BN, Stages>;
  call.device.allow_shared(reinterpret_cast<const void*>(kernel), shared_bytes<BN, Stages>());
  for_matrices(p, [&](int first, int count) {
    kernel<<<dim3(tile_count<kRows, BN>(p), 1, count), kThreads, shared_bytes<BN, Stages>(), call.stream>>>(
        a_map, b_map, call.in<T>(2), call.out<T>(3), p, first);
  });
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
