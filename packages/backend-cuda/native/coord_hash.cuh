// The coordinate hash of @pergola/sparse: slots hold row numbers, or -1 where empty; the keys are the coordinates.
#pragma once

#include <cstdint>

namespace pergola {

// The part of the hash that batch, x and y decide; multipliers and shifts as in packages/sparse/src/ops/hash.ts.
__device__ __forceinline__ uint32_t hash_column(int32_t batch, int32_t x, int32_t y) {
  uint32_t h = static_cast<uint32_t>(batch) * 0x9e3779b1u;
  h = (h ^ (h >> 16) ^ ((static_cast<uint32_t>(x) << 16) | (static_cast<uint32_t>(y) & 0xffffu))) * 0x7feb352du;
  return h ^ (h >> 15);
}

__device__ __forceinline__ uint32_t hash_coord(const int4& coord) {
  const uint32_t h = (hash_column(coord.x, coord.y, coord.z) ^ static_cast<uint32_t>(coord.w)) * 0x846ca68bu;
  return h ^ (h >> 16);
}

__device__ __forceinline__ bool same_coord(const int4& a, const int4& b) {
  return a.x == b.x && a.y == b.y && a.z == b.z && a.w == b.w;
}

// Row of a coordinate, or -1. Columns of a coordinate are batch, x, y, z. The search ends at an empty slot, or after
// all of them.
__device__ __forceinline__ int32_t find_row(const int32_t* __restrict__ slots, uint32_t mask,
                                            const int4* __restrict__ coords, const int4& coord) {
  uint32_t slot = hash_coord(coord) & mask;
  for (uint32_t probe = 0; probe <= mask; probe++) {
    const int32_t row = __ldg(slots + slot);
    if (row < 0) return -1;
    if (same_coord(__ldg(coords + row), coord)) return row;
    slot = (slot + 1) & mask;
  }
  return -1;
}

}  // namespace pergola
