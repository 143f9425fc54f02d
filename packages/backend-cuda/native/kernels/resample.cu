// pixelShuffle and upsampleNearest, for any element size; one thread for each element of the result.
#include "pack.cuh"
#include "volume.cuh"

namespace pergola {
namespace {

struct ShuffleParams {
  int32_t element_bytes;
  uint32_t elements;
  // Channels of the result.
  uint32_t channels;
  int32_t channels_last;
  // Growth along each axis; 1 along the depth of an image.
  int32_t factors[3];
  int32_t out_extents[3];
  Volume x;
};

template <typename T>
__global__ void shuffle(const T* __restrict__ x, T* __restrict__ out, ShuffleParams p) {
  const uint32_t i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= p.elements) return;
  const VolumeIndex to = volume_index(i, p.out_extents, p.channels, p.channels_last != 0);
  const uint32_t within = (to.x % p.factors[0] * p.factors[1] + to.y % p.factors[1]) * p.factors[2] + to.z % p.factors[2];
  const uint32_t block = p.factors[0] * p.factors[1] * p.factors[2];
  const int64_t from = static_cast<int64_t>(to.batch) * p.x.batch +
                       static_cast<int64_t>(to.channel * block + within) * p.x.channel +
                       static_cast<int64_t>(to.x / p.factors[0]) * p.x.strides[0] +
                       static_cast<int64_t>(to.y / p.factors[1]) * p.x.strides[1] +
                       static_cast<int64_t>(to.z / p.factors[2]) * p.x.strides[2];
  out[i] = x[from];
}

struct UpsampleParams {
  int32_t element_bytes;
  uint32_t elements;
  int32_t factors[3];
  int32_t out_extents[3];
};

template <typename T>
__global__ void upsample(const T* __restrict__ x, T* __restrict__ out, UpsampleParams p) {
  const uint32_t i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= p.elements) return;
  const VolumeIndex to = volume_index(i, p.out_extents, 1, true);
  int64_t from = to.batch;
  from = from * (p.out_extents[0] / p.factors[0]) + to.x / p.factors[0];
  from = from * (p.out_extents[1] / p.factors[1]) + to.y / p.factors[1];
  from = from * (p.out_extents[2] / p.factors[2]) + to.z / p.factors[2];
  out[i] = x[from];
}

}  // namespace

PERGOLA_LAUNCHER(pixelShuffle) {
  const auto& p = call.as<ShuffleParams>();
  with_size(p.element_bytes, [&](auto zero) {
    using T = decltype(zero);
    shuffle<T><<<ceil_div(p.elements, 256), 256, 0, call.stream>>>(call.in<T>(0), call.out<T>(1), p);
  });
  check_launch("pixelShuffle");
}

PERGOLA_LAUNCHER(upsampleNearest) {
  const auto& p = call.as<UpsampleParams>();
  with_size(p.element_bytes, [&](auto zero) {
    using T = decltype(zero);
    upsample<T><<<ceil_div(p.elements, 256), 256, 0, call.stream>>>(call.in<T>(0), call.out<T>(1), p);
  });
  check_launch("upsampleNearest");
}

}  // namespace pergola
