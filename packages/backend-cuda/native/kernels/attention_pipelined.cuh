// Flash attention for Hopper whose tensor cores need not wait for softmax: a warpgroup loads, two multiply.
//
// One block computes 128 query rows of one head of one sequence. The loading warpgroup fills a ring of K and V tiles
// by cp.async; barriers in shared memory say which tiles are full and which are empty. A warpgroup starts the scores of
// the next tile and the values of the last one together, and computes the softmax of the next while the values are under
// way. With `TakeTurns` the two warpgroups also start their products one after the other, so that one's softmax runs
// under the other's products (Shah et al., FlashAttention-3, arXiv 2407.08608).
#pragma once

#include "attention_wgmma.cuh"

namespace pergola {

namespace attention_detail {

__device__ __forceinline__ void barrier_init(uint32_t barrier, int arrivals) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;\n" ::"r"(barrier), "r"(arrivals) : "memory");
}

__device__ __forceinline__ void barrier_arrive(uint32_t barrier) {
  asm volatile("{\n.reg .b64 state;\nmbarrier.arrive.shared::cta.b64 state, [%0];\n}\n" ::"r"(barrier) : "memory");
}

// Returns when the phase of this parity is over.
__device__ __forceinline__ void barrier_wait(uint32_t barrier, int parity) {
  uint32_t over = 0;
  while (over == 0) {
    asm volatile(
        "{\n.reg .pred p;\nmbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2;\nselp.u32 %0, 1, 0, p;\n}\n"
        : "=r"(over)
        : "r"(barrier), "r"(parity)
        : "memory");
  }
}

// The turns of two warpgroups: barrier 1 lets the first go, barrier 2 the second. Each is met by the 128 threads that
// wait and the 128 that let them.
__device__ __forceinline__ void await_turn(int warpgroup) {
  asm volatile("bar.sync %0, 256;\n" ::"r"(1 + warpgroup) : "memory");
}
__device__ __forceinline__ void pass_turn(int warpgroup) {
  asm volatile("bar.arrive %0, 256;\n" ::"r"(2 - warpgroup) : "memory");
}

}  // namespace attention_detail

constexpr int kPipelinedRows = 128;
// Two warpgroups that multiply, and one that loads.
constexpr int kPipelinedThreads = 384;
// Registers of their threads: 168 each at the start, then most of the loader's go to the others.
constexpr int kLoaderRegisters = 40;
constexpr int kMultiplierRegisters = 232;

