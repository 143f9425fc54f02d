// Copies of single units from memory to shared memory that go on while threads compute (cp.async), Ampere and later.
#pragma once

#include <cstdint>

namespace pergola {

// Starts the copy of 16 bytes; zeros where it is not valid, and nothing is read.
__device__ __forceinline__ void copy16(uint32_t target, const void* source, bool valid) {
  const int bytes = valid ? 16 : 0;
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;\n" ::"r"(target), "l"(source), "r"(bytes));
}

// Ends a group of copies, and waits until all but the last N groups have arrived.
__device__ __forceinline__ void copies_commit() { asm volatile("cp.async.commit_group;\n" ::: "memory"); }
template <int N>
__device__ __forceinline__ void copies_wait() {
  asm volatile("cp.async.wait_group %0;\n" ::"n"(N) : "memory");
}

}  // namespace pergola
