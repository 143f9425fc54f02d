// Coordinate inputs read as whole rows of 16 bytes.
#pragma once

#include "device.h"
#include "launcher.h"

namespace pergola {

// The rows of input `index`; a copy of them for the duration of the launcher where a view starts between rows.
class AlignedCoords {
 public:
  AlignedCoords(const Call& call, int index, size_t rows) : device_(call.device), rows_(call.in<int4>(index)) {
    if (reinterpret_cast<uintptr_t>(rows_) % sizeof(int4) == 0) return;
    const size_t bytes = sizeof(int4) * rows;
    // The memory may be handed out again at once after the launcher: later work is ordered behind it.
    copy_ = device_.allocate(bytes);
    check(cudaMemcpyAsync(copy_, rows_, bytes, cudaMemcpyDeviceToDevice, call.stream), "coords");
    rows_ = static_cast<const int4*>(copy_);
  }
  ~AlignedCoords() {
    if (copy_ != nullptr) device_.free(copy_);
  }
  AlignedCoords(const AlignedCoords&) = delete;
  AlignedCoords& operator=(const AlignedCoords&) = delete;

  operator const int4*() const { return rows_; }

 private:
  Device& device_;
  const int4* rows_;
  void* copy_ = nullptr;
};

}  // namespace pergola
