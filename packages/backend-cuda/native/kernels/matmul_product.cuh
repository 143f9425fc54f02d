// What the kernels of matmul and linear share: parameters, and what happens to a sum before it is stored.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "launcher.h"
#include "pack.cuh"

namespace pergola {

// In the order of the activations in @pergola/core.
enum Activation : int32_t { None = 0, Relu = 1, Silu = 2, Gelu = 3, GeluTanh = 4, QuickGelu = 5 };

// D = activation(A B + bias): D [m, n] contiguous, A [m, k], B [k, n], row-major or stored transposed.
struct MatmulParams {
  int32_t m, n, k;
  // Distance of rows, or of columns where the operand is stored transposed.
  int32_t lda, ldb;
  int32_t a_transposed, b_transposed;
  int32_t batch;
  // Elements from one matrix of the batch to the next; 0 repeats the same matrix.
  int32_t a_stride, b_stride;
  int32_t dtype;
  int32_t tf32;
  int32_t activation;
  int32_t strategy;
};

template <int32_t Kind>
__device__ __forceinline__ float activate(float x) {
  // NaN stays NaN.
  if constexpr (Kind == Relu) return x < 0.f ? 0.f : x;
  if constexpr (Kind == Silu) return x / (1.f + __expf(-x));
  if constexpr (Kind == Gelu) return 0.5f * x * (1.f + erff(x * 0.70710678118654752f));
  // 1 + tanh(u) is 2 / (1 + exp(-2 u)).
  if constexpr (Kind == GeluTanh) return x / (1.f + __expf(-1.5957691216057308f * (x + 0.044715f * x * x * x)));
  if constexpr (Kind == QuickGelu) return x / (1.f + __expf(-1.702f * x));
  return x;
}

// Calls `body` with the activation as a constant: chosen once, not for every element.
template <typename Body>
__host__ __device__ __forceinline__ void with_activation(int32_t activation, Body body) {
  switch (activation) {
    case Relu:
      return body(std::integral_constant<int32_t, Relu>{});
    case Silu:
      return body(std::integral_constant<int32_t, Silu>{});
    case Gelu:
      return body(std::integral_constant<int32_t, Gelu>{});
    case GeluTanh:
      return body(std::integral_constant<int32_t, GeluTanh>{});
    case QuickGelu:
      return body(std::integral_constant<int32_t, QuickGelu>{});
    default:
      return body(std::integral_constant<int32_t, None>{});
  }
}

// Adds the bias to sums of which each row of a thread has `Pairs` pairs, `Step` columns apart, and activates them.
template <int Pairs, int Rows, int Step, typename T>
__device__ __forceinline__ void finish_sums(float (&sums)[Pairs][Rows][2], const MatmulParams& p, const T* bias,
                                            int column) {
  if (bias != nullptr) {
#pragma unroll
    for (int i = 0; i < Pairs; i++) {
      const int at = column + i * Step;
      const float first = at < p.n ? static_cast<float>(bias[at]) : 0.f;
      const float second = at + 1 < p.n ? static_cast<float>(bias[at + 1]) : 0.f;
#pragma unroll
      for (int row = 0; row < Rows; row++) {
        sums[i][row][0] += first;
        sums[i][row][1] += second;
      }
    }
  }
  with_activation(p.activation, [&](auto kind) {
#pragma unroll
    for (int i = 0; i < Pairs; i++) {
#pragma unroll
      for (int row = 0; row < Rows; row++) {
#pragma unroll
        for (int e = 0; e < 2; e++) sums[i][row][e] = activate<kind()>(sums[i][row][e]);
      }
    }
  });
}

// Stores two neighbouring results of a row; the second only where the row has it.
template <typename T>
__device__ __forceinline__ void store_pair(T* row, const MatmulParams& p, int column, const float (&pair)[2]) {
  if (column >= p.n) return;
  if (p.n % 2 == 0) {
    store_pack<2>(row + column, Pack<T, 2>{static_cast<T>(pair[0]), static_cast<T>(pair[1])});
    return;
  }
  row[column] = static_cast<T>(pair[0]);
  if (column + 1 < p.n) row[column + 1] = static_cast<T>(pair[1]);
}

// Matrices of a batch are one axis of a launch grid.
constexpr int kMaxMatrices = 65535;

// Calls `launch` with the first matrix and the number of matrices of each launch.
template <typename Launch>
void for_matrices(const MatmulParams& p, Launch launch) {
  for (int first = 0; first < p.batch; first += kMaxMatrices) launch(first, std::min(kMaxMatrices, p.batch - first));
}

// A tile of D. Those of the same rows follow one another, so that A is read from the cache.
struct TilePlace {
  int row, column;
};

template <int Rows, int Columns>
__device__ __forceinline__ TilePlace tile_place(const MatmulParams& p, int tile) {
  const int tiles = (p.n + Columns - 1) / Columns;
  return {tile / tiles * Rows, tile % tiles * Columns};
}

template <int Rows, int Columns>
__host__ __device__ __forceinline__ int tile_count(const MatmulParams& p) {
  return (p.m + Rows - 1) / Rows * ((p.n + Columns - 1) / Columns);
}

// False, and nothing is launched, where the copy engine cannot read the operands.
bool launch_matmul_wgmma(const Call& call, const MatmulParams& p);

}  // namespace pergola