template <typename T, int D, int Keys, int Stages, bool TakeTurns>
__global__ void __launch_bounds__(kPipelinedThreads, 1)
    attention_pipelined(const T* __restrict__ q, const T* __restrict__ k, const T* __restrict__ v,
                        const int32_t* __restrict__ offsets_q, const int32_t* __restrict__ offsets_k,
                        T* __restrict__ out, AttentionParams p) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  using namespace attention_detail;
  // Tiles whose copies may be under way when the next one starts. A warpgroup holds two tiles, so more would leave the
  // loader waiting for a tile that it has not announced.
  constexpr int under_way = Stages - 2;
  static_assert(Stages >= 3, "two span.tiles are multiplied while one is loaded");
  extern __shared__ uint8_t raw[];
  __shared__ uint64_t barriers[2 * Stages];
  const int head = blockIdx.y;
  const BlockSpan span = block_span<kPipelinedRows, Keys>(offsets_q, offsets_k, p);
  if (span.rows <= 0) return;

  const uint32_t shared = (static_cast<uint32_t>(__cvta_generic_to_shared(raw)) + 1023) & ~1023u;
  constexpr uint32_t tile_bytes = Keys * D * 2;
  const auto k_tile = [shared](int tile) { return shared + (tile % Stages) * (2 * tile_bytes); };
  const auto v_tile = [shared](int tile) { return shared + (tile % Stages) * (2 * tile_bytes) + tile_bytes; };
  const uint32_t first_barrier = static_cast<uint32_t>(__cvta_generic_to_shared(barriers));
  const auto full = [first_barrier](int tile) { return first_barrier + (tile % Stages) * 8; };
  const auto empty = [first_barrier](int tile) { return first_barrier + (Stages + tile % Stages) * 8; };
  const auto parity = [](int tile) { return (tile / Stages) & 1; };
  if (threadIdx.x < Stages) {
    // All loading threads announce a tile; one lane of each multiplying warp gives it back.
    barrier_init(full(threadIdx.x), 128);
    barrier_init(empty(threadIdx.x), 8);
  }
  __syncthreads();

  const int warp = threadIdx.x / 32;
  const int lane = threadIdx.x % 32;
  if (warp >= 8) {
    asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;\n" ::"n"(kLoaderRegisters));
    const int loader = threadIdx.x - 256;
    const T* k_rows = k + static_cast<int64_t>(span.k_begin) * p.k_row + static_cast<int64_t>(head) * p.k_head;
    const T* v_rows = v + static_cast<int64_t>(span.k_begin) * p.v_row + static_cast<int64_t>(head) * p.v_head;
    const auto announce = [&](int tile) {
      // What cp.async wrote becomes visible to wgmma.
      asm volatile("fence.proxy.async.shared::cta;\n" ::: "memory");
      barrier_arrive(full(tile));
    };
    for (int tile = 0; tile < span.tiles; tile++) {
      if (tile >= Stages) barrier_wait(empty(tile), parity(tile - Stages));
      const int key = tile * Keys;
      const int valid = span.k_count - key;
      load_tile<T, D, Keys, 128, 2>(k_tile(tile), k_rows + static_cast<int64_t>(key) * p.k_row, p.k_row, valid, p.dim,
                                    loader);
      load_tile<T, D, Keys, 128, 2>(v_tile(tile), v_rows + static_cast<int64_t>(key) * p.v_row, p.v_row, valid, p.dim,
                                    loader);
      copies_commit();
      if (tile < under_way) continue;
      copies_wait<under_way>();
      announce(tile - under_way);
    }
    copies_wait<0>();
    for (int tile = max(0, span.tiles - under_way); tile < span.tiles; tile++) announce(tile);
    return;
  }
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;\n" ::"n"(kMultiplierRegisters));

  const T* q_rows =
      q + static_cast<int64_t>(span.q_begin + span.first_row) * p.q_row + static_cast<int64_t>(head) * p.q_head;
  const int64_t out_row = static_cast<int64_t>(p.heads) * p.dim;
  T* out_rows =
      out + static_cast<int64_t>(span.q_begin + span.first_row) * out_row + static_cast<int64_t>(head) * p.dim;
  const int warpgroup = warp / 4;
  // Row of this thread's first accumulator half within the block; the other half is eight rows below.
  const int row = warp * 16 + lane / 4;
  uint32_t qf[D / 16][4];
  load_queries<T, D>(qf, q_rows, p.q_row, row, span.rows, p.dim);
  const float scale = p.scale * 1.4426950408889634f;
  Softmax softmax;
  Mixed<D> mixed;
  float s[Keys / 2];
  uint32_t weights[Keys / 16][4];

  const auto mask = [&](int tile) {
    const int key0 = tile * Keys;
    const Window window{key0, span.k_count, p.causal != 0, span.first_row + row};
    mask_scores<Keys>(s, window, key0 + Keys > span.k_count || (p.causal && key0 + Keys > span.first_row + warp * 16));
  };
  const auto begin_turn = [&] {
    if constexpr (TakeTurns) await_turn(warpgroup);
    wgmma::fence();
  };
  // The second warpgroup's last turn is the last of all.
  const auto end_turn = [&](bool last) {
    if constexpr (TakeTurns) {
      if (!last || warpgroup == 0) pass_turn(warpgroup);
    }
  };

  if (span.tiles > 0) {
    if (TakeTurns && warpgroup == 1) pass_turn(warpgroup);
    barrier_wait(full(0), parity(0));
    begin_turn();
    multiply_keys<T, D, Keys>(s, qf, k_tile(0));
    wgmma::commit();
    end_turn(false);
    wgmma::wait<0>();
    wgmma::settle(s);
    mask(0);
    // Nothing was mixed yet that could need another scale.
    exponentiate<Keys>(s, softmax, scale, [](float, float) {});
    pack_weights<T, Keys>(s, weights);
    for (int tile = 0; tile + 1 < span.tiles; tile++) {
      barrier_wait(full(tile + 1), parity(tile + 1));
      begin_turn();
      multiply_keys<T, D, Keys>(s, qf, k_tile(tile + 1));
      wgmma::commit();
      mixed.template add<T, Keys>(weights, v_tile(tile));
      wgmma::commit();
      end_turn(false);
      wgmma::wait<1>();
      wgmma::settle(s);
      mask(tile + 1);
      float correction[2] = {1.f, 1.f};
      exponentiate<Keys>(s, softmax, scale, [&](float low, float high) {
        correction[0] = low;
        correction[1] = high;
      });
      wgmma::wait<0>();
      mixed.settle();
      if (lane == 0) barrier_arrive(empty(tile));
      const bool rescaled = correction[0] != 1.f || correction[1] != 1.f;
      if (__any_sync(0xffffffffu, rescaled)) mixed.scale(correction[0], correction[1]);
      // Only now are the last weights no longer read.
      pack_weights<T, Keys>(s, weights);
    }
    begin_turn();
    mixed.template add<T, Keys>(weights, v_tile(span.tiles - 1));
    wgmma::commit();
    end_turn(true);
    wgmma::wait<0>();
    mixed.settle();
  }
  mixed.store(out_rows, out_row, row, span.rows, p.dim, finish(softmax));
#endif
}

}  // namespace pergola
