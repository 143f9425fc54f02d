// Packed rows: which batch element a row belongs to.
#pragma once

#include <cstdint>

namespace pergola {

// The element of a row by ascending row offsets [elements + 1]; `elements` for rows after the last.
__device__ __forceinline__ int element_of_row(const int32_t* __restrict__ offsets, int elements, int row) {
  int low = 0, high = elements;
  // The first element that ends behind the row.
  while (low < high) {
    const int middle = (low + high) / 2;
    if (offsets[middle + 1] > row) high = middle;
    else low = middle + 1;
  }
  return low;
}

}  // namespace pergola
