// Division by a number that is known before the launch, as a product and shifts (Granlund and Montgomery 1994).
#pragma once

#include <cstdint>

namespace pergola {

// Made by `divisor_of`; exact for every 32-bit dividend.
struct Divisor {
  uint32_t value;
  uint32_t multiplier;
  uint32_t first_shift, second_shift;
};

// The divisor 0, which only empty launches have, counts as 1.
inline Divisor divisor_of(uint32_t value) {
  if (value == 0) value = 1;
  uint32_t bits = 0;
  while ((uint64_t{1} << bits) < value) bits++;
  const uint64_t excess = (uint64_t{1} << bits) - value;
  const auto multiplier = static_cast<uint32_t>((excess << 32) / value + 1);
  return {value, multiplier, bits > 0 ? 1u : 0u, bits > 0 ? bits - 1 : 0u};
}

__device__ __forceinline__ uint32_t divide(uint32_t dividend, const Divisor& by) {
  const uint32_t high = __umulhi(dividend, by.multiplier);
  return (high + ((dividend - high) >> by.first_shift)) >> by.second_shift;
}

struct Quotient {
  uint32_t quotient, remainder;
};

__device__ __forceinline__ Quotient divide_with_rest(uint32_t dividend, const Divisor& by) {
  const uint32_t quotient = divide(dividend, by);
  return {quotient, dividend - quotient * by.value};
}

}  // namespace pergola
