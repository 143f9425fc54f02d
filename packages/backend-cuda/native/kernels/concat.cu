// concat: up to sixteen tensors in one launch, each copied into its place in every outer slice.
#include "units.cuh"

namespace pergola {
namespace {

// More tensors take several launches.
constexpr int kMaxParts = 16;

struct ConcatParams {
  int32_t parts;
  uint32_t outer;
  // Bytes of one outer slice of the output.
  uint32_t slice_bytes;
  // Bytes of one outer slice of each part, and where it starts in that of the output.
  uint32_t part_bytes[kMaxParts];
  uint32_t part_start[kMaxParts];
};

struct Sources {
  const void* at[kMaxParts];
};

constexpr int kThreads = 256;

template <typename Unit>
__global__ void place_parts(Sources sources, Unit* __restrict__ out, ConcatParams p) {
  const int part = blockIdx.y;
  const uint32_t inner = p.part_bytes[part] / sizeof(Unit);
  const uint64_t units = static_cast<uint64_t>(p.outer) * inner;
  const Unit* from = static_cast<const Unit*>(sources.at[part]);
  const uint64_t step = static_cast<uint64_t>(gridDim.x) * kThreads;
  for (uint64_t i = blockIdx.x * static_cast<uint64_t>(kThreads) + threadIdx.x; i < units; i += step) {
    const bool narrow = i >> 32 == 0;
    const uint64_t slice = narrow ? static_cast<uint32_t>(i) / inner : i / inner;
    const uint64_t within = i - slice * inner;
    out[slice * (p.slice_bytes / sizeof(Unit)) + p.part_start[part] / sizeof(Unit) + within] = from[i];
  }
}

}  // namespace

// Buffers: the parts, out.
PERGOLA_LAUNCHER(concat) {
  const auto& p = call.as<ConcatParams>();
  Sources sources{};
  uint64_t bits = p.slice_bytes | address_bits(call.buffers[p.parts]);
  uint32_t longest = 0;
  for (int part = 0; part < p.parts; part++) {
    sources.at[part] = call.buffers[part];
    bits |= p.part_bytes[part] | p.part_start[part] | address_bits(call.buffers[part]);
    if (p.part_bytes[part] > longest) longest = p.part_bytes[part];
  }
  if (longest == 0) return;
  with_unit(unit_of(bits), [&](auto zero) {
    using Unit = decltype(zero);
    const int64_t units = static_cast<int64_t>(p.outer) * (longest / sizeof(Unit));
    const dim3 grid(ceil_div(units, kThreads), p.parts);
    place_parts<Unit><<<grid, kThreads, 0, call.stream>>>(sources, call.out<Unit>(p.parts), p);
  });
  check_launch("concat");
}

}  // namespace pergola
