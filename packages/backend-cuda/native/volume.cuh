// Images and volumes alike: an image is a volume one voxel deep.
#pragma once

#include <cstdint>

#include "divisor.cuh"

namespace pergola {

// Extents of the spatial axes and strides of all axes, in elements, of [B, C, ...] or [B, ..., C].
struct Volume {
  int32_t batch, channel;
  int32_t extents[3];
  int32_t strides[3];
};

// The spatial extents of a volume [batch, x, y, z], for finding positions by their number.
struct Positions {
  Divisor x, y, z;
};

inline Positions positions_of(const int32_t (&extents)[3]) {
  return {divisor_of(extents[0]), divisor_of(extents[1]), divisor_of(extents[2])};
}

struct Position {
  uint32_t batch, x, y, z;
};

__device__ __forceinline__ Position position_at(uint32_t i, const Positions& positions) {
  const Quotient z = divide_with_rest(i, positions.z);
  const Quotient y = divide_with_rest(z.quotient, positions.y);
  const Quotient x = divide_with_rest(y.quotient, positions.x);
  return {x.quotient, x.remainder, y.remainder, z.remainder};
}

}  // namespace pergola
