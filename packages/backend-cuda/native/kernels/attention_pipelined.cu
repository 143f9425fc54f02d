// The launches of attention_pipelined.cuh by head size.
#include "attention_pipelined.cuh"

#include <cmath>

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

// When the last block of a launch ends, in times of a tall block. Blocks start in order, each where one ended first.
// @param low_time that of a low block
double makespan(int64_t tall, int64_t low, double low_time, int processors) {
  // Those processors that are free after the tall blocks, and those that are still busy with the last of them.
  struct Group {
    int64_t processors;
    double time;
  };
  const auto waves = static_cast<double>(tall / processors);
  Group groups[2] = {{processors - tall % processors, waves}, {tall % processors, waves + 1.}};
  while (low > 0) {
    Group& next = groups[1].processors > 0 && groups[1].time < groups[0].time ? groups[1] : groups[0];
    low -= next.processors;
    next.time += low_time;
  }
  return groups[1].processors > 0 ? std::max(groups[0].time, groups[1].time) : groups[0].time;
}

// A block of two warpgroups out of three takes this part of the time of a full one, measured on an H200.
constexpr double kLowTime = 0.8;

// Divides the rows of one sequence so that few multiprocessors idle at the end.
template <int Warpgroups>
RowTiles divide_rows(const AttentionParams& p, int processors) {
  constexpr int tall_rows = Warpgroups * 64;
  constexpr int low_rows = (Warpgroups - 1) * 64;
  // Causal blocks are as long as their rows are late, and sequences are not equally long.
  if (Warpgroups < 3 || p.causal || p.sequences > 1) return {ceil_div(p.max_q, tall_rows), 0, low_rows};
  RowTiles best{};
  double best_time = INFINITY;
  for (int tall = p.max_q / tall_rows; tall >= 0; tall--) {
    const int low = ceil_div(p.max_q - tall * tall_rows, low_rows);
    const double load = (tall + kLowTime * low) * p.heads / processors;
    // Low blocks cost more for their rows: from here on it only gets worse.
    if (load > best_time) break;
    const double end = makespan(int64_t{tall} * p.heads, int64_t{low} * p.heads, kLowTime, processors);
    // A chip that is busy throughout clocks lower, so the whole work counts as much as the last block.
    const double time = (end + load) / 2;
    if (time >= best_time) continue;
    best = {tall, low, low_rows};
    best_time = time;
  }
  return best;
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
  const RowTiles tiles = divide_rows<Warpgroups>(p, call.device.properties().multiProcessorCount);
  for_sequences(p, [&](int count, int first) {
    kernel<<<dim3(p.heads * (tiles.tall + tiles.low), 1, count), (Warpgroups + 1) * 128, bytes, call.stream>>>(
        maps, call.in<int32_t>(3) + first, call.in<int32_t>(4) + first, call.out<T>(5), p, tiles);
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
