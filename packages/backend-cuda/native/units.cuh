// Moving runs of bytes in the widest units that their length and alignment allow.
#pragma once

#include "pack.cuh"

namespace pergola {

// The widest unit, up to 16 bytes, of which `bits` (lengths, distances and addresses combined by or) is a multiple.
inline int unit_of(uint64_t bits) {
  int unit = kPackBytes;
  while (unit > 1 && bits % unit != 0) unit /= 2;
  return unit;
}

inline uint64_t address_bits(const void* address) { return reinterpret_cast<uintptr_t>(address); }

template <typename Body>
void with_unit(int unit, Body body) {
  if (unit == 16) body(uint4{});
  else if (unit == 8) body(uint2{});
  else with_size(unit, body);
}

}  // namespace pergola
