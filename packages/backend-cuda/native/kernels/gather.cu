// gather: rows (or slices along any axis) by index; an index outside the axis gives zeros.
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

template <typename Unit>
__global__ void gather_units(const Unit* __restrict__ x, const uint32_t* __restrict__ index, Unit* __restrict__ out,
                             GatherParams p, uint32_t inner) {
  const uint64_t i = blockIdx.x * static_cast<uint64_t>(kThreads) + threadIdx.x;
  if (i >= static_cast<uint64_t>(p.outer) * p.count * inner) return;
  uint32_t slice, within;
  // Nearly all calls fit 32 bits, whose division is several times faster.
  if (i >> 32 == 0) {
    slice = static_cast<uint32_t>(i) / inner;
    within = static_cast<uint32_t>(i) % inner;
  } else {
    slice = static_cast<uint32_t>(i / inner);
    within = static_cast<uint32_t>(i % inner);
  }
  const uint32_t outer = slice / p.count;
  // As unsigned numbers, negative indices lie behind every axis.
  const uint32_t from = index[slice % p.count];
  out[i] = from < p.extent ? x[(static_cast<uint64_t>(outer) * p.extent + from) * inner + within] : Unit{};
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
    const int64_t units = static_cast<int64_t>(p.outer) * p.count * inner;
    gather_units<Unit><<<ceil_div(units, kThreads), kThreads, 0, call.stream>>>(call.in<Unit>(0), call.in<uint32_t>(1),
                                                                               call.out<Unit>(2), p, inner);
  });
  check_launch("gather");
}

}  // namespace pergola
