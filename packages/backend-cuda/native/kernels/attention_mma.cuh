// Flash attention for Ampere and later by mma.sync: the path of half types where there is no wgmma.
//
// One block computes 64 query rows (four warps of 16) of one head of one sequence. Tiles of 64 keys arrive by cp.async,
// double buffered. Rows are padded by 16 bytes, so that ldmatrix meets every bank once.
#pragma once

#include "attention_softmax.cuh"
#include "mma.cuh"

namespace pergola {

constexpr int kMmaRows = 64;
constexpr int kMmaThreads = 128;
constexpr int kMmaKeys = 64;

template <int D>
constexpr int attention_mma_pitch() {
  return D * 2 + 16;
}

template <int D>
constexpr int attention_mma_shared_bytes() {
  return 4 * kMmaKeys * attention_mma_pitch<D>();
}

template <typename T, int D>
__global__ void __launch_bounds__(kMmaThreads)
    attention_mma(const T* __restrict__ q, const T* __restrict__ k, const T* __restrict__ v,
                  const int32_t* __restrict__ offsets_q, const int32_t* __restrict__ offsets_k, T* __restrict__ out,
                  AttentionParams p) {
  using namespace attention_detail;
  constexpr int pitch = attention_mma_pitch<D>();
  constexpr int tile_bytes = kMmaKeys * pitch;
  constexpr int units = D / 8;
  extern __shared__ __align__(16) uint8_t raw[];
  const uint32_t shared = static_cast<uint32_t>(__cvta_generic_to_shared(raw));
  const int head = blockIdx.y;
  const BlockSpan span = block_span<kMmaRows, kMmaKeys>(offsets_q, offsets_k, p);
  if (span.rows <= 0) return;
  const T* q_rows =
      q + static_cast<int64_t>(span.q_begin + span.first_row) * p.q_row + static_cast<int64_t>(head) * p.q_head;
  const T* k_rows = k + static_cast<int64_t>(span.k_begin) * p.k_row + static_cast<int64_t>(head) * p.k_head;
  const T* v_rows = v + static_cast<int64_t>(span.k_begin) * p.v_row + static_cast<int64_t>(head) * p.v_head;
  const int64_t out_row = static_cast<int64_t>(p.heads) * p.dim;
  T* out_rows =
      out + static_cast<int64_t>(span.q_begin + span.first_row) * out_row + static_cast<int64_t>(head) * p.dim;

  const int warp = threadIdx.x / 32;
  const int lane = threadIdx.x % 32;
  const int row = warp * 16 + lane / 4;

  const auto load_rows = [&](uint32_t target, const T* source, int64_t row_stride, int valid) {
    for (int i = threadIdx.x; i < kMmaKeys * units; i += kMmaThreads) {
      const int r = i / units;
      const int unit = i % units;
      const bool inside = r < valid && unit * 8 < p.dim;
      copy16(target + r * pitch + unit * 16, inside ? source + r * row_stride + unit * 8 : source, inside);
    }
  };
  // K of the tile, then V.
  const auto load = [&](int tile) {
    if (tile < span.tiles) {
      const int key = tile * kMmaKeys;
      const uint32_t target = shared + (tile & 1) * 2 * tile_bytes;
      load_rows(target, k_rows + static_cast<int64_t>(key) * p.k_row, p.k_row, span.k_count - key);
      load_rows(target + tile_bytes, v_rows + static_cast<int64_t>(key) * p.v_row, p.v_row, span.k_count - key);
    }
    copies_commit();
  };
  load(0);

  uint32_t qf[D / 16][4];
  load_queries<T, D>(qf, q_rows, p.q_row, row, span.rows, p.dim);
  const float scale = p.scale * 1.4426950408889634f;
  Softmax softmax;
  float o[D / 2] = {};
  // Lanes to rows of ldmatrix: K as rows of keys, V transposed while it is read.
  const uint32_t k_lane = (lane % 8 + (lane / 16) * 8) * pitch + ((lane / 8) % 2) * 16;
  const uint32_t v_lane = (lane % 16) * pitch + (lane / 16) * 16;

  for (int tile = 0; tile < span.tiles; tile++) {
    const int key0 = tile * kMmaKeys;
    load(tile + 1);
    copies_wait<1>();
    __syncthreads();
    const uint32_t keys = shared + (tile & 1) * 2 * tile_bytes;
    const uint32_t values = keys + tile_bytes;

    float s[kMmaKeys / 2] = {};
#pragma unroll
    for (int step = 0; step < D / 16; step++) {
#pragma unroll
      for (int pair = 0; pair < kMmaKeys / 16; pair++) {
        uint32_t b[4];
        mma::load_matrices(b, keys + pair * 16 * pitch + step * 32 + k_lane);
        mma::multiply<T>(*reinterpret_cast<float(*)[4]>(s + pair * 8), qf[step], b[0], b[1]);
        mma::multiply<T>(*reinterpret_cast<float(*)[4]>(s + pair * 8 + 4), qf[step], b[2], b[3]);
      }
    }
    const Window window{key0, span.k_count, p.causal != 0, span.first_row + row};
    mask_scores<kMmaKeys>(s, window, key0 + kMmaKeys > span.k_count ||
                                         (p.causal && key0 + kMmaKeys > span.first_row + warp * 16));
    uint32_t weights[kMmaKeys / 16][4];
    exponentiate<kMmaKeys>(s, softmax, scale, [&](float low, float high) { scale_rows<D>(o, low, high); });
    pack_weights<T, kMmaKeys>(s, weights);
#pragma unroll
    for (int step = 0; step < kMmaKeys / 16; step++) {
#pragma unroll
      for (int pair = 0; pair < D / 16; pair++) {
        uint32_t b[4];
        mma::load_transposed(b, values + step * 16 * pitch + pair * 32 + v_lane);
        mma::multiply<T>(*reinterpret_cast<float(*)[4]>(o + pair * 8), weights[step], b[0], b[1]);
        mma::multiply<T>(*reinterpret_cast<float(*)[4]>(o + pair * 8 + 4), weights[step], b[2], b[3]);
      }
    }
    // The next tile but one goes where this one was read.
    __syncthreads();
  }
  const float2 inverse = finish(softmax);
  store_chunk<T, D>(out_rows, out_row, 0, o, row, span.rows, p.dim, inverse.x, inverse.y);
}

}  // namespace pergola
