// Dense convolution as a tiled implicit matrix product on the plain cores: every dtype, layout and number of groups.
//
// A block computes 64 positions times 64 channels of one group. The summed axis runs over (channel, tap) for channels
// first, where the weights already lie so, and over (tap, channel) for channels last.
#pragma once

#include "conv_geometry.cuh"

namespace pergola {

constexpr int kTile = 64;
constexpr int kTileDepth = 16;
constexpr int kTileThreads = 256;
// Rows and columns of results that one thread computes.
constexpr int kTileItems = 4;

namespace conv_tiled_detail {

// Where a summed index reads x, relative to the first tap of a position.
struct Step {
  int32_t offset;
  int16_t at[3];
  int16_t valid;
};

template <bool ChannelsLast>
__device__ __forceinline__ Step step_at(const ConvParams& p, int k) {
  if (k >= p.cin * p.taps) return {0, {0, 0, 0}, 0};
  const int channel = ChannelsLast ? k % p.cin : k / p.taps;
  const int tap = ChannelsLast ? k / p.cin : k % p.taps;
  const int a = tap / (p.kernel[1] * p.kernel[2]) * p.dilation[0];
  const int b = tap / p.kernel[2] % p.kernel[1] * p.dilation[1];
  const int c = tap % p.kernel[2] * p.dilation[2];
  const int offset = channel * p.x.channel + a * p.x.strides[0] + b * p.x.strides[1] + c * p.x.strides[2];
  return {offset, {static_cast<int16_t>(a), static_cast<int16_t>(b), static_cast<int16_t>(c)}, 1};
}

// The first tap of a position: its indices in x, which may lie outside, and its element.
struct Origin {
  int32_t at[3];
  int32_t valid;
  int64_t element;
};

__device__ __forceinline__ Origin origin_of(const ConvParams& p, int position) {
  Origin origin{};
  if (position >= p.batch * p.positions) return origin;
  int rest = position;
  origin.valid = 1;
#pragma unroll
  for (int axis = 2; axis >= 0; axis--) {
    origin.at[axis] = rest % p.out_extents[axis] * p.stride[axis] - p.padding[axis];
    rest /= p.out_extents[axis];
    origin.element += static_cast<int64_t>(origin.at[axis]) * p.x.strides[axis];
  }
  origin.element += static_cast<int64_t>(rest) * p.x.batch;
  return origin;
}

}  // namespace conv_tiled_detail

// `weight` has rows of `depth` elements in the order of the summed axis.
template <typename T, bool ChannelsLast>
__global__ void __launch_bounds__(kTileThreads)
    conv_tiled(const T* __restrict__ x, const T* __restrict__ weight, const T* __restrict__ bias, T* __restrict__ out,
               ConvParams p, int depth) {
  using namespace conv_tiled_detail;
  __shared__ float a_tile[kTileDepth][kTile + 4];
  __shared__ float b_tile[kTileDepth][kTile + 4];
  __shared__ Origin origins[kTile];
  __shared__ Step steps[2][kTileDepth];
  const int group = blockIdx.z;
  const int first_row = blockIdx.x * kTile;
  const int first_column = blockIdx.y * kTile;
  const int total = p.cin * p.taps;
  const T* image = x + static_cast<int64_t>(group) * p.cin * p.x.channel;
  const T* rows = weight + static_cast<int64_t>(group) * p.cout * depth;

  if (threadIdx.x < kTile) origins[threadIdx.x] = origin_of(p, first_row + threadIdx.x);
  if (threadIdx.x < kTileDepth) steps[0][threadIdx.x] = step_at<ChannelsLast>(p, threadIdx.x);

  float sums[kTileItems][kTileItems] = {};
  const int row = threadIdx.x / 16;
  const int column = threadIdx.x % 16;
  for (int start = 0; start < total; start += kTileDepth) {
    const int turn = start / kTileDepth % 2;
    __syncthreads();
#pragma unroll
    for (int i = 0; i < kTile * kTileDepth / kTileThreads; i++) {
      // Neighbouring threads read neighbours in memory: channels in one layout, positions in the other.
      const int index = threadIdx.x + i * kTileThreads;
      const int k = ChannelsLast ? index % kTileDepth : index / kTile;
      const int m = ChannelsLast ? index / kTileDepth : index % kTile;
      const Step step = steps[turn][k];
      const Origin& origin = origins[m];
      bool inside = step.valid != 0 && origin.valid != 0;
#pragma unroll
      for (int axis = 0; axis < 3; axis++) {
        inside = inside && static_cast<uint32_t>(origin.at[axis] + step.at[axis]) < static_cast<uint32_t>(p.x.extents[axis]);
      }
      a_tile[k][m] = inside ? static_cast<float>(image[origin.element + step.offset]) : 0.f;
      const int n = index / kTileDepth;
      const int depth_k = index % kTileDepth;
      const bool held = first_column + n < p.cout && start + depth_k < total;
      b_tile[depth_k][n] =
          held ? static_cast<float>(rows[static_cast<int64_t>(first_column + n) * depth + start + depth_k]) : 0.f;
    }
    if (threadIdx.x < kTileDepth) steps[turn ^ 1][threadIdx.x] = step_at<ChannelsLast>(p, start + kTileDepth + threadIdx.x);
    __syncthreads();
#pragma unroll
    for (int k = 0; k < kTileDepth; k++) {
      float left[kTileItems], right[kTileItems];
#pragma unroll
      for (int i = 0; i < kTileItems; i++) left[i] = a_tile[k][row * kTileItems + i];
#pragma unroll
      for (int i = 0; i < kTileItems; i++) right[i] = b_tile[k][column * kTileItems + i];
#pragma unroll
      for (int i = 0; i < kTileItems; i++) {
#pragma unroll
        for (int j = 0; j < kTileItems; j++) sums[i][j] = fmaf(left[i], right[j], sums[i][j]);
      }
    }
  }
#pragma unroll
  for (int i = 0; i < kTileItems; i++) {
    const int position = first_row + row * kTileItems + i;
    if (position >= p.batch * p.positions) break;
    const int64_t image_start = static_cast<int64_t>(position / p.positions) * p.out.batch;
#pragma unroll
    for (int j = 0; j < kTileItems; j++) {
      const int unit = first_column + column * kTileItems + j;
      if (unit >= p.cout) break;
      const int channel = group * p.cout + unit;
      const float sum = sums[i][j] + (bias != nullptr ? static_cast<float>(bias[channel]) : 0.f);
      const int64_t at = image_start + static_cast<int64_t>(channel) * p.out.channel +
                         static_cast<int64_t>(position % p.positions) * p.out.strides[2];
      out[at] = static_cast<T>(sum);
    }
  }
}

template <typename T, bool ChannelsLast>
void launch_conv_tiled(const Call& call, const ConvParams& p, const T* weight, int depth) {
  const dim3 grid(ceil_div(static_cast<int64_t>(p.batch) * p.positions, kTile), ceil_div(p.cout, kTile), p.groups);
  conv_tiled<T, ChannelsLast>
      <<<grid, kTileThreads, 0, call.stream>>>(call.in<T>(0), weight, call.in<T>(2), call.out<T>(3), p, depth);
}

}  // namespace pergola
