// Several neighbouring elements moved as one access, and the dispatch from dtype codes to element types.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cstdint>
#include <stdexcept>
#include <string>
#include <type_traits>

#include "launcher.h"

namespace pergola {

template <typename T, int N>
struct alignas(sizeof(T) * N) Pack {
  T at[N];
};

// The widest access of one thread.
constexpr int kPackBytes = 16;

// Elements in one access of that width.
template <typename T>
constexpr int kPackSize = kPackBytes / static_cast<int>(sizeof(T));

template <int N, typename T>
__device__ __forceinline__ Pack<T, N> load_pack(const T* from) {
  return *reinterpret_cast<const Pack<T, N>*>(from);
}

template <int N, typename T>
__device__ __forceinline__ void store_pack(T* to, const Pack<T, N>& pack) {
  *reinterpret_cast<Pack<T, N>*>(to) = pack;
}

inline bool is_aligned(const void* address, size_t bytes = kPackBytes) {
  return reinterpret_cast<uintptr_t>(address) % bytes == 0;
}

[[noreturn]] inline void refuse_dtype(int32_t dtype) {
  throw std::runtime_error("no kernel for dtype code " + std::to_string(dtype));
}

// Calls `body` with a value of the element type that `dtype` stands for.
template <typename Body>
void with_float(int32_t dtype, Body body) {
  if (dtype == F32) body(float{});
  else if (dtype == F16) body(__half{});
  else if (dtype == BF16) body(__nv_bfloat16{});
  else refuse_dtype(dtype);
}

template <typename Body>
void with_integer(int32_t dtype, Body body) {
  if (dtype == I32) body(int32_t{});
  else if (dtype == U32) body(uint32_t{});
  else if (dtype == U8) body(uint8_t{});
  else refuse_dtype(dtype);
}

// Every dtype but bool.
template <typename Body>
void with_number(int32_t dtype, Body body) {
  if (dtype <= BF16) with_float(dtype, body);
  else with_integer(dtype, body);
}

// Every dtype; bool arrives as the byte that it is.
template <typename Body>
void with_any(int32_t dtype, Body body) {
  with_number(dtype == BOOL ? static_cast<int32_t>(U8) : dtype, body);
}

// Calls `body` with an unsigned integer of the size: for ops that move elements without looking at them.
template <typename Body>
void with_size(int32_t bytes, Body body) {
  if (bytes == 4) body(uint32_t{});
  else if (bytes == 2) body(uint16_t{});
  else if (bytes == 1) body(uint8_t{});
  else throw std::runtime_error("no kernel for elements of " + std::to_string(bytes) + " bytes");
}

// The type that arithmetic on T happens in: f32 for the float types.
template <typename T>
struct Arithmetic {
  using type = float;
};
template <>
struct Arithmetic<int32_t> {
  using type = int32_t;
};
template <>
struct Arithmetic<uint32_t> {
  using type = uint32_t;
};
template <>
struct Arithmetic<uint8_t> {
  using type = uint32_t;
};
template <typename T>
using Arith = typename Arithmetic<T>::type;

template <typename T>
constexpr bool kIsFloat = std::is_same_v<Arith<T>, float>;

template <typename T>
__device__ __forceinline__ Arith<T> widen(T value) {
  return static_cast<Arith<T>>(value);
}

}  // namespace pergola
