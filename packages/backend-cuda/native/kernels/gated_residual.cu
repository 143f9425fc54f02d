// gatedResidual: x + h * gate of the row's batch element, over packed rows.
#include "affine.cuh"
#include "divisor.cuh"
#include "packed_rows.cuh"

namespace pergola {
namespace {

struct GatedResidualParams {
  int32_t dtype;
  int32_t rows, channels;
  int32_t elements;
};

constexpr int kThreads = 256;

template <typename T, int Width>
__global__ void gated_residual(const T* __restrict__ x, const T* __restrict__ h, const T* __restrict__ gate,
                               const int32_t* __restrict__ offsets, T* __restrict__ out, GatedResidualParams p,
                               Divisor per_row) {
  const uint32_t i = blockIdx.x * kThreads + threadIdx.x;
  if (i >= p.rows * per_row.value) return;
  const Quotient at = divide_with_rest(i, per_row);
  const int row = static_cast<int>(at.quotient);
  const int channel = static_cast<int>(at.remainder) * Width;
  float values[Width], steps[Width], factors[Width];
  load_floats<Width>(values, x + static_cast<int64_t>(i) * Width);
  load_floats<Width>(steps, h + static_cast<int64_t>(i) * Width);
  const int element = element_of_row(offsets, p.elements, row);
  // Rows that belong to no element stay as they are.
  if (element < p.elements) {
    load_floats<Width>(factors, gate + static_cast<int64_t>(element) * p.channels + channel);
#pragma unroll
    for (int j = 0; j < Width; j++) values[j] = fmaf(steps[j], factors[j], values[j]);
  }
  Pack<T, Width> pack;
#pragma unroll
  for (int j = 0; j < Width; j++) pack.at[j] = static_cast<T>(values[j]);
  store_pack<Width>(out + static_cast<int64_t>(i) * Width, pack);
}

}  // namespace

// Buffers: x, h, gate, offsets, out.
PERGOLA_LAUNCHER(gatedResidual) {
  const auto& p = call.as<GatedResidualParams>();
  with_float(p.dtype, [&](auto zero) {
    using T = decltype(zero);
    constexpr int width = kPackSize<T>;
    const T* x = call.in<T>(0);
    const T* h = call.in<T>(1);
    const T* gate = call.in<T>(2);
    const auto* offsets = call.in<int32_t>(3);
    T* out = call.out<T>(4);
    const int64_t count = static_cast<int64_t>(p.rows) * p.channels;
    if (p.channels % width == 0 && is_aligned(x) && is_aligned(h) && is_aligned(gate)) {
      gated_residual<T, width>
          <<<ceil_div(count / width, kThreads), kThreads, 0, call.stream>>>(x, h, gate, offsets, out, p,
                                                                             divisor_of(p.channels / width));
    } else {
      gated_residual<T, 1><<<ceil_div(count, kThreads), kThreads, 0, call.stream>>>(x, h, gate, offsets, out, p,
                                                                                   divisor_of(p.channels));
    }
  });
  check_launch("gatedResidual");
}

}  // namespace pergola
