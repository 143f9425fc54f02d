// Flash attention for Hopper whose tensor cores need not wait for copies or softmax: one thread starts the copies, the
// other warpgroups multiply.
//
// One block computes 64 query rows per multiplying warpgroup, of one head of one sequence; blocks of fewer rows leave
// warpgroups out. The copy engine fills rings of
// K and V tiles; barriers in shared memory say which tiles are full and which are empty. A warpgroup starts the scores of
// the next tile and the values of the last one together, and computes the softmax of the next while the values are under
// way. The warpgroups also start their products one after the other, so that one's softmax runs under another's products
// (Shah et al., FlashAttention-3, arXiv 2407.08608).
#pragma once

#include "attention_wgmma.cuh"
#include "barrier.cuh"
#include "bulk_copy.cuh"
#include "tensor_map.h"

namespace pergola {

// Copies by chunks of 64, 32 and 16 channels; maps of chunks that a head lacks are never read.
struct HeadMaps {
  CUtensorMap chunks[3];
};

struct AttentionMaps {
  HeadMaps q, k, v;
};

// How the rows of a sequence are divided among blocks. The blocks of all tall tiles come before those of the low ones,
// which find room where the last tall ones leave multiprocessors idle.
struct RowTiles {
  // Tiles of a head with 64 rows for each warpgroup,
  int32_t tall;
  // and behind them tiles of fewer rows.
  int32_t low;
  int32_t low_rows;
};

namespace attention_detail {

// The place of a block in the order of all.
struct BlockPlace {
  int head;
  int first_row;
  int height;
};

template <int Rows>
__device__ __forceinline__ BlockPlace block_place(const RowTiles& tiles, int heads) {
  const int low = static_cast<int>(blockIdx.x) - tiles.tall * heads;
  if (low >= 0) return {low / tiles.low, tiles.tall * Rows + low % tiles.low * tiles.low_rows, tiles.low_rows};
  const int tall = blockIdx.x;
  return {tall / tiles.tall, tall % tiles.tall * Rows, Rows};
}

// Starts the copies of `Rows` rows of a head, laid out as load_tile does.
template <int D, int Rows>
__device__ __forceinline__ void copy_rows(uint32_t target, const HeadMaps& maps, int row, int head, uint32_t barrier) {
  using C = Chunks<D>;
  barrier::arrive_expecting(barrier, Rows * D * 2);
  constexpr int base = C::full * 64;
  constexpr int base16 = base + C::has32 * 32;
#pragma unroll
  for (int i = 0; i < C::full; i++) copy_box(target + Rows * i * 128, maps.chunks[0], i * 64, row, head, barrier);
  if constexpr (C::has32) copy_box(target + Rows * base * 2, maps.chunks[1], base, row, head, barrier);
  if constexpr (C::has16) copy_box(target + Rows * base16 * 2, maps.chunks[2], base16, row, head, barrier);
}

// S += Q K^T over a chunk of the head, both in shared memory.
template <typename T, int Keys, int Width>
__device__ __forceinline__ void shared_scores_chunk(float (&s)[Keys / 2], uint32_t q, uint32_t k, bool first) {
#pragma unroll
  for (int step = 0; step < Width / 16; step++) {
    wgmma::MultiplyShared<T, Keys>::run(s, wgmma::descriptor<Width>(q + step * 32), wgmma::descriptor<Width>(k + step * 32),
                                        first && step == 0 ? 0 : 1);
  }
}

// Scores of the warpgroup's rows of Q, of which the tile has `Rows`, and `Keys` rows of K; enqueued, not waited for.
template <typename T, int D, int Rows, int Keys>
__device__ __forceinline__ void multiply_shared_keys(float (&s)[Keys / 2], uint32_t q, int warpgroup, uint32_t k) {
  using C = Chunks<D>;
  constexpr int base = C::full * 64;
  constexpr int base16 = base + C::has32 * 32;
#pragma unroll
  for (int i = 0; i < C::full; i++) {
    shared_scores_chunk<T, Keys, 64>(s, q + (Rows * i + warpgroup * 64) * 128, k + Keys * i * 128, i == 0);
  }
  if constexpr (C::has32) {
    shared_scores_chunk<T, Keys, 32>(s, q + Rows * base * 2 + warpgroup * 64 * 64, k + Keys * base * 2, base == 0);
  }
  if constexpr (C::has16) {
    shared_scores_chunk<T, Keys, 16>(s, q + Rows * base16 * 2 + warpgroup * 64 * 32, k + Keys * base16 * 2, base16 == 0);
  }
}

// Zeros rows from `valid` on in one chunk of a tile. Rows stay in their place under the swizzle.
template <int Rows, int Width>
__device__ __forceinline__ void clear_chunk(uint32_t chunk, int valid) {
  for (int at = valid * Width * 2 + (threadIdx.x % 128) * 16; at < Rows * Width * 2; at += 128 * 16) {
    asm volatile("st.shared.v4.u32 [%0], {%1, %1, %1, %1};\n" ::"r"(chunk + at), "r"(0) : "memory");
  }
}

// Zeros the rows of V behind the end of the sequence: a weight of zero does not silence another sequence's infinities.
template <int D, int Rows>
__device__ __forceinline__ void clear_values(uint32_t tile, int valid, int warpgroup) {
  using C = Chunks<D>;
  constexpr int base = C::full * 64;
  constexpr int base16 = base + C::has32 * 32;
#pragma unroll
  for (int i = 0; i < C::full; i++) clear_chunk<Rows, 64>(tile + Rows * i * 128, valid);
  if constexpr (C::has32) clear_chunk<Rows, 32>(tile + Rows * base * 2, valid);
  if constexpr (C::has16) clear_chunk<Rows, 16>(tile + Rows * base16 * 2, valid);
  asm volatile("fence.proxy.async.shared::cta;\n" ::: "memory");
  barrier::named_sync(8 + warpgroup, 128);
}

}  // namespace attention_detail

template <int D, int Keys, int Stages, int Warpgroups>
constexpr int attention_pipelined_shared_bytes() {
  return (Warpgroups * 64 + 2 * Stages * Keys) * D * 2 + 1024;
}

// Registers of a thread that copies and of one that multiplies, out of 65,536 for all.
constexpr int copying_registers(int warpgroups) { return warpgroups == 3 ? 32 : 40; }
constexpr int multiplying_registers(int warpgroups) { return warpgroups == 3 ? 160 : 232; }

template <typename T, int D, int Keys, int Stages, int Warpgroups>
__global__ void __launch_bounds__((Warpgroups + 1) * 128, 1)
    attention_pipelined(const __grid_constant__ AttentionMaps maps, const int32_t* __restrict__ offsets_q,
                        const int32_t* __restrict__ offsets_k, T* __restrict__ out, AttentionParams p,
                        RowTiles row_tiles) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  using namespace attention_detail;
  constexpr int Rows = Warpgroups * 64;
  static_assert(Warpgroups == 2 || Warpgroups == 3, "registers are divided for these");
  static_assert(Stages >= 2, "K of the next tile is loaded while V of the last is multiplied");
  extern __shared__ uint8_t raw[];
  __shared__ uint64_t barriers[1 + 4 * Stages];
  const BlockPlace place = block_place<Rows>(row_tiles, p.heads);
  const int head = place.head;
  const BlockSpan span = span_of_rows<Keys>(blockIdx.z, place.first_row, place.height, offsets_q, offsets_k, p);
  if (span.rows <= 0) return;
  // Warpgroups that have rows.
  const int active = (span.rows + 63) / 64;

