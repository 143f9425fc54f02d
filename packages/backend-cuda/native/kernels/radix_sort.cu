// The sorts of radix_sort.cuh, over the toolkit's radix sort and scan.
#include "radix_sort.cuh"

#include <algorithm>
#include <cub/device/device_radix_sort.cuh>
#include <cub/device/device_scan.cuh>

#include "sort_keys.cuh"

namespace pergola {
namespace {

constexpr int kThreads = 256;
constexpr size_t kAlignment = 256;

size_t aligned(size_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

// Two pairs of key and position arrays that the sort alternates between, then its own scratch memory.
struct Scratch {
  uint64_t* keys[2];
  int32_t* order[2];
  void* rest;
  size_t rest_bytes;

  Scratch(void* workspace, uint32_t rows) {
    auto* at = static_cast<uint8_t*>(workspace);
    for (auto& part : keys) {
      part = reinterpret_cast<uint64_t*>(at);
      at += aligned(sizeof(uint64_t) * rows);
    }
    for (auto& part : order) {
      part = reinterpret_cast<int32_t*>(at);
      at += aligned(sizeof(int32_t) * rows);
    }
    rest = at;
    rest_bytes = rest_size(rows);
  }

  static size_t rest_size(uint32_t rows) {
    size_t wide = 0, narrow = 0, scan = 0;
    cub::DoubleBuffer<uint64_t> wide_keys;
    cub::DoubleBuffer<uint32_t> narrow_keys;
    cub::DoubleBuffer<int32_t> order;
    const int count = static_cast<int>(rows);
    check(cub::DeviceRadixSort::SortPairs(nullptr, wide, wide_keys, order, count), "sort");
    check(cub::DeviceRadixSort::SortPairs(nullptr, narrow, narrow_keys, order, count), "sort");
    int32_t* none = nullptr;
    check(cub::DeviceScan::InclusiveSum(nullptr, scan, none, none, count), "scan");
    return std::max({wide, narrow, scan});
  }
};

__global__ void count_up(int32_t* order, uint32_t rows) {
  const uint32_t i = blockIdx.x * kThreads + threadIdx.x;
  if (i < rows) order[i] = static_cast<int32_t>(i);
}

__global__ void one_column(KeyRows keys, const int32_t* __restrict__ order, uint32_t column, uint32_t* __restrict__ to) {
  const uint32_t i = blockIdx.x * kThreads + threadIdx.x;
  if (i < keys.rows) to[i] = sort_word(keys, order[i], column);
}

// Two columns as one key, the first on top.
__global__ void two_columns(KeyRows keys, const int32_t* __restrict__ order, uint32_t column, uint64_t* __restrict__ to) {
  const uint32_t i = blockIdx.x * kThreads + threadIdx.x;
  if (i >= keys.rows) return;
  const int32_t row = order[i];
  to[i] = static_cast<uint64_t>(sort_word(keys, row, column)) << 32 | sort_word(keys, row, column + 1);
}

__global__ void mark_heads(KeyRows keys, const int32_t* __restrict__ order, int32_t* __restrict__ heads) {
  const uint32_t i = blockIdx.x * kThreads + threadIdx.x;
  if (i >= keys.rows) return;
  bool head = i == 0;
  for (uint32_t column = 0; !head && column < keys.width; column++) {
    head = sort_word(keys, order[i - 1], column) != sort_word(keys, order[i], column);
  }
  heads[i] = head ? 1 : 0;
}

// Sorts the first key array with the first order array; the result's order is in `order[0]` again.
template <typename Key>
void sort_pairs(const Call& call, Scratch& scratch, uint32_t rows, int bits) {
  cub::DoubleBuffer<Key> keys(reinterpret_cast<Key*>(scratch.keys[0]), reinterpret_cast<Key*>(scratch.keys[1]));
  cub::DoubleBuffer<int32_t> order(scratch.order[0], scratch.order[1]);
  check(cub::DeviceRadixSort::SortPairs(scratch.rest, scratch.rest_bytes, keys, order, static_cast<int>(rows), 0, bits,
                                        call.stream),
        "sort");
  if (keys.selector != 0) std::swap(scratch.keys[0], scratch.keys[1]);
  if (order.selector != 0) std::swap(scratch.order[0], scratch.order[1]);
}

void copy_words(const Call& call, void* to, const void* from, uint32_t words) {
  check(cudaMemcpyAsync(to, from, sizeof(uint32_t) * words, cudaMemcpyDeviceToDevice, call.stream), "sort");
}

}  // namespace

size_t sort_workspace_bytes(uint32_t rows) {
  return 2 * aligned(sizeof(uint64_t) * rows) + 2 * aligned(sizeof(int32_t) * rows) + Scratch::rest_size(rows);
}

void sort_words(const Call& call, const uint32_t* keys, uint32_t rows, int bits, int32_t* order, uint32_t* sorted,
                void* workspace) {
  if (rows == 0) return;
  Scratch scratch(workspace, rows);
  count_up<<<ceil_div(rows, kThreads), kThreads, 0, call.stream>>>(scratch.order[0], rows);
  copy_words(call, scratch.keys[0], keys, rows);
  sort_pairs<uint32_t>(call, scratch, rows, bits);
  copy_words(call, order, scratch.order[0], rows);
  if (sorted != nullptr) copy_words(call, sorted, scratch.keys[0], rows);
}

void sort_rows(const Call& call, const KeyRows& keys, int32_t* order, void* workspace) {
  if (keys.rows == 0) return;
  Scratch scratch(workspace, keys.rows);
  const int blocks = ceil_div(keys.rows, kThreads);
  count_up<<<blocks, kThreads, 0, call.stream>>>(scratch.order[0], keys.rows);
  // Least significant columns first: each sort is stable.
  for (int64_t column = keys.width; column > 0;) {
    if (column >= 2) {
      column -= 2;
      two_columns<<<blocks, kThreads, 0, call.stream>>>(keys, scratch.order[0], column, scratch.keys[0]);
      sort_pairs<uint64_t>(call, scratch, keys.rows, 64);
    } else {
      column -= 1;
      one_column<<<blocks, kThreads, 0, call.stream>>>(keys, scratch.order[0], column,
                                                       reinterpret_cast<uint32_t*>(scratch.keys[0]));
      sort_pairs<uint32_t>(call, scratch, keys.rows, 32);
    }
  }
  copy_words(call, order, scratch.order[0], keys.rows);
}

void number_groups(const Call& call, const KeyRows& keys, const int32_t* order, int32_t* groups, void* workspace) {
  if (keys.rows == 0) return;
  mark_heads<<<ceil_div(keys.rows, kThreads), kThreads, 0, call.stream>>>(keys, order, groups);
  running_sums(call, groups, keys.rows, workspace);
}

void running_sums(const Call& call, int32_t* values, uint32_t count, void* workspace) {
  if (count == 0) return;
  Scratch scratch(workspace, count);
  check(cub::DeviceScan::InclusiveSum(scratch.rest, scratch.rest_bytes, values, values, static_cast<int>(count),
                                      call.stream),
        "scan");
}

}  // namespace pergola
