// Flash attention for Hopper: wgmma with Q and P in registers, K and V in swizzled shared memory.
//
// One block computes 64 query rows per warpgroup, of one head of one sequence. K and V tiles arrive by cp.async in a
// ring of stages. The product with V of a tile stays in flight until the scores of the next one are there, and several
// warpgroups share a multiprocessor, so that one's softmax runs under the others' products. Online softmax in f32 base 2
// (Dao, FlashAttention-2, arXiv 2307.08691).
#pragma once

#include "attention_softmax.cuh"
#include "wgmma.cuh"

namespace pergola {

namespace attention_detail {

// A head of D halves as up to three column chunks of 64, 32 and 16 halves, each with its widest swizzle.
template <int D>
struct Chunks {
  static_assert(D % 16 == 0 && D <= 128, "head sizes are padded to 16");
  static constexpr int full = D / 64;
  static constexpr int has32 = (D % 64) / 32;
  static constexpr int has16 = (D % 32) / 16;
};

// Byte offset of 16-byte unit `unit` of `row` in a swizzled tile of `Width` halves.
template <int Width>
__device__ __forceinline__ uint32_t swizzled(uint32_t row, uint32_t unit) {
  const uint32_t offset = row * (Width * 2) + unit * 16;
  constexpr uint32_t mask = Width == 64 ? 7 : Width == 32 ? 3 : 1;
  return offset ^ (((offset >> 7) & mask) << 4);
}

// Loads columns [Column, Column + Width) of `Rows` rows into a swizzled tile, by a block of `Threads`; rows from `valid` on
// become zero.
template <typename T, int Rows, int Width, int Column, int Threads>
__device__ __forceinline__ void load_chunk(uint32_t target, const T* source, int64_t row_stride, int valid, int dim) {
  constexpr int units = Width / 8;
  const int thread = threadIdx.x;
#pragma unroll
  for (int i = 0; i < (Rows * units + Threads - 1) / Threads; i++) {
    const int index = thread + i * Threads;
    if (Rows * units % Threads != 0 && index >= Rows * units) break;
    const int row = index / units;
    const int unit = index % units;
    const bool inside = row < valid && Column + unit * 8 < dim;
    const T* from = inside ? source + row * row_stride + Column + unit * 8 : source;
    copy16(target + swizzled<Width>(row, unit), from, inside);
  }
}

template <typename T, int D, int Rows, int Threads>
__device__ __forceinline__ void load_tile(uint32_t target, const T* source, int64_t row_stride, int valid, int dim) {
  using C = Chunks<D>;
  if constexpr (C::full >= 1) load_chunk<T, Rows, 64, 0, Threads>(target, source, row_stride, valid, dim);
  if constexpr (C::full >= 2) load_chunk<T, Rows, 64, 64, Threads>(target + Rows * 128, source, row_stride, valid, dim);
  constexpr int base = C::full * 64;
  if constexpr (C::has32) load_chunk<T, Rows, 32, base, Threads>(target + Rows * base * 2, source, row_stride, valid, dim);
  if constexpr (C::has16) {
    constexpr int column = base + C::has32 * 32;
    load_chunk<T, Rows, 16, column, Threads>(target + Rows * column * 2, source, row_stride, valid, dim);
  }
}

// S += Q K^T over one chunk of the head: `Width / 16` steps of 16.
template <typename T, int Keys, int Width>
__device__ __forceinline__ void scores_chunk(float (&s)[Keys / 2], const uint32_t (*q)[4], uint32_t tile, bool first) {
#pragma unroll
  for (int step = 0; step < Width / 16; step++) {
    const uint64_t b = wgmma::descriptor<Width>(tile + step * 32);
    wgmma::Multiply<T, Keys, 0>::run(s, q[step], b, first && step == 0 ? 0 : 1);
  }
}

// O += P V over one chunk of the head's columns.
template <typename T, int Keys, int Width>
__device__ __forceinline__ void values_chunk(float (&o)[Width / 2], const uint32_t (&p)[Keys / 16][4], uint32_t tile) {
#pragma unroll
  for (int step = 0; step < Keys / 16; step++) {
    const uint64_t b = wgmma::descriptor<Width>(tile + step * 16 * Width * 2);
    wgmma::Multiply<T, Width, 1>::run(o, p[step], b, 1);
  }
}

// Scores of a warpgroup's rows and the `Keys` rows of K at `keys`; enqueued, not waited for.
template <typename T, int D, int Keys>
__device__ __forceinline__ void multiply_keys(float (&s)[Keys / 2], const uint32_t (&q)[D / 16][4], uint32_t keys) {
  using C = Chunks<D>;
  constexpr int base = C::full * 64;
  constexpr int base16 = base + C::has32 * 32;
  if constexpr (C::full >= 1) scores_chunk<T, Keys, 64>(s, q, keys, true);
  if constexpr (C::full >= 2) scores_chunk<T, Keys, 64>(s, q + 4, keys + Keys * 128, false);
  if constexpr (C::has32) scores_chunk<T, Keys, 32>(s, q + base / 16, keys + Keys * base * 2, base == 0);
  if constexpr (C::has16) scores_chunk<T, Keys, 16>(s, q + base16 / 16, keys + Keys * base16 * 2, base16 == 0);
}

// Weighted sums of the rows of V, in the chunks of the head. Parts that a head of D lacks are never touched.
template <int D>
struct Mixed {
  float wide[2][32] = {};
  float half[16] = {};
  float quarter[8] = {};
  using C = Chunks<D>;
  static constexpr int base = C::full * 64;
  static constexpr int base16 = base + C::has32 * 32;