  const uint32_t q_tile = (static_cast<uint32_t>(__cvta_generic_to_shared(raw)) + 1023) & ~1023u;
  constexpr uint32_t tile_bytes = Keys * D * 2;
  const uint32_t ring = q_tile + Rows * D * 2;
  const auto k_tile = [ring](int tile) { return ring + (tile % Stages) * (2 * tile_bytes); };
  const auto v_tile = [ring](int tile) { return ring + (tile % Stages) * (2 * tile_bytes) + tile_bytes; };
  const uint32_t q_full = static_cast<uint32_t>(__cvta_generic_to_shared(barriers));
  const auto slot = [q_full](int group, int tile) { return q_full + 8 + (group * Stages + tile % Stages) * 8; };
  const auto k_full = [&](int tile) { return slot(0, tile); };
  const auto v_full = [&](int tile) { return slot(1, tile); };
  const auto k_empty = [&](int tile) { return slot(2, tile); };
  const auto v_empty = [&](int tile) { return slot(3, tile); };
  const auto parity = [](int tile) { return (tile / Stages) & 1; };
  if (threadIdx.x == 0) {
    barrier::init(q_full, 1);
    for (int i = 0; i < Stages; i++) {
      barrier::init(k_full(i), 1);
      barrier::init(v_full(i), 1);
      // One lane of each multiplying warp gives a tile back.
      barrier::init(k_empty(i), active * 4);
      barrier::init(v_empty(i), active * 4);
    }
    barrier::publish();
  }
  __syncthreads();

