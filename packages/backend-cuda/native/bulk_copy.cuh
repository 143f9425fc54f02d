// Copies by the copy engine (TMA) of Hopper, described by tensor_map.h.
#pragma once

#include <cuda.h>

#include <cstdint>

namespace pergola {

// Starts the copy of a box to shared memory: the map's second axis from `row` on, its first from `channel`, one `head` of
// its third. The bytes arrive at the barrier in shared memory that expects them.
__device__ __forceinline__ void copy_box(uint32_t target, const CUtensorMap& map, int channel, int row, int head,
                                         uint32_t barrier) {
  asm volatile(
      "cp.async.bulk.tensor.3d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%2, %3, %4}], [%5];\n"
      ::"r"(target), "l"(&map), "r"(channel), "r"(row), "r"(head), "r"(barrier)
      : "memory");
}

}  // namespace pergola
