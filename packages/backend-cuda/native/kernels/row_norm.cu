// layerNorm and rmsNorm over the last axis, and layerNormModulate over packed rows.
#include "affine.cuh"
#include "packed_rows.cuh"
#include "row_norm.cuh"

namespace pergola {
namespace {

struct NormParams {
  RowShape shape;
  // dtypes of the parameters; that of x where there is none.
  int32_t weight_dtype, bias_dtype;
};

template <typename T, bool Centred>
struct AffineFinish {
  static constexpr bool centred = Centred;
  Affine affine;
  __device__ void row(int) {}
  template <int N>
  __device__ void apply(float (&normal)[N], int channel) const {
    apply_affine<N, T>(normal, affine, channel);
  }
};

template <bool Centred>
void launch(const Call& call, const NormParams& p, const void* weight, const void* bias, void* out) {
  const Affine affine{weight, bias, p.weight_dtype, p.bias_dtype};
  with_float(p.shape.dtype, [&](auto zero) {
    using T = decltype(zero);
    norm_rows_by_size(call, p.shape, call.in<T>(0), static_cast<T*>(out), AffineFinish<T, Centred>{affine},
                      affine.packed<T>());
  });
}

struct ModulateParams {
  RowShape shape;
  int32_t elements;
  int32_t silu;
};

template <typename T>
struct ModulateFinish {
  static constexpr bool centred = true;
  const T* shift;
  const T* scale;
  const int32_t* offsets;
  int32_t elements;
  int32_t channels;
  int32_t silu;
  // Batch element of the row.
  int32_t element;

  __device__ void row(int row) { element = element_of_row(offsets, elements, row); }

  template <int N>
  __device__ void apply(float (&normal)[N], int channel) const {
    // Rows that belong to no element are 0.
    if (element >= elements) {
#pragma unroll
      for (int j = 0; j < N; j++) normal[j] = 0.f;
      return;
    }
    const int64_t at = static_cast<int64_t>(element) * channels + channel;
    float factors[N], terms[N];
    load_floats<N>(factors, scale + at);
    load_floats<N>(terms, shift + at);
#pragma unroll
    for (int j = 0; j < N; j++) normal[j] = fmaf(normal[j], 1.f + factors[j], terms[j]);
    if (silu != 0) apply_silu<N>(normal);
  }
};

}  // namespace

// Buffers: x, weight, bias (null where absent), out.
PERGOLA_LAUNCHER(layerNorm) {
  launch<true>(call, call.as<NormParams>(), call.buffers[1], call.buffers[2], call.buffers[3]);
  check_launch("layerNorm");
}

// Buffers: x, weight (null where absent), out.
PERGOLA_LAUNCHER(rmsNorm) {
  launch<false>(call, call.as<NormParams>(), call.buffers[1], nullptr, call.buffers[2]);
  check_launch("rmsNorm");
}

// Buffers: x, shift, scale, offsets, out.
PERGOLA_LAUNCHER(layerNormModulate) {
  const auto& p = call.as<ModulateParams>();
  with_float(p.shape.dtype, [&](auto zero) {
    using T = decltype(zero);
    const ModulateFinish<T> finish{call.in<T>(1), call.in<T>(2), call.in<int32_t>(3), p.elements, p.shape.channels,
                                   p.silu,        0};
    norm_rows_by_size(call, p.shape, call.in<T>(0), call.out<T>(4), finish,
                      is_aligned(finish.shift) && is_aligned(finish.scale));
  });
  check_launch("layerNormModulate");
}

}  // namespace pergola