  const int warp = threadIdx.x / 32;
  const int lane = threadIdx.x % 32;
  if (warp >= Warpgroups * 4) {
    asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;\n" ::"n"(copying_registers(Warpgroups)));
    if (threadIdx.x != Warpgroups * 128 || span.tiles == 0) return;
    copy_rows<D, Rows>(q_tile, maps.q, span.q_begin + span.first_row, head, q_full);
    const auto load_keys = [&](int tile) {
      if (tile >= Stages) barrier::wait(k_empty(tile), parity(tile - Stages));
      copy_rows<D, Keys>(k_tile(tile), maps.k, span.k_begin + tile * Keys, head, k_full(tile));
    };
    // K runs ahead of V by a tile, as the products do.
    load_keys(0);
    for (int tile = 0; tile < span.tiles; tile++) {
      if (tile + 1 < span.tiles) load_keys(tile + 1);
      if (tile >= Stages) barrier::wait(v_empty(tile), parity(tile - Stages));
      copy_rows<D, Keys>(v_tile(tile), maps.v, span.k_begin + tile * Keys, head, v_full(tile));
    }
    return;
  }
  if (warp >= active * 4) return;
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;\n" ::"n"(multiplying_registers(Warpgroups)));

  const int64_t out_row = static_cast<int64_t>(p.heads) * p.dim;
  T* out_rows =
      out + static_cast<int64_t>(span.q_begin + span.first_row) * out_row + static_cast<int64_t>(head) * p.dim;
  const int warpgroup = warp / 4;
  // Row of this thread's first accumulator half within the block; the other half is eight rows below.
  const int row = warp * 16 + lane / 4;
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
  // Named barrier 1 + n lets warpgroup n begin; it is met by those 128 threads and the 128 that were before them.
  const auto begin_turn = [&] {
    if (active > 1) barrier::named_sync(1 + warpgroup, 256);
    wgmma::fence();
  };
  const auto end_turn = [&](bool last) {
    const bool end = warpgroup == active - 1;
    if (active > 1 && (!last || !end)) barrier::named_arrive(end ? 1 : 2 + warpgroup, 256);
  };
  const auto await_values = [&](int tile) {
    barrier::wait(v_full(tile), parity(tile));
    const int valid = span.k_count - tile * Keys;
    if (valid < Keys) clear_values<D, Keys>(v_tile(tile), valid, warpgroup);
  };
  const auto give_back = [&](uint32_t empty) {
    if (lane == 0) barrier::arrive(empty);
  };

  if (span.tiles > 0) {
    if (active > 1 && warpgroup == active - 1) barrier::named_arrive(1, 256);
    barrier::wait(q_full, 0);
    barrier::wait(k_full(0), parity(0));
    begin_turn();
    multiply_shared_keys<T, D, Rows, Keys>(s, q_tile, warpgroup, k_tile(0));
    wgmma::commit();
    end_turn(false);
    wgmma::wait<0>();
    wgmma::settle(s);
    give_back(k_empty(0));
    mask(0);
    // Nothing was mixed yet that could need another scale.
    exponentiate<Keys>(s, softmax, scale, [](float, float) {});
    pack_weights<T, Keys>(s, weights);
    for (int tile = 0; tile + 1 < span.tiles; tile++) {
      barrier::wait(k_full(tile + 1), parity(tile + 1));
      begin_turn();
      multiply_shared_keys<T, D, Rows, Keys>(s, q_tile, warpgroup, k_tile(tile + 1));
      wgmma::commit();
      barrier::wait(v_full(tile), parity(tile));
      mixed.template add<T, Keys>(weights, v_tile(tile));
      wgmma::commit();
      end_turn(false);
      wgmma::wait<1>();
      wgmma::settle(s);
      give_back(k_empty(tile + 1));
      mask(tile + 1);
      float correction[2] = {1.f, 1.f};
      exponentiate<Keys>(s, softmax, scale, [&](float low, float high) {
        correction[0] = low;
        correction[1] = high;
      });
      wgmma::wait<0>();
      mixed.settle();
      give_back(v_empty(tile));
      const bool rescaled = correction[0] != 1.f || correction[1] != 1.f;
      if (__any_sync(0xffffffffu, rescaled)) mixed.scale(correction[0], correction[1]);
      // Only now are the last weights no longer read.
      pack_weights<T, Keys>(s, weights);
    }
    await_values(span.tiles - 1);
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
