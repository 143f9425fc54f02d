// The launches of attention_pipelined.cuh by head size.
#include "attention_pipelined.cuh"

#include "attention_launch.h"
#include "device.h"

namespace pergola {
namespace {

// The maps of an operand for copies of `rows` rows, one for each chunk that heads padded to D have.
template <int D>
bool describe(HeadMaps& maps, const HeadRows& x, int rows) {
  using C = attention_detail::Chunks<D>;
  constexpr int widths[3] = {64, 32, 16};
  constexpr bool present[3] = {C::full > 0, C::has32 > 0, C::has16 > 0};
  for (int i = 0; i < 3; i++) {
    if (present[i] && !describe_head_rows(maps.chunks[i], x, widths[i], rows)) return false;
  }
  return true;
}

template <typename T, int D, int Keys, int Stages, int Warpgroups>
bool launch(const Call& call, const AttentionParams& p) {
  constexpr int rows = Warpgroups * 64;
  const HeadRows q{call.buffers[0], p.dtype, p.q_rows, p.heads, p.dim, p.q_row, p.q_head};
  const HeadRows k{call.buffers[1], p.dtype, p.k_rows, p.heads, p.dim, p.k_row, p.k_head};
  const HeadRows v{call.buffers[2], p.dtype, p.k_rows, p.heads, p.dim, p.v_row, p.v_head};
  AttentionMaps maps;
  if (!describe<D>(maps.q, q, rows) || !describe<D>(maps.k, k, Keys) || !describe<D>(maps.v, v, Keys)) return false;
  const auto kernel = attention_pipelined<T, D, Keys, Stages, Warpgroups>;
  constexpr int bytes = attention_pipelined_shared_bytes<D, Keys, Stages, Warpgroups>();
  call.device.allow_shared(reinterpret_cast<const void*>(kernel), bytes);
  for_sequences(p, rows, [&](dim3 grid, int first) {
    kernel<<<grid, (Warpgroups + 1) * 128, bytes, call.stream>>>(maps, call.in<int32_t>(3) + first,
                                                                 call.in<int32_t>(4) + first, call.out<T>(5), p);
  });
  return true;
}

// Heads are padded with zeros. Three multiplying warpgroups where a thread's share of the registers permits it: measured
// on an H200, they beat two by a fifth.
template <typename T>
bool launch_by_dim(const Call& call, const AttentionParams& p) {
  if (p.dim <= 32) return launch<T, 32, 128, 4, 3>(call, p);
  if (p.dim <= 64) return launch<T, 64, 128, 4, 3>(call, p);
  if (p.dim <= 80) return launch<T, 80, 96, 5, 3>(call, p);
  if (p.dim <= 96) return launch<T, 96, 96, 4, 3>(call, p);
  return launch<T, 128, 128, 3, 2>(call, p);
}

}  // namespace

bool launch_attention_pipelined(const Call& call, const AttentionParams& p) {
  return p.dtype == F16 ? launch_by_dim<__half>(call, p) : launch_by_dim<__nv_bfloat16>(call, p);
}

}  // namespace pergola
