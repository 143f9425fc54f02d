// concat: up to sixteen tensors in one launch, each copied into its place in every outer slice.
#include <algorithm>

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

struct Sources {
  const void* at[kMaxParts];
};

constexpr int kThreads = 256;

// Units are no smaller than elements: all lengths stay below 2^32 in them.
template <typename Unit>
__global__ void place_parts(Sources sources, Unit* __restrict__ out, ConcatParams p) {
  const int part = blockIdx.y;
  const auto in_units = [&p](uint32_t elements) {
    return static_cast<uint32_t>(static_cast<uint64_t>(elements) * p.element_bytes / sizeof(Unit));
  };
  const uint32_t inner = in_units(p.part[part]);
  const uint64_t units = static_cast<uint64_t>(p.outer) * inner;
  const uint64_t slice_units = in_units(p.slice);
  const uint64_t start = in_units(p.start[part]);
  const Unit* from = static_cast<const Unit*>(sources.at[part]);
  const uint64_t step = static_cast<uint64_t>(gridDim.x) * kThreads;
  for (uint64_t i = blockIdx.x * static_cast<uint64_t>(kThreads) + threadIdx.x; i < units; i += step) {
    const bool narrow = i >> 32 == 0;
    const uint64_t slice = narrow ? static_cast<uint32_t>(i) / inner : i / inner;
    out[slice * slice_units + start + (i - slice * inner)] = from[i];
  }
}

}  // namespace

// Buffers: the parts, out.
PERGOLA_LAUNCHER(concat) {
  const auto& p = call.as<ConcatParams>();
  const auto bytes_of = [&p](uint32_t elements) { return static_cast<uint64_t>(elements) * p.element_bytes; };
  Sources sources{};
  uint64_t bits = bytes_of(p.slice) | address_bits(call.buffers[p.parts]);
  uint64_t longest = 0;
  for (int part = 0; part < p.parts; part++) {
    sources.at[part] = call.buffers[part];
    bits |= bytes_of(p.part[part]) | bytes_of(p.start[part]) | address_bits(call.buffers[part]);
    longest = std::max(longest, bytes_of(p.part[part]));
  }
  if (longest == 0) return;
  with_unit(unit_of(bits), [&](auto zero) {
    using Unit = decltype(zero);
    const int64_t units = static_cast<int64_t>(p.outer * (longest / sizeof(Unit)));
    const dim3 grid(ceil_div(units, kThreads), p.parts);
    place_parts<Unit><<<grid, kThreads, 0, call.stream>>>(sources, call.out<Unit>(p.parts), p);
  });
  check_launch("concat");
}

}  // namespace pergola