  // Adds the rows of V at `values`; enqueued, not waited for.
  template <typename T, int Keys>
  __device__ __forceinline__ void add(const uint32_t (&weights)[Keys / 16][4], uint32_t values) {
    if constexpr (C::full >= 1) values_chunk<T, Keys, 64>(wide[0], weights, values);
    if constexpr (C::full >= 2) values_chunk<T, Keys, 64>(wide[1], weights, values + Keys * 128);
    if constexpr (C::has32) values_chunk<T, Keys, 32>(half, weights, values + Keys * base * 2);
    if constexpr (C::has16) values_chunk<T, Keys, 16>(quarter, weights, values + Keys * base16 * 2);
  }
  __device__ __forceinline__ void settle() {
    if constexpr (C::full >= 1) wgmma::settle(wide[0]);
    if constexpr (C::full >= 2) wgmma::settle(wide[1]);
    if constexpr (C::has32) wgmma::settle(half);
    if constexpr (C::has16) wgmma::settle(quarter);
  }
  __device__ __forceinline__ void scale(float low, float high) {
    if constexpr (C::full >= 1) scale_rows<64>(wide[0], low, high);
    if constexpr (C::full >= 2) scale_rows<64>(wide[1], low, high);
    if constexpr (C::has32) scale_rows<32>(half, low, high);
    if constexpr (C::has16) scale_rows<16>(quarter, low, high);
  }
  template <typename T>
  __device__ __forceinline__ void store(T* out, int64_t row_stride, int row, int rows, int dim, float2 by) const {
    if constexpr (C::full >= 1) store_chunk<T, 64>(out, row_stride, 0, wide[0], row, rows, dim, by.x, by.y);
    if constexpr (C::full >= 2) store_chunk<T, 64>(out, row_stride, 64, wide[1], row, rows, dim, by.x, by.y);
    if constexpr (C::has32) store_chunk<T, 32>(out, row_stride, base, half, row, rows, dim, by.x, by.y);
    if constexpr (C::has16) store_chunk<T, 16>(out, row_stride, base16, quarter, row, rows, dim, by.x, by.y);
  }
};

}  // namespace attention_detail

template <int D, int Keys, int Stages>
constexpr int attention_shared_bytes() {
  // Slack for 1 KiB alignment.
  return Stages * 2 * Keys * D * 2 + 1024;
}

template <typename T, int D, int Keys, int Stages, int Warpgroups, int Blocks>
__global__ void __launch_bounds__(Warpgroups * 128, Blocks)
    attention_wgmma(const T* __restrict__ q, const T* __restrict__ k, const T* __restrict__ v,
                    const int32_t* __restrict__ offsets_q, const int32_t* __restrict__ offsets_k, T* __restrict__ out,
                    AttentionParams p) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  using namespace attention_detail;
  constexpr int Rows = Warpgroups * 64;
  constexpr int Threads = Warpgroups * 128;
  constexpr int Ahead = Stages - 2;
  extern __shared__ uint8_t raw[];
  const int head = blockIdx.y;
  const BlockSpan span = block_span<Rows, Keys>(offsets_q, offsets_k, p);
  if (span.rows <= 0) return;

