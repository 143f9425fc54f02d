// Geometry of a dense convolution of images or volumes, and its weights rearranged for implicit matrix products.
#pragma once

#include <algorithm>
#include <cstdint>

#include "pack.cuh"
#include "volume.cuh"

namespace pergola {

struct ConvParams {
  int32_t dtype;
  int32_t channels_last;
  int32_t batch;
  // Channels of x and of the result within one group, and the number of groups.
  int32_t cin, cout, groups;
  int32_t taps;
  int32_t kernel[3], stride[3], padding[3], dilation[3];
  int32_t out_extents[3];
  // Positions of one image of the result.
  int32_t positions;
  Volume x;
  Volume out;
  int32_t strategy;
};

constexpr int kRearrangeThreads = 256;
// Elements that pass through shared memory at a time, and channels.
constexpr int kRearrangeTile = 4096;
constexpr int kRearrangeChannels = 256;

// [units, cin, taps] to [units, depth] with the tap before the channel; columns from taps * cin on are 0.
// One block for each unit and each `chunk` channels; a warp writes one tap, `Width` channels per thread. `packed`: the
// weights of every block start on 16 bytes.
template <typename T, int Width>
__global__ void rearrange_weight(const T* __restrict__ weight, T* __restrict__ to, int cin, int taps, int depth,
                                 int chunk, bool packed) {
  __shared__ alignas(kPackBytes) T tile[kRearrangeTile];
  constexpr int pack = kPackSize<T>;
  const int first = blockIdx.x * chunk;
  const int channels = min(chunk, cin - first);
  const int count = channels * taps;
  const T* from = weight + (static_cast<int64_t>(blockIdx.y) * cin + first) * taps;
  T* row = to + static_cast<int64_t>(blockIdx.y) * depth;
  const auto write = [&](const T* source) {
    for (int tap = threadIdx.x / 32; tap < taps; tap += kRearrangeThreads / 32) {
      for (int channel = threadIdx.x % 32 * Width; channel < channels; channel += 32 * Width) {
        Pack<T, Width> written;
#pragma unroll
        for (int j = 0; j < Width; j++) written.at[j] = source[(channel + j) * taps + tap];
        store_pack<Width>(row + tap * cin + first + channel, written);
      }
    }
  };
  if (count <= kRearrangeTile) {
    const int packs = packed ? count / pack : 0;
    for (int i = threadIdx.x; i < packs; i += kRearrangeThreads) {
      store_pack<pack>(tile + i * pack, load_pack<pack>(from + i * pack));
    }
    for (int i = packs * pack + threadIdx.x; i < count; i += kRearrangeThreads) tile[i] = from[i];
    __syncthreads();
    write(tile);
  } else {
    write(from);
  }
  if (blockIdx.x > 0) return;
  for (int k = taps * cin + threadIdx.x; k < depth; k += kRearrangeThreads) row[k] = static_cast<T>(0.f);
}

template <typename T>
void launch_rearrange(const Call& call, const T* weight, T* to, int units, int cin, int taps, int depth) {
  if (units == 0 || cin == 0) return;
  // Four bytes: neighbouring threads read different banks of shared memory where the number of taps is odd.
  constexpr int width = 4 / static_cast<int>(sizeof(T));
  int chunk = std::max(1, std::min(kRearrangeTile / taps, kRearrangeChannels));
  if (chunk > 64) chunk -= chunk % 64;
  chunk = std::min(chunk, cin);
  const bool packed = is_aligned(weight) && cin * taps % kPackSize<T> == 0 && chunk * taps % kPackSize<T> == 0;
  const bool pairs = cin % width == 0 && chunk % width == 0 && depth % width == 0;
  const auto kernel = pairs ? &rearrange_weight<T, width> : &rearrange_weight<T, 1>;
  kernel<<<dim3(ceil_div(cin, chunk), units), kRearrangeThreads, 0, call.stream>>>(weight, to, cin, taps, depth, chunk,
                                                                                  packed);
}

}  // namespace pergola
