// Geometry of a dense convolution of images or volumes, and its weights rearranged for implicit matrix products.
#pragma once

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
// Elements that pass through shared memory at a time.
constexpr int kRearrangeTile = 4096;

// [units, cin, taps] to [units, depth] with the tap before the channel; columns from taps * cin on are 0.
// One block for each unit and each `chunk` channels.
template <typename T>
__global__ void rearrange_weight(const T* __restrict__ weight, T* __restrict__ to, int cin, int taps, int depth,
                                 int chunk) {
  __shared__ T tile[kRearrangeTile];
  const int first = blockIdx.x * chunk;
  const int channels = min(chunk, cin - first);
  const T* from = weight + (static_cast<int64_t>(blockIdx.y) * cin + first) * taps;
  T* row = to + static_cast<int64_t>(blockIdx.y) * depth;
  const bool staged = channels * taps <= kRearrangeTile;
  if (staged) {
    for (int i = threadIdx.x; i < channels * taps; i += kRearrangeThreads) tile[i] = from[i];
    __syncthreads();
  }
  for (int i = threadIdx.x; i < channels * taps; i += kRearrangeThreads) {
    const int tap = i / channels;
    const int channel = i % channels;
    row[tap * cin + first + channel] = staged ? tile[channel * taps + tap] : from[channel * taps + tap];
  }
  if (blockIdx.x > 0) return;
  for (int k = taps * cin + threadIdx.x; k < depth; k += kRearrangeThreads) row[k] = static_cast<T>(0.f);
}

template <typename T>
void launch_rearrange(const Call& call, const T* weight, T* to, int units, int cin, int taps, int depth) {
  if (units == 0 || cin == 0) return;
  const int fitting = kRearrangeTile / taps;
  const int chunk = fitting < 1 ? 1 : (fitting < cin ? fitting : cin);
  rearrange_weight<T><<<dim3(ceil_div(cin, chunk), units), kRearrangeThreads, 0, call.stream>>>(weight, to, cin, taps,
                                                                                              depth, chunk);
}

}  // namespace pergola
