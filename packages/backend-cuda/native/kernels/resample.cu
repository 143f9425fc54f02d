// pixelShuffle and upsampleNearest, for any element size.
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

// One thread for each element of the result.
template <typename T>
__global__ void shuffle(const T* __restrict__ x, T* __restrict__ out, const __grid_constant__ ShuffleParams p,
                        const __grid_constant__ Positions positions, Divisor channels,
                        const __grid_constant__ Positions factors) {
  const uint32_t i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= p.elements) return;
  Position to;
  uint32_t channel;
  if (p.channels_last != 0) {
    const Quotient last = divide_with_rest(i, channels);
    channel = last.remainder;
    to = position_at(last.quotient, positions);
  } else {
    to = position_at(i, positions);
    const Quotient first = divide_with_rest(to.batch, channels);
    channel = first.remainder;
    to.batch = first.quotient;
  }
  const Quotient at_x = divide_with_rest(to.x, factors.x);
  const Quotient at_y = divide_with_rest(to.y, factors.y);
  const Quotient at_z = divide_with_rest(to.z, factors.z);
  const uint32_t within = (at_x.remainder * p.factors[1] + at_y.remainder) * p.factors[2] + at_z.remainder;
  const uint32_t block = p.factors[0] * p.factors[1] * p.factors[2];
  const int64_t from = static_cast<int64_t>(to.batch) * p.x.batch +
                       static_cast<int64_t>(channel * block + within) * p.x.channel +
                       static_cast<int64_t>(at_x.quotient) * p.x.strides[0] +
                       static_cast<int64_t>(at_y.quotient) * p.x.strides[1] +
                       static_cast<int64_t>(at_z.quotient) * p.x.strides[2];
  out[i] = x[from];
}

// Bytes that a thread of `shuffle_doubling` writes at once.
constexpr int kShuffleBytes = 4;

// Channels last, twice the size along y and z and `Deep` times along x: one thread for each four bytes of channels of a
// position of x, whose elements lie together and go to neighbouring channels of 4 * Deep positions.
template <typename T, int Deep>
__global__ void shuffle_doubling(const T* __restrict__ x, T* __restrict__ out, uint32_t groups, Divisor per_position,
                                 const __grid_constant__ Positions positions, int3 steps) {
  constexpr int width = kShuffleBytes / static_cast<int>(sizeof(T));
  constexpr int block = 4 * Deep;
  constexpr int pack = kPackSize<T>;
  const uint32_t i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= groups) return;
  T values[width * block];
#pragma unroll
  for (int j = 0; j < width * block; j += pack) {
    const auto read = load_pack<pack>(x + static_cast<int64_t>(i) * (width * block) + j);
#pragma unroll
    for (int k = 0; k < pack; k++) values[j + k] = read.at[k];
  }
  const Quotient at = divide_with_rest(i, per_position);
  const Position from = position_at(at.quotient, positions);
  // Extents of the result are those of x times the factors.
  const int64_t row = (static_cast<int64_t>(from.batch) * positions.x.value + from.x) * Deep * steps.x;
  T* to = out + row + static_cast<int64_t>(2 * from.y) * steps.y + static_cast<int64_t>(2 * from.z) * steps.z +
          at.remainder * width;
#pragma unroll
  for (int within = 0; within < block; within++) {
    Pack<T, width> written;
#pragma unroll
    for (int channel = 0; channel < width; channel++) written.at[channel] = values[channel * block + within];
    const int64_t step = static_cast<int64_t>(within / 4) * steps.x + within / 2 % 2 * steps.y + within % 2 * steps.z;
    store_pack<width>(to + step, written);
  }
}

bool doubles(const ShuffleParams& p) {
  return p.channels_last != 0 && p.factors[0] <= 2 && p.factors[1] == 2 && p.factors[2] == 2;
}

template <typename T>
void launch_shuffle(const Call& call, const ShuffleParams& p) {
  constexpr int width = kShuffleBytes / static_cast<int>(sizeof(T));
  const T* x = call.in<T>(0);
  T* out = call.out<T>(1);
  if (doubles(p) && p.channels % width == 0 && is_aligned(x) && is_aligned(out, kShuffleBytes)) {
    const int deep = p.factors[0];
    const uint32_t groups = p.elements / (width * 4 * deep);
    const auto channels = static_cast<int>(p.channels);
    const int3 steps{p.out_extents[1] * p.out_extents[2] * channels, p.out_extents[2] * channels, channels};
    const auto kernel = deep == 2 ? &shuffle_doubling<T, 2> : &shuffle_doubling<T, 1>;
    kernel<<<ceil_div(groups, 256), 256, 0, call.stream>>>(x, out, groups, divisor_of(channels / width),
                                                           positions_of(p.x.extents), steps);
  } else {
    shuffle<T><<<ceil_div(p.elements, 256), 256, 0, call.stream>>>(x, out, p, positions_of(p.out_extents),
                                                                   divisor_of(p.channels), positions_of(p.factors));
  }
}

struct UpsampleParams {
  int32_t element_bytes;
  uint32_t elements;
  int32_t factors[3];
  int32_t out_extents[3];
};

template <typename T>
__global__ void upsample(const T* __restrict__ x, T* __restrict__ out, uint32_t elements,
                         const __grid_constant__ Positions positions, const __grid_constant__ Positions factors,
                         int3 extents) {
  const uint32_t i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= elements) return;
  const Position to = position_at(i, positions);
  int64_t from = to.batch;
  from = from * extents.x + divide(to.x, factors.x);
  from = from * extents.y + divide(to.y, factors.y);
  from = from * extents.z + divide(to.z, factors.z);
  out[i] = x[from];
}

}  // namespace

PERGOLA_LAUNCHER(pixelShuffle) {
  const auto& p = call.as<ShuffleParams>();
  with_size(p.element_bytes, [&](auto zero) {
    launch_shuffle<decltype(zero)>(call, p);
  });
  check_launch("pixelShuffle");
}

PERGOLA_LAUNCHER(upsampleNearest) {
  const auto& p = call.as<UpsampleParams>();
  with_size(p.element_bytes, [&](auto zero) {
    using T = decltype(zero);
    const int3 extents{p.out_extents[0] / p.factors[0], p.out_extents[1] / p.factors[1],
                       p.out_extents[2] / p.factors[2]};
    upsample<T><<<ceil_div(p.elements, 256), 256, 0, call.stream>>>(
        call.in<T>(0), call.out<T>(1), p.elements, positions_of(p.out_extents), positions_of(p.factors), extents);
  });
  check_launch("upsampleNearest");
}

}  // namespace pergola
