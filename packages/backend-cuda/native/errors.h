// Errors of the addon. Each carries the code by which the TypeScript side picks its own class.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <stdexcept>
#include <string>

namespace pergola {

// A call of the driver failed, or a kernel did.
struct CudaError : std::runtime_error {
  cudaError_t status;
  CudaError(cudaError_t status, const std::string& text) : std::runtime_error(text), status(status) {}
  // After such an error every later call on the device fails as well: the context is gone.
  bool lost() const;
};

// No room, also after everything that was pooled went back to the driver. The device stays usable.
struct OutOfMemory : std::runtime_error {
  explicit OutOfMemory(const std::string& text) : std::runtime_error(text) {}
};

// Something that this machine lacks, like a library.
struct Unsupported : std::runtime_error {
  explicit Unsupported(const std::string& text) : std::runtime_error(text) {}
};

// Throws when a call failed; `what` names the call or the op. Leaves no error behind for the next check.
void check(cudaError_t status, const char* what);

// Throws with the error of the last launch, if it failed.
inline void check_launch(const char* what) { check(cudaGetLastError(), what); }

}  // namespace pergola
