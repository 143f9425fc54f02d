// qkNorm: every head vector divided by its Euclidean norm, times gamma and the root of its size. Reads strided views.
#include "affine.cuh"
#include "divisor.cuh"
#include "row_norm.cuh"

namespace pergola {
namespace {

struct QkNormParams {
  int32_t dtype;
  int32_t rows, heads, depth;
  // Strides of x in elements; the innermost axis is contiguous.
  int32_t row_stride, head_stride;
};

// Norms below this are raised to it, so that a zero vector stays zero.
constexpr float kNormFloor = 1e-12f;
constexpr int kThreads = 256;

__device__ __forceinline__ float inverse_norm(float squares, int depth) {
  const float norm = sqrtf(squares);
  // A comparison, not fmaxf: NaN passes through.
  return sqrtf(static_cast<float>(depth)) / (norm < kNormFloor ? kNormFloor : norm);
}

// One access of each of `Lanes` threads holds a vector.
template <typename T, int Lanes>
__global__ void norm_heads(const T* __restrict__ x, const float* __restrict__ gamma, T* __restrict__ out,
                           QkNormParams p, Divisor heads) {
  constexpr int width = kPackSize<T>;
  const uint32_t vectors = p.rows * p.heads;
  const uint32_t vector = blockIdx.x * (kThreads / Lanes) + threadIdx.x / Lanes;
  const int channel = threadIdx.x % Lanes * width;
  const bool active = vector < vectors;
  const Quotient row = divide_with_rest(vector, heads);
  const int head = static_cast<int>(row.remainder);
  const int64_t from =
      static_cast<int64_t>(row.quotient) * p.row_stride + static_cast<int64_t>(head) * p.head_stride + channel;
  float values[width];
#pragma unroll
  for (int j = 0; j < width; j++) values[j] = 0.f;
  if (active) load_floats<width>(values, x + from);
  float squares = 0.f;
#pragma unroll
  for (int j = 0; j < width; j++) squares = fmaf(values[j], values[j], squares);
  const float scale = inverse_norm(sum_lanes(squares, Lanes), p.depth);
  if (!active) return;
  float factors[width];
  load_floats<width>(factors, gamma + head * p.depth + channel);
  Pack<T, width> pack;
#pragma unroll
  for (int j = 0; j < width; j++) pack.at[j] = static_cast<T>(values[j] * scale * factors[j]);
  store_pack<width>(out + static_cast<int64_t>(vector) * p.depth + channel, pack);
}

// Any depth and alignment: one warp per vector.
template <typename T>
__global__ void norm_heads_any(const T* __restrict__ x, const float* __restrict__ gamma, T* __restrict__ out,
                               QkNormParams p) {
  const int64_t vector = blockIdx.x * static_cast<int64_t>(kThreads / 32) + threadIdx.x / 32;
  if (vector >= static_cast<int64_t>(p.rows) * p.heads) return;
  const int head = static_cast<int>(vector % p.heads);
  const T* from = x + vector / p.heads * p.row_stride + static_cast<int64_t>(head) * p.head_stride;
  float squares = 0.f;
  for (int d = threadIdx.x % 32; d < p.depth; d += 32) {
    const float value = static_cast<float>(from[d]);
    squares = fmaf(value, value, squares);
  }
  const float scale = inverse_norm(sum_lanes(squares, 32), p.depth);
  for (int d = threadIdx.x % 32; d < p.depth; d += 32) {
    out[vector * p.depth + d] = static_cast<T>(static_cast<float>(from[d]) * scale * gamma[head * p.depth + d]);
  }
}

template <typename T>
void launch(const Call& call, const QkNormParams& p) {
  constexpr int width = kPackSize<T>;
  const int64_t vectors = static_cast<int64_t>(p.rows) * p.heads;
  const T* x = call.in<T>(0);
  const float* gamma = call.in<float>(1);
  T* out = call.out<T>(2);
  const bool packs = p.depth % width == 0 && p.row_stride % width == 0 && p.head_stride % width == 0 &&
                     is_aligned(x) && is_aligned(gamma);
  const int lanes = packs ? p.depth / width : 0;
  const Divisor heads = divisor_of(p.heads);
  const auto blocks = [&](int each) { return ceil_div(vectors, kThreads / each); };
  if (lanes == 4) norm_heads<T, 4><<<blocks(4), kThreads, 0, call.stream>>>(x, gamma, out, p, heads);
  else if (lanes == 8) norm_heads<T, 8><<<blocks(8), kThreads, 0, call.stream>>>(x, gamma, out, p, heads);
  else if (lanes == 16) norm_heads<T, 16><<<blocks(16), kThreads, 0, call.stream>>>(x, gamma, out, p, heads);
  else if (lanes == 32) norm_heads<T, 32><<<blocks(32), kThreads, 0, call.stream>>>(x, gamma, out, p, heads);
  else norm_heads_any<T><<<blocks(32), kThreads, 0, call.stream>>>(x, gamma, out, p);
}

}  // namespace

// Buffers: x, gamma, out.
PERGOLA_LAUNCHER(qkNorm) {
  const auto& p = call.as<QkNormParams>();
  with_float(p.dtype, [&](auto zero) { launch<decltype(zero)>(call, p); });
  check_launch("qkNorm");
}

}  // namespace pergola
