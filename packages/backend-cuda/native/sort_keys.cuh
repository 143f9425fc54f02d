// Words of key rows as unsigned numbers whose order is that of the keys.
#pragma once

#include "radix_sort.cuh"

namespace pergola {

__device__ __forceinline__ uint32_t sort_word(const KeyRows& keys, int32_t row, uint32_t column) {
  const uint32_t bits = keys.data[static_cast<int64_t>(row) * keys.width + column];
  if (keys.dtype == U32) return bits;
  if (keys.dtype == I32) return bits ^ 0x80000000u;
  // Floats: NaN after everything else, zeros of both signs alike, negative numbers in reverse.
  if ((bits & 0x7fffffffu) > 0x7f800000u) return 0xffffffffu;
  if ((bits & 0x7fffffffu) == 0) return 0x80000000u;
  return bits >> 31 != 0 ? ~bits : bits | 0x80000000u;
}

}  // namespace pergola
