// What the kernels of matmul and linear share: parameters, and what happens to a sum before it is stored.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <algorithm>
#include <cstdint>

#include "launcher.h"

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

__device__ __forceinline__ float activate(float x, int32_t activation) {
  switch (activation) {
    case Relu:
      // NaN stays NaN.
      return x < 0.f ? 0.f : x;
    case Silu:
      return x / (1.f + __expf(-x));
    case Gelu:
      return 0.5f * x * (1.f + erff(x * 0.70710678118654752f));
    case GeluTanh:
      return 0.5f * x * (1.f + tanhf(0.7978845608028654f * (x + 0.044715f * x * x * x)));
    case QuickGelu:
      return x / (1.f + __expf(-1.702f * x));
    default:
      return x;
  }
}

// Turns a sum into what is stored at a column.
template <typename T>
__device__ __forceinline__ float finish_sum(float sum, const T* bias, int column, int32_t activation) {
  return activate(bias == nullptr ? sum : sum + static_cast<float>(bias[column]), activation);
}

// Stores two neighbouring sums of a row; the second only where the row has it.
template <typename T>
__device__ __forceinline__ void store_pair(T* row, const MatmulParams& p, const T* bias, int column, float first,
                                           float second) {
  if (column >= p.n) return;
  row[column] = static_cast<T>(finish_sum(first, bias, column, p.activation));
  if (column + 1 < p.n) row[column + 1] = static_cast<T>(finish_sum(second, bias, column + 1, p.activation));
}

// Matrices of a batch are one axis of a launch grid.
constexpr int kMaxMatrices = 65535;

// Calls `launch` with the first matrix and the number of matrices of each launch.
template <typename Launch>
void for_matrices(const MatmulParams& p, Launch launch) {
  for (int first = 0; first < p.batch; first += kMaxMatrices) launch(first, std::min(kMaxMatrices, p.batch - first));
}

// Tiles of D that a block computes: those of the same rows follow one another, so that A is read from the cache.
struct TilePlace {
  int row, column;
};

template <int Rows, int Columns>
__device__ __forceinline__ TilePlace tile_place(const MatmulParams& p) {
  const int tiles = (p.n + Columns - 1) / Columns;
  return {static_cast<int>(blockIdx.x / tiles) * Rows, static_cast<int>(blockIdx.x % tiles) * Columns};
}

template <int Rows, int Columns>
int tile_count(const MatmulParams& p) {
  return ceil_div(p.m, Rows) * ceil_div(p.n, Columns);
}

// False, and nothing is launched, where the copy engine cannot read the operands.
bool launch_matmul_wgmma(const Call& call, const MatmulParams& p);

}  // namespace pergola
