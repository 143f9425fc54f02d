// concat: up to sixteen tensors in one launch, each copied into its place in every outer slice.
#include <algorithm>

#include "divisor.cuh"
#include "units.cuh"

namespace pergola {
namespace {

// More tensors take several launches.
constexpr int kMaxParts = 16;

struct ConcatParams {
  int32_t parts;
  uint32_t outer;
  uint32_t element_bytes;
  // Elements of one outer slice of the output.
  uint32_t slice;
  // Elements of one outer slice of each part, and where it starts in that of the output.
  uint32_t part[kMaxParts];
  uint32_t start[kMaxParts];
};

// A part as the kernel sees it, in units.
struct Part {
  const void* from;
  uint32_t units;
  uint32_t start;
  // Units of one outer slice.
  Divisor inner;
};

struct Parts {
  Part at[kMaxParts];
};

constexpr int kThreads = 256;
// Units that a thread has under way at once.
constexpr int kUnits = 4;

// blockIdx.y is a part. Units are no smaller than elements: all lengths stay below 2^32 in them.
template <typename Unit>
__global__ void place_parts(const __grid_constant__ Parts parts, Unit* __restrict__ out, uint32_t slice_units) {
  const Part& part = parts.at[blockIdx.y];
  const Unit* __restrict__ from = static_cast<const Unit*>(part.from);
  const uint32_t first = blockIdx.x * (kThreads * kUnits) + threadIdx.x;
  if (first >= part.units) return;
  Unit units[kUnits];
#pragma unroll
  for (int j = 0; j < kUnits; j++) {
    const uint32_t i = first + j * kThreads;
    if (i < part.units) units[j] = from[i];
  }
#pragma unroll
  for (int j = 0; j < kUnits; j++) {
    const uint32_t i = first + j * kThreads;
    const Quotient slice = divide_with_rest(i, part.inner);
    const uint64_t to = static_cast<uint64_t>(slice.quotient) * slice_units + part.start + slice.remainder;
    if (i < part.units) out[to] = units[j];
  }
}

}  // namespace

// Buffers: the parts, out.
PERGOLA_LAUNCHER(concat) {
  const auto& p = call.as<ConcatParams>();
  const auto bytes_of = [&p](uint32_t elements) { return static_cast<uint64_t>(elements) * p.element_bytes; };
  uint64_t bits = bytes_of(p.slice) | address_bits(call.buffers[p.parts]);
  for (int part = 0; part < p.parts; part++) {
    bits |= bytes_of(p.part[part]) | bytes_of(p.start[part]) | address_bits(call.buffers[part]);
  }
  with_unit(unit_of(bits), [&](auto zero) {
    using Unit = decltype(zero);
    const auto in_units = [&](uint32_t elements) { return static_cast<uint32_t>(bytes_of(elements) / sizeof(Unit)); };
    Parts parts{};
    uint32_t longest = 0;
    for (int i = 0; i < p.parts; i++) {
      const uint32_t inner = in_units(p.part[i]);
      parts.at[i] = {call.buffers[i], p.outer * inner, in_units(p.start[i]), divisor_of(inner)};
      longest = std::max(longest, p.outer * inner);
    }
    if (longest == 0) return;
    const dim3 grid(ceil_div(longest, kThreads * kUnits), p.parts);
    place_parts<Unit><<<grid, kThreads, 0, call.stream>>>(parts, call.out<Unit>(p.parts), in_units(p.slice));
  });
  check_launch("concat");
}

}  // namespace pergola
