// Parameters of a normalisation by channel, f32 or of the dtype of x; absent ones leave the value as it is.
#pragma once

#include "pack.cuh"

namespace pergola {

struct Affine {
  const void* weight;
  const void* bias;
  // dtype codes.
  int32_t weight_dtype, bias_dtype;

  // On boundaries that allow whole packs of T to be read.
  template <typename T>
  bool packed() const {
    return is_aligned(weight) && is_aligned(bias);
  }
};

template <int N, typename P>
__device__ __forceinline__ void load_floats(float (&to)[N], const P* from) {
  constexpr int step = N < kPackSize<P> ? N : kPackSize<P>;
#pragma unroll
  for (int i = 0; i < N; i += step) {
    const auto pack = load_pack<step>(from + i);
#pragma unroll
    for (int j = 0; j < step; j++) to[i + j] = static_cast<float>(pack.at[j]);
  }
}

// N parameters from `channel` on, which are f32 or T.
template <int N, typename T>
__device__ __forceinline__ void load_parameters(float (&to)[N], const void* from, int32_t dtype, int channel) {
  if (dtype == F32) load_floats<N>(to, static_cast<const float*>(from) + channel);
  else load_floats<N>(to, static_cast<const T*>(from) + channel);
}

template <int N, typename T>
__device__ __forceinline__ void apply_affine(float (&values)[N], const Affine& affine, int channel) {
  float parameters[N];
  if (affine.weight != nullptr) {
    load_parameters<N, T>(parameters, affine.weight, affine.weight_dtype, channel);
#pragma unroll
    for (int j = 0; j < N; j++) values[j] *= parameters[j];
  }
  if (affine.bias != nullptr) {
    load_parameters<N, T>(parameters, affine.bias, affine.bias_dtype, channel);
#pragma unroll
    for (int j = 0; j < N; j++) values[j] += parameters[j];
  }
}

template <int N>
__device__ __forceinline__ void apply_silu(float (&values)[N]) {
#pragma unroll
  for (int j = 0; j < N; j++) values[j] = values[j] / (1.f + expf(-values[j]));
}

}  // namespace pergola
