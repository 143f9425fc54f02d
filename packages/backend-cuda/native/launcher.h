// The contract between the addon and the kernels: one launcher per op, found by name.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>

#include "errors.h"

namespace pergola {

class Device;

// One enqueued op. Buffers are device addresses, already offset to the tensor's first element:
// inputs in slot order (null for an optional input left out), then outputs.
struct Call {
  Device& device;
  cudaStream_t stream;
  void* const* buffers;
  int buffer_count;
  const uint8_t* params;
  size_t param_bytes;

  template <typename T>
  const T* in(int i) const {
    return static_cast<const T*>(buffers[i]);
  }
  template <typename T>
  T* out(int i) const {
    return static_cast<T*>(buffers[i]);
  }
  // The parameter block that the TypeScript side of the kernel packed, field by field, in 4-byte words.
  template <typename Params>
  const Params& as() const {
    if (param_bytes != sizeof(Params)) {
      throw std::runtime_error("parameter block is " + std::to_string(param_bytes) + " bytes, expected " +
                               std::to_string(sizeof(Params)));
    }
    return *reinterpret_cast<const Params*>(params);
  }
};

using Launcher = void (*)(const Call&);

// Adds a launcher to the registry; used at namespace scope, once per op, through PERGOLA_LAUNCHER.
struct Registration {
  Registration(const char* name, Launcher launcher);
};

#define PERGOLA_LAUNCHER(name) \
  static void name(const ::pergola::Call& call); \
  static const ::pergola::Registration registration_##name(#name, &name); \
  static void name(const ::pergola::Call& call)

// dtype codes of the parameter blocks, in the order of DTYPES in @pergola/core.
enum DType : int32_t { F32 = 0, F16 = 1, BF16 = 2, I32 = 3, U32 = 4, U8 = 5, BOOL = 6 };

// True when 16-byte accesses may start here. A view can begin anywhere in its memory, which a plan does not know.
inline bool aligned16(const void* address) { return reinterpret_cast<uintptr_t>(address) % 16 == 0; }

inline int ceil_div(int64_t a, int64_t b) { return static_cast<int>((a + b - 1) / b); }

}  // namespace pergola
