// gather: rows (or slices along any axis) by index; an index outside the axis gives zeros.
#include "divisor.cuh"
#include "units.cuh"

namespace pergola {
namespace {

struct GatherParams {
  uint32_t outer, extent;
  // Entries of the index.
  uint32_t count;
  // Elements of one slice, and bytes of an element.
  uint32_t inner, element_bytes;
};

constexpr int kThreads = 256;

// Units that a thread has under way at once.
constexpr int kUnits = 2;

// `inner` units make a slice. Units are no smaller than elements: all lengths stay below 2^32 in them.
template <typename Unit>
__global__ void gather_units(const Unit* __restrict__ x, const uint32_t* __restrict__ index, Unit* __restrict__ out,
                             uint32_t units, uint32_t extent, Divisor count, Divisor inner) {
  const uint32_t first = blockIdx.x * (kThreads * kUnits) + threadIdx.x;
  if (first >= units) return;
  uint32_t from[kUnits];
  uint64_t at[kUnits];
#pragma unroll
  for (int j = 0; j < kUnits; j++) {
    const uint32_t i = first + j * kThreads;
    const Quotient slice = divide_with_rest(i, inner);
    const Quotient outer = divide_with_rest(slice.quotient, count);
    // As unsigned numbers, negative indices lie behind every axis.
    from[j] = i < units ? index[outer.remainder] : extent;
    at[j] = static_cast<uint64_t>(outer.quotient) * extent * inner.value + slice.remainder;
  }
  Unit values[kUnits];
#pragma unroll
  for (int j = 0; j < kUnits; j++) {
    values[j] = from[j] < extent ? x[at[j] + static_cast<uint64_t>(from[j]) * inner.value] : Unit{};
  }
#pragma unroll
  for (int j = 0; j < kUnits; j++) {
    const uint32_t i = first + j * kThreads;
    if (i < units) out[i] = values[j];
  }
}

}  // namespace

// Buffers: x, index, out.
PERGOLA_LAUNCHER(gather) {
  const auto& p = call.as<GatherParams>();
  const uint64_t slice_bytes = static_cast<uint64_t>(p.inner) * p.element_bytes;
  const int unit = unit_of(slice_bytes | address_bits(call.buffers[0]) | address_bits(call.buffers[2]));
  with_unit(unit, [&](auto zero) {
    using Unit = decltype(zero);
    const uint32_t inner = static_cast<uint32_t>(slice_bytes / sizeof(Unit));
    const uint32_t units = p.outer * p.count * inner;
    gather_units<Unit><<<ceil_div(units, kThreads * kUnits), kThreads, 0, call.stream>>>(
        call.in<Unit>(0), call.in<uint32_t>(1), call.out<Unit>(2), units, p.extent, divisor_of(p.count),
        divisor_of(inner));
  });
  check_launch("gather");
}

}  // namespace pergola