  const uint32_t shared = (static_cast<uint32_t>(__cvta_generic_to_shared(raw)) + 1023) & ~1023u;
  constexpr uint32_t tile_bytes = Keys * D * 2;
  const auto k_tile = [shared](int tile) { return shared + (tile % Stages) * (2 * tile_bytes); };
  const auto v_tile = [shared](int tile) { return shared + (tile % Stages) * (2 * tile_bytes) + tile_bytes; };

  const T* q_rows =
      q + static_cast<int64_t>(span.q_begin + span.first_row) * p.q_row + static_cast<int64_t>(head) * p.q_head;
  const T* k_rows = k + static_cast<int64_t>(span.k_begin) * p.k_row + static_cast<int64_t>(head) * p.k_head;
  const T* v_rows = v + static_cast<int64_t>(span.k_begin) * p.v_row + static_cast<int64_t>(head) * p.v_head;
  const int64_t out_row = static_cast<int64_t>(p.heads) * p.dim;
  T* out_rows =
      out + static_cast<int64_t>(span.q_begin + span.first_row) * out_row + static_cast<int64_t>(head) * p.dim;

  const int warp = threadIdx.x / 32;
  const int lane = threadIdx.x % 32;
  // Row of this thread's first accumulator half within the block; the other half is eight rows below.
  const int row = warp * 16 + lane / 4;

  const auto load = [&](int tile) {
    if (tile < span.tiles) {
      const int key = tile * Keys;
      const int valid = span.k_count - key;
      load_tile<T, D, Keys, Threads>(k_tile(tile), k_rows + static_cast<int64_t>(key) * p.k_row, p.k_row, valid, p.dim);
      load_tile<T, D, Keys, Threads>(v_tile(tile), v_rows + static_cast<int64_t>(key) * p.v_row, p.v_row, valid, p.dim);
    }
    copies_commit();
  };
  // The first tiles are on their way while Q goes to registers straight from memory.
#pragma unroll
  for (int tile = 0; tile < Ahead; tile++) load(tile);
  uint32_t qf[D / 16][4];
  load_queries<T, D>(qf, q_rows, p.q_row, row, span.rows, p.dim);

  const float scale = p.scale * 1.4426950408889634f;
  Softmax softmax;
  Mixed<D> mixed;

  for (int tile = 0; tile < span.tiles; tile++) {
    const int key0 = tile * Keys;
    copies_wait<Ahead - 1>();
    asm volatile("fence.proxy.async.shared::cta;\n" ::: "memory");
    __syncthreads();

    float s[Keys / 2];
    wgmma::fence();
    multiply_keys<T, D, Keys>(s, qf, k_tile(tile));
    wgmma::commit();
    // This stage held the tile before the last, whose products every warpgroup had finished before the barrier.
    load(tile + Ahead);
    wgmma::wait<0>();
    wgmma::settle(s);

    const Window window{key0, span.k_count, p.causal != 0, span.first_row + row};
    mask_scores<Keys>(s, window, key0 + Keys > span.k_count || (p.causal && key0 + Keys > span.first_row + warp * 16));
    uint32_t pf[Keys / 16][4];
    exponentiate<Keys>(s, softmax, scale, [&](float low, float high) { mixed.scale(low, high); });
    pack_weights<T, Keys>(s, pf);

    wgmma::fence();
    mixed.template add<T, Keys>(pf, v_tile(tile));
    wgmma::commit();
  }
  wgmma::wait<0>();
  mixed.settle();
  mixed.store(out_rows, out_row, row, span.rows, p.dim, finish(softmax));
#endif
}

}  // namespace pergola
