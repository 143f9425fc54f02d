// sortByKey, uniqueByKey and uniqueCoords: rows in lexicographic order, and groups of equal rows.
#include "device.h"
#include "sort_keys.cuh"

namespace pergola {
namespace {

struct SortParams {
  int32_t dtype;
  uint32_t rows, width;
};

struct UniqueCoordsParams {
  uint32_t rows;
};

constexpr int kThreads = 256;

size_t whole_blocks(size_t bytes) { return (bytes + 255) / 256 * 256; }

__global__ void take_rows(KeyRows keys, const int32_t* __restrict__ order, uint32_t* __restrict__ out) {
  const uint32_t i = blockIdx.x * kThreads + threadIdx.x;
  if (i >= keys.rows * keys.width) return;
  out[i] = keys.data[static_cast<int64_t>(order[i / keys.width]) * keys.width + i % keys.width];
}

// Place i of the order belongs to groups[i] - 1. The first place of a group writes its key and where it starts.
__global__ void write_groups(KeyRows keys, const int32_t* __restrict__ order, const int32_t* __restrict__ groups,
                             uint32_t* __restrict__ unique, int32_t* __restrict__ inverse, int32_t* __restrict__ starts) {
  const uint32_t i = blockIdx.x * kThreads + threadIdx.x;
  if (i >= keys.rows) return;
  const int32_t group = groups[i] - 1;
  const int32_t row = order[i];
  inverse[row] = group;
  if (i > 0 && groups[i - 1] == groups[i]) return;
  starts[group] = static_cast<int32_t>(i);
  for (uint32_t column = 0; column < keys.width; column++) {
    unique[static_cast<int64_t>(group) * keys.width + column] =
        keys.data[static_cast<int64_t>(row) * keys.width + column];
  }
}

// Behind the last group: keys and counts 0, starts at the number of rows.
__global__ void finish_unique(const int32_t* __restrict__ starts, const int32_t* __restrict__ groups,
                              uint32_t* __restrict__ unique, int32_t* __restrict__ counts, int32_t* __restrict__ found,
                              uint32_t rows, uint32_t width) {
  const uint32_t i = blockIdx.x * kThreads + threadIdx.x;
  const uint32_t total = rows > 0 ? static_cast<uint32_t>(groups[rows - 1]) : 0;
  if (i == 0) found[0] = static_cast<int32_t>(total);
  if (i >= rows) return;
  if (i < total) {
    counts[i] = (i + 1 < total ? starts[i + 1] : static_cast<int32_t>(rows)) - starts[i];
    return;
  }
  counts[i] = 0;
  for (uint32_t column = 0; column < width; column++) unique[static_cast<int64_t>(i) * width + column] = 0;
}

// `offsets` has rows + 1 entries and holds the starts already; `summary` is zeros.
__global__ void finish_coords(const int32_t* __restrict__ groups, uint32_t* __restrict__ unique,
                              int32_t* __restrict__ offsets, int32_t* __restrict__ summary, uint32_t rows) {
  const uint32_t i = blockIdx.x * kThreads + threadIdx.x;
  const uint32_t total = rows > 0 ? static_cast<uint32_t>(groups[rows - 1]) : 0;
  if (i == 0) summary[0] = static_cast<int32_t>(total);
  if (i > rows) return;
  if (i < total) {
    const int32_t end = i + 1 < total ? offsets[i + 1] : static_cast<int32_t>(rows);
    atomicMax(&summary[1], end - offsets[i]);
    return;
  }
  offsets[i] = static_cast<int32_t>(rows);
  if (i == rows) return;
  for (int column = 0; column < 4; column++) unique[static_cast<int64_t>(i) * 4 + column] = 0;
}

int blocks_for(uint64_t items) { return ceil_div(items, kThreads); }

}  // namespace

// Buffers: keys, sorted keys, order.
PERGOLA_LAUNCHER(sortByKey) {
  const auto& p = call.as<SortParams>();
  const KeyRows keys{call.in<uint32_t>(0), p.rows, p.width, p.dtype};
  auto* order = call.out<int32_t>(2);
  sort_rows(call, keys, order, call.device.workspace(sort_workspace_bytes(p.rows)));
  const uint64_t words = static_cast<uint64_t>(p.rows) * p.width;
  if (words > 0) take_rows<<<blocks_for(words), kThreads, 0, call.stream>>>(keys, order, call.out<uint32_t>(1));
  check_launch("sortByKey");
}

// Buffers: keys, unique keys, inverse, counts, number of unique keys.
PERGOLA_LAUNCHER(uniqueByKey) {
  const auto& p = call.as<SortParams>();
  const KeyRows keys{call.in<uint32_t>(0), p.rows, p.width, p.dtype};
  const size_t each = whole_blocks(sizeof(int32_t) * p.rows);
  auto* workspace = static_cast<uint8_t*>(call.device.workspace(3 * each + sort_workspace_bytes(p.rows)));
  auto* order = reinterpret_cast<int32_t*>(workspace);
  auto* groups = reinterpret_cast<int32_t*>(workspace + each);
  auto* starts = reinterpret_cast<int32_t*>(workspace + 2 * each);
  sort_rows(call, keys, order, workspace + 3 * each);
  number_groups(call, keys, order, groups, workspace + 3 * each);
  if (p.rows > 0) {
    write_groups<<<blocks_for(p.rows), kThreads, 0, call.stream>>>(keys, order, groups, call.out<uint32_t>(1),
                                                                  call.out<int32_t>(2), starts);
  }
  finish_unique<<<blocks_for(p.rows + 1ull), kThreads, 0, call.stream>>>(
      starts, groups, call.out<uint32_t>(1), call.out<int32_t>(3), call.out<int32_t>(4), p.rows, p.width);
  check_launch("uniqueByKey");
}

// Buffers: coords, unique coords, inverse, order, offsets, summary (groups, rows of the largest).
PERGOLA_LAUNCHER(uniqueCoords) {
  const auto& p = call.as<UniqueCoordsParams>();
  const KeyRows keys{call.in<uint32_t>(0), p.rows, 4, I32};
  const size_t each = whole_blocks(sizeof(int32_t) * p.rows);
  auto* workspace = static_cast<uint8_t*>(call.device.workspace(each + sort_workspace_bytes(p.rows)));
  auto* groups = reinterpret_cast<int32_t*>(workspace);
  auto* order = call.out<int32_t>(3);
  auto* offsets = call.out<int32_t>(4);
  auto* summary = call.out<int32_t>(5);
  sort_rows(call, keys, order, workspace + each);
  number_groups(call, keys, order, groups, workspace + each);
  check(cudaMemsetAsync(summary, 0, 2 * sizeof(int32_t), call.stream), "uniqueCoords");
  if (p.rows > 0) {
    write_groups<<<blocks_for(p.rows), kThreads, 0, call.stream>>>(keys, order, groups, call.out<uint32_t>(1),
                                                                  call.out<int32_t>(2), offsets);
  }
  finish_coords<<<blocks_for(p.rows + 1ull), kThreads, 0, call.stream>>>(groups, call.out<uint32_t>(1), offsets, summary,
                                                                        p.rows);
  check_launch("uniqueCoords");
}

}  // namespace pergola
